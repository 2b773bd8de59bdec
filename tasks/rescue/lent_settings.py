"""Settings that a failover lends to a server while it works there: journaled, and given back by whoever goes on."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping

from ...replication.errors import CannotLevel, HostError, MhaError, PrivilegeMissing
from ...replication.memory.journal import TemporarySetting, unrestored_settings
from ...replication.mysql import temporary_settings as settings
from ...replication.mysql.server import Server
from ...replication.reporting.job import FailoverJob
from ..policy import STEP
from ..step import task

log = logging.getLogger("mha")


@contextlib.contextmanager
def lend_settings(job: FailoverJob, server: Server, wanted: Mapping[str, int]) -> Iterator[None]:
    """While it lasts, the server has these settings: large statements, transactions that do not wait for the disk.

    Where they relax its durability, and there is no SSH to its host, nobody could tell afterwards whether that went
    down meanwhile: then it keeps its own.
    """
    now = settings.read(server, wanted) if wanted else {}
    changed = {k: v for k, v in wanted.items() if v != now[k]}
    if not changed:
        yield
        return
    former = {name: now[name] for name in changed}
    try:
        relaxed = bool(changed.keys() & settings.DURABILITY.keys())
        lent = TemporarySetting(server.key, former, _boot_id(job, server.key) if relaxed else "")
    except HostError as error:
        log.info("%s keeps its settings while it executes the saved log: %s", server, error)
        yield
        return
    job.journal.record("settings", "intent", server.key, former=former, boot_id=lent.boot_id)
    try:
        try:
            settings.put(server, changed)
        except PrivilegeMissing as error:
            if not changed.keys() <= settings.DURABILITY.keys():
                raise
            log.warning("%s keeps its settings while it executes the saved log, and takes longer: %s", server, error)
        yield
    finally:
        _give_back(job, lent)


@task(name="Give back the settings of a former try", **STEP)
def give_back_settings(job: FailoverJob) -> list[str]:
    """A manager that died while it applied logs left servers with relaxed settings; returns what stays so, and why."""
    left = []
    for lent in unrestored_settings(job.past):
        try:
            _give_back(job, lent)
            log.info("%s has its own settings again: %s.", job.config_of(lent.key).name, lent)
        except MhaError as error:
            left.append(f"{job.config_of(lent.key).name} keeps settings of the last failover, set {lent}: {error}")
            log.error("%s", left[-1])
    return left


def _give_back(job: FailoverJob, lent: TemporarySetting) -> None:
    settings.give_back(job.sessions.server(lent.key), lent.former)
    job.journal.record("settings", "done", lent.key)


def _boot_id(job: FailoverJob, key: str) -> str:
    """Which boot of the host this is; empty where it does not tell."""
    command = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || true"
    return job.sessions.host(key).run(command, action="read its boot id", timeout=5.0).stdout.strip()


def check_not_rebooted(job: FailoverJob, key: str) -> None:
    """After a crash of the whole host with relaxed settings, its data and its log may disagree. Raises CannotLevel."""
    for lent in unrestored_settings(job.past):
        if lent.key == key and lent.relaxed and lent.boot_id != _boot_id(job, key):
            raise CannotLevel(
                f"{job.config_of(key).name}: its host went down while a former try applied logs with {lent} relaxed; "
                "what it kept is not known, rebuild it from the new primary"
            )
