"""Stop writes on a primary so that nobody gets past, and give them back.

`SET GLOBAL read_only=1` alone lets users with SUPER through, and commits that were already on their way;
MHA (0.58) did just that and lost rows. Here the server grants FLUSH TABLES WITH READ LOCK first: it waits for
statements and commits that are under way and lets no new one begin, whoever asks. Under it the log stands still.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...config import ServerConfig
from ..deadline import Deadline
from ..errors import DeadlineExceeded, ServerError, StatementFailed, UnsafeStatement
from ..fencing.everyone import close_to_everybody, open_to_everybody
from ..model.gtid import MariadbGtidPosition
from ..model.position import BinlogPosition
from ..model.state import Vendor
from ..mysql.server import Server
from ..threads import Timer

log = logging.getLogger("mha")

#: Seconds that the server may let everybody wait for the lock to be granted.
GRANTED_WITHIN = 2.0
#: Seconds between two looks at a log that no lock holds still.
APART = 0.2
LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED, NO_SUCH_THREAD = 1205, 1317, 1094
#: A session that nobody speaks on any more gives its lock back by itself after so many seconds.
ABANDONED = 120


@dataclass(frozen=True)
class FormerSettings:
    """What a server had before its writes were stopped. ``super_read_only`` is None where it knows no such variable.

    ``tx_read_only`` stands in for it there (`fencing.everyone`), and is None where it is not needed, or not known.
    """

    read_only: bool
    super_read_only: bool | None
    event_scheduler: str
    tx_read_only: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the journal."""
        return asdict(self)


@dataclass(frozen=True)
class EndOfLog:
    """Where a server's own binary log ends: the place, and all GTIDs it holds (empty without GTIDs)."""

    position: BinlogPosition
    gtids: str = ""

    def __str__(self) -> str:
        return f"{self.position}" + (f" ({self.gtids})" if self.gtids else "")


class WriteLock:
    """One primary whose writes are to be stopped, with a session that holds the lock and one that helps.

    ``lock`` is False for --skip_lock_all_tables: then only read_only is set, and the log must be seen to stand still.
    """

    def __init__(self, config: ServerConfig, *, lock: bool = True) -> None:
        self._lock = lock
        self._holder, self._helper = Server(config), Server(config)
        self.former: FormerSettings | None = None
        self._number: int | None = None
        self._since = 0
        self._end: EndOfLog | None = None

    @property
    def threads(self) -> frozenset[int]:
        """The numbers of its sessions on the server."""
        numbers = (self._holder.thread_id, self._helper.thread_id)
        return frozenset(number for number in numbers if number is not None)

    def prepare(self) -> FormerSettings:
        """Open the sessions and read what is there; nothing is changed. Raises ServerError."""
        self.former = read_former(self._helper)
        self._holder.query(
            "SET SESSION lock_wait_timeout = %s, SESSION wait_timeout = %s",
            (max(1, round(GRANTED_WITHIN)), ABANDONED),
            action="prepare the session that will hold the lock",
        )
        self._look()
        self._number = self._holder.thread_id
        self._since = max(self.threads)
        return self.former

    def flush_tables(self, *, seconds: float) -> bool:
        """Close tables while writes flow, so that the lock has less to do; False when that took too long."""
        try:
            self._within(seconds, "FLUSH NO_WRITE_TO_BINLOG TABLES", "flush tables")
        except (StatementFailed, DeadlineExceeded) as error:
            log.warning("%s; going on without.", error)
            return False
        return True

    def stop_events(self) -> None:
        """Turn the event scheduler off, if it is on."""
        if self._known.event_scheduler == "ON":
            self._helper.query("SET GLOBAL event_scheduler = OFF", action="turn its event scheduler off", timeout=5.0)

    def stop(self, deadline: Deadline) -> EndOfLog:
        """Let nobody write any more; returns where the log ends for good.

        Raises DeadlineExceeded when the server did not grant the lock in time (nobody waits for it any longer then),
        UnsafeStatement when the log still moves, ServerError otherwise. The caller gives back.
        """
        seconds = min(GRANTED_WITHIN, deadline.left)
        if self._lock:
            self._within(seconds, "FLUSH TABLES WITH READ LOCK", "take the global read lock")
        self._within(max(0.1, deadline.left), self._close(), "set it read-only")
        end = self._end = self._look()
        if not self._lock:
            time.sleep(APART)
        self._see_it_stand()
        return end

    def _see_it_stand(self) -> None:
        now = self._look()
        if now != self._end:
            raise UnsafeStatement(f"{self._holder}: its binary log is not stopped: it moved from {self._end} to {now}")

    def look(self) -> EndOfLog:
        """Where its log ends now."""
        return self._look()

    def release(self) -> None:
        """Give the lock back and stay read-only; safe to repeat."""
        self._holder.close()

    def check_held(self) -> None:
        """It is still read-only, and the lock still ours. Raises UnsafeStatement when that is not so."""
        closed = self._holder.scalar("SELECT @@GLOBAL.read_only", action="see that nobody can write")
        if self._holder.thread_id != self._number:
            raise UnsafeStatement(f"{self._holder}: the session that held the global read lock was lost")
        if str(closed).upper() in ("0", "OFF"):
            raise UnsafeStatement(f"{self._holder}: somebody has cleared its read_only meanwhile")
        if not self._lock:
            # Whoever has SUPER and was connected could write until that session was ended.
            self._see_it_stand()

    def give_back(self) -> None:
        """Everything as it was: variables, lock, event scheduler; verified. Raises ServerError when it is not."""
        try:
            reopen(self._helper, self._known, since=self._since)
        finally:
            self.release()
            self._end_holder()
        give_back(self._helper, self._known)

    def _end_holder(self) -> None:
        """Also when its session was lost while the server still had it wait for the lock."""
        if self._number is None:
            return
        try:
            self._helper.query(f"KILL {self._number}", action="give the lock back")
        except ServerError as error:
            if error.errno != NO_SUCH_THREAD:
                log.warning("%s", error)

    def close(self) -> None:
        """End both sessions."""
        self._holder.close()
        self._helper.close()

    # inside ----------------------------------------------------------------------------------------------------

    @property
    def _known(self) -> FormerSettings:
        assert self.former is not None, "prepare() comes first"
        return self.former

    def _close(self) -> str:
        # super_read_only=1 sets read_only with it (Reference Manual).
        if self._known.super_read_only is not None:
            return "SET GLOBAL super_read_only = 1"
        if self._known.tx_read_only is None:
            return "SET GLOBAL read_only = 1"
        return f"SET GLOBAL read_only = 1, GLOBAL {self._holder.dialect.read_only_for_everybody} = 1"

    def _within(self, seconds: float, sql: str, action: str) -> None:
        """Run a statement that may wait, and have it killed on the server when it takes longer than ``seconds``."""
        over = threading.Event()

        def kill() -> None:
            over.set()
            number = self._holder.thread_id
            try:
                self._helper.query(f"KILL QUERY {number}", action=f"stop waiting to {action}")
            except ServerError as error:
                log.warning("%s", error)

        timer = Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            self._holder.query(sql, action=action, timeout=seconds + 3.0)
        except StatementFailed as error:
            if over.is_set() or error.errno in (LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED):
                raise DeadlineExceeded(f"{self._holder}: {action}", seconds, error.cause) from None
            raise
        finally:
            timer.cancel()
        if over.is_set():
            raise DeadlineExceeded(f"{self._holder}: {action}", seconds, "granted in the last moment")

    def _look(self) -> EndOfLog:
        dialect = self._holder.dialect
        rows = self._holder.query(dialect.show_log_status(), action="read the end of its binary log")
        if not rows:
            raise StatementFailed(str(self._holder), "read the end of its binary log", "it writes none (log_bin=0)")
        gtids = str(rows[0].get("Executed_Gtid_Set") or "").replace("\n", "")
        if dialect.vendor is Vendor.MARIADB:
            gtids = str(self._holder.scalar("SELECT @@GLOBAL.gtid_binlog_pos", action="read its GTIDs") or "")
        return EndOfLog(BinlogPosition(str(rows[0]["File"]), int(rows[0]["Position"])), gtids)


