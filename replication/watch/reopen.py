"""Reopen: a primary that answers and takes no writes is opened again where that is safe, and people are told."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ..actions.promote import open_for_writes
from ..cluster.pool import ConnectionPool, with_writers
from ..coordination.failover_lock import FAILOVER_LOCK, FailoverLock
from ..coordination.leadership import Leadership
from ..errors import AlreadyActing, MhaError, RefusalError, ServerError
from ..fencing.waiting_commits import wait_again
from ..memory.journal import opened_before, unfinished
from ..memory.last_writable import LastWritable, SeenWritable, note_opened_again, started, waited_before
from ..model.errant import strays
from ..model.state import ClusterState
from ..mysql.dialects import binary_log
from ..mysql.server import Server
from ..planning.reopening import SAME_LIFE, ClosedPrimary, Reopening, ReopeningDecision, judge
from ..switchover.resume import interrupted_switch

log = logging.getLogger("mha")

#: Seconds for each look at the servers.
LOOK = 2.0


@dataclass(frozen=True)
class Looked:
    """What came of a look: what closes it, the judgement, and whether it was opened just now.

    ``life`` is when its life began, as in `last_writable`.
    """

    closed_by: tuple[str, ...]
    judged: ReopeningDecision
    life: int
    opened: bool = False

    def sentence(self, name: str) -> str:
        """For people."""
        what = " and ".join(self.closed_by)
        if self.opened:
            return f"{name} was read-only ({what}) after its restart and was opened again: {self.judged.why}"
        act = "; ".join(f"SET GLOBAL {each}=0" for each in self.closed_by)
        return f"{name} takes no writes ({what}) and nobody else does: {self.judged.why}. To open it: {act}"


class Reopener:
    """Of one watch of one primary. Nothing here raises MhaError: a watch goes on."""

    def __init__(
        self, config: ClusterConfig, primary: ServerConfig, sessions: ConnectionPool, right: Leadership
    ) -> None:
        self._config, self._primary, self._sessions, self._right = config, primary, sessions, right
        self._memory = LastWritable(config)

    def takes_writes(self) -> None:
        """It was seen to take writes in a session that is new: remember in which of its lives."""
        try:
            life = started(self._sessions.server(self._primary.address), timeout=LOOK)
            seen = self._memory.read()
            same = seen is not None and seen.key == self._primary.address and abs(seen.started - life) <= SAME_LIFE
            if seen is not None and same and seen.watched and not seen.by_hand:
                return
            cluster = self._sessions.observe(timeout=LOOK)
            state = cluster.get(self._primary.address)
            if state is None or state.closed_by:
                return
            others = {s.key: strays(state, s) for s in cluster.up if s.key != state.key}
            known = {key: text for key, text in others.items() if text}
            asked = seen.asked if seen is not None and seen.key == self._primary.address else 0.0
            self._memory.write(SeenWritable(self._primary.address, life, asked=asked, strays=known))
        except MhaError as error:
            log.debug("%s", error)

    def look(self) -> Looked | None:
        """Judge, and act on it. None when it takes writes, when somebody else acts, or when nothing can be seen."""
        try:
            looked = self._judged()
            if looked is None or looked.judged.act is Reopening.TELL:
                if looked is not None and looked.judged.by_hand:
                    self._remember_the_hand()
                return looked
            if not self._right.held():
                return None
            return looked if looked.judged.act is Reopening.FAIL_OVER else self._opened()
        except AlreadyActing as error:
            log.debug("%s", error)
            return None
        except MhaError as error:
            log.warning("%s answers and takes no writes, and it cannot be seen why: %s", self._primary.name, error)
            return None

    def _judged(self, *, ours: bool = False) -> Looked | None:
        """``ours``: the failover lock is ours; else nothing is judged while somebody has it."""
        server = self._sessions.server(self._primary.address)
        cluster = self._sessions.observe(timeout=LOOK)
        state = cluster.get(self._primary.address)
        if state is None or not state.closed_by or (not ours and self._somebody_acts(cluster)):
            return None
        life, seen = started(server, timeout=LOOK), self._memory.read()
        case = ClosedPrimary(
            state,
            with_writers(self._sessions, cluster),
            life,
            seen,
            _set_here(server, tuple(server.dialect.variable(name) for name in state.closed_by)),
            dict(binary_log(row) for row in server.query("SHOW BINARY LOGS", action="list its binary logs")),
            self._open_business(),
        )
        named = tuple(server.dialect.variable(name) for name in state.closed_by)
        return Looked(named, judge(self._config, self._primary, case), life)

    def _opened(self) -> Looked | None:
        lock = FailoverLock(self._config.servers)
        lock.take()
        try:
            # What was seen before the lock was ours may be another's work by now.
            looked = self._judged(ours=True)
            if looked is None or looked.judged.act is not Reopening.OPEN or not self._right.held():
                return looked
            lock.verify()
            server = self._sessions.server(self._primary.address)
            waited = waited_before(self._config, server.key)
            # First, or rows would be acknowledged that lie there alone.
            wait_again(server, waited)
            open_for_writes(server, lock)
            if waited:
                self._note_opened(server.key)
        finally:
            lock.release()
        # Whoever closes it from now on does so by hand, in this life of it.
        known = self._memory.read() or SeenWritable(self._primary.address, looked.life)
        self._memory.write(replace(known, started=looked.life, asked=0.0))
        return replace(looked, opened=True)

    def _note_opened(self, key: str) -> None:
        try:
            note_opened_again(self._config, key)
        except (MhaError, OSError) as error:
            log.error("The journal cannot be written: %s", error)

    def _somebody_acts(self, cluster: ClusterState) -> bool:
        """A switch or a failover has the lock on one of them: what is seen is its work."""

        def used(key: str) -> bool:
            question = "SELECT IS_USED_LOCK(%s)"
            holder = self._sessions.server(key).scalar(question, (FAILOVER_LOCK,), action="see who acts", timeout=LOOK)
            return holder is not None

        return any(found is True for _, found in self._sessions.each(used, [s.key for s in cluster.up], timeout=LOOK))

    def _open_business(self) -> str:
        workdir, name = self._config.manager_workdir, self._config.name
        if interrupted_switch(workdir, name) is not None:
            return "a planned switch was interrupted and is to be ended first"
        if opened_before(unfinished(workdir, name)) is not None:
            return "a failover was interrupted and is to be ended first"
        return ""

    def _remember_the_hand(self) -> None:
        seen = self._memory.read()
        if seen is not None and seen.key == self._primary.address and not seen.by_hand:
            self._memory.write(replace(seen, by_hand=True))


def _set_here(server: Server, variables: tuple[str, ...]) -> bool | None:
    """Whether one of these was set since the server started; None where it does not tell."""
    question = server.dialect.set_at_run_time()
    if not question:
        return None
    try:
        return any(server.scalar(question, (name,), action=f"see who set {name}", timeout=LOOK) for name in variables)
    except (ServerError, RefusalError):
        return None
