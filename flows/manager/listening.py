"""What a manager does with what it is told while it watches: the status file, the events, whose role it is."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool
from ...replication.coordination.leadership import Leadership
from ...replication.detection.classic_rules import Verdict
from ...replication.fencing.last_look import READ_ONLY_PRIMARY
from ...replication.health.board import BOARD
from ...replication.health.http import HealthServer
from ...replication.memory.health_file import HealthFile, ManagerStatus
from ...replication.model.refusal import Refusal
from ...replication.model.topology import find_primary
from ...replication.notify.events import EventHooks
from ...replication.planning.reopening import Reopening
from ...replication.supervisor import SUPERVISOR
from ...replication.switchover.resume import interrupted_switch
from ...replication.threads import Thread
from ...replication.watch.reopen import Reopener
from ...tasks.detect import Listener
from ...tasks.role import remember_role

log = logging.getLogger("mha")

#: Seconds before a planned switch that was interrupted, and could not be ended when the watch began, is tried again.
SWITCH_AGAIN = 10.0
#: Seconds between two looks at what runs on the primary, for whoever has to take its place.
REMEMBERED_EVERY = 60.0
#: Intervals between pings that a round of the watch may take, beside a script that is waited for for `hook_timeout`,
#: beyond what systemd's watchdog allows anyway.
SLACK = 4.0
#: Seconds between two looks at a primary that takes no writes, once people were told.
LOOK_AGAIN = 5.0


class TolerantStatusFile(HealthFile):
    """A status file that may fail to be written: a full disk is told once and stops neither watch nor failover."""

    def write(self, status: ManagerStatus, primary: str | None = None, active: str = "") -> None:
        # Who started the manager learns it from here, too; it is ready once it stands by or acts, not only by a ping.
        SUPERVISOR.says(f"{self.path.name.partition('.master_status')[0]}: {status.label} {primary or ''}")
        if status in (ManagerStatus.STANDING_BY, ManagerStatus.FAILOVER_RUNNING):
            SUPERVISOR.ready()
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


class StatusListener(Listener):
    """Keeps the status file true, and notices that the primary's role was moved.

    Until it `begins` the checks of the start may still refuse the watch, and nothing but a death counts.
    """

    def __init__(
        self,
        config: ClusterConfig,
        health: HealthFile,
        primary: ServerConfig,
        sessions: ConnectionPool,
        right: Leadership,
    ) -> None:
        self._config, self._health, self._primary, self._sessions = config, health, primary, sessions
        self._right, self._steady = right, ManagerStatus.INITIALIZING_MONITOR
        self._begun, self._greeting, self._mutex = False, "", threading.Lock()
        self._pulse = SUPERVISOR.pulse(config.name)

    def begins(self, steady: ManagerStatus = ManagerStatus.PING_OK) -> None:
        """From now on ``steady`` is the status while the primary answers, and people are told that it is watched."""
        with self._mutex:
            self._begun, self._steady = True, steady
            self._health.write(steady, self._primary.hostname)
            if self._greeting:
                log.info("%s", self._greeting)

    def greeted(self, words: str) -> None:
        with self._mutex:
            if self._begun:
                super().greeted(words)
            self._greeting = words

    def settled(self) -> None:
        """What a failover left open is over: from now on the status is that of a watch where all is well."""
        self._steady = ManagerStatus.PING_OK
        self._health.write(self._steady, self._primary.hostname)

    def displaced(self) -> str:
        # Every round of a watch asks this first.
        self._pulse.beat(SLACK * self._config.ping_interval + self._config.hook_timeout)
        return "" if self._right.held() else "this manager no longer has the right to act"

    def closed(self) -> str:
        if new := moved_to(self._config, self._primary, self._sessions):
            return f"{new} is the primary now, {self._primary.name} is read-only"
        return ""

    def answered(self) -> None:
        if self._begun:
            # Who may still be refused has not started: `systemctl start` is to say so.
            SUPERVISOR.ready()
        self._health.touch()

    def suspect(self, misses: int, error: str) -> None:
        self._health.write(ManagerStatus.PING_FAILING, self._primary.hostname)

    def recovered(self, why: str) -> None:
        log.info("Monitoring goes on: %s.", why)
        self._health.write(self._steady, self._primary.hostname)


class FailoverListener(StatusListener):
    """Tells people of a suspicion, too, and ends the watch for a planned switch that was interrupted."""

    def __init__(
        self,
        config: ClusterConfig,
        health: HealthFile,
        primary: ServerConfig,
        sessions: ConnectionPool,
        right: Leadership,
    ) -> None:
        super().__init__(config, health, primary, sessions, right)
        self._events = EventHooks(config)
        self._reopener = Reopener(config, primary, sessions, right)
        self._alarmed, self._shut, self._shut_told = False, False, ""
        self._remember_at = self._look_at = 0.0
        self._remembering: threading.Thread | None = None
        #: The verdict that a primary which takes no writes gets where the policy is to fail over.
        self.verdict: Verdict | None = None
        # One that could not be ended when this watch began is tried again, but not at every ping.
        self._again_at = time.monotonic() + SWITCH_AGAIN

    def open(self, *, fresh: bool) -> None:
        if not self._begun:
            return
        if fresh or self._shut or time.monotonic() >= self._remember_at:
            self._remember()
        if self._shut:
            if self._shut_told:
                self._takes_writes_again(f"{self._primary.name} takes writes again")
            self._shut = False
            self._health.write(self._steady, self._primary.hostname)

    def closed(self) -> str:
        if not self._begun:
            return ""
        if moved := super().closed():
            return moved
        if interrupted_switch(self._config.manager_workdir, self._config.name) is not None:
            if time.monotonic() < self._again_at:
                return ""
            return f"A planned switch from {self._primary.name} was interrupted"
        return self._closed_to_all()

    def _remember(self) -> None:
        """Beside the pings, which wait for nobody; one at a time."""
        if self._remembering is not None and self._remembering.is_alive():
            return
        role = time.monotonic() >= self._remember_at
        if role:
            self._remember_at = time.monotonic() + REMEMBERED_EVERY

        def work() -> None:
            self._reopener.takes_writes()
            if role:
                remember_role(self._sessions, self._primary.address)

        self._remembering = Thread(target=work, name="remember the primary", daemon=True)
        self._remembering.start()

    def _closed_to_all(self) -> str:
        """Nobody takes writes: it is opened again where that is safe, and people are told."""
        if self._shut and time.monotonic() < self._look_at:
            return ""
        looked = self._reopener.look()
        self._look_at = time.monotonic() + LOOK_AGAIN
        if looked is None:
            return ""
        words = looked.sentence(self._primary.name)
        if looked.opened:
            self._takes_writes_again(words)
            return ""
        if not self._shut:
            self._shut = True
            self._health.write(ManagerStatus.PRIMARY_READ_ONLY, self._primary.hostname)
        if words != self._shut_told:
            self._shut_told = words
            log.error("%s.", words)
            self._events.tell("read_only", old=self._primary, text=words, closed_by=list(looked.closed_by))
        if looked.judged.act is Reopening.FAIL_OVER:
            self.verdict = Verdict(True, words, None, (), READ_ONLY_PRIMARY)
            return f"{words}; reopen is failover"
        return ""

    def _takes_writes_again(self, words: str) -> None:
        self._shut_told = ""
        log.warning("%s.", words)
        self._events.tell("reopened", old=self._primary, text=words)

    def alarm(self, why: str) -> None:
        self._alarmed = True
        self._events.tell("suspect", old=self._primary, text=f"{self._primary.name}: {why}")

    def recovered(self, why: str) -> None:
        if self._alarmed:
            self._alarmed = False
            self._events.tell("recovered", old=self._primary, text=why)
        super().recovered(why)
        # What it takes is seen at the next ping.
        self._shut = False


def moved_to(config: ClusterConfig, primary: ServerConfig, sessions: ConnectionPool) -> str:
    """The name of another server that is the primary and takes writes; empty when there is none."""
    cluster = sessions.observe(timeout=2.0)
    found = find_primary(config, cluster)
    if isinstance(found, Refusal) or found.address == primary.address:
        return ""
    state = cluster.get(found.address)
    return found.name if state is not None and state.writable else ""


class LoadBalancers:
    """The HTTP server of `health_port`, which goes along with the configuration."""

    def __init__(self) -> None:
        self._server: HealthServer | None = None
        self._config: ClusterConfig | None = None

    def answer(self, config: ClusterConfig) -> None:
        """As this configuration says; a port that is taken is told, and no reason not to watch."""
        self.stop()
        self._config = config
        BOARD.put(config, None)
        if not config.health_port:
            return
        try:
            self._server = HealthServer(config)
        except OSError as error:
            log.error("Load balancers get no answer on health_port %d: %s", config.health_port, error)
            return
        self._server.start()
        BOARD.put(config, self._server.seen)

    def stop(self) -> None:
        """End it, where there is one; the cluster is on the page of this process no more."""
        if self._config is not None:
            BOARD.remove(self._config)
            self._config = None
        if self._server is not None:
            self._server.stop()
            self._server = None
