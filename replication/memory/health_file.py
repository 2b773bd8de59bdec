"""``<app>.master_status.health``: what a manager says of itself, as MHA's own check scripts and plug-ins read it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from ..local.own_files import make_directory, written


class ManagerStatus(IntEnum):
    """The state of a manager; the number is what ``masterha_check_status`` exits with."""

    PING_OK = 0
    UNEXPECTED_ERROR = 1
    NOT_RUNNING = 2
    PARTIALLY_RUNNING = 3
    INITIALIZING_MONITOR = 10
    PING_FAILING = 20
    PING_FAILED = 21
    PRIMARY_READ_ONLY = 22
    RETRYING_MONITOR = 30
    CONFIG_ERROR = 31
    TIMESTAMP_OLD = 32
    STANDING_BY = 40
    FAILOVER_RUNNING = 50
    FAILOVER_ERROR = 51
    FAILOVER_UNFINISHED = 52

    @property
    def label(self) -> str:
        """``code:NAME``, as the health file and the status lines spell it."""
        return f"{self.value}:{self.name}"


@dataclass(frozen=True)
class Health:
    """One reading of a health file. ``primary`` is a host name, empty until it is known; ``mtime`` in epoch seconds.

    ``active`` is, for a manager that stands by, the one that watches, as far as it is known.
    """

    pid: int
    status: ManagerStatus
    primary: str
    mtime: float
    active: str = ""


def parse_health(text: str, mtime: float) -> Health | None:
    """``PID<TAB>code:NAME[<TAB>master:HOST]``, or None when the text is anything else.

    Behind 40:STANDING_BY, which MHA does not have, ``<TAB>active:MANAGER`` may follow.
    """
    fields = text.rstrip("\n").split("\t")
    active = fields.pop().removeprefix("active:") if fields[-1].startswith("active:") else ""
    if len(fields) not in (2, 3) or not (fields[0].isascii() and fields[0].isdigit()) or len(fields[0]) > 10:
        return None
    status = next((s for s in ManagerStatus if s.label == fields[1]), None)
    marker, _, primary = fields[2].partition(":") if len(fields) == 3 else ("master", "", "")
    if status is None or marker != "master" or int(fields[0]) < 1:
        return None
    if active and status is not ManagerStatus.STANDING_BY:
        return None
    return Health(int(fields[0]), status, primary, mtime, active)


class HealthFile:
    """``<app>.master_status.health``: written by the manager, read by ``masterha_check_status`` and others.

    Raises OSError when the directory or the file cannot be written.
    """

    def __init__(self, workdir: Path, app: str) -> None:
        self.path = workdir / f"{app}.master_status.health"
        self._last: tuple[ManagerStatus, str, str] | None = None

    def write(self, status: ManagerStatus, primary: str | None = None, active: str = "") -> None:
        """Replace the file in one step, so that no reader ever sees half of it."""
        make_directory(self.path.parent)
        text = f"{os.getpid()}\t{status.label}" + (f"\tmaster:{primary}" if primary else "")
        text += f"\tactive:{active}" if active else ""
        with written(self.path) as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        self._last = (status, primary or "", active)

    def touch(self) -> None:
        """Tell that the primary has just answered; writes the last status again if somebody removed the file."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            if self._last is not None:
                self.write(*self._last)

    def read(self) -> Health | None:
        """What the file says; None when there is none or it is not a health file."""
        # Of any user, for checks run as another one than the manager's; a pipe that somebody put there holds nobody up.
        how = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self.path, how), encoding="utf-8", errors="replace") as file:
                return parse_health(file.read(4096), os.fstat(file.fileno()).st_mtime)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self) -> None:
        """Take the file away at a clean end, unless another process has written it since."""
        health = self.read()
        if health is None or health.pid == os.getpid():
            self.path.unlink(missing_ok=True)
