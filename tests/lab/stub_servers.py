"""Servers that only answer what a manager asks while all is well: hundreds of clusters of three in one process.

``python -m tests.lab.stub_servers BOOK CLUSTERS``, in the network namespace of the manager. `record` makes the book:
what the three servers of a real cluster answered; advisory locks are really held. Everything else gets a syntax error,
and is counted. On standard input ``kill N`` takes the primary of cluster N away, as a dead process is: its sessions are
reset, its port refuses; ``pings`` prints, as JSON, the longest time between two pings of each primary since the last
such line, and what it did not know.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymysql.cursors import DictCursor

from prefect_mha.replication.mysql.server import Row, Server

PORT = 3306
PRIMARY = "{primary}"
PING = "SELECT @@GLOBAL.read_only"
CAPABILITIES = 0x0200 | 0x8000 | 0x80000 | 0x2000 | 0x8 | 0x1  # 4.1, secure connection, plug-ins, transactions, db
AUTOCOMMIT = 2
OK = b"\x00\x00\x00" + struct.pack("<H", AUTOCOMMIT) + b"\x00\x00"
_EOF = b"\xfe\x00\x00" + struct.pack("<H", AUTOCOMMIT)
_LOCK = re.compile(r"SELECT (GET|RELEASE)_LOCK\('([^']+)'")
_USED = re.compile(r"IS_USED_LOCK\('([^']+)'\) AS (\w+)")
_SYNTAX = b"\xff" + struct.pack("<H", 1064) + b"#42000the stub does not know this statement"

Book = dict[str, list[Row]]


def address(cluster: int, server: int) -> str:
    """Where a server listens: 127.x.y.1n, numbered from 1."""
    return f"127.{100 + cluster // 250}.{1 + cluster % 250}.{10 + server}"


class _Recording(Server):
    """A session that keeps what was asked and answered."""

    book: Book

    def query(
        self,
        sql: str,
        args: Sequence[Any] = (),
        *,
        action: str,
        timeout: float | None = None,
        same_session: bool = False,
    ) -> list[Row]:
        self.connect()
        assert self._connection is not None
        asked = DictCursor(self._connection).mogrify(sql, tuple(args) or None)
        rows = super().query(sql, args, action=action, timeout=timeout)
        self.book[asked] = rows
        return rows


def record(servers: Sequence[Any], path: Path) -> None:
    """Ask the servers of a real cluster, primary first, what a watch asks them, and write the book."""
    books: list[Book] = []
    for config in servers:
        session = _Recording(config)
        session.book = {}
        session.observe()
        session.query(PING, action="record")
        session.close()
        books.append(session.book)
    text = json.dumps(books, default=str)
    path.write_text(text.replace(f'"{servers[0].ip}"', f'"{PRIMARY}"'))


def packets(payloads: Sequence[bytes], first: int = 1) -> bytes:
    """Payloads as packets, numbered from ``first``."""
    return b"".join(struct.pack("<I", len(p))[:3] + bytes([(first + n) % 256]) + p for n, p in enumerate(payloads))


def _text(value: object) -> bytes:
    if value is None:
        return b"\xfb"
    data = str(value).encode()
    if len(data) < 251:
        return bytes([len(data)]) + data
    return b"\xfc" + struct.pack("<H", len(data)) + data


def _column(name: str, values: Sequence[object]) -> bytes:
    number = all(isinstance(v, int) for v in values if v is not None) and any(v is not None for v in values)
    fixed = struct.pack("<HIBHB", 33, 1024, 8 if number else 253, 0, 0) + b"\x00\x00"
    return b"".join(_text(part) for part in ("def", "", "", "", name, "")) + b"\x0c" + fixed


def answer(rows: Sequence[Row]) -> bytes:
    """A result set as the protocol has it."""
    if not rows:
        # A statement without columns is answered so by a replica's SHOW SLAVE STATUS on a primary, too: no rows.
        return packets([b"\x01", _column("nothing", ()), _EOF, _EOF])
    columns = [_column(name, [row[name] for row in rows]) for name in rows[0]]
    lines = [b"".join(_text(value) for value in row.values()) for row in rows]
    return packets([bytes([len(columns)]), *columns, _EOF, *lines, _EOF])


class StubServer:
    """One server's port."""

    def __init__(self, cluster: int, number: int, answers: dict[str, bytes], unknown: Counter[str]) -> None:
        self.cluster, self._answers, self._unknown = cluster, answers, unknown
        self.ip = address(cluster, number)
        self._sessions: dict[int, asyncio.StreamWriter] = {}
        self._numbers = itertools.count(1)
        self._locks: dict[str, int] = {}
        self._port: asyncio.Server | None = None
        self.pinged, self.longest = 0.0, 0.0

    async def open(self) -> None:
        self._port = await asyncio.start_server(self._session, self.ip, PORT)

    def die(self) -> None:
        """Its sessions are reset and its port refuses."""
        assert self._port is not None
        self._port.close()
        for writer in self._sessions.values():
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = next(self._numbers)
        self._sessions[me] = writer
        try:
            greeting = b"\x0a11.0.0-stub-MariaDB\x00" + struct.pack("<I", me) + b"12345678\x00"
            greeting += struct.pack("<HBHH", CAPABILITIES & 0xFFFF, 33, AUTOCOMMIT, CAPABILITIES >> 16)
            greeting += bytes([21]) + bytes(10) + b"123456789012\x00mysql_native_password\x00"
            writer.write(packets([greeting], 0))
            await self._packet(reader)
            writer.write(packets([OK], 2))
            while (packet := await self._packet(reader))[:1] != b"\x01":
                writer.write(self._answer(packet, me))
        except (asyncio.IncompleteReadError, OSError):
            pass  # whoever asked has gone, or this server has died
        finally:
            del self._sessions[me]
            self._locks = {name: holder for name, holder in self._locks.items() if holder != me}
            writer.close()

    async def _packet(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(4)
        return await reader.readexactly(int.from_bytes(head[:3], "little"))

    def _answer(self, packet: bytes, me: int) -> bytes:
        if packet[:1] != b"\x03":
            return packets([OK])
        sql = packet[1:].decode()
        if sql == PING:
            now = time.monotonic()
            self.longest = max(self.longest, now - self.pinged) if self.pinged else 0.0
            self.pinged = now
        if sql in self._answers:
            return self._answers[sql]
        if sql.startswith("SET "):
            return packets([OK])
        if used := _USED.findall(sql):
            return answer([{**{word: self._locks.get(name) for name, word in used}, "me": me}])
        if lock := _LOCK.match(sql):
            return answer([{"done": self._lock(lock[1], lock[2], me)}])
        if sql == "SHOW PROCESSLIST":
            peers = {number: writer.get_extra_info("peername") for number, writer in self._sessions.items()}
            return answer([{"Id": number, "Host": f"{peer[0]}:{peer[1]}"} for number, peer in peers.items()])
        self._unknown[sql] += 1
        return packets([_SYNTAX])

    def _lock(self, word: str, name: str, me: int) -> int:
        if word == "GET":
            return int(self._locks.setdefault(name, me) == me)
        return int(self._locks.pop(name, me) == me)


async def _serve(book: Path, clusters: int) -> None:
    text, unknown = book.read_text(), Counter[str]()
    primaries: dict[int, StubServer] = {}
    for cluster in range(1, clusters + 1):
        books: list[Book] = json.loads(text.replace(PRIMARY, address(cluster, 1)))
        for number, each in enumerate(books, 1):
            server = StubServer(cluster, number, {sql: answer(rows) for sql, rows in each.items()}, unknown)
            await server.open()
            if number == 1:
                primaries[cluster] = server
    print("ready", flush=True)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := (await orders.readline()).decode().split():
        if line[0] == "kill":
            for named in line[1:]:
                primaries[int(named)].die()
            print(time.time(), flush=True)
        else:
            print(json.dumps({"longest": [p.longest for p in primaries.values()], "unknown": unknown}), flush=True)
            for primary in primaries.values():
                primary.longest = 0.0


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
