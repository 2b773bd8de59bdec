"""Make the old primary of a planned switch a replica of the new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config import ServerConfig
from ..actions.drain import drain
from ..actions.drained import discard_relay_logs
from ..actions.repoint import follows
from ..deadline import Deadline
from ..errors import StatementFailed
from ..model.position import BinlogPosition, log_index
from ..model.state import GtidKind, Vendor
from ..mysql.dialects import Repoint, binary_log
from ..mysql.dialects.channel_status import source_host
from ..mysql.log_events import OF_THE_LOG, events_of
from ..mysql.server import Server
from .handover import end_of_log
from .write_lock import EndOfLog

#: Seconds that a channel which the old primary kept may stand still while it is drained.
STALL = 10.0
#: Events of a log that are asked for at once, and seconds that it is looked through at most.
AT_ONCE, LOOKED_THROUGH = 5000, 5.0


def written_here(server: Server, since: BinlogPosition) -> str:
    """What the server itself has written to its log since, and not received from its source, in words; or empty.

    ``since`` is a place in its own log. A log that goes on for long is looked through for `LOOKED_THROUGH` seconds.
    Raises ServerError.
    """
    own = int(server.scalar("SELECT @@GLOBAL.server_id", action="read its server_id") or 0)
    logs = [binary_log(row)[0] for row in server.query("SHOW BINARY LOGS", action="list its binary logs")]
    found: list[str] = []
    until = Deadline(LOOKED_THROUGH)
    for name in (log for log in logs if log_index(log) >= since.index):
        for event in events_of(server, name, since.pos if name == since.file else 4, at_once=AT_ONCE):
            if int(event["Server_id"]) == own and str(event["Event_type"]) not in OF_THE_LOG:
                found.append(f"{name}:{event['Pos']}")
            if until.over:
                break
    if not found:
        return ""
    return (
        f"{server}: somebody wrote to it after the switch, {len(found)} events of its own from {found[0]} to "
        f"{found[-1]}. These transactions are on no other server: look at them with mysqlbinlog, then rebuild it"
    )


def stray_writes(server: Server, end: EndOfLog) -> str:
    """What was written after the lock was given back, in words; empty when nothing was."""
    now = end_of_log(server)
    if now is None or now == end.position:
        return ""
    return (
        f"{server}: somebody with SUPER wrote to it after the switch: its log goes on from {end.position} to {now}. "
        "These transactions are on no other server, so it was not made a replica: look at them with mysqlbinlog, "
        "then rebuild it"
    )


def become_replica(
    server: Server,
    channel: str,
    primary: ServerConfig,
    kind: GtidKind,
    like: Mapping[str, Any],
    position: BinlogPosition | None,
    account: tuple[str, str],
) -> None:
    """CHANGE … TO the new primary on a server that was no replica; ``account`` is user and password of replication.

    ``like`` is the status row of the new primary's former channel: how to connect is taken from there, and whether
    servers go by address or by name. ``position`` is a place in the new primary's log. Raises ServerError,
    UnsafeStatement when an old channel of the server holds what it never executed.
    """
    state = server.observe()
    if server.dialect.vendor is Vendor.MARIADB and kind is GtidKind.MARIADB:
        # What it wrote as a primary is in its log only; gtid_slave_pos, where it is to go on from, does not know it.
        server.query("SET GLOBAL gtid_slave_pos = %s", (str(state.mariadb_gtid or ""),), action="set gtid_slave_pos")
    host = source_host(like)
    to = Repoint(
        host=primary.as_source(host),
        port=primary.port,
        how={GtidKind.MYSQL: "gtid", GtidKind.MARIADB: "mariadb_gtid", GtidKind.POSITION: "position"}[kind],
        position=position,
    )
    # Its own files are the server's to name: what `like` has is on every host of a cluster, or on none.
    tls = primary.tls_mode not in ("disabled", "preferred")
    sql, args = server.dialect.become_replica(channel, to, *account, like, tls=tls)
    if any(c.name == channel for c in state.channels):
        server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
        proof = drain(server, channel, stall=STALL)
        server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
        discard_relay_logs(server, proof, sql, args, action=f"make it a replica of {primary.name}")
    else:
        server.query(sql, args, action=f"make it a replica of {primary.name}")
    if follows(server.observe(), channel, primary) is None:
        raise StatementFailed(str(server), f"follow {primary.name}", "the channel is not there after CHANGE")
