"""The way into a server whose connections are all taken (1040): the port that it keeps for administrators.

MariaDB's extra_port, beside whose `extra_max_connections` one more is kept for SUPER (CONNECTION ADMIN); MySQL's
admin_port from 8.0.14 on, for SERVICE_CONNECTION_ADMIN, where `admin_address` is set. `admin_port` of the configuration
names it; otherwise a server that was seen by this process has told it. Beyond these there is one place more than
max_connections, for SUPER or CONNECTION_ADMIN alone: all who may end a crowd share it, a DBA too, so who only watches
does not keep it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pymysql

from ...config import ServerConfig
from ...config.models import is_address

#: A session of ours, or any other of the driver's.
S = TypeVar("S", bound="pymysql.Connection[Any]")

ALL_TAKEN = 1040
#: What a server's variables say of it; other servers have none of them.
VARIABLES = ("extra_port", "admin_port", "admin_address")
_FIND_OUT = "SELECT @@GLOBAL.server_id, @@GLOBAL.port"


@dataclass(frozen=True)
class AdminPort:
    """A port, and its address where that may differ from the server's, else empty; ``server_id``: 0 where not known."""

    port: int
    address: str = ""
    server_id: int = 0


#: What servers said, by ``ip:port``.
_told: dict[str, AdminPort | None] = {}


def told_by(variables: Mapping[str, str]) -> AdminPort | None:
    """What a server's variables say; None when it keeps no such port. Pure. Raises ValueError."""
    server_id = int(variables["server_id"])
    if int(variables.get("extra_port") or 0):
        return AdminPort(int(variables["extra_port"]), server_id=server_id)
    # One address or name, never a wildcard (Reference Manual, admin_address); with a network namespace behind a slash.
    address = variables.get("admin_address", "").partition("/")[0]
    if not address or address == "localhost":
        return None
    if not is_address(address):
        return AdminPort(int(variables["admin_port"]), server_id=server_id)
    loopback = ipaddress.ip_address(address).is_loopback
    return None if loopback else AdminPort(int(variables["admin_port"]), address, server_id)


def learn(server: ServerConfig, variables: Mapping[str, str]) -> None:
    """Remember what it says while it takes sessions. Raises ValueError."""
    _told[server.address] = told_by(variables)


def way_of(server: ServerConfig) -> AdminPort | None:
    """The port that the configuration names, or else that the server has told; None for none."""
    told = _told.get(server.address)
    if server.unix_socket is not None:
        return None
    if server.admin_port and (told is None or told.port != server.admin_port):
        return AdminPort(server.admin_port)
    return told


def enter(server: ServerConfig, connect: Callable[[AdminPort | None], S]) -> tuple[S, bool]:
    """A session, and whether it came by the port for administrators: that is tried when all others are taken.

    Raises what ``connect`` raises; where neither way gives a session, 1040 with both reasons.
    """
    try:
        return connect(None), False
    except pymysql.OperationalError as error:
        way = way_of(server) if error.args[:1] == (ALL_TAKEN,) else None
        if way is None:
            raise
        full = error.args[-1]
    try:
        session = connect(way)
        enter_by(session, server, way)
    except (pymysql.Error, OSError) as error:
        why = error.args[-1] if error.args else error
        text = f"{full}; and its port {way.port} for administrators gives no session: {why}"
        raise pymysql.OperationalError(ALL_TAKEN, text) from None
    return session, True


def enter_by(session: pymysql.Connection[Any], server: ServerConfig, way: AdminPort) -> None:
    """Raise pymysql.OperationalError where another server listens at that port; the session is closed then."""
    with session.cursor() as cursor:
        cursor.execute(_FIND_OUT)
        row = cursor.fetchone() or (0, 0)
    same = int(row[0]) == way.server_id if way.server_id else int(row[1]) == server.port
    if not same:
        session.close()
        raise pymysql.OperationalError(ALL_TAKEN, "another server answers there")
