"""Stand by: wait until this manager has the right to act on its cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum

from ...config import ClusterConfig, ServerConfig
from ..actions.early_source import early_sources
from ..actions.semi_sync import take_roles
from ..cluster.pool import ConnectionPool
from ..coordination.leadership import Leadership
from ..errors import AlreadyActing, MhaError
from ..fencing.returning import rejoined
from ..memory.health_file import HealthFile, ManagerStatus
from ..memory.held_servers import HeldServers, reached_by
from ..memory.journal import END, Journal, begun_before, unfinished, unrestored_settings
from ..model.refusal import Refusal
from ..model.topology import find_primary
from ..mysql import temporary_settings as settings
from ..notify.events import EventHooks

log = logging.getLogger("mha")

#: Seconds that the first answers of all servers are waited for.
FIRST = 2.0
#: Seconds between two looks at the locks, and between two looks at who is the primary.
LOOK, FOLLOW = 0.25, 5.0
#: Leases after which it is an alarm that nobody watches.
NOBODY = 3


class Turn(Enum):
    """How the waiting ended; after a long one the configuration may have changed."""

    AT_ONCE = "at once"
    WAITED = "waited"
    STOPPED = "stopped"


def wait_for_turn(
    config: ClusterConfig,
    right: Leadership,
    sessions: ConnectionPool,
    health: HealthFile,
    stop: threading.Event,
    *,
    patient: bool,
    meanwhile: Callable[[], None],
) -> Turn:
    """Return when this manager has the right, or is to stop. The health file tells who has it meanwhile.

    ``meanwhile`` is called every few seconds: what this host has to do whoever watches. One that is not ``patient``
    waits only as long as the lock of a manager that is gone may outlive it, and raises AlreadyActing then.
    """
    right.look(FIRST)
    waited: _Standby | None = None
    ends = time.monotonic() + right.lease + 1.0
    while not stop.is_set():
        if right.take():
            if waited is None:
                return Turn.AT_ONCE
            waited.is_over()
            return Turn.WAITED
        if waited is None:
            right.stand_by()
            waited = _Standby(config, right, sessions, health, meanwhile)
        if not patient and time.monotonic() > ends:
            raise AlreadyActing(
                f"{config.name}: another manager holds the monitor lock ({right.holder() or right.words()}); is the "
                "same primary watched twice? A second manager stands by with managers=2, or as `mha monitor`."
            )
        if patient:
            waited.tell()
        stop.wait(right.pause() if right.may_try() else LOOK)
    return Turn.STOPPED


class _Standby:
    """What a manager that stands by tells of itself."""

    def __init__(
        self,
        config: ClusterConfig,
        right: Leadership,
        sessions: ConnectionPool,
        health: HealthFile,
        meanwhile: Callable[[], None],
    ) -> None:
        self._config, self._right, self._sessions, self._health = config, right, sessions, health
        self._meanwhile = meanwhile
        self._primary: ServerConfig | None = None
        self._replaced: dict[str, ServerConfig] = {}
        self._look_at = 0.0
        self._told: tuple[str, str] | None = None
        self._last_holder = ""
        self._alarm_at: float | None = time.monotonic() + NOBODY * right.lease

    def tell(self) -> None:
        """Keep the health file and the log true."""
        holder = self._right.holder()
        if holder:
            self._last_holder = holder
            self._alarm_at = time.monotonic() + NOBODY * self._right.lease
        self._alarm_when_due()
        if time.monotonic() >= self._look_at:
            self._follow()
            self._meanwhile()
            self._look_at = time.monotonic() + FOLLOW
        primary = self._primary.hostname if self._primary else ""
        if (holder, primary) != self._told:
            self._told = (holder, primary)
            log.info("%s", self._words(holder, primary))
            self._health.write(ManagerStatus.STANDING_BY, primary, active=holder)
        elif self._right.answered():
            self._health.touch()

    def _alarm_when_due(self) -> None:
        """Nobody watches, and this manager may not: people must know, once."""
        if self._alarm_at is None or time.monotonic() < self._alarm_at:
            return
        self._alarm_at = None
        text = f"no manager watches {self._config.name}, because none can get most of the locks ({self._right.words()})"
        log.error("%s%s.", text[0].upper(), text[1:])
        remedy = "Bring the silent servers back, or act by hand: mha failover."
        EventHooks(self._config).tell("refused", old=self._primary, text=text, remedy=remedy)

    def is_over(self) -> None:
        """The right is had: told to people, when another had it before."""
        if not self._last_holder:
            return
        text = f"{self._last_holder} watches {self._config.name} no longer; this manager does"
        log.warning("Took over: %s.", text)
        EventHooks(self._config).tell("took_over", text=text, before=self._last_holder)
        holds = HeldServers.of(self._config)
        try:
            for old in self._replaced.values():
                if self._primary is not None:
                    holds.replaced(old.address, old.name, self._primary.address, server=reached_by(old))
        except OSError as error:
            log.error("Servers that were replaced while this manager stood by are not held read-only: %s", error)

    def _follow(self) -> None:
        """Who is the primary now. One that was replaced while it was dead is remembered, for the active manager, which
        holds it read-only, may be gone when it comes back."""
        cluster = self._sessions.observe(timeout=2.0)
        found = find_primary(self._config, cluster)
        if isinstance(found, Refusal):
            return
        before, self._primary = self._primary, found
        state = cluster.get(found.address)
        if state is not None and state.writable:
            self._finished_by_another(found)
        if before is not None and before.address != found.address and cluster.get(before.address) is None:
            self._replaced[before.address] = before
        self._replaced = {
            key: old
            for key, old in self._replaced.items()
            if key != found.address and not ((state := cluster.get(key)) and rejoined(state, found))
        }

    def _finished_by_another(self, primary: ServerConfig) -> None:
        """A failover that was interrupted here is over when its dead primary has been replaced: it must not be gone on
        with when this manager's turn comes, for that server may be a replica by then."""
        past = unfinished(self._config.manager_workdir, self._config.name)
        begun = begun_before(past)
        if begun is None or begun.dead == primary.address:
            return
        for lent in unrestored_settings(past):
            try:
                settings.give_back(self._sessions.server(lent.key), lent.former)
                log.info("%s has its own settings again: %s.", lent.key, lent)
            except MhaError as error:
                log.error("%s keeps settings of the failover that was interrupted, set %s: %s", lent.key, lent, error)
        for key in early_sources(past):
            if key != primary.address:
                try:
                    take_roles(self._sessions.server(key), {"source": 0})
                except MhaError as error:
                    log.error("%s may still wait for acknowledgements though it is a replica: %s", key, error)
        summary = f"another manager has finished it: {primary.name} is the primary"
        log.warning("The failover of %s that was interrupted here is over: %s.", begun.dead, summary)
        try:
            journal = Journal.new(self._config.manager_workdir, self._config.name)
            journal.record(END, "ended", begun.dead, exit_code=0, summary=summary)
            journal.close()
        except OSError as error:
            log.error("The journal of that failover cannot be closed: %s", error)

    def _words(self, holder: str, primary: str) -> str:
        name, then = self._config.name, f"; the primary is {primary}" if primary else ""
        if holder:
            return f"Standing by: {holder} watches {name}{then}."
        votes = self._right.words()
        return f"Standing by: no manager is seen to watch {name}, and most of the locks cannot be had ({votes}){then}."
