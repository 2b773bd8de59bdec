"""A streaming reader of one binary or relay log: events, checksums, and complete transactions.

It holds a read-ahead buffer and one event's beginning, whatever the size of the log or of a transaction. Damage after
the head is not an error: reading ends there, and `LogReader.stop` tells where and why.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

from ..errors import LogEncrypted, LogError
from ..model.gtid import GtidSet, MariadbGtidPosition
from . import event_bodies as bodies
from .events import (
    CHECKSUM,
    CONTROL,
    ENCRYPTED_HEAD,
    ENCRYPTED_MAGIC,
    HEADER,
    HEADER_FIELDS,
    IN_USE_FLAG,
    MAGIC,
    Event,
    EventType,
    FormatDescription,
)
from .transactions import GroupParser, Part, StartInside, Transaction

T = TypeVar("T")

__all__ = ["LogEnd", "LogFile", "LogReader", "Part", "StartInside", "Transaction"]

#: Bytes read at a time: a stream may be SFTP, where every read is a round trip.
CHUNK = 512 * 1024
#: How much of a large event's body is kept for looking into it; the rest is only summed.
KEPT = 64 * 1024
TAIL = 64
#: Lists of GTIDs are needed whole.
_WHOLE = frozenset({EventType.PREVIOUS_GTIDS, EventType.MARIADB_GTID_LIST})
_WHOLE_KEPT = 32 * 1024 * 1024
#: Looked up once, for they are needed for every event.
_header = HEADER_FIELDS.unpack_from
_DESCRIPTION = int(EventType.FORMAT_DESCRIPTION)


@dataclass(frozen=True)
class LogFile:
    """A log that can be opened more than once: its name, its size in bytes, and how to open it for seek and read."""

    name: str
    size: int
    open: Callable[[], BinaryIO]

    @classmethod
    def at(cls, path: Path) -> LogFile:
        """A log in a file of this machine. Raises OSError when it is not there."""

        def opened() -> BinaryIO:
            return path.open("rb")

        return cls(path.name, path.stat().st_size, opened)


@dataclass(frozen=True)
class LogEnd:
    """Where reading ended, and why.

    ``kind``: clean; torn (the rest is missing); corrupt (the rest is not what was written); unreadable (the disk
    refused); encrypted (``offset`` is where the log begins in its file); in_transaction (whole events, but the last
    transaction is not complete). ``offset`` is in bytes.
    """

    kind: str
    offset: int
    reason: str = ""
    log: str = ""

    def __str__(self) -> str:
        place = f"{self.log}:{self.offset}" if self.log else f"{self.offset}"
        return f"{self.kind} at {place}" + (f": {self.reason}" if self.reason else "")


class _Damage(Exception):
    def __init__(self, kind: str, offset: int, reason: str) -> None:
        self.kind, self.offset, self.reason = kind, offset, reason


class LogReader:
    """Reads one log from a seekable stream of ``size`` bytes (found out when None).

    ``format`` is the log's own description, which ends at ``format_end``; ``described`` the one in force where reading
    is, which in a relay log is the source's. ``next_log`` is the name of the log that follows a binary log, when
    `transactions` has seen it named there. ``stop`` is None while reading goes on, then the `LogEnd`. Raises LogError
    when the head cannot be read: not a log, encrypted, cut off in its head.
    """

    def __init__(self, stream: BinaryIO, *, name: str, size: int | None = None) -> None:
        self.name = name
        self.stop: LogEnd | None = None
        self.next_log: str | None = None
        self._stream, self._whole = stream, frozenset[int](_WHOLE)
        self.size = stream.seek(0, io.SEEK_END) if size is None else size
        self.format, self.format_end = self._read_head()
        self.described = self.format

    @cached_property
    def previous_gtids(self) -> GtidSet | None:
        """What was executed before this log (MySQL); None where the log does not say. Raises LogError."""
        event = self._in_head(EventType.PREVIOUS_GTIDS)
        return self._parsed(bodies.previous_gtids, event) if event else None

    @cached_property
    def gtid_list(self) -> MariadbGtidPosition | None:
        """How far each domain was before this log (MariaDB); None where the log does not say. Raises LogError."""
        event = self._in_head(EventType.MARIADB_GTID_LIST)
        return self._parsed(bodies.gtid_list, event) if event else None

    def events(self, start: int = len(MAGIC)) -> Iterator[Event]:
        """Every event from the offset ``start`` on, checksums verified; ends at the first damage."""
        self.stop, self.described = None, self.format
        try:
            if start > self.size:
                raise _Damage("torn", self.size, f"the log ends before offset {start}")
            cursor = _Cursor(self._stream, start, self.size)
            while (event := self._next_buffered(cursor) or self._next(cursor)) is not None:
                yield event
            self._end("clean", cursor.position)
        except _Damage as damage:
            self._end(damage.kind, damage.offset, damage.reason)

    def transactions(self, start: int = len(MAGIC), groups: GroupParser | None = None) -> Iterator[Transaction]:
        """Every complete transaction from ``start`` on, which must be where one begins.

        ``groups`` carries an unfinished transaction over from the log before. A relay log is always read from its
        beginning, because the source's format and log are named there. Raises StartInside when ``start`` lies inside a
        transaction.
        """
        parser = groups or GroupParser()
        self._whole = _WHOLE | parser.whole
        relay, heads = self.format.relay_log, (len(MAGIC), self.format_end)
        # Without GTIDs MySQL 5.6 writes no list of them either.
        gtids = self._in_head(EventType.PREVIOUS_GTIDS) is not None
        parser.enter(self.name, self.format, start_known=relay or start in heads, gtids=gtids)
        for event in self.events(len(MAGIC) if relay else start):
            if event.type == _DESCRIPTION:
                parser.describe(self.described)
            try:
                if event.type == EventType.ROTATE and not relay:
                    self.next_log = bodies.rotate(event).file
                done = parser.feed(event)
            except ValueError as error:
                self._end("corrupt", event.offset, str(error))
                break
            if done is None or (done.end <= start and done.parts[-1].log == self.name):
                continue
            if done.log == self.name and done.start < start:
                raise StartInside(f"{self.name}:{start} lies inside a transaction")
            yield done
        unfinished = parser.open_part
        if unfinished and self.stop and self.stop.kind == "clean":
            self._end("in_transaction", unfinished.start, "the log ends within a transaction")

    # events ----------------------------------------------------------------------------------------------------

    def _end(self, kind: str, offset: int, reason: str = "") -> None:
        self.stop = LogEnd(kind, offset, reason, self.name)

    def _parsed(self, parse: Callable[[Event], T], event: Event) -> T:
        try:
            return parse(event)
        except ValueError as error:
            raise LogError(f"{self.name}:{event.offset}: {error}") from None

    def _read_head(self) -> tuple[FormatDescription, int]:
        cursor = _Cursor(self._stream, 0, self.size)
        try:
            magic = cursor.take(len(MAGIC))
            if magic == ENCRYPTED_MAGIC:
                said = f"{self.name} is encrypted (binlog_encryption): only a server with its keys can read it"
                raise LogEncrypted(said, ENCRYPTED_HEAD)
            if magic != MAGIC:
                raise LogError(f"{self.name} is not a binary log: it begins with {magic!r}")
            raw = cursor.take(HEADER)
            size = HEADER_FIELDS.unpack(raw)[3] if len(raw) == HEADER else 0
            raw += cursor.take(size - HEADER) if HEADER < size < KEPT else b""
            if len(raw) != size or not size:
                raise LogError(f"{self.name} ends within its format description")
            described = _described(raw, head=True)
            following = cursor.take(HEADER)
        except _Damage as damage:
            raise LogError(f"{self.name} cannot be read: {damage.reason}") from None
        except LogError as error:
            raise error if self.name in str(error) else LogError(f"{self.name}: {error}") from None
        if len(following) == HEADER and following[4] == EventType.MARIADB_START_ENCRYPTION:
            said = f"{self.name} is encrypted (encrypt_binlog): only a server with its keys can read it"
            raise LogEncrypted(said, 0)
        return described, len(MAGIC) + len(raw)

    def _in_head(self, wanted: EventType) -> Event | None:
        cursor = _Cursor(self._stream, self.format_end, self.size)
        in_force = self.described
        try:
            while (event := self._next(cursor)) is not None and event.type in CONTROL:
                if event.type == wanted:
                    return event
        except _Damage:
            return None
        finally:
            self.described = in_force
        return None

    def _next(self, cursor: _Cursor) -> Event | None:
        offset = cursor.position
        there = cursor.ensure(HEADER)
        if there < HEADER:
            if not there:
                return None
            raise _Damage("torn", offset, f"{there} of {HEADER} header bytes")
        header: tuple[int, ...] = HEADER_FIELDS.unpack_from(cursor.buffer, cursor.at)
        kind, size = header[1], header[3]
        if kind == EventType.FORMAT_DESCRIPTION:
            return self._describe(cursor, header)
        checksum = self.described.checksum
        trailer = CHECKSUM if checksum else 0
        if size < HEADER + trailer:
            zeros = not any(cursor.buffer[cursor.at : cursor.at + HEADER])
            raise _Damage("torn" if zeros else "corrupt", offset, "zeros" if zeros else f"an event of {size} bytes")
        if offset + size > self.size:
            raise _Damage("torn", offset, f"{self.size - offset} of {size} bytes of an event")
        keep = _WHOLE_KEPT if kind in self._whole else KEPT
        if size <= CHUNK and cursor.ensure(size) >= size:
            at, end = cursor.at, cursor.at + size - trailer
            crc = zlib.crc32(memoryview(cursor.buffer)[at:end]) if checksum else 0
            written = int.from_bytes(cursor.buffer[end : end + trailer], "little")
            body = cursor.buffer[at + HEADER : min(end, at + HEADER + keep)]
            tail = body[-TAIL:] if end - at - HEADER <= keep else cursor.buffer[end - TAIL : end]
            cursor.at += size
        else:
            body, tail, crc, written = _large(cursor, size, trailer, keep)
        if checksum and crc != written:
            raise _Damage("corrupt", offset, "its checksum is wrong")
        return Event(offset, header[0], kind, header[2], size, header[4], header[5], body, tail)

    def _next_buffered(self, cursor: _Cursor) -> Event | None:
        """The next event if all of it is in the buffer already and nothing about it is odd: nearly every one is."""
        buffer, at = cursor.buffer, cursor.at
        if len(buffer) - at < HEADER:
            return None
        timestamp, kind, server_id, size, log_pos, flags = _header(buffer, at)
        trailer = CHECKSUM if self.described.checksum else 0
        end = at + size
        if end > len(buffer) or size < HEADER + trailer or size > KEPT or kind == _DESCRIPTION:
            return None
        stop = end - trailer
        if trailer and zlib.crc32(cursor.view[at:stop]) != int.from_bytes(buffer[stop:end], "little"):
            return None
        cursor.at = end
        body = buffer[at + HEADER : stop]
        offset = cursor.filled_to - len(buffer) + at
        return Event(offset, timestamp, kind, server_id, size, log_pos, flags, body, body[-TAIL:])

    def _describe(self, cursor: _Cursor, header: tuple[int, ...]) -> Event:
        """A description within the log: it is in force from here on, and carries a checksum of its own."""
        offset, size = cursor.position, header[3]
        if offset + size > self.size:
            raise _Damage("torn", offset, f"{self.size - offset} of {size} bytes of an event")
        try:
            self.described = _described(cursor.take(size) if HEADER < size < KEPT else b"", head=False)
        except LogError as error:
            raise _Damage("corrupt", offset, str(error)) from None
        body = self.described.raw[HEADER:-CHECKSUM]
        return Event(offset, header[0], header[1], header[2], size, header[4], header[5], body, body[-TAIL:])


def _described(raw: bytes, *, head: bool) -> FormatDescription:
    """Parsed and verified. Raises LogError.

    A server always sums the description at a log's head, and does so before it marks the log as in use. One that was
    sent by a source without checksums may carry a sum that is none.
    """
    described = FormatDescription.parse(raw)
    unused = raw[:17] + bytes([raw[17] & ~IN_USE_FLAG]) + raw[18:-CHECKSUM]
    written = int.from_bytes(raw[-CHECKSUM:], "little")
    if zlib.crc32(unused) != written:
        claimed = described.checksum or zlib.crc32(unused[:-1] + b"\1") == written
        if head or claimed:
            raise LogError("the checksum of its format description is wrong")
    return described


def _large(cursor: _Cursor, size: int, trailer: int, keep: int) -> tuple[bytes, bytes, int, int]:
    """Body, tail, counted and written checksum of an event that is larger than the buffer."""
    offset, left = cursor.position, size - trailer
    crc, kept, tail = 0, bytearray(), b""
    while left:
        piece = cursor.take(min(left, CHUNK))
        if not piece:
            raise _Damage("torn", offset, f"the last {left + trailer} bytes of an event are missing")
        crc = zlib.crc32(piece, crc)
        kept += piece[: max(0, HEADER + keep - len(kept))]
        tail = (tail + piece)[-TAIL:]
        left -= len(piece)
    written = cursor.take(trailer)
    if len(written) < trailer:
        raise _Damage("torn", offset, "its checksum is missing")
    return bytes(kept[HEADER:]), tail, crc, int.from_bytes(written, "little")


class _Cursor:
    """Reads forward in large pieces, up to ``size``, and seeks only when it refills."""

    __slots__ = ("_size", "_stream", "at", "buffer", "filled_to", "view")

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self._stream, self._size = stream, size
        self.buffer, self.at, self.filled_to = b"", 0, start
        self.view = memoryview(self.buffer)

    @property
    def position(self) -> int:
        """The offset in the log of the next byte."""
        return self.filled_to - len(self.buffer) + self.at

    def ensure(self, count: int) -> int:
        """Have ``count`` bytes at ``at`` in the buffer, fewer at the log's end; how many there are."""
        there = len(self.buffer) - self.at
        if there >= count:
            return there
        pieces = [self.buffer[self.at :]]
        try:
            self._stream.seek(self.filled_to)
            while there < count and self.filled_to < self._size:
                piece = self._stream.read(min(max(CHUNK, count - there), self._size - self.filled_to))
                if not piece:
                    break
                pieces.append(piece)
                there += len(piece)
                self.filled_to += len(piece)
        except OSError as error:
            raise _Damage("unreadable", self.filled_to, f"reading failed: {error}") from None
        self.buffer, self.at = b"".join(pieces), 0
        self.view = memoryview(self.buffer)
        return there

    def take(self, count: int) -> bytes:
        """The next bytes, fewer at the log's end."""
        self.ensure(count)
        taken = self.buffer[self.at : self.at + count]
        self.at += len(taken)
        return taken
