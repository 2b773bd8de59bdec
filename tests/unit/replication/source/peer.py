"""A follower of a few lines, which says what a replica's receiver says and keeps the events it gets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence

from prefect_mha.replication.binlog.events import CHECKSUM, EventType, FormatDescription
from prefect_mha.replication.binlog.reader import LogFile, LogReader
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Account, Catalogue, Identity, Prover, Source
from prefect_mha.replication.source.protocol.handshake import scramble
from prefect_mha.replication.source.protocol.packets import Wire
from prefect_mha.replication.source.stream import EventStream

ACCOUNT = Account("mha_tail_abc123", "only-for-this-rescue")


def identity_of(log: LogFile) -> Identity:
    """Who wrote a log, as it says itself."""
    with log.open() as stream:
        described = LogReader(stream, name=log.name, size=log.size).format
    number = int.from_bytes(described.raw[5:9], "little")
    return Identity(described.server_version, number, "00000000-0000-0000-0000-000000000000", "ON")


def catalogue_of(files: Sequence[LogFile], pos: int = 4, before: object = None) -> Catalogue:
    """Everything that logs hold from a place of the first on."""
    catalogue = Catalogue(identity_of(files[0]))
    Prover(catalogue, BinlogPosition(files[0].name, pos), before).extend(files)
    catalogue.finish()
    return catalogue


@contextlib.contextmanager
def served(catalogue: Catalogue) -> Iterator[tuple[Source, int]]:
    """A source on this machine."""
    with Source(catalogue, peers=["127.0.0.1"], account=ACCOUNT) as source:
        yield source, source.listen("127.0.0.1", [0])


class ServerSaid(Exception):
    """An error packet."""

    def __init__(self, payload: bytes) -> None:
        self.errno = int.from_bytes(payload[1:3], "little")
        super().__init__(payload[9:].decode())


class Peer:
    """One connection."""

    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._number = 0
        self.checksum = False

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # packets ---------------------------------------------------------------------------------------------------

    def exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            piece = self.sock.recv(count - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got

    def read(self) -> bytes:
        """A payload, put together of as many packets as it takes; their numbers must follow each other."""
        whole = b""
        while True:
            head = self.exactly(4)
            size = int.from_bytes(head[:3], "little")
            assert head[3] == self._number & 0xFF
            self._number += 1
            whole += self.exactly(size)
            if size < 0xFFFFFF:
                break
        if whole[:1] == b"\xff":
            raise ServerSaid(whole)
        return whole

    def send(self, payload: bytes, *, follows: bool = False) -> None:
        self._number = self._number if follows else 0
        self.sock.sendall(len(payload).to_bytes(3, "little") + bytes([self._number & 0xFF]) + payload)
        self._number += 1

    # what a receiver does --------------------------------------------------------------------------------------

    def log_in(self, account: Account = ACCOUNT, plugin: str | None = None) -> Peer:
        greeting = self.read()
        end = greeting.index(b"\0", 1)
        nonce = greeting[end + 5 : end + 13] + greeting[end + 32 : end + 44]
        theirs = greeting[end + 45 :].rstrip(b"\0").decode()
        mine = plugin or theirs
        answer = scramble(mine, account.password, nonce)
        capabilities = 0x1 | 0x4 | 0x200 | 0x8000 | 0x80000
        self.send(
            struct.pack("<IIB23x", capabilities, 1 << 24, 33)
            + account.user.encode()
            + b"\0"
            + bytes([len(answer)])
            + answer
            + mine.encode()
            + b"\0",
            follows=True,
        )
        payload = self.read()
        if payload[:1] == b"\xfe":
            self.send(scramble(theirs, account.password, nonce), follows=True)
            payload = self.read()
        if payload == b"\x01\x03":
            payload = self.read()
        assert payload[0] == 0
        return self

    def query(self, text: str) -> list[bytes]:
        """The payloads of an answer: one OK, or a result."""
        self.send(b"\x03" + text.encode())
        payloads = [self.read()]
        ends = 0 if payloads[0][:1] == b"\0" else 2
        while ends:
            payloads.append(self.read())
            ends -= payloads[-1][:1] == b"\xfe"
        return payloads

    def greet(self, heartbeat: float = 0.0) -> Peer:
        self.log_in()
        if heartbeat:
            self.query(f"SET @master_heartbeat_period = {int(heartbeat * 1e9)}")
        self.query("SET @master_binlog_checksum = @@global.binlog_checksum")
        self.checksum = b"CRC32" in self.query("SELECT @master_binlog_checksum")[3]
        return self

    def dump(self, name: str, pos: int, server_id: int = 7) -> Peer:
        self.send(b"\x12" + struct.pack("<IHI", pos, 0, server_id) + name.encode())
        return self

    def dump_mysql(self, executed: GtidSet, server_id: int = 7) -> Peer:
        body = encoded(executed)
        self.send(b"\x1e" + struct.pack("<HII", 4, server_id, 0) + struct.pack("<QI", 4, len(body)) + body)
        return self

    def dump_mariadb(self, state: MariadbGtidPosition, server_id: int = 7) -> Peer:
        self.query(f"SET @slave_connect_state='{state}'")
        return self.dump("", 4, server_id)

    def events(self) -> Iterator[bytes]:
        """Until the first heartbeat: whole events as they came."""
        while True:
            payload = self.read()
            assert payload[0] == 0
            if payload[5] in (EventType.HEARTBEAT, EventType.HEARTBEAT_V2):
                return
            yield payload[1:]

    def written(self) -> dict[str, bytes]:
        """What was written in each log, without what was made up on the way; checksums are verified."""
        logs: dict[str, bytes] = {}
        name, checksum = "", self.checksum
        for event in self.events():
            kind, artificial = event[4], not int.from_bytes(event[13:17], "little") or event[17] & 0x20
            if kind == EventType.FORMAT_DESCRIPTION:
                described = FormatDescription.parse(event)
                assert not described.in_use
                assert zlib.crc32(event[:-4]) == int.from_bytes(event[-4:], "little")
                checksum = described.checksum
            elif kind == EventType.ROTATE and artificial:
                name = event[27 : len(event) - (CHECKSUM if checksum else 0)].decode()
                logs.setdefault(name, b"")
            else:
                if checksum:
                    assert zlib.crc32(event[:-4]) == int.from_bytes(event[-4:], "little")
                logs[name] += event
        return logs


def encoded(gtids: GtidSet) -> bytes:
    """A set as a replica sends it (without tags)."""
    out = struct.pack("<Q", len(gtids.sources()))
    for uuid in gtids.sources():
        ranges = gtids.intervals(uuid)
        out += bytes.fromhex(uuid.replace("-", "")) + struct.pack("<Q", len(ranges))
        out += b"".join(struct.pack("<QQ", *each) for each in ranges)
    return out


def threads() -> list[str]:
    """The threads of sources that run."""
    return [t.name for t in threading.enumerate() if t.name.startswith("rescue source")]


class Sink:
    """A socket that keeps what it is given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def send(self, data: bytes, /) -> int:
        self.data += data
        return len(data)

    def settimeout(self, seconds: float, /) -> None: ...
    def close(self) -> None: ...
    def recv(self, size: int, /) -> bytes:
        return b""


def sent(catalogue: Catalogue, asked: BinlogPosition | None, wanted: object = None) -> bytes:
    """All written events that a follower is sent, without what was made up on the way."""
    sink, over = Sink(), threading.Event()

    def tell(sending: object) -> None:
        if sending.at_end:  # type: ignore[attr-defined]
            over.set()

    EventStream(
        catalogue,
        Wire(sink, stall=1),
        asked=asked,
        wanted=wanted,  # type: ignore[arg-type]
        checksum=True,
        heartbeat=0.001,
        tell=tell,
        stopped=over.is_set,
    ).run()
    out, at = b"", 0
    while at < len(sink.data):
        size = int.from_bytes(sink.data[at : at + 3], "little")
        event = bytes(sink.data[at + 5 : at + 4 + size])
        made_up = event[4] in (15, 27) or (event[4] == 4 and event[17] & 0x20)
        out += b"" if made_up else event
        at += 4 + size
    return out
