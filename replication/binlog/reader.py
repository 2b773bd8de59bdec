"""A streaming reader of binary logs: events, checksums, and the borders of transactions.

It holds one event's beginning at a time, whatever the size of the log or of a transaction. Damage after the head is
not an error: reading ends there, and `LogReader.stop` tells where and why.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from replication.binlog.events import (
    CHECKSUM,
    CONTROL,
    ENCRYPTED_MAGIC,
    GTIDS,
    HEADER,
    IN_USE_FLAG,
    MAGIC,
    Event,
    EventType,
    FormatDescription,
    Header,
    gtid_of,
    is_standalone,
    query_text,
    table_name,
)
from replication.errors import LogError
from replication.gtid import Gtid, MariadbGtid

CHUNK = 256 * 1024
#: How much of an event is kept for looking into it; the rest is only summed.
KEPT = 64 * 1024
TAIL = 64


@dataclass(frozen=True)
class LogEnd:
    """Where reading ended. ``kind``: clean, torn (the rest is missing), corrupt (the rest is not what was written),
    in_transaction (whole events, but the last transaction is not complete)."""

    kind: str
    offset: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.kind} at {self.offset}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Transaction:
    """One complete transaction: bytes ``start`` to ``end`` of a log. ``timestamp`` is its first event's, in seconds."""

    log: str
    start: int
    end: int
    gtid: Gtid | MariadbGtid | None
    timestamp: int
    tables: tuple[str, ...]
    events: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class _Damage(Exception):
    def __init__(self, kind: str, offset: int, reason: str) -> None:
        self.end = LogEnd(kind, offset, reason)


class LogReader:
    """Reads one log from a seekable stream. Raises LogError when its head cannot be read (not a log, encrypted).

    ``stop`` is None while reading goes on, then the `LogEnd`.
    """

    def __init__(self, stream: BinaryIO, *, name: str, size: int | None = None) -> None:
        self.name = name
        self.stop: LogEnd | None = None
        self._stream, self._size = stream, size
        self._buffer, self._next_byte, self._at = b"", 0, 0
        self._checksum = False
        self.format, self.format_end = self._read_head()

    # events ----------------------------------------------------------------------------------------------------

    def events(self, start: int = len(MAGIC)) -> Iterator[Event]:
        """Every event from the offset ``start`` on, checksums verified; ends at the first damage."""
        self.stop = None
        try:
            self._seek(start)
            while (event := self._next()) is not None:
                yield event
            self.stop = LogEnd("clean", self._at)
        except _Damage as damage:
            self.stop = damage.end

    def _read_head(self) -> tuple[FormatDescription, int]:
        self._seek(0)
        magic = self._take(len(MAGIC))
        if magic == ENCRYPTED_MAGIC:
            raise LogError(
                f"{self.name} is encrypted (binlog_encryption); only a server that holds the keys can read it"
            )
        if magic != MAGIC:
            raise LogError(f"{self.name} is not a binary log: it begins with {magic!r}")
        raw = self._take(HEADER)
        if len(raw) < HEADER:
            raise LogError(f"{self.name} ends within its format description")
        header = Header.parse(raw)
        body = self._take(header.size - HEADER) if HEADER < header.size < KEPT else b""
        described = FormatDescription.parse(header, body)
        self._checksum = described.checksum
        return described, self._at

    def _next(self) -> Event | None:
        offset = self._at
        raw = self._take(HEADER)
        if not raw:
            return None
        if len(raw) < HEADER:
            raise _Damage("torn", offset, f"{len(raw)} of {HEADER} header bytes")
        header = Header.parse(raw)
        if header.size < HEADER + (CHECKSUM if self._checksum else 0):
            kind = "torn" if not any(raw) else "corrupt"
            raise _Damage(kind, offset, "zeros" if kind == "torn" else f"an event of {header.size} bytes")
        if self._size is not None and offset + header.size > self._size:
            raise _Damage("torn", offset, f"{self._size - offset} of {header.size} bytes of an event")
        if header.type == EventType.MARIADB_START_ENCRYPTION:
            raise _Damage("corrupt", offset, "the rest of the log is encrypted")
        event, given, counted = self._body(offset, header, raw)
        # A format description brings its own checksum, whatever the log's events do.
        if self._checksum and given != counted:
            raise _Damage("corrupt", offset, "its checksum is wrong")
        return event

    def _body(self, offset: int, header: Header, raw: bytes) -> tuple[Event, int, int]:
        """The event, the checksum written in it and the one counted; both 0 for a log without."""
        trailer = CHECKSUM if self._checksum else 0
        left = header.size - HEADER - trailer
        if header.type == EventType.FORMAT_DESCRIPTION:
            raw = raw[:17] + (header.flags & ~IN_USE_FLAG).to_bytes(2, "little")
        crc = zlib.crc32(raw)
        kept, tail = bytearray(), b""
        while left:
            piece = self._take(min(left, CHUNK))
            if not piece:
                raise _Damage("torn", offset, f"the last {left} bytes of an event are missing")
            crc = zlib.crc32(piece, crc)
            if len(kept) < KEPT:
                kept += piece[: KEPT - len(kept)]
            tail = (tail + piece)[-TAIL:]
            left -= len(piece)
        written = self._take(trailer)
        if len(written) < trailer:
            raise _Damage("torn", offset, "its checksum is missing")
        event = Event(offset, header, bytes(kept), tail)
        return (event, int.from_bytes(written, "little"), crc) if trailer else (event, 0, 0)

    # transactions ----------------------------------------------------------------------------------------------

    def transactions(self, start: int = len(MAGIC)) -> Iterator[Transaction]:
        """Every complete transaction from ``start`` on, which must be where one begins.

        Raises LogError when ``start`` lies inside a transaction.
        """
        group: _Group | None = None
        first = True
        for event in self.events(start):
            if event.type in CONTROL:
                continue
            try:
                if group is None:
                    group = _Group.begin(self.name, event, first=first and start > len(MAGIC))
                    first = False
                elif event.type in GTIDS:
                    self.stop = LogEnd("corrupt", event.offset, "a transaction begins within another")
                    return
                done = group.add(event)
            except (LogError, IndexError) as error:
                if isinstance(error, StartInside):
                    raise
                self.stop = LogEnd("corrupt", event.offset, str(error))
                return
            if done is not None:
                group = None
                yield done
        if group is not None and self.stop is not None and self.stop.kind == "clean":
            self.stop = LogEnd("in_transaction", group.start, "the log ends within a transaction")

    # bytes -----------------------------------------------------------------------------------------------------

    def _seek(self, offset: int) -> None:
        self._stream.seek(offset)
        self._buffer, self._next_byte, self._at = b"", 0, offset

    def _take(self, count: int) -> bytes:
        """The next bytes, fewer at the end of the file; reads ahead in large pieces."""
        end = self._next_byte + count
        if end > len(self._buffer):
            pieces = [self._buffer[self._next_byte :]]
            missing = count - len(pieces[0])
            while missing > 0 and (more := self._stream.read(max(CHUNK, missing))):
                pieces.append(more)
                missing -= len(more)
            self._buffer, self._next_byte, end = b"".join(pieces), 0, count
        taken = self._buffer[self._next_byte : end]
        self._next_byte += len(taken)
        self._at += len(taken)
        return taken


