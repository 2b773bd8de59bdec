"""A stub of ProxySQL, which is in no registry that this project reaches: its admin interface, and its monitor's rule.

It proves what we say to a ProxySQL, and what we make of what that does by itself, and nothing of the real one, against
which ``make try-proxysql`` runs.

As in ProxySQL 2.x are: servers in memory, at run time and on disk, with ``LOAD`` and ``SAVE`` between them; SQLite's
SQL; every column a text; the account; and of the monitor (``MySQL_HostGroups_Manager::read_only_action``) that it saves
what runs to ``mysql_servers``, moves a server that is not read-only to the writers unless it has a row there that is
not OFFLINE_HARD, leaves it among the readers where ``mysql-monitor_writer_is_also_reader`` says so, and moves one that
is read-only to the readers; servers that are OFFLINE are not looked at. One that fails three looks is taken for
read-only, and shunned.

What is not: sessions are passed on byte by byte, from 6033 to the writer and from 6034 to readers, not understood. They
are cut when their server leaves, where ProxySQL would only fail what they ask next; lag is not looked at.

``python -m tests.lab.proxysql_stub USER PASSWORD SECONDS``, in a host's network; SECONDS are between two looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import re
import sqlite3
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pymysql

from tests.lab.kinds import ADMIN, ADMIN_PASSWORD
from tests.lab.stub_servers import AUTOCOMMIT, CAPABILITIES, OK, answer, packets

ADMIN_PORT, WRITES, READS = 6032, 6033, 6034
WRITER, READER = 10, 20
#: Seconds that a client waits for a server (mysql-connect_timeout_server_max), and a look may take.
_PATIENCE, _LOOK = 10.0, 0.5
_SALT = b"12345678123456789012"
_COLUMNS = """hostgroup_id INT NOT NULL DEFAULT 0, hostname TEXT NOT NULL, port INT NOT NULL DEFAULT 3306,
    gtid_port INT NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'ONLINE', weight INT NOT NULL DEFAULT 1,
    compression INT NOT NULL DEFAULT 0, max_connections INT NOT NULL DEFAULT 1000,
    max_replication_lag INT NOT NULL DEFAULT 0, use_ssl INT NOT NULL DEFAULT 0, max_latency_ms INT NOT NULL DEFAULT 0,
    comment TEXT NOT NULL DEFAULT '', PRIMARY KEY (hostgroup_id, hostname, port)"""
_COPY = "weight, compression, max_connections, max_replication_lag, use_ssl, max_latency_ms, comment"
_TABLES = ("mysql_servers", "runtime_mysql_servers", "disk_mysql_servers")
Key = tuple[int, str, int]


class Proxysql:
    """Its tables, and what its statements and its monitor do to them."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for table in _TABLES:
            self.db.execute(f"CREATE TABLE {table} ({_COLUMNS})")
        self.db.execute(
            "CREATE TABLE runtime_mysql_replication_hostgroups (writer_hostgroup INT, reader_hostgroup INT)"
        )
        self.db.execute(f"INSERT INTO runtime_mysql_replication_hostgroups VALUES ({WRITER}, {READER})")
        self.db.execute("CREATE TABLE global_variables (variable_name TEXT PRIMARY KEY, variable_value TEXT)")
        self.db.execute("INSERT INTO global_variables VALUES ('mysql-monitor_writer_is_also_reader', 'true')")
        self.db.execute("CREATE TABLE mysql_server_read_only_log (hostname TEXT, port INT, read_only INT)")
        self.used: Counter[Key] = Counter()
        self.failed: Counter[tuple[str, int]] = Counter()

    def run(self, sql: str) -> list[dict[str, str | None]]:
        """One statement of an administrator. Raises sqlite3.Error."""
        words = " ".join(sql.rstrip("; ").split()).upper()
        known: dict[str, Callable[[], None]] = {
            "SAVE MYSQL SERVERS FROM RUNTIME": self.save,
            "SAVE MYSQL SERVERS TO MEMORY": self.save,
            "LOAD MYSQL SERVERS TO RUNTIME": self.load,
            "SAVE MYSQL SERVERS TO DISK": lambda: self._copy("mysql_servers", "disk_mysql_servers"),
        }
        if words in known:
            known[words]()
            return []
        if words.startswith(("SET NAMES", "SET AUTOCOMMIT")):
            return []
        found = self.db.execute(sql)
        names = [column[0] for column in found.description or ()]
        return [{n: None if v is None else str(v) for n, v in zip(names, row, strict=True)} for row in found]

    def _copy(self, source: str, target: str) -> None:
        self.db.execute(f"DELETE FROM {target}")
        self.db.execute(f"INSERT INTO {target} SELECT * FROM {source}")

    def save(self) -> None:
        """What runs, to ``mysql_servers``."""
        self._copy("runtime_mysql_servers", "mysql_servers")
        self.db.execute("DELETE FROM mysql_servers WHERE status = 'OFFLINE_HARD'")
        self.db.execute("UPDATE mysql_servers SET status = 'ONLINE' WHERE status LIKE 'SHUNNED%'")

    def load(self) -> None:
        """``mysql_servers`` runs; who left it is OFFLINE_HARD as long as somebody uses it."""
        before = {key[:3]: key for key in self.db.execute("SELECT *, status FROM runtime_mysql_servers")}
        shunned = [key for key, row in before.items() if str(row[-1]).startswith("SHUNNED")]
        self._copy("mysql_servers", "runtime_mysql_servers")
        for key in shunned:
            where = "WHERE hostgroup_id = ? AND hostname = ? AND port = ? AND status = 'ONLINE'"
            self.db.execute(f"UPDATE runtime_mysql_servers SET status = 'SHUNNED' {where}", key)
        for key in before:
            if self.used[key]:
                columns = f"hostgroup_id, hostname, port, status, {_COPY}"
                copied = ", ".join("?" * 11)
                row = (*key, "OFFLINE_HARD", *before[key][5:12])
                self.db.execute(f"INSERT OR IGNORE INTO runtime_mysql_servers ({columns}) VALUES ({copied})", row)

    def online(self, group: int) -> list[tuple[str, int]]:
        """Who may get sessions of a group."""
        sql = "SELECT hostname, port FROM runtime_mysql_servers WHERE hostgroup_id = ? AND status = 'ONLINE' ORDER BY 1"
        return [(str(host), int(port)) for host, port in self.db.execute(sql, (group,))]

    def ended(self, key: Key) -> None:
        """A session with a server is over."""
        self.used[key] -= 1
        if not self.used[key]:
            where = "WHERE hostgroup_id = ? AND hostname = ? AND port = ? AND status = 'OFFLINE_HARD'"
            self.db.execute(f"DELETE FROM runtime_mysql_servers {where}", key)

    def looked_at(self) -> list[tuple[str, int]]:
        """Whom the monitor asks for read_only."""
        sql = "SELECT DISTINCT hostname, port FROM runtime_mysql_servers WHERE status NOT LIKE 'OFFLINE%'"
        return [(str(host), int(port)) for host, port in self.db.execute(sql)]

    def saw(self, host: str, port: int, read_only: bool | None) -> None:
        """What the monitor does about one look; None for one that failed."""
        at = (host, port)
        self.db.execute("INSERT INTO mysql_server_read_only_log VALUES (?, ?, ?)", (*at, read_only))
        if read_only is None:
            self.failed[at] += 1
            if self.failed[at] >= 3:
                where = "WHERE hostname = ? AND port = ? AND status = 'ONLINE'"
                self.db.execute(f"UPDATE runtime_mysql_servers SET status = 'SHUNNED' {where}", at)
                self.read_only_action(host, port, True)
            return
        if self.failed.pop(at, 0):
            where = "WHERE hostname = ? AND port = ? AND status = 'SHUNNED'"
            self.db.execute(f"UPDATE runtime_mysql_servers SET status = 'ONLINE' {where}", at)
        self.read_only_action(host, port, read_only)

    def read_only_action(self, host: str, port: int, read_only: bool) -> None:
        """The rule: what follows from a server's read_only."""
        at, its = (host, port), "hostname = ? AND port = ?"
        sql = (
            f"SELECT 1 FROM runtime_mysql_servers WHERE hostgroup_id = {WRITER} AND {its} AND status <> 'OFFLINE_HARD'"
        )
        writes = self.db.execute(sql, at).fetchone() is not None
        if writes is not read_only:
            return
        self.save()
        away, to = (WRITER, READER) if read_only else (READER, WRITER)
        self.db.execute(
            f"UPDATE OR IGNORE mysql_servers SET hostgroup_id = {to} WHERE hostgroup_id = {away} AND {its}", at
        )
        also = "SELECT variable_value FROM global_variables WHERE variable_name = 'mysql-monitor_writer_is_also_reader'"
        if not read_only and self.db.execute(also).fetchone() == ("true",):
            self.db.execute(
                f"INSERT OR IGNORE INTO mysql_servers (hostgroup_id, hostname, port, status, {_COPY}) "
                f"SELECT {READER}, hostname, port, status, {_COPY} FROM mysql_servers "
                f"WHERE hostgroup_id = {WRITER} AND {its}",
                at,
            )
        else:
            self.db.execute(f"DELETE FROM mysql_servers WHERE hostgroup_id = {away} AND {its}", at)
        self.load()


