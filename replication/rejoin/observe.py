"""Look at an old server that is back and at the new primary, once: facts in, nothing changed."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ..actions.scheduled_events import read_events
from ..checks.trying_logins import kept_password
from ..cluster.pool import ConnectionPool
from ..deadline import Deadline
from ..errors import RefusalError, ServerError, StatementFailed
from ..memory.held_servers import HeldServers, Hold, config_of
from ..model.position import BinlogPosition, log_index
from ..model.refusal import Refusal
from ..model.state import ClusterState, GtidKind, ServerState, Vendor
from ..model.topology import find_primary
from ..mysql.dialects import Row, binary_log, channel_name
from ..mysql.log_events import OF_THE_LOG, ends_of_transactions, events_of
from ..mysql.server import Server
from ..planning.selection import Follower, followers_of, gtid_kind
from ..rescue.purged import purged_by, still_lacks
from .facts import OwnTail, RejoinFacts
from .remembered.interrupted import last_of_each, stands_pointed
from .remembered.replacement import Replacement, replacement_of
from .remembered.rewound import as_rewound, rewound_of

log = logging.getLogger("mha")

#: Seconds for which its own log is looked through at most, and events that are asked for at once.
LOOKED_THROUGH, AT_ONCE = 30.0, 5000
#: Tables that are named of what only it has.
NAMED = 20
_TABLE = re.compile(r"table_id: \d+ \((.+)\)")


@dataclass(frozen=True)
class WhoIsBack:
    """The server that is to rejoin, and the configuration with it, should its block have left that.

    ``hold`` is None for one that no failover of this host replaced.
    """

    config: ClusterConfig
    old: ServerConfig
    hold: Hold | None
    configured: bool


def who_is_back(config: ClusterConfig, host: str) -> WhoIsBack:
    """By hostname, address, or either with the port: configured, or remembered by a hold. Raises RefusalError."""
    holds = HeldServers.of(config).current()
    server = config.server(host)
    if server is not None:
        return WhoIsBack(config, server, next((h for h in holds if h.key == server.address), None), configured=True)
    hold = next((h for h in holds if host in (h.key, h.key.rpartition(":")[0], h.name.partition("(")[0])), None)
    old = config_of(hold, config.servers) if hold is not None else None
    if hold is None or old is None:
        held = ", ".join(h.name for h in holds) or "nobody"
        raise RefusalError(
            Refusal(
                "unknown-server",
                f"{host} is neither in {config.path} nor held read-only; held is {held}.",
                "Name a configured server, or put its block into the configuration: masterha_conf_host --command=add.",
            )
        )
    return WhoIsBack(config.model_copy(update={"servers": (*config.servers, old)}), old, hold, configured=False)


def look(who: WhoIsBack, sessions: ConnectionPool) -> RejoinFacts:
    """Both servers, what this host remembers, what their logs hold. Raises RefusalError, ServerError, ConfigError."""
    config, old = who.config, who.old
    cluster = sessions.observe()
    before = _answering(old, cluster, who.hold)
    primary = _primary(config, cluster)
    session = sessions.server(old.address)
    new = sessions.server(primary.address)
    followers = tuple(f for f in followers_of(primary, config, cluster) if f.key != old.address)
    replaced = replacement_of(config.manager_workdir, config.name, old.address)
    kind = _kind(config, followers, replaced, before)
    rewound = rewound_of(config.manager_workdir, config.name, old.address, replaced.at if replaced is not None else 0.0)
    if replaced is not None and rewound is not None and rewound.place is not None:
        replaced = replace(replaced, place=rewound.place)
    # The new primary is looked at last: what it executed meanwhile cannot make the old one look ahead.
    now = new.observe()
    follows = before.channel_from(primary.hostname, primary.ip, primary.port) is not None
    place = replaced.place if replaced is not None else None
    # Its log may be long, and GTIDs answer without it.
    ends, tail = _own_log(session, place, own_only=follows) if kind is GtidKind.POSITION else (None, None)
    last = last_of_each(config.manager_workdir, config.name).get(old.address)
    purged = purged_by(new, kind) if kind is not GtidKind.POSITION else None
    user = user_of(old, followers)
    channel = _channel(before, primary, followers)
    return RejoinFacts(
        cluster=config.name,
        old=before,
        new=now,
        kind=kind,
        channel=channel,
        hold=who.hold,
        replaced=replaced,
        tail=tail,
        log_ends=ends,
        begins=_has_log(new, replaced.begins if replaced is not None else None),
        purged=still_lacks(as_rewound(before, rewound), purged),
        filters=followers[0].channel.filters if followers else None,
        user=user,
        password=bool(user) and password_of(old, followers, sessions) is not None,
        not_durable=_not_durable(session),
        events=tuple(str(event) for event in read_events(session) if event.enabled),
        configured=who.configured,
        source_id_taken=next(
            (s.name for s in cluster.up if s.server_id == before.server_id and s.key != old.address), ""
        ),
        pointed=replaced is not None and stands_pointed(config.manager_workdir, config.name, old.address, replaced.at),
        unfinished=last is not None and not last.ended,
        rewound=rewound,
        below=tuple(s.name for s in cluster.up if s.channel_from(old.hostname, old.ip, old.port) is not None),
        like=_like(sessions, followers),
    )


def replicas_of(config: ClusterConfig, cluster: ClusterState, primary: str, old: str) -> tuple[Follower, ...]:
    """The other replicas of that primary (``ip:port``)."""
    server = next(s for s in config.servers if s.address == primary)
    return tuple(f for f in followers_of(server, config, cluster) if f.key != old)


def user_of(old: ServerConfig, followers: Sequence[Follower]) -> str:
    """Its name, empty where nobody tells."""
    return old.repl_user or next((f.channel.source_user for f in followers if f.channel.source_user), "")


def password_of(old: ServerConfig, followers: Sequence[Follower], sessions: ConnectionPool) -> str | None:
    """Its password; None where it cannot be had. Never kept, never shown."""
    if old.repl_password is not None:
        return old.repl_password.get_secret_value()
    user = user_of(old, followers)
    for each in followers:
        if each.channel.source_user != user:
            continue
        server, host = sessions.server(each.key), sessions.host(each.key)
        if (kept := kept_password(each.state, each.channel.name, server, host)) is not None:
            return kept
    return None


def _answering(old: ServerConfig, cluster: ClusterState, hold: Hold | None) -> ServerState:
    state = cluster.get(old.address)
    if state is not None:
        return state
    reason = next((down.reason for down in cluster.down if down.key == old.address), "no answer")
    units = [trace for trace in (hold.traces if hold is not None else ()) if trace.endswith(".service")]
    unmask = f"systemctl unmask {' '.join(units)}, then " if units else ""
    raise RefusalError(
        Refusal(
            "not-running",
            f"{old.name} does not answer, so it cannot be made a replica: {reason}.",
            f"Start its mysqld (on its host: {unmask}what starts it usually); while a manager watches it is held "
            "read-only from its first moment on.",
        )
    )


def _primary(config: ClusterConfig, cluster: ClusterState) -> ServerConfig:
    found = find_primary(config, cluster)
    if isinstance(found, Refusal):
        raise RefusalError(found)
    if cluster.get(found.address) is None:
        raise RefusalError(
            Refusal("primary-dead", f"The primary {found.name} does not answer.", "Bring it back, or fail over first.")
        )
    return found


def _kind(
    config: ClusterConfig, followers: Sequence[Follower], replaced: Replacement | None, old: ServerState
) -> GtidKind:
    if followers:
        return gtid_kind(followers, config.use_gtid_auto_pos)
    if replaced is not None and replaced.kind is not None:
        return replaced.kind
    if old.vendor is Vendor.MARIADB:
        return GtidKind.MARIADB
    return GtidKind.MYSQL if old.gtid_mode == "ON" else GtidKind.POSITION


def _channel(old: ServerState, primary: ServerConfig, followers: Sequence[Follower]) -> str:
    """What its channel is called: as it points there already, or as another replica calls its own."""
    there = old.channel_from(primary.hostname, primary.ip, primary.port)
    if there is not None:
        return there.name
    return followers[0].channel.name if followers else ""


def _like(sessions: ConnectionPool, followers: Sequence[Follower]) -> Row:
    """The status row of another replica's channel, with all that tells how it connects."""
    for each in followers:
        try:
            rows = sessions.server(each.key).show_channels()
        except ServerError as error:
            log.warning("%s", error)
            continue
        if row := next((row for row in rows if channel_name(row) == each.channel.name), None):
            # That one is late on purpose is its own affair.
            return {**row, "SQL_Delay": 0}
    return {}


