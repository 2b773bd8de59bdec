"""What runs in ProxySQL's groups of servers, and the statements by which a server changes them. Pure.

ProxySQL keeps its servers three times: what runs, what ``mysql_servers`` holds, and the disk. Its monitor moves servers
between the groups of writers and readers by itself, for what it sees of their read_only, and so changes the first.
Hence what runs is saved to ``mysql_servers`` before anything is changed there, and looked at after it was loaded.
"""

# ruff: noqa: S608 - names of the configuration, quoted as SQLite has it

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ....config import ServerConfig

#: What a server's row says of how it is used. gtid_port, which older versions lack, is not taken from another server.
_SETTINGS = "weight, compression, max_connections, max_replication_lag, use_ssl, max_latency_ms"


@dataclass(frozen=True)
class Groups:
    """The hostgroups of writers and of readers."""

    writer: int
    reader: int

    def __str__(self) -> str:
        return f"{self.writer}, {self.reader}"


@dataclass(frozen=True)
class Backend:
    """A server in one group, as ProxySQL names it."""

    group: int
    host: str
    port: int
    status: str

    @property
    def used(self) -> bool:
        """Sessions may go there now, or by themselves later. One that was deleted is there while sessions last."""
        return self.status != "OFFLINE_HARD"

    def is_of(self, server: ServerConfig) -> bool:
        """It is that server, under whichever of its names."""
        return self.port == server.port and self.host in names_of(server)


def names_of(server: ServerConfig) -> tuple[str, ...]:
    """How ProxySQL may call a server."""
    return tuple(dict.fromkeys((server.ip, server.hostname)))


def leaving(server: ServerConfig, groups: Groups) -> tuple[str, ...]:
    """It is in no group: only so the monitor does not look at it, and does not take it for a writer again, as it does
    with one that is OFFLINE_HARD and not read-only."""
    return (f"DELETE FROM mysql_servers WHERE hostgroup_id IN ({groups}) AND {_is(server)}",)


def taking_writes(server: ServerConfig, groups: Groups, known: Iterable[Backend], *, reads: bool) -> tuple[str, ...]:
    """It alone is a writer, with the settings that it had as a reader; with ``reads`` it stays one, too."""
    writer, reader, its = groups.writer, groups.reader, _is(server)
    row = f"SELECT {reader}, hostname, port, {_SETTINGS} FROM mysql_servers WHERE hostgroup_id = {writer} AND {its}"
    return (
        f"DELETE FROM mysql_servers WHERE hostgroup_id = {writer} AND NOT ({its})",
        f"UPDATE OR IGNORE mysql_servers SET hostgroup_id = {writer} WHERE hostgroup_id = {reader} AND {its}",
        f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname, port) "
        f"VALUES ({writer}, {_quoted(_name(server, known))}, {server.port})",
        f"UPDATE mysql_servers SET status = 'ONLINE' WHERE hostgroup_id = {writer} AND {its}",
        f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname, port, {_SETTINGS}) {row}"
        if reads
        else f"DELETE FROM mysql_servers WHERE hostgroup_id = {reader} AND {its}",
    )


def taking_reads(server: ServerConfig, groups: Groups, known: Iterable[Backend]) -> tuple[str, ...]:
    """It is a reader and no writer, with the settings of another reader, or of the writer where there is none."""
    reader, its = groups.reader, _is(server)
    name = _quoted(_name(server, known))
    return (
        f"DELETE FROM mysql_servers WHERE hostgroup_id = {groups.writer} AND {its}",
        f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname, port, {_SETTINGS}) "
        f"SELECT {reader}, {name}, {server.port}, {_SETTINGS} FROM mysql_servers "
        f"WHERE hostgroup_id IN ({groups}) ORDER BY hostgroup_id = {reader} DESC LIMIT 1",
        f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname, port) VALUES ({reader}, {name}, {server.port})",
        f"UPDATE mysql_servers SET status = 'ONLINE' WHERE hostgroup_id = {reader} AND {its}",
    )


def _name(server: ServerConfig, known: Iterable[Backend]) -> str:
    return next((b.host for b in known if b.is_of(server)), server.ip)


def _is(server: ServerConfig) -> str:
    return f"hostname IN ({', '.join(map(_quoted, names_of(server)))}) AND port = {server.port}"


def _quoted(text: str) -> str:
    """As SQLite has it: a backslash is one."""
    return "'" + text.replace("'", "''") + "'"
