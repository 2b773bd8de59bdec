"""What a server executed and has in none of its binary logs: a replica that lacks some of it is told error 1236."""

from __future__ import annotations

from ..model.gtid import GtidSet, MariadbGtidPosition
from ..model.state import GtidKind, ServerState
from ..mysql.server import Server

#: Events at a log's head among which MariaDB's list of GTIDs is.
_HEAD = 4


def purged_by(server: Server, kind: GtidKind) -> GtidSet | MariadbGtidPosition | None:
    """By MySQL's gtid_purged; MariaDB keeps no such variable, its oldest log begins with it. None where nobody knows.

    Raises ServerError.
    """
    if kind is GtidKind.MYSQL:
        return server.observe().gtid_purged
    if kind is not GtidKind.MARIADB or not server.observe().log_bin:
        return None
    logs = server.query("SHOW BINARY LOGS", action="list its binary logs")
    name = str(logs[0]["Log_name"]) if logs else ""
    events = server.query(f"SHOW BINLOG EVENTS IN %s LIMIT {_HEAD}", (name,), action="read the head of its oldest log")
    listed = next((str(row["Info"]) for row in events if row["Event_type"] == "Gtid_list"), None)
    return MariadbGtidPosition.parse(listed.strip("[] \0")) if listed is not None else None


def still_lacks(state: ServerState, purged: GtidSet | MariadbGtidPosition | None) -> str:
    """What of this a server has not executed, as text. Pure."""
    if isinstance(purged, GtidSet):
        return str(purged - (state.gtid_executed or GtidSet()))
    if isinstance(purged, MariadbGtidPosition):
        has = state.mariadb_gtid or MariadbGtidPosition()
        return str(MariadbGtidPosition(gtid for gtid in purged if not has.covers(gtid)))
    return ""


def has_more(state: ServerState, than: ServerState) -> bool:
    """Whether a server executed what another one did not, as far as GTIDs tell. Pure."""
    if state.gtid_executed is not None and than.gtid_executed is not None:
        return not state.gtid_executed <= than.gtid_executed
    has = than.mariadb_gtid or MariadbGtidPosition()
    return any(not has.covers(gtid) for gtid in state.mariadb_gtid or ())
