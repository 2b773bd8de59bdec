"""What this host can tell about an application's manager: by its lock, its health file and the processes."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.state import written_state_directory
from ..local.own_files import ours, written
from ..local.processes import first_process_started, is_manager, orphans_of
from .health_file import HealthFile, ManagerStatus
from .manager_lock import ManagerLock

if TYPE_CHECKING:
    from ...config import ClusterConfig

log = logging.getLogger("mha")

#: Characters of the longest file of places.
_LONGEST = 8192


@dataclass(frozen=True)
class Places:
    """What of a configuration is to be known for a look at its manager: directory, log, seconds between two pings."""

    workdir: Path
    log: Path | None
    ping_interval: int

    @classmethod
    def noted(cls, conf: Path, global_conf: Path | None) -> Places | None:
        """As the manager noted them when it had read the same files; None where it has not."""
        found = written_state_directory(conf, global_conf)
        if found is None:
            return None
        (workdir, total), file = found, _places_of(found[0], conf.stem)
        try:
            if not ours(file):
                return None
            with file.open(encoding="utf-8") as text:
                told = json.loads(text.read(_LONGEST))
            if told["read"] != total:
                return None
            return cls(workdir, Path(told["log"]) if told["log"] else None, int(told["ping_interval"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


def note_places(config: ClusterConfig) -> None:
    """For `Places.noted`: to read these files again and validate them takes a fifth of a second of a processor."""
    found = written_state_directory(config.path, config.global_path)
    if found is None or found[0] != config.manager_workdir:
        return
    told = {"read": found[1], "log": str(config.manager_log or ""), "ping_interval": config.ping_interval}
    try:
        with written(_places_of(config.manager_workdir, config.name), 0o644) as file:
            file.write(json.dumps(told))
    except OSError as error:
        log.debug("Where the manager's files are is not noted: %s", error)


def _places_of(workdir: Path, app: str) -> Path:
    return workdir / f"{app}.places.json"


@dataclass(frozen=True)
class ManagerView:
    """What this host can tell about the manager of one application.

    ``pid`` is 0 when no process is known, ``children`` what a dead manager left running, ``age`` the seconds
    since the health file was written or touched, ``active`` the manager that watches while this one stands by.
    """

    app: str
    status: ManagerStatus
    pid: int = 0
    primary: str = ""
    children: tuple[int, ...] = ()
    age: float = 0.0
    active: str = ""


def observe_manager(workdir: Path, app: str, ping_limit: float = 10) -> ManagerView:
    """Look at the lock, the health file and the processes of one application's manager on this host.

    ``ping_limit`` in seconds: a manager that says PING_OK or STANDING_BY and has not touched its file for longer is
    TIMESTAMP_OLD. Raises OSError when the files cannot be read.
    """
    file = HealthFile(workdir, app)
    try:
        held, holder = ManagerLock(workdir, app).probe()
    except PermissionError:
        # Its lock is for its user alone; what its file says, and the list of processes, is for everybody.
        held, holder = False, 0
    health = file.read()
    if held and (health is None or health.pid != holder):
        return ManagerView(app, ManagerStatus.INITIALIZING_MONITOR, holder)
    if health is None:
        unreadable = file.path.exists()
        return ManagerView(app, ManagerStatus.UNEXPECTED_ERROR if unreadable else ManagerStatus.NOT_RUNNING)
    current = health.mtime >= first_process_started()
    # Its lock is free: that manager is gone, whoever has its number now. Without a lock file of its own (the
    # MHA's manager has none) the command line must do.
    alive = held or (holder != health.pid and current and is_manager(health.pid, app))
    orphans = () if alive or not current else orphans_of(health.pid)
    age = max(0.0, time.time() - health.mtime)
    status = judge(health.status, alive, bool(orphans), age, ping_limit)
    active = health.active if status is ManagerStatus.STANDING_BY else ""
    return ManagerView(app, status, health.pid, health.primary, orphans, age, active)


def judge(written: ManagerStatus, alive: bool, orphans: bool, age: float, ping_limit: float) -> ManagerStatus:
    """The state to report for what a health file says, given whether its writer or its children live."""
    if not alive:
        return ManagerStatus.PARTIALLY_RUNNING if orphans else ManagerStatus.NOT_RUNNING
    if written in (ManagerStatus.PING_OK, ManagerStatus.STANDING_BY) and age > ping_limit:
        return ManagerStatus.TIMESTAMP_OLD
    return written
