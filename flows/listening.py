"""What a manager does with what it is told while it watches: the status file, the events, whose role it is."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from config import ClusterConfig, ServerConfig
from replication.event_hooks import EventHooks
from replication.manager_files import HealthFile, ManagerStatus
from replication.plan import Refusal
from replication.sessions import Sessions
from replication.switch.unfinished import cut_short_switch
from replication.topology import find_primary
from replication.votes import Right
from tasks.detect import Listener

log = logging.getLogger("mha")

#: Seconds before a planned switch that was cut short, and could not be ended when the watch began, is tried again.
SWITCH_AGAIN = 10.0


class SteadyHealth(HealthFile):
    """A status file that may fail to be written: a full disk is told once and stops neither watch nor failover."""

    def write(self, status: ManagerStatus, primary: str | None = None, active: str = "") -> None:
        with self._told():
            super().write(status, primary, active)

    def touch(self) -> None:
        with self._told():
            super().touch()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            log.error("The status file cannot be written: %s", error)


class Reporter(Listener):
    """Keeps the status file true, and notices that the primary's role was moved.

    ``steady`` is the status while the primary answers: not PING_OK where a failover left something open.
    """

    def __init__(
        self,
        config: ClusterConfig,
        health: HealthFile,
        primary: ServerConfig,
        sessions: Sessions,
        right: Right,
        steady: ManagerStatus = ManagerStatus.PING_OK,
    ) -> None:
        self._config, self._health, self._primary, self._sessions = config, health, primary, sessions
        self._right, self._steady = right, steady

    def settled(self) -> None:
        """What a failover left open is over: from now on the status is that of a watch where all is well."""
        self._steady = ManagerStatus.PING_OK
        self._health.write(self._steady, self._primary.hostname)

    def displaced(self) -> str:
        return "" if self._right.held() else "this manager no longer has the right to act"

    def closed(self) -> str:
        if new := moved_to(self._config, self._primary, self._sessions):
            return f"{new} is the primary now, {self._primary.name} is read-only"
        return ""

    def answered(self) -> None:
        self._health.touch()

    def suspect(self, misses: int, error: str) -> None:
        self._health.write(ManagerStatus.PING_FAILING, self._primary.hostname)

    def recovered(self, why: str) -> None:
        log.info("Monitoring goes on: %s.", why)
        self._health.write(self._steady, self._primary.hostname)


class Manned(Reporter):
    """Tells people of a suspicion, too, and ends the watch for a planned switch that was cut short."""

    def __init__(
        self,
        config: ClusterConfig,
        health: HealthFile,
        primary: ServerConfig,
        sessions: Sessions,
        right: Right,
        steady: ManagerStatus = ManagerStatus.PING_OK,
    ) -> None:
        super().__init__(config, health, primary, sessions, right, steady)
        self._events = EventHooks(config)
        self._alarmed = False
        # One that could not be ended when this watch began is tried again, but not at every ping.
        self._again_at = time.monotonic() + SWITCH_AGAIN

    def closed(self) -> str:
        if moved := super().closed():
            return moved
        if time.monotonic() < self._again_at:
            return ""
        if cut_short_switch(self._config.manager_workdir, self._config.name) is not None:
            return f"A planned switch from {self._primary.name} was cut short"
        return ""

    def alarm(self, why: str) -> None:
        self._alarmed = True
        self._events.tell("suspect", old=self._primary, text=f"{self._primary.name}: {why}")

    def recovered(self, why: str) -> None:
        if self._alarmed:
            self._alarmed = False
            self._events.tell("recovered", old=self._primary, text=why)
        super().recovered(why)


def moved_to(config: ClusterConfig, primary: ServerConfig, sessions: Sessions) -> str:
    """The name of another server that is the primary and takes writes; empty when there is none."""
    cluster = sessions.observe(timeout=2.0)
    found = find_primary(config, cluster)
    if isinstance(found, Refusal) or found.address == primary.address:
        return ""
    state = cluster.get(found.address)
    return found.name if state is not None and state.writable else ""
