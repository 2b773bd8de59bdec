"""Whether a manager gets into a server whose connections are all taken: by the port kept for administrators, tried."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pymysql

from ...model.check import Check, Severity
from ...model.state import ServerState, Vendor
from ...mysql.admin_port import enter_by, way_of
from ...mysql.server import Server
from ...mysql.session import map_error, new_session
from ..rule import Rule

#: Sessions that a planned switch has open on a primary at once: to look, the lock of managers, two that stop writes.
WANTED = 4
#: Seconds that the port may take for each answer: what the server itself says must not have to wait for it.
WITHIN = 2.0
KEPT_PORT = Rule(
    "kept-port",
    "Does every server keep a port for administrators, so that a manager gets in when all connections are taken?",
    "{what}; then `admin_port` in the configuration, for commands that never saw the server with a connection left",
    Severity.INFO,
    varies="warning where it keeps one, and `user` does not get in there",
)
RULES = (KEPT_PORT,)
_HOW = {
    Vendor.MARIADB: "set `extra_port=3307` and `extra_max_connections=5` in my.cnf of {server} and restart it",
    Vendor.MYSQL: "set `admin_address={server}` in my.cnf of {server}, restart it, and "
    "`GRANT SERVICE_CONNECTION_ADMIN ON *.* TO` the manager's account (8.0.14 and newer)",
}


@dataclass(frozen=True)
class KeptPort:
    """The port, 0 for none, why it gave no session, and how many it gives at most; None where there is no limit."""

    port: int = 0
    trouble: str = ""
    most: int | None = None


def look_at_port(server: Server) -> KeptPort:
    """Try it; what is wrong with it is a fact. Raises ServerError when the server itself does not answer."""
    way = way_of(server.config)
    if way is None:
        return KeptPort()
    rows = server.query("SHOW GLOBAL VARIABLES LIKE 'extra_max_connections'", action="see how many its port takes")
    most = int(rows[0]["Value"]) + 1 if rows else None
    session = new_session(server.config, WITHIN, way)
    try:
        session.connect()
        with contextlib.closing(session):
            enter_by(session, server.config, way)
    except (pymysql.Error, OSError) as error:
        return KeptPort(way.port, map_error(server.config.name, "connect", error).cause, most)
    return KeptPort(way.port, "", most)


def checks(state: ServerState, kept: KeptPort) -> Iterator[Check]:
    """The one check of an answering server."""
    what = _HOW[state.vendor].format(server=state.hostname)
    if not kept.port:
        yield KEPT_PORT.no(state.name, "it keeps no port for administrators, or did not tell of it", what=what)
    elif kept.trouble:
        text = f"its port {kept.port} for administrators gives no session: {kept.trouble}"
        yield KEPT_PORT.no(state.name, text, Severity.WARNING, what=what)
    elif kept.most is not None and kept.most < WANTED:
        text = f"its port {kept.port} for administrators takes {kept.most} sessions, and a planned switch has {WANTED}"
        yield KEPT_PORT.no(state.name, text, what=what)
    else:
        yield KEPT_PORT.yes(state.name, f"its port {kept.port} for administrators lets the manager in")
