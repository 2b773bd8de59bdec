"""The event stream: from a place in the catalogue, or by GTID, to packets.

As the server's own sender does it (MySQL, sql/rpl_binlog_sender.cc; MariaDB, sql/sql_repl.cc): an artificial rotate
event names the log, its format description follows with the in-use flag cleared, then the events as they were written,
and between logs another rotate. Where the dump does not begin at the log's head, the description's position and time
are zeroed, or the replica would take its temporary tables for gone. At the end heartbeats tell that the source lives.

Read from disk with one buffer; an event that is larger is handed on piece by piece. Checksums are verified once more on
the way: a file that changed since it was proven ends the stream within the event, which no replica executes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..binlog.events import (
    CHECKSUM,
    CONTROL,
    GTIDS,
    HEADER,
    HEADER_FIELDS,
    IN_USE_FLAG,
    MAGIC,
    RELAY_LOG_FLAG,
    Event,
    EventType,
    FormatDescription,
    made,
    named_log,
)
from ..errors import LogError
from ..model.position import BinlogPosition
from .catalogue import Catalogue, Extent, Served, View
from .protocol.packets import Refused, Wire, counted, length_encoded
from .wanted import WantedGtids

CHUNK = 256 * 1024
#: Seconds between heartbeats for a follower that named no period, and the most anyone waits for one.
HEARTBEAT = 1.0
_GTIDS = frozenset(int(kind) for kind in GTIDS)
_CONTROL = frozenset(int(kind) for kind in CONTROL)
_STOP = int(EventType.STOP)
_LAST_WORDS = frozenset({int(EventType.ROTATE), _STOP})
_header = HEADER_FIELDS.unpack_from


@dataclass
class Sending:
    """How far a stream is: the place behind the last thing that was dealt with, and how many events were sent."""

    place: BinlogPosition
    events: int = 0
    at_end: bool = False


class EventStream:
    """One follower's stream, driven by its own thread.

    ``asked`` is a place in the primary's log; with ``wanted`` it is by GTID instead. ``checksum`` is what the follower
    was told of checksums; ``wide`` says that it knows heartbeats with places of 64 bits; ``tell`` is called with every
    turn of the state; ``stopped`` says that the source is closing.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        wire: Wire,
        *,
        asked: BinlogPosition | None = None,
        wanted: WantedGtids | None = None,
        checksum: bool,
        heartbeat: float = 0.0,
        wide: bool = False,
        tell: Callable[[Sending], None] = lambda _: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._catalogue, self._wire, self._wanted, self._checksum = catalogue, wire, wanted, checksum
        self._asked, self._tell, self._stopped, self._wide = asked, tell, stopped, wide
        self._heartbeat = min(HEARTBEAT, heartbeat / 2) if heartbeat > 0 else HEARTBEAT
        self._skipping = False

    def run(self) -> None:
        """Send until the source closes. Raises Refused (1236), Gone, LogError."""
        view = self._first()
        number, place = self._begin(view)
        self.sending = sending = Sending(BinlogPosition(view.logs[number].name, place))
        self._rotate(view.logs[number].name, place)
        self._describe(view.logs[number], at_head=self._wanted is None and place == len(MAGIC))
        at = max(place, view.logs[number].format_end)
        while not self._stopped():
            view = self._checked(self._catalogue.view())
            log = view.logs[number]
            at = self._send_log(log, at)
            if log.closed and at >= log.end:
                number, at = number + 1, view.logs[number + 1].format_end
                self._rotate(view.logs[number].name, len(MAGIC))
                self._describe(view.logs[number], at_head=True)
                continue
            if self._catalogue.view().version == view.version:
                if view.finished and self._wanted is not None:
                    self._wanted.check_end()
                self._wait(view, at)
        sending.at_end = False

    # where to begin --------------------------------------------------------------------------------------------

    def _first(self) -> View:
        """The catalogue once it has a log, and the place that was asked for is in it."""
        view = self._catalogue.view()
        while not self._stopped():
            self._checked(view)
            there = view.logs and (self._asked is None or self._wanted is not None or self._reaches(view, self._asked))
            if there or view.finished:
                break
            # Nothing may be said to the follower before the log is described, not even a heartbeat.
            view = self._catalogue.wait(view.version, HEARTBEAT)
        if not view.logs:
            raise Refused(1236, "there is no saved log to serve")
        return view

    @staticmethod
    def _reaches(view: View, asked: BinlogPosition) -> bool:
        number = view.number(asked.file)
        return number is not None and (asked.pos <= view.logs[number].end or view.logs[number].closed)

    def _begin(self, view: View) -> tuple[int, int]:
        if self._wanted is not None:
            self._wanted.check_begin(view.logs[0].before)
            first = max((n for n, log in enumerate(view.logs) if n and self._wanted.may_skip(log.before)), default=0)
            if first:
                self._wanted.check_begin(view.logs[first].before)
            return first, len(MAGIC)
        asked = self._asked
        if asked is None or (number := view.number(asked.file)) is None:
            names = f"{view.logs[0].name} to {view.logs[-1].name}"
            raise Refused(1236, f"Could not find first log file name: {asked} was asked for, {names} are served")
        log = view.logs[number]
        if asked.pos <= log.format_end:
            if not log.at_head or asked.pos not in (len(MAGIC), log.format_end):
                raise Refused(1236, f"{asked} is not served, what is begins at {log.name}:{log.extents[0].start}")
            return number, asked.pos
        if not self._is_boundary(log, asked.pos):
            raise Refused(1236, f"{asked} is no place where an event of the saved log begins, or is not served")
        return number, asked.pos

    def _is_boundary(self, log: Served, pos: int) -> bool:
        begin = log.format_end if log.at_head else len(MAGIC)
        for extent in log.extents:
            if extent.start <= pos <= extent.end:
                begin = extent.start
                break
            if log.at_head and extent is log.extents[0] and log.format_end <= pos < extent.start:
                return self._walk(log, log.format_end, pos)
        else:
            return False
        return self._walk(log, begin, pos)

    @staticmethod
    def _walk(log: Served, at: int, pos: int) -> bool:
        """Whether sizes of events lead from one boundary exactly to another place."""
        with log.log.open() as stream:
            buffer, offset = b"", at
            while at < pos:
                if at + HEADER > offset + len(buffer):
                    stream.seek(at)
                    buffer, offset = stream.read(CHUNK), at
                if len(buffer) - (at - offset) < HEADER:
                    return False
                size = _header(buffer, at - offset)[3]
                if size < HEADER:
                    return False
                at += size
        return at == pos

    # what is sent ----------------------------------------------------------------------------------------------

    def _send_log(self, log: Served, at: int) -> int:
        """Everything that is published of a log from ``at`` on; where it ended."""
        for extent in log.extents:
            if extent.end <= at:
                continue
            start = max(at, extent.start)
            if at < extent.start and not (extent is log.extents[0] and log.at_head) and self._wanted is None:
                raise Refused(1236, f"the saved log {log.name} has a gap from {at} to {extent.start}")
            with log.log.open() as stream:
                at = self._send_extent(log, stream, Extent(start, extent.end))
        if log.closed:
            at = max(at, log.end)
        self.sending.place = BinlogPosition(log.name, max(at, self.sending.place.pos if self._same(log) else 0))
        self._wire.flush()
        self._tell(self.sending)
        return at

    def _same(self, log: Served) -> bool:
        return self.sending.place.file == log.name

    def _send_extent(self, log: Served, stream: BinaryIO, extent: Extent) -> int:
        stream.seek(extent.start)
        at, buffer, view, used = extent.start, b"", memoryview(b""), 0
        trailer = CHECKSUM if log.described.checksum else 0
        add, wanted = self._wire.add_event, self._wanted
        while at < extent.end:
            left = len(buffer) - used
            size = _header(buffer, used)[3] if left >= HEADER else 0
            if left < HEADER or left < size:
                if self._stopped():
                    return at
                if left >= HEADER and size > CHUNK:
                    at = self._send_large(log, stream, at, size, extent, trailer)
                    stream.seek(at)
                    buffer, used = b"", 0
                    continue
                piece = stream.read(min(CHUNK, extent.end - at - left))
                if not piece:
                    raise LogError(f"{log.name} ends at {at + left}, but was proven up to {extent.end}")
                buffer = buffer[used:] + piece
                view, used = memoryview(buffer), 0
                continue
            kind = buffer[used + 4]
            end = used + size
            if size < HEADER + trailer or (
                trailer
                and zlib.crc32(view[used : end - trailer]) != int.from_bytes(view[end - trailer : end], "little")
            ):
                raise LogError(f"{log.name}:{at} is not what it was when it was proven")
            if kind in _LAST_WORDS and not log.closed:
                # Where no log follows nobody is sent to it.
                return at
            if (kind != _STOP) if wanted is None else self._sends(kind, buffer, used, end - trailer, at, wanted):
                add(view[used:end])
                self.sending.events += 1
            used = end
            at += size
        return at

    def _sends(self, kind: int, buffer: bytes, used: int, end: int, at: int, wanted: WantedGtids) -> bool:
        """Whether a follower that asks by GTID is sent an event."""
        if kind == _STOP:
            return False
        if kind in _GTIDS:
            timestamp, kind, server_id, size, log_pos, flags = _header(buffer, used)
            body = buffer[used + HEADER : end]
            try:
                self._skipping = not wanted.lacks(
                    Event(at, timestamp, kind, server_id, size, log_pos, flags, body, body[-64:])
                )
            except ValueError as error:
                raise LogError(f"{at}: {error}") from None
        elif kind in _CONTROL:
            self._skipping = False
        return not self._skipping

    def _send_large(self, log: Served, stream: BinaryIO, at: int, size: int, extent: Extent, trailer: int) -> int:
        """One event that does not fit into the buffer; returns where it ends."""
        if at + size > extent.end:
            raise LogError(f"{log.name}:{at} is not what it was when it was proven")
        if self._skipping and self._wanted is not None:
            return at + size
        stream.seek(at)
        self._wire.add_pieces(size + 1, self._pieces(log, stream, at, size, trailer))
        self.sending.events += 1
        return at + size

    def _pieces(self, log: Served, stream: BinaryIO, at: int, size: int, trailer: int) -> Iterator[bytes]:
        yield b"\0"
        left, crc = size - trailer, 0
        while left:
            piece = stream.read(min(CHUNK, left))
            if not piece:
                raise LogError(f"{log.name}:{at} is not what it was when it was proven")
            crc = zlib.crc32(piece, crc) if trailer else 0
            left -= len(piece)
            yield piece
        written = stream.read(trailer)
        if trailer and crc != int.from_bytes(written, "little"):
            # The last bytes are withheld: a packet that is never complete is never an event.
            raise LogError(f"{log.name}:{at} is not what it was when it was proven")
        yield written

    def _describe(self, log: Served, *, at_head: bool) -> None:
        self._wire.add_event(description(log.described, at_head=at_head))
        self._checksum = log.described.checksum
        self._skipping = False

    def _rotate(self, name: str, pos: int) -> None:
        self.sending.place = BinlogPosition(name, pos)
        self._wire.add_event(named_log(name, pos, self._catalogue.identity.server_id, checksum=self._checksum))

    def _heartbeat_event(self, kind: EventType, body: bytes, *, pos: int = 0) -> None:
        self._wire.add_event(made(kind, self._catalogue.identity.server_id, body, checksum=self._checksum, pos=pos))

    # waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, view: View, at: int) -> None:
        """At the end of what is published: say so, and sleep until there is more or a heartbeat is due."""
        if not self.sending.at_end:
            self.sending.at_end = True
            self._tell(self.sending)
        now = self._catalogue.wait(view.version, self._heartbeat)
        if now.version != view.version:
            self.sending.at_end = False
            return
        name, place = self.sending.place.file.encode("utf-8", "surrogateescape"), max(at, self.sending.place.pos)
        if self._wide and place > 0xFFFFFFFF:
            # MySQL 8.0.26, WL#11567: fields of number, length and value. Only where the older ones cannot say it.
            packed = length_encoded(place)
            fields = b"\x01" + counted(name) + b"\x02" + counted(packed) + b"\0"
            self._heartbeat_event(EventType.HEARTBEAT_V2, fields)
        else:
            self._heartbeat_event(EventType.HEARTBEAT, name, pos=min(place, 0xFFFFFFFF))
        self._wire.flush()

    @staticmethod
    def _checked(view: View) -> View:
        if view.failed:
            raise Refused(1236, view.failed)
        return view


def description(described: FormatDescription, *, at_head: bool) -> bytes:
    """A log's format description as it is sent, with a checksum of its own."""
    raw = bytearray(described.raw)
    flags = int.from_bytes(raw[17:19], "little") & ~(IN_USE_FLAG | RELAY_LOG_FLAG)
    raw[17:19] = struct.pack("<H", flags)
    if not at_head:
        raw[13:17] = bytes(4)
        raw[HEADER + 52 : HEADER + 56] = bytes(4)
    raw[-CHECKSUM:] = struct.pack("<I", zlib.crc32(bytes(raw[:-CHECKSUM])))
    return bytes(raw)