class StartInside(LogError):
    """Reading was to begin at an offset that lies inside a transaction."""


class _Group:
    """A transaction while it is being read: what ends it depends on how it began."""

    def __init__(self, log: str, event: Event) -> None:
        self._log, self.start, self._timestamp = log, event.offset, event.header.timestamp
        self._gtid = gtid_of(event) if event.type in GTIDS else None
        # MariaDB's GTID event stands for BEGIN, unless it announces a single statement.
        self._open = event.type == EventType.MARIADB_GTID and not is_standalone(event)
        self._tables: dict[str, None] = {}
        self._events = 0

    @classmethod
    def begin(cls, log: str, event: Event, *, first: bool) -> _Group:
        """The group that an event opens; ``first`` asks whether it can be the beginning of one at all."""
        inside = {EventType.XID, EventType.XA_PREPARE, EventType.TABLE_MAP, EventType.TRANSACTION_PAYLOAD}
        ends = event.type == EventType.QUERY and query_text(event)[0] in (b"COMMIT", b"ROLLBACK")
        if first and (event.type in inside or (20 <= event.type <= 32 and event.type != EventType.INCIDENT) or ends):
            raise StartInside(f"{log}:{event.offset} lies inside a transaction")
        return cls(log, event)

    def add(self, event: Event) -> Transaction | None:
        """Take one more event; the transaction when it is complete with it."""
        self._events += 1
        if event.type == EventType.TABLE_MAP:
            self._tables[table_name(event)] = None
        if not self._ends_with(event):
            return None
        return Transaction(
            self._log, self.start, event.end, self._gtid, self._timestamp, tuple(self._tables), self._events
        )

    def _ends_with(self, event: Event) -> bool:
        if event.type in (EventType.XID, EventType.XA_PREPARE, EventType.TRANSACTION_PAYLOAD, EventType.INCIDENT):
            return True
        if event.type == EventType.MARIADB_QUERY_COMPRESSED:
            return not self._open
        if event.type != EventType.QUERY:
            return False
        text, tail = query_text(event)
        if self._open:
            return text in (b"COMMIT", b"ROLLBACK")
        # MySQL 8.0.21 writes CREATE TABLE … SELECT as a statement that opens a transaction.
        opens = text == b"BEGIN" or text.startswith(b"XA START") or tail.endswith(b"START TRANSACTION")
        self._open = opens
        return not opens
