"""Close a server to everybody where there is no super_read_only: MariaDB, and MySQL 5.6.

``SET GLOBAL tx_read_only=1`` refuses the writes of every session that begins afterwards, of accounts with SUPER too
(error 1792), unless it asks for READ WRITE itself, as ours do (`dialects.session`). An applier that runs is not
touched, but one that is started inherits it and stops with 1792 (seen on 5.6, 10.5, 10.11, 11.8): `start_replication`
is how one is started on such a server. A restart of the server clears it.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator

from ..errors import ServerError, StatementFailed
from ..model.position import BinlogPosition
from ..model.state import READ_ONLY_TRANSACTION, ServerState
from ..mysql.dialects import ChannelThread
from ..mysql.server import Server
from ..workload.client_sessions import end_client_sessions, holders_of_locks

log = logging.getLogger("mha")

UNKNOWN_VARIABLE = 1193
#: Seconds that the read lock may wait for statements of others, and that a start of the applier may take under it.
LOCKED_WITHIN, STARTED_WITHIN = 2, 10.0
#: How often new sessions are looked for before the lock is given back; the last look has to find none.
LOOKS = 50


def close_to_everybody(server: Server, *, timeout: float = 3.0) -> bool:
    """Let no new session write, not even one with SUPER; False where the server knows no way. Raises ServerError."""
    variable = server.dialect.read_only_for_everybody
    if not variable:
        return False
    try:
        server.query(f"SET GLOBAL {variable} = 1", action=f"set {variable}", timeout=timeout)
    except StatementFailed as error:
        if error.errno != UNKNOWN_VARIABLE:
            raise
        return False
    return True


def closed_to_everybody(server: Server, *, timeout: float = 3.0) -> bool:
    """Whether it was closed so. Raises ServerError."""
    variable = server.dialect.read_only_for_everybody
    if not variable:
        return False
    value = server.scalar(f"SELECT @@GLOBAL.{variable}", action=f"read {variable}", timeout=timeout)
    return str(value).upper() in ("1", "ON")


def open_to_everybody(server: Server, *, since: int = 0) -> bool:
    """Take `close_to_everybody` back; False when there was nothing to take back. Raises ServerError. Safe to repeat."""
    if not closed_to_everybody(server):
        return False
    lift(server)
    end_those_who_may_not_write(server, since=since)
    return True


def lift(server: Server) -> None:
    """Let sessions that begin from now on write; `end_those_who_may_not_write` comes next. Raises ServerError."""
    variable = server.dialect.variable("transaction_read_only")
    server.query(f"SET GLOBAL {variable} = 0", action=f"clear {variable}")


def end_those_who_may_not_write(server: Server, *, since: int = 0) -> None:
    """A session that began while it was closed can never write: those with a number above ``since`` connect anew."""
    end_client_sessions(server, holders_of_locks(server), since=since)


def start_replication(
    server: Server,
    channel: str,
    thread: ChannelThread | None = None,
    *,
    action: str = "start replication",
    timeout: float | None = None,
    fill_gaps: bool = False,
) -> None:
    """START of both halves of a replica or one of them, also where the server is closed to everybody, and stays so.

    ``fill_gaps``: parallel appliers only, until nothing is left between what they executed.
    """
    sql = server.dialect.fill_gaps(channel) if fill_gaps else server.dialect.start(channel, thread)
    _start(server, sql, (), action, timeout)


def start_replication_until(
    server: Server, channel: str, gtids: str, place: BinlogPosition | None, *, action: str
) -> None:
    """The same of both halves, of which the applier stops once it executed these GTIDs, or at that place."""
    log, offset = (place.file, place.pos) if place is not None else ("", 0)
    _start(server, *server.dialect.start_until(channel, gtids, log, offset), action, None)


def _start(server: Server, sql: str, args: tuple[object, ...], action: str, timeout: float | None) -> None:
    # A receiver, too: MySQL 5.6 may keep its place in a table, which it writes as itself.
    if not closed_to_everybody(server):
        server.query(sql, args, action=action, timeout=timeout)
        return
    with _opened_for_a_moment(server):
        server.query(sql, args, action=action, timeout=timeout or STARTED_WITHIN)


@contextlib.contextmanager
def _opened_for_a_moment(server: Server) -> Iterator[None]:
    """What is started inherits that it may write; a client that connects in this moment waits for a lock, and is ended.

    Should the manager die within, the lock goes with it, and accounts with SUPER are let in: whoever goes on closes the
    server again.
    """
    variable = server.dialect.read_only_for_everybody
    helper = Server(server.config)
    try:
        helper.query(f"SET SESSION lock_wait_timeout = {LOCKED_WITHIN}", action="hold writes while it starts")
        before = helper.thread_id or 0
        try:
            words = "FLUSH TABLES WITH READ LOCK"
            helper.query(words, action="hold writes while it starts", timeout=LOCKED_WITHIN + 3.0)
        except ServerError as error:
            # Then a session with SUPER may write within these milliseconds; who looks at the end finds it.
            log.warning("%s; going on without.", error)
            helper.close()
        server.query(f"SET GLOBAL {variable} = 0", action=f"clear {variable} for a moment")
        try:
            yield
        finally:
            server.query(f"SET GLOBAL {variable} = 1", action=f"set {variable} again")
            _end_newcomers(server, helper, before)
    finally:
        helper.close()


def _end_newcomers(server: Server, helper: Server, before: int) -> None:
    """Those who came in the moment; whoever comes later is closed out as before, be there a storm of them.

    A session has its number before it has its variables, so those of the moment are below one that begins now.
    """
    now, until = Server(server.config), math.inf
    try:
        now.connect()
        until = now.thread_id or math.inf
    except ServerError as error:
        log.warning("%s", error)
    finally:
        now.close()
    spare = {*holders_of_locks(server), *((helper.thread_id,) if helper.thread_id is not None else ())}
    for _ in range(LOOKS):
        if not end_client_sessions(server, spare, since=before, until=until):
            return


def let_go(server: Server, state: ServerState) -> None:
    """A server that was held is a replica, or the primary, again: it is as open as before, and its applier may write.

    One that somebody started while the server was closed has stopped with error 1792, or will at the first transaction:
    nothing tells, so whichever runs is started anew. Raises ServerError.
    """
    if not open_to_everybody(server):
        return
    for channel in state.channels:
        if channel.applier_errno != READ_ONLY_TRANSACTION and not channel.applier_running:
            continue
        if channel.receiver_stopped and channel.using_gtid != "No":
            # Between the two statements MariaDB would throw its relay logs away.
            log.warning("%s: start its receiver, then stop and start its applier: it may not write.", server)
            continue
        stop = server.dialect.stop(channel.name, ChannelThread.APPLIER)
        server.query(stop, action="stop its applier", timeout=65.0)
        start_replication(server, channel.name, ChannelThread.APPLIER, action="start its applier again")
        log.info("%s: its applier was started anew, because the server had been closed to everybody.", server)
