"""Did a server take writes of its own? Its log tells; `read_only` tells only what it would do now.

A server that was opened, took writes, crashed and came back with ``read_only=1`` in its my.cnf holds transactions that
nobody else has; a replica that somebody opened is a second primary, though its channel is still there.
"""

from __future__ import annotations

from ..errors import ServerError
from ..model.gtid import GtidSet, MariadbGtidPosition
from ..model.position import BinlogPosition, log_index
from ..model.state import ServerState
from ..mysql.log_events import OF_THE_LOG, events_of
from ..mysql.server import Server

#: Events that are asked for at once.
PAGE = 50


def wrote_beyond(server: Server, end: BinlogPosition | None) -> bool:
    """Whether the server's own log holds anything of substance behind that place.

    True as well where it cannot be told: no place is known, the log is gone, or the server does not say. Raises
    ServerUnreachable.
    """
    if end is None:
        return True
    try:
        logs = [str(row["Log_name"]) for row in server.query("SHOW BINARY LOGS", action="list its binary logs")]
        if end.file not in logs:
            return True
        later = [name for name in logs if log_index(name) >= end.index]
        return any(_anything_in(server, name, end.pos if name == end.file else 4) for name in later)
    except ValueError:
        return True


def _anything_in(server: Server, name: str, start: int) -> bool:
    events = events_of(server, name, start, at_once=PAGE)
    return any(str(event["Event_type"]) not in OF_THE_LOG for event in events)


def may_have_written(server: Server, end: BinlogPosition | None) -> bool:
    """`wrote_beyond`, and True for a server that does not answer, or refuses to say."""
    try:
        with server.reading("see what it wrote"):
            return wrote_beyond(server, end)
    except ServerError:
        return True


def wrote_since(state: ServerState, gtids: str) -> bool | None:
    """Whether a server wrote transactions of its own that a set of GTIDs lacks; None where GTIDs do not tell. Pure.

    ``gtids`` are all those of the primary whose role it was about to get, as that server writes them.
    """
    if not gtids:
        return None
    if state.gtid_executed is not None:
        return bool(_by(state.server_uuid, state.gtid_executed - GtidSet.parse(gtids)))
    if state.gtid_binlog_state:
        known = MariadbGtidPosition.parse(gtids)
        return any(g.server_id == state.server_id and not known.covers(g) for g in state.gtid_binlog_state)
    return None


def takes_writes(earlier: ServerState, now: ServerState) -> bool:
    """Whether a server that could be written took writes of its own between two looks. Pure.

    Without GTIDs its log must have grown while it executed nothing of anybody else's.
    """
    if not now.writable:
        return False
    if now.gtid_executed is not None and earlier.gtid_executed is not None and now.gtid_executed:
        return bool(_by(now.server_uuid, now.gtid_executed - earlier.gtid_executed))
    if now.gtid_binlog_state:
        own = {g for g in now.gtid_binlog_state if g.server_id == now.server_id}
        return bool(own - set(earlier.gtid_binlog_state))
    grown = now.end_of_log is not None and now.end_of_log != earlier.end_of_log
    still = [c.executed for c in now.channels] == [c.executed for c in earlier.channels]
    return grown and (still or not now.log_replica_updates)


def _by(uuid: str, gtids: GtidSet) -> GtidSet:
    return gtids - gtids.without({uuid.lower()})