class Ports:
    """The ports of one ProxySQL."""

    def __init__(self, user: str, password: str, every: float, address: str = "") -> None:
        self.proxysql, self._user, self._password, self._every = Proxysql(), user, password, every
        self._address, self.look = address or None, read_only_of
        self._turns = itertools.count()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Until the process ends, or this is cancelled."""
        ports = {
            ADMIN_PORT: self._administer,
            WRITES: lambda r, w: self._pass_on(WRITER, r, w),
            READS: lambda r, w: self._pass_on(READER, r, w),
        }
        async with contextlib.AsyncExitStack() as opened:
            for port, talk in ports.items():
                await opened.enter_async_context(await asyncio.start_server(talk, self._address, port))
            ready()
            await self._monitor()

    async def _monitor(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            looked_at = self.proxysql.looked_at()
            seen = await asyncio.gather(*(asyncio.to_thread(self.look, *at) for at in looked_at))
            for at, read_only in zip(looked_at, seen, strict=True):
                self.proxysql.saw(*at, read_only)

    async def _administer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            greeting = b"\x0a5.5.30\x00" + struct.pack("<I", 1) + _SALT[:8] + b"\x00"
            greeting += struct.pack("<HBHH", CAPABILITIES & 0xFFFF, 33, AUTOCOMMIT, CAPABILITIES >> 16)
            greeting += bytes([21]) + bytes(10) + _SALT[8:] + b"\x00mysql_native_password\x00"
            writer.write(packets([greeting], 0))
            if not self._is_ours(await _packet(reader)):
                writer.write(packets([_error(1045, "ProxySQL Error: Access denied")], 2))
                await writer.drain()
                writer.close()
                return
            writer.write(packets([OK], 2))
            while (packet := await _packet(reader))[:1] != b"\x01":
                writer.write(self._said(packet[1:].decode()))
        writer.close()

    def _is_ours(self, login: bytes) -> bool:
        user, _, rest = login[32:].partition(b"\x00")
        first = hashlib.sha1(self._password.encode()).digest()
        scramble = hashlib.sha1(_SALT + hashlib.sha1(first).digest()).digest()
        return user.decode() == self._user and rest[1:21] == bytes(a ^ b for a, b in zip(first, scramble, strict=True))

    def _said(self, sql: str) -> bytes:
        try:
            rows = self.proxysql.run(sql)
        except sqlite3.Error as error:
            return packets([_error(1045, f"ProxySQL Admin Error: {error}")])
        return answer(rows) if rows or re.match(r"\s*SELECT", sql, re.IGNORECASE) else packets([OK])

    async def _pass_on(self, group: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = asyncio.get_running_loop().time() + _PATIENCE
        while not (online := self.proxysql.online(group)) and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(0.02)
        if not online:
            writer.close()
            return
        at = online[next(self._turns) % len(online)]
        key = (group, *at)
        self.proxysql.used[key] += 1
        try:
            back, forth = await asyncio.wait_for(asyncio.open_connection(*at), 2)
            ways = [asyncio.create_task(_copy(reader, forth)), asyncio.create_task(_copy(back, writer))]
            while at in self.proxysql.online(group) and not any(way.done() for way in ways):
                await asyncio.wait(ways, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            forth.close()
        except OSError:
            pass  # the client is told by the end of its session
        finally:
            self.proxysql.ended(key)
            writer.close()


@contextlib.contextmanager
def stubbed(ports: Ports) -> Iterator[Proxysql]:
    """One that runs in a thread of this process."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    serving = loop.create_task(ports.serve(ready.set))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(5), "the stub does not listen"
    try:
        yield ports.proxysql
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(5)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return await reader.readexactly(int.from_bytes(head[:3], "little"))


def _error(number: int, text: str) -> bytes:
    return b"\xff" + struct.pack("<H", number) + b"#28000" + text.encode()


def read_only_of(host: str, port: int) -> bool | None:
    """What a look finds; None where it fails."""
    try:
        session = pymysql.connect(
            host=host, port=port, user=ADMIN, password=ADMIN_PASSWORD, connect_timeout=1, read_timeout=_LOOK
        )
        with session, session.cursor() as cursor:
            cursor.execute("SELECT @@global.read_only")
            return bool(int(cursor.fetchone()[0]))  # type: ignore[index]
    except (pymysql.Error, OSError):
        return None


if __name__ == "__main__":
    asyncio.run(Ports(sys.argv[1], sys.argv[2], float(sys.argv[3])).serve(lambda: print("ready", flush=True)))