def _own_log(
    server: Server, place: BinlogPosition | None, *, own_only: bool
) -> tuple[BinlogPosition | None, OwnTail | None]:
    """How far the log with that place goes, and what follows the place; None without a place, or without the log.

    ``own_only``: it replicates, so that what others wrote is in its log, too.
    """
    if place is None:
        return None, None
    logs = [binary_log(row) for row in server.query("SHOW BINARY LOGS", action="list its binary logs")]
    size = next((size for name, size in logs if name == place.file), None)
    if size is None:
        return None, None
    ends = BinlogPosition(place.file, size)
    if ends < place:
        return ends, None
    own = int(server.scalar("SELECT @@GLOBAL.server_id", action="read its server_id") or 0)
    events = _events_behind(server, place, [name for name, _ in logs])
    try:
        return ends, tail_of(events, own if own_only else None, Deadline(LOOKED_THROUGH))
    except StatementFailed as error:
        if error.errno != NO_EVENT_THERE:
            raise
        # A log of that name, begun anew by a rebuild, that has grown beyond the place by now.
        return None, None


#: ER_ERROR_WHEN_EXECUTING_COMMAND of SHOW BINLOG EVENTS: "Wrong offset or I/O error".
NO_EVENT_THERE = 1220


def _events_behind(server: Server, place: BinlogPosition, names: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for name in sorted((name for name in names if log_index(name) >= place.index), key=log_index):
        for event in events_of(server, name, place.pos if name == place.file else 4, at_once=AT_ONCE):
            yield name, event


def tail_of(events: Iterator[tuple[str, Row]], own: int | None, until: Deadline) -> OwnTail:
    """What of these rows of SHOW BINLOG EVENTS, each with its log's name, is somebody's data. Pure but for the clock.

    ``own``: only what the server of that id wrote.
    """
    found: list[tuple[str, Row]] = []
    for name, event in events:
        if until.over:
            return OwnTail(len(found), whole=False)
        if str(event["Event_type"]) not in OF_THE_LOG and own in (None, int(event["Server_id"])):
            found.append((name, event))
    if not found:
        return OwnTail()
    (first, begins), (last, ends) = found[0], found[-1]
    tables = dict.fromkeys(m[1] for _, event in found if (m := _TABLE.search(str(event["Info"]))))
    return OwnTail(
        len(found),
        sum(1 for _ in ends_of_transactions(dict(event) for _, event in found)),
        BinlogPosition(first, int(begins["Pos"])),
        BinlogPosition(last, int(ends["End_log_pos"])),
        tuple(tables)[:NAMED],
    )


def _has_log(server: Server, place: BinlogPosition | None) -> bool:
    if place is None:
        return False
    rows = server.query("SHOW BINARY LOGS", action="list its binary logs")
    return any(name == place.file and size >= place.pos for name, size in map(binary_log, rows))


def _not_durable(server: Server) -> str:
    """Why its tables and its log may tell different stories after a crash of its host; empty where they do not."""
    row = server.query(
        "SELECT @@GLOBAL.sync_binlog AS synced, @@GLOBAL.innodb_flush_log_at_trx_commit AS flushed",
        action="see whether a crash can take what it acknowledged",
    )[0]
    log_synced, tables_flushed = int(row["synced"]), int(row["flushed"])
    if log_synced == 1 and tables_flushed == 1:
        return ""
    return (
        f"{server} has sync_binlog={log_synced} and innodb_flush_log_at_trx_commit={tables_flushed}: if its host lost "
        "its power, its tables and its log may differ, and nothing tells. Compare its data, or rebuild it"
    )
