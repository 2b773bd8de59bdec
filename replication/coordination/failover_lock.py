"""The right to act on a cluster: MHA's advisory lock on every reachable replica, and a lease on it.

A manager may stand still (a suspended virtual machine, SIGSTOP, a machine without memory) for longer than the servers
wait for it. Others act then, and what it was about to do when it wakes is about a cluster that is gone. So the lock is
a lease: no effect without a proof that is younger than its term, on a clock that counts the time of a suspension, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import wait

from ...config import ServerConfig
from ..errors import AlreadyActing, LockLost, ServerError, ServerUnreachable
from ..mysql.advisory_locks import end_strangers, in_words
from ..mysql.server import Server
from ..threads import Thread, ThreadPool

log = logging.getLogger("mha")

#: MHA's own lock names: an old manager or purge_relay_logs elsewhere is kept out by them, and keeps us out.
FAILOVER_LOCK = "MHA_Master_High_Availability_Failover"
MONITOR_LOCK = "MHA_Master_High_Availability_Monitor"
#: Seconds after which a server takes the failover lock from a session that says nothing.
VANISHED = 30
#: Seconds that a server may take to answer who keeps it; the lock cannot be looked at or given back meanwhile.
KEPT_WITHIN = 1.0


def clocks() -> tuple[float, float, float]:
    """Seconds on three clocks: one that stands while the machine sleeps, one that does not, and the time of day, which
    is what jumps when a hypervisor has held the machine."""
    return (
        time.clock_gettime(time.CLOCK_MONOTONIC),
        time.clock_gettime(time.CLOCK_BOOTTIME),
        time.clock_gettime(time.CLOCK_REALTIME),
    )


class FailoverLock:
    """``with``-less: `take`, `verify` before each effect, `release`.

    Raises AlreadyActing when another manager or command holds one of the locks; of anybody else who does the session is
    ended (`advisory_locks`), and a server where that does not help is done without. A replica that breaks meanwhile
    takes nothing away.
    A holder of which nothing is heard for `VANISHED` seconds loses them all: its host may have lost its power.
    """

    def __init__(self, servers: Iterable[ServerConfig]) -> None:
        self._sessions = [Server(s) for s in servers]
        self._mutex = threading.Lock()
        self._held: list[Server] = []
        self._released = threading.Event()
        self._proved = clocks()

    def take(self, *, wait_seconds: int = 1) -> tuple[str, ...]:
        """Take all locks; returns the names of the servers that hold one for us."""
        held: list[Server] = []
        self._released.clear()
        # The sessions are opened at once; the locks are taken in order, so that of two who want them one gets all.
        with ThreadPool(max(1, len(self._sessions)), thread_name_prefix="failover-lock") as pool:
            wait([pool.submit(_open_to_vanish, session) for session in self._sessions])
        for session in self._sessions:
            try:
                got = _got(session, wait_seconds)
            except ServerError as error:
                log.warning("%s", error)
                continue
            except AlreadyActing:
                self.release()
                raise
            if got:
                held.append(session)
        self._held, self._proved = held, clocks()
        Thread(target=self._keep, name="failover-lock", daemon=True).start()
        return tuple(str(session) for session in held)

    def verify(self) -> None:
        """Raises LockLost when none of the locks is left: this process stood still, and somebody else may act.

        Nothing is asked while a proof is fresh: whoever ended a session has said so. After half the time for which the
        servers wait, the servers are asked.
        """
        if not self.held:
            raise LockLost("the failover lock was lost on every server: another manager may be acting by now")

    @property
    def taken(self) -> bool:
        """The locks were taken, wherever there was one to take."""
        return bool(self._held)

    @property
    def held(self) -> bool:
        """Whether one of the locks is left; True as well before any was taken."""
        with self._mutex:  # an answer to `_keep` that is on its way is no farewell
            if not self._held:
                return True
            left = [session for session in self._held if _at_rest(session)]
            if max(now - then for now, then in zip(clocks(), self._proved, strict=True)) > VANISHED / 2:
                left = [session for session in left if _still_ours(session)]
                if left:
                    self._proved = clocks()
            return bool(left)

    def say(self, key: str, sql: str, *, action: str) -> bool:
        """Run a statement on the very session that holds the lock on the server at ``ip:port``: it cannot be run when
        the lock is lost, however long this process stands still before it. False where that server holds none for us.

        Raises LockLost, ServerError.
        """
        session = next((session for session in self._held if session.key == key), None)
        if session is None or not session.connected:
            self.verify()
            return False
        with self._mutex:
            try:
                session.query(sql, action=action, same_session=True)
            except ServerUnreachable as error:
                raise LockLost(f"the failover lock was lost: {error}; another manager may be acting by now") from None
        return True

    def _keep(self) -> None:
        while not self._released.wait(VANISHED / 4):
            for session in self._held:
                with self._mutex:
                    # A session that was lost, or given back, must not be opened again: it would hold nothing.
                    if self._released.is_set() or not _at_rest(session):
                        continue
                    asked = clocks()
                    if _still_ours(session):
                        self._proved = asked

    def release(self) -> None:
        """Give the locks back by ending the sessions."""
        self._released.set()
        with self._mutex:
            for session in self._sessions:
                session.close()


def _open_to_vanish(session: Server) -> None:
    session.connect()
    session.query("SET SESSION wait_timeout=%s", (VANISHED,), action="prepare")
    end_strangers(session, FAILOVER_LOCK)


def _got(session: Server, wait_seconds: int) -> bool:
    """Whether that server gave its lock; False when only sessions without a say keep us from it, and for an odd answer.

    Raises AlreadyActing, ServerError.
    """
    for last in (False, True):
        got = session.scalar(
            "SELECT GET_LOCK(%s, %s)",
            (FAILOVER_LOCK, wait_seconds),
            action="take the failover lock",
            timeout=wait_seconds + 3.0,
        )
        if got == 1:
            return True
        if got != 0:
            log.warning("%s: GET_LOCK for the failover lock returned %.80r, which makes no sense", session, got)
            return False
        left = end_strangers(session, FAILOVER_LOCK)
        if any(holder.counts for holder in left) or (not left and last):
            whose = f" ({in_words(left)})" if left else ""
            raise AlreadyActing(
                f"{session}: another manager or command holds the failover lock{whose}; see SHOW PROCESSLIST there"
            )
    log.warning("%s: %s holds the failover lock and is no manager; going on without it.", session, in_words(left))
    return False


def _at_rest(session: Server) -> bool:
    return session.connected and not session.stirs(0.0)


def _still_ours(session: Server) -> bool:
    question = "SELECT IS_USED_LOCK(%s) = CONNECTION_ID()"
    try:
        mine = session.scalar(question, (FAILOVER_LOCK,), action="keep the failover lock", timeout=KEPT_WITHIN)
    except ServerError as error:
        log.warning("%s", error)
        return False
    return bool(mine == 1)