def read_former(server: Server) -> FormerSettings:
    """What a server has now. Raises ServerError."""
    state = server.observe()
    needed = state.super_read_only is None and bool(server.dialect.read_only_for_everybody)
    tx_read_only = state.tx_read_only if needed else None
    return FormerSettings(state.read_only, state.super_read_only, state.event_scheduler, tx_read_only)


def reopen(server: Server, former: FormerSettings, *, since: int = 0) -> None:
    """Set read_only and super_read_only as they were before; who connected ``since`` and could not write is ended."""
    if former.super_read_only is not None:
        server.query(f"SET GLOBAL super_read_only = {int(former.super_read_only)}", action="give writes back")
    server.query(f"SET GLOBAL read_only = {int(former.read_only)}", action="give writes back")
    if former.tx_read_only is False:
        open_to_everybody(server, since=since)


def give_back(server: Server, former: FormerSettings) -> None:
    """Set what was there before and verify it; doing it twice is harmless."""
    reopen(server, former)
    set_event_scheduler(server, former.event_scheduler)
    now = read_former(server)
    if former.tx_read_only is None:
        # A journal of an earlier version does not tell.
        now = replace(now, tx_read_only=None)
    if now != former:
        raise StatementFailed(str(server), "give writes back", f"it has {now} and had {former}")


def set_event_scheduler(server: Server, value: str) -> None:
    """ON or OFF; a scheduler that is disabled for good can be set to neither, and is left alone."""
    if value not in ("ON", "OFF"):
        return
    now = server.scalar("SELECT @@GLOBAL.event_scheduler", action="read its event scheduler")
    if now not in (value, "DISABLED"):
        server.query(f"SET GLOBAL event_scheduler = {value}", action=f"turn its event scheduler {value.lower()}")


def close_for_writes(server: Server) -> None:
    """Read-only, for users with SUPER too where the server knows that; no lock, no wait for a log that stands still."""
    state = server.observe()
    name = "read_only" if state.super_read_only is None else "super_read_only"
    server.query(f"SET GLOBAL {name} = 1", action="set it read-only")
    if state.super_read_only is None:
        close_to_everybody(server)


def lacking(end: EndOfLog, has: MariadbGtidPosition | None) -> str:
    """The GTIDs of a log's end without those domains in which a MariaDB server's own log has as much already.

    MASTER_GTID_WAIT looks at gtid_slave_pos only, where what a server wrote itself as a primary never appears.
    """
    wanted = MariadbGtidPosition.parse(end.gtids)
    return str(MariadbGtidPosition(gtid for gtid in wanted if has is None or not has.covers(gtid)))
