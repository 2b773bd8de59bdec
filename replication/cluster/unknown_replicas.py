"""Replicas that nobody configured: a failover or a switch would leave them behind with the old primary.

A server knows who replicates from it: by name (SHOW REPLICAS, where a replica tells what its report_host says, which
may be nothing), and by the sessions that read its binary log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...config import ClusterConfig, ServerConfig
from ...config.loader import resolve_host
from ...config.models import is_address
from ..errors import MhaError, ServerError
from ..model.state import ClusterState
from ..mysql.server import Server
from .pool import ConnectionPool

log = logging.getLogger("mha")

#: Seconds for a server's answer, and for the address of a name that it gives.
ASK_SECONDS, NAME_SECONDS = 4.0, 1.0
#: The port that a binlog server registers with, where nobody can connect: for 0 servers show their own.
READER_PORT = 1
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_DUMPS = frozenset({"Binlog Dump", "Binlog Dump GTID"})


@dataclass(frozen=True)
class Registered:
    """A replica by its own words; ``host`` is its report_host, often empty."""

    server_id: int
    host: str
    port: int


@dataclass(frozen=True)
class Readers:
    """Who replicates from one server. ``sessions`` are account and address of those that read its binary log."""

    registered: tuple[Registered, ...] = ()
    sessions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stranger:
    """A replica of the server ``source`` that the configuration does not have; ``host`` is empty where nobody tells."""

    source: str
    host: str
    port: int = 3306
    server_id: int = 0

    def __str__(self) -> str:
        who = f"{self.host}:{self.port}" if self.host else "a server whose address is not known"
        known = f" (server_id {self.server_id})" if self.server_id else ""
        return f"{who}{known} replicates from {self.source} and is not configured"


def readers_of(server: Server) -> Readers:
    """Ask one server; what it does not tell this account is left out. Raises ServerError when it does not answer."""
    with server.reading("see who replicates from it"):
        return _readers(server)


def _readers(server: Server) -> Readers:
    registered: list[Registered] = []
    try:
        for row in server.query(server.dialect.show_replicas(), action="see its replicas", timeout=ASK_SECONDS):
            number = row.get("Server_id", row.get("Server_Id"))
            registered.append(Registered(int(number or 0), str(row["Host"] or ""), int(row["Port"] or 3306)))
    except ServerError as error:
        log.debug("%s", error)
    rows = server.query("SHOW PROCESSLIST", action="see who reads its binary log", timeout=ASK_SECONDS)
    dumps = [row for row in rows if row["Command"] in _DUMPS]
    # A reader on its own host is a program there: another server would have introduced itself.
    sessions = [(str(row["User"]), _address(str(row["Host"] or "localhost"))) for row in dumps]
    return Readers(tuple(registered), tuple(each for each in sessions if each[1] not in _LOCAL))


def look_for_strangers(config: ClusterConfig, cluster: ClusterState, sessions: ConnectionPool) -> tuple[Stranger, ...]:
    """Ask every server that answers; one that does not tell is left out."""
    asked = [server for server in config.servers if cluster.get(server.address) is not None]
    done = sessions.each(lambda s: readers_of(sessions.server(s.address)), asked, timeout=ASK_SECONDS + 1)
    readers = {server.address: result for server, result in done if isinstance(result, Readers)}
    for error in (result for _, result in done if isinstance(result, MhaError)):
        log.debug("%s", error)
    return strangers(config, cluster, readers)


def strangers(config: ClusterConfig, cluster: ClusterState, readers: Mapping[str, Readers]) -> tuple[Stranger, ...]:
    """Those of each server that are neither configured servers nor on the host of a binlog server. Pure."""
    by_address = {server.address: server for server in config.servers}
    found: list[Stranger] = []
    for key, seen in readers.items():
        found += _of(config, cluster, by_address[key], seen)
    return tuple(dict.fromkeys(found))


def _of(config: ClusterConfig, cluster: ClusterState, source: ServerConfig, seen: Readers) -> Iterator[Stranger]:
    ids = {state.server_id for state in cluster.up}
    servers = (*config.servers, *config.binlog_servers)
    hosts = {name.lower() for s in servers for name in (s.hostname, s.ip, s.ssh_host, s.ssh_ip)}
    dead = [s for s in config.servers if cluster.get(s.address) is None]
    down = {(name.lower(), s.port) for s in dead for name in (s.hostname, s.ip)}
    ours = {(name.lower(), READER_PORT) for s in config.binlog_servers for name in (s.hostname, s.ip)}
    unknown = [r for r in seen.registered if r.server_id not in ids and (r.host.lower(), r.port) not in down | ours]
    # A session without a name of its own: its address alone tells, and a configured host may have other servers, too.
    spare = [host for _, host in seen.sessions if host.lower() not in hosts]
    nameless = [host for host in spare if host.lower() not in {r.host.lower() for r in unknown}]
    for replica in unknown:
        host = replica.host or (nameless.pop() if nameless else "")
        if not host and dead:
            continue  # it may be the configured server that does not answer
        yield Stranger(source.name, host, replica.port, replica.server_id)
    if len(seen.sessions) > len(seen.registered):
        yield from (Stranger(source.name, host) for host in nameless)


def _address(place: str) -> str:
    """A session's address, without its port; the server may have looked up a name for it."""
    host = place.rpartition(":")[0] or place
    try:
        return host if is_address(host) or host in _LOCAL else resolve_host(host, NAME_SECONDS)
    except (OSError, UnicodeError):
        return host
