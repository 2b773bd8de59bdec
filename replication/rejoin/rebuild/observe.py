"""Look at who may give its data, and at the host that is to take it, once: facts in, nothing changed."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ....config import ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import DeadlineExceeded, HostError, ServerError
from ...model.state import GtidKind, ServerState, Vendor
from ...mysql.server import Server
from ...planning.selection import followers_of
from ..facts import RejoinFacts
from ..observe import WhoIsBack
from .facts import DonorView, RebuildFacts, TargetView
from .left import cut_short
from .on_host import OnHost, copiers

log = logging.getLogger("mha")

#: Where the system tablespace, undo and redo logs lie: those of the old data would be taken for the new one's.
PLACES = (
    "innodb_data_home_dir",
    "innodb_undo_directory",
    "innodb_log_group_home_dir",
    "innodb_doublewrite_dir",
    "aria_log_dir_path",
)

#: Engines whose tables a consistent snapshot shows whole.
TRANSACTIONAL = ("InnoDB", "MyRocks", "ROCKSDB", "TokuDB", "PERFORMANCE_SCHEMA", "MEMORY")


def look_around(who: WhoIsBack, sessions: ConnectionPool, facts: RejoinFacts) -> RebuildFacts:
    """Each server of the cluster and its host, and the host of the one that is back. Raises ServerError of that one."""
    cluster = sessions.observe()
    primary = next(s for s in who.config.servers if s.address == facts.new.key)
    behind = {f.key: f.channel for f in followers_of(primary, who.config, cluster)}
    donors = []
    for state in cluster.up:
        if state.key == who.old.address or (state.key != primary.address and state.key not in behind):
            continue
        channel = behind.get(state.key)
        broken = ""
        if channel is not None and not channel.works:
            broken = channel.applier_error or channel.receiver_error or "its replication does not run"
        elif (state.vendor, state.major) != (facts.old.vendor, facts.old.major):
            broken = f"it is of another version ({state.version_text})"
        late = channel.seconds_behind if channel is not None else None
        config = next(s for s in who.config.servers if s.address == state.key)
        donors.append(_donor(config, state, sessions, late, broken, primary=channel is None))
    session = sessions.server(who.old.address)
    clone = plugin_of(session) if session.dialect.can_clone else ""
    return RebuildFacts(
        donors=tuple(donors),
        target=_with_places(_target(who, facts.old, sessions, clone), session),
        modern=session.dialect.can_clone,
        maria=facts.old.vendor is Vendor.MARIADB,
        held=_held(who, facts),
        by_position=facts.kind is GtidKind.POSITION,
    )


def _held(who: WhoIsBack, facts: RejoinFacts) -> str:
    if who.hold is None or facts.old.super_read_only is None:
        return ""
    return (
        "it is held super_read_only, which refuses every statement of a dump: end the hold (mha release) and stop the "
        "managers for that time"
    )


def _target(who: WhoIsBack, state: ServerState, sessions: ConnectionPool, clone: str) -> TargetView:
    old, host = who.old, sessions.host(who.old.address)
    try:
        view = OnHost.of(host, old, state).look(copiers(host, old), clone)
    except (HostError, DeadlineExceeded) as error:
        return TargetView(trouble=str(error))
    if view.of in cut_short(who.config.manager_workdir, who.config.name, old.address):
        return view
    return replace(view, state="", old="", kept=view.old)


def _with_places(view: TargetView, server: Server) -> TargetView:
    """Where the server says that its data lies; what its host found comes first."""
    rows = server.query(
        "SHOW GLOBAL VARIABLES WHERE Variable_name = 'datadir' OR Variable_name IN %s",
        (PLACES,),
        action="read where its data lies",
    )
    values = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
    datadir = values.pop("datadir")
    tables = dict[str, str]()
    if server.dialect.can_clone:
        # Older ones have a file beside each such table's definition, which the host finds.
        files = server.query("SELECT PATH AS p FROM information_schema.INNODB_DATAFILES", action="list its data files")
        tables = {str(row["p"]): str(row["p"]) for row in files}
    table = next(iter(outside(datadir, tables)), "")
    return replace(view, apart=", ".join(outside(datadir, values)), elsewhere=view.elsewhere or table)


def outside(datadir: str, places: Mapping[str, str]) -> list[str]:
    """Names of these places that are not in the data directory, to which they may be relative. Pure."""
    home = posixpath.normpath(datadir)
    found = {name: posixpath.normpath(posixpath.join(home, place)) for name, place in places.items() if place}
    return [name for name, place in sorted(found.items()) if place != home and not place.startswith(f"{home}/")]


def _donor(
    config: ServerConfig, state: ServerState, sessions: ConnectionPool, late: int | None, broken: str, *, primary: bool
) -> DonorView:
    server, told, ssh = sessions.server(config.address), dict[str, str](), ""
    try:
        told = dict(line.partition(" ")[::2] for line in copiers(sessions.host(config.address), config))
    except (HostError, DeadlineExceeded) as error:
        ssh = str(error)
    seen: dict[str, Any] = {"bytes": 0}
    try:
        seen["bytes"] = bytes_of(server)
        seen["unsafe"] = unsafe_of(server)
        if state.vendor is Vendor.MYSQL and not primary:
            seen["workers"], seen["in_order"] = appliers_of(server)
        if server.dialect.can_clone:
            seen["clone"] = plugin_of(server)
    except ServerError as error:
        broken = broken or str(error)
    return DonorView(
        key=state.key,
        name=state.name,
        primary=primary,
        behind=late,
        broken=broken,
        backup=told.get("backup", ""),
        dump="dump" in told,
        ssh=ssh,
        **seen,
    )


def bytes_of(server: Server) -> int:
    """About how many bytes its tables have on the disk, free pages among them."""
    value = server.scalar(
        "SELECT SUM(DATA_LENGTH + INDEX_LENGTH + DATA_FREE) FROM information_schema.TABLES "
        "WHERE ENGINE IS NOT NULL AND TABLE_SCHEMA NOT IN "
        "('mysql', 'information_schema', 'performance_schema', 'sys')",
        action="add up the sizes of its tables",
        timeout=60.0,
    )
    # The system's own tables, tablespaces and redo logs are that much of every server.
    return int(value or 0) + (32 << 20)


def unsafe_of(server: Server) -> tuple[str, ...]:
    """Tables of users that no snapshot shows whole."""
    rows = server.query(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS named FROM information_schema.TABLES "
        "WHERE ENGINE IS NOT NULL AND ENGINE NOT IN %s AND TABLE_SCHEMA NOT IN "
        "('mysql', 'information_schema', 'performance_schema', 'sys') LIMIT 100",
        (TRANSACTIONAL,),
        action="see which tables are of no transactional engine",
        timeout=60.0,
    )
    return tuple(str(row["named"]) for row in rows)


def appliers_of(server: Server) -> tuple[int, bool]:
    """How many parallel appliers it has, and whether they commit in their source's order."""
    rows = server.query(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('replica_parallel_workers', 'slave_parallel_workers', "
        "'replica_preserve_commit_order', 'slave_preserve_commit_order')",
        action="read how it applies",
    )
    values = {str(row["Variable_name"]).partition("_")[2]: str(row["Value"]) for row in rows}
    ordered = values.get("preserve_commit_order", "OFF").upper() in ("ON", "1")
    return int(values.get("parallel_workers", 0)), ordered


def plugin_of(server: Server) -> str:
    """How its clone plugin is: active, absent, or the server's word for what else it is."""
    value = server.scalar(
        "SELECT PLUGIN_STATUS FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone'",
        action="see whether it has the clone plugin",
    )
    return str(value).lower() if value else "absent"
