"""One server's logs as they are written here: byte for byte, in order, and on disk before anybody is told.

Where a copy is there already, what comes is compared with it and written behind it. So a log that begins anew under the
same name is noticed before a byte of the old one is given up.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path

from ....binlog.events import (
    ARTIFICIAL_FLAG,
    CHECKSUM,
    HEADER,
    HEADER_FIELDS,
    IGNORABLE_FLAG,
    MAGIC,
    EventType,
    FormatDescription,
    made,
)
from ....errors import LogError
from ....local.own_files import synced
from ....model.position import BinlogPosition
from ..archive import OtherHistoryError, is_log_name
from .packets import Odd, Piece
from .standing import SUMMED, Standing, standing_of

_SIGNS = frozenset({EventType.HEARTBEAT, EventType.HEARTBEAT_V2})
_ROTATE, _DESCRIPTION = int(EventType.ROTATE), int(EventType.FORMAT_DESCRIPTION)
#: What a server says before it sends from a place; without a place it is none of the log.
_HEADS = frozenset({_ROTATE, _DESCRIPTION})
#: The longest event that is only told, not written.
_TOLD = 1 << 16
#: Bytes that are gathered before they are written.
GATHERED = 4 << 20
#: The longest stretch that a server leaves out of its log: an event that is for itself alone.
_HOLE = 1 << 16


class LogCopy:
    """The log that is written now, and where in it. To be used by one thread.

    ``position`` is the offset behind the last byte that came, ``wanted`` the place that the server waits to have
    acknowledged, ``proven``: what came first was what is here,
    ``within``: an event has begun, and not ended. Raises OSError, Odd, and OtherHistoryError, upon which
    nothing was lost.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.name, self.position, self.proven = "", 0, False
        #: The server had nothing more to send: it only shows that it lives.
        self.level = False
        self.wanted: BinlogPosition | None = None
        self._file = -1
        self._here, self._size = 0, 0
        self._safe, self._dirty = 0, False  # what certainly is on disk, and whether there is more
        self._unsynced = 0  # from where on an earlier run may have left what is not
        self._standing = Standing()
        self._pending: list[memoryview | bytes] = []
        self._gathered = 0
        self.within = False  # an event has begun, and not ended
        self._begun = self._last = 0  # where the event that comes begins, and the last whole one
        self._made, self._sums = (0, 0), False  # of the log's description

    def begin(self, name: str) -> BinlogPosition:
        """Open that log; returns where the server is to begin: with the last event that is here, for comparison.

        Without a name the server begins with its oldest log, and says how that is called.
        """
        if not name:
            self.name, self.position, self._standing = "", len(MAGIC), Standing()
        elif self._file >= 0 and name == self.name and not self.within:
            self.flush()
            self._standing = Standing(self._last, self.position, self._made)
            self.position = len(MAGIC)
        else:
            self._open(name)
        self._pending, self._gathered, self.within, self.wanted = [], 0, False, None
        # A dump's place has 32 bits.
        if self._standing.last and self._standing.last <= 0xFFFFFFFF:
            self.position = self._standing.last
        return BinlogPosition(name, self.position)

    @property
    def here(self) -> int:
        """Bytes of the log that were here when it was opened."""
        return self._standing.end

    def take(self, piece: Piece) -> None:
        """One piece of what the server sends."""
        if piece.first and self._is_told(piece):
            return
        if piece.first:
            self._begin_event(piece.data)
            self._begun = self.position
        self.within = not piece.last
        data = self._in_clear(piece) if piece.first else piece.data
        if self.position < self._here:
            self._compare(data)
        else:
            self._pending.append(data)
            self._gathered += len(data)
        self.position += len(data)
        if self._gathered >= GATHERED:
            self.flush()
        if piece.last:
            self.proven = True
            self._last = self._begun
            if piece.wanted:
                self.wanted = BinlogPosition(self.name, self.position)

    def flush(self) -> None:
        """Hand what was gathered to the operating system."""
        if not self._pending:
            return
        data = b"".join(self._pending)
        self._pending, self._gathered = [], 0
        if self._size > self._here:
            # The rest of an event that never came whole.
            os.ftruncate(self._file, self._here)
        view, at = memoryview(data), self._here
        while view:
            done = os.pwrite(self._file, view, at)
            view, at = view[done:], at + done
            self._here, self._size, self._dirty = at, at, True

    def sync(self) -> None:
        """Have on disk what came. Upon an error what is not known to be there is taken from the copy: it may be lost
        however often a later sync says otherwise."""
        self.flush()
        if not self._dirty or self._file < 0:
            return
        try:
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._safe)
                self._rewrite()
            raise
        self._safe, self._unsynced, self._dirty = self._here, self._here, False

    def _rewrite(self) -> None:
        """What an earlier run left unsynced may be in memory alone, and no later sync would say so: it is new again."""
        at = self._unsynced
        while at < self._safe and (part := os.pread(self._file, min(GATHERED, self._safe - at), at)):
            at += os.pwrite(self._file, part, at)

    def close(self) -> None:
        """Leave the log as it is; harmless when none is open."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # one log ---------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> None:
        if not is_log_name(name):
            raise Odd(f"it names a log {name[:80]!r}")
        if self._file >= 0:
            self.sync()
            self.close()
        path = self._directory / name
        found = self._standing = standing_of(path)
        new = not path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        self._size = os.fstat(self._file).st_size
        self._here = found.end
        if not found.end:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, MAGIC, 0)
            self._here = self._size = len(MAGIC)
        # What an earlier run left unsynced reaches the disk with what comes.
        self._safe, self._unsynced, self._dirty = self._here, max(0, self._here - SUMMED), True
        if new:
            synced(self._directory)
        self.name, self.position = name, len(MAGIC)

    def _is_told(self, piece: Piece) -> bool:
        """Whether it is only said on the way, not written in the server's log; acts upon it."""
        timestamp, kind, server_id, size, log_pos, flags = HEADER_FIELDS.unpack_from(piece.data)
        if kind == _DESCRIPTION:
            self._described(bytes(piece.data[:size]), (timestamp, server_id))
        # MariaDB 11 gives no place to what lies within a transaction.
        placed = log_pos or kind not in _HEADS
        if kind not in _SIGNS and placed and not flags & ARTIFICIAL_FLAG:
            return False
        if not piece.last or size > _TOLD:
            raise Odd("an event on the way that is too long")
        self.level = kind in _SIGNS
        if kind == _ROTATE:
            name = _next_name(bytes(piece.data))
            if name != self.name:
                self._open(name)
                self._last = 0
        return True

    def _in_clear(self, piece: Piece) -> memoryview:
        """The event as it is to be written: an encrypted log is sent in clear, and MariaDB's word of its key with it.

        That word in its place would say that what follows cannot be read.
        """
        _, kind, server_id, size, _, _ = HEADER_FIELDS.unpack_from(piece.data)
        if kind != EventType.MARIADB_START_ENCRYPTION or not piece.last:
            return piece.data
        return self._filler(size, server_id)

    def _described(self, raw: bytes, begun: tuple[int, int]) -> None:
        if self._standing.end and begun != self._standing.made:
            raise OtherHistoryError(self.name, len(MAGIC))
        self._made = begun
        try:
            self._sums = FormatDescription.parse(raw).checksum
        except LogError as error:
            raise Odd(f"a description of its log that is none: {error}") from None

    def _begin_event(self, data: memoryview) -> None:
        if self._file < 0:
            raise Odd("an event of a log that it has not named")
        if self.within:
            raise Odd("an event within an event")
        _, _, server_id, size, log_pos, _ = HEADER_FIELDS.unpack_from(data)
        hole = (log_pos - size - self.position) & 0xFFFFFFFF
        if not hole or not log_pos:
            return
        if hole > _HOLE:
            raise Odd(f"an event that does not follow {self.name}:{self.position}")
        self.take(Piece(self._filler(hole, server_id), first=False, last=True, wanted=False))

    def _filler(self, size: int, server_id: int) -> memoryview:
        """An event that every replica passes over, of ``size`` bytes at the place where the copy is."""
        least = HEADER + (CHECKSUM if self._sums else 0)
        if size < least:
            raise Odd(f"an event of {size} bytes at {self.name}:{self.position}")
        body = bytes(size - least)
        end = (self.position + size) & 0xFFFFFFFF
        return memoryview(
            made(EventType.IGNORABLE, server_id, body, checksum=self._sums, pos=end, flags=IGNORABLE_FLAG)
        )

    def _compare(self, data: memoryview) -> None:
        if not data:
            return
        held = os.pread(self._file, len(data), self.position) if self.position + len(data) <= self._here else b""
        if held != data:
            raise OtherHistoryError(self.name, self.position)


def _next_name(event: bytes) -> str:
    # Whether it carries a checksum depends on what the session asked for, and on the server's version.
    summed = zlib.crc32(event[:-CHECKSUM]) == int.from_bytes(event[-CHECKSUM:], "little")
    return event[HEADER + 8 : -CHECKSUM if summed else None].decode("utf-8", "replace")
