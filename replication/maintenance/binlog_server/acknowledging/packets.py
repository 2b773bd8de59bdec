"""What a server sends of its binary log, cut into events; a large event comes in pieces, so memory stays bounded.

MySQL Internals Manual, "Binlog Network Stream" and "Client/Server Protocol, Packets": a payload is a zero and an event;
to a semi-synchronous replica ``ef`` and a flag stand between them, and the flag's lowest bit asks for an
acknowledgement. A payload of 2^24-1 bytes or more is split, and one that ends with a full packet is followed by an
empty one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ....binlog.events import HEADER, HEADER_FIELDS
from ....errors import MhaError
from ....source.protocol.packets import FULL

#: Bytes of a packet up to which it is waited for whole.
WHOLE = 1 << 20
_SEMI_SYNC = 0xEF
_WANTED = 0x01
#: The longest end-of-file packet.
_END = 9


class Piece(NamedTuple):
    """A part of one event: ``first`` and ``last`` say which; ``wanted``: it is to be acknowledged."""

    data: memoryview
    first: bool
    last: bool
    wanted: bool


class Odd(MhaError):
    """What came is not what a server sends of its log."""


class Refusing(MhaError):
    """The server's error packet: ``errno`` and its words."""

    def __init__(self, errno: int, text: str) -> None:
        self.errno = errno
        super().__init__(text)


class Cutter:
    """Takes bytes as they come from one dump. Raises Odd, Refusing."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # bytes of a large packet that have not come yet
        self._more = False  # the packet is full, so the event goes on in the next one
        self._event = 0  # bytes that the event still has
        self._wanted = False

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The events and pieces that are complete with these bytes."""
        view, at = memoryview(self._rest + data if self._rest else data), 0
        while True:
            if self._left:
                piece = view[at : at + self._left]
                if not piece:
                    break
                at += len(piece)
                self._left -= len(piece)
                yield self._part(piece, first=False)
                continue
            there = len(view) - at - 4
            if there < 0:
                break
            size = int.from_bytes(view[at : at + 3], "little")
            if self._more:
                at, self._left, self._more = at + 4, size, size == FULL
                if not size:
                    yield self._part(view[at:at], first=False)
                continue
            if there < min(size, WHOLE):
                break
            at += 4
            body = view[at : at + size]
            at += len(body)
            yield self._begin(body, size)
        self._rest = bytes(view[at:])

    def _begin(self, body: memoryview, size: int) -> Piece:
        if not size or body[0] == 0xFF:
            raise Refusing(int.from_bytes(body[1:3], "little"), _words(body)) if size > 2 else Odd("an empty packet")
        if body[0] == 0xFE and size < _END:
            raise Odd("it says that its log has ended")
        event, self._wanted = self._event_of(body, size)
        self._left, self._more = size - len(body), size == FULL
        return self._part(event, first=True)

    def _event_of(self, body: memoryview, size: int) -> tuple[memoryview, bool]:
        """The event that a payload brings, and whether it is to be acknowledged."""
        for skip in (3, 1):
            marked = skip == 3 and body[1:2] == bytes([_SEMI_SYNC]) and len(body) > 2 and body[2] <= _WANTED
            if (skip == 3 and not marked) or len(body) < skip + HEADER:
                continue
            length = HEADER_FIELDS.unpack_from(body, skip)[3]
            if length == size - skip or (size == FULL and length >= size - skip):
                self._event = length
                return body[skip:], marked and bool(body[2] & _WANTED)
        raise Odd("a packet that holds no event")

    def _part(self, data: memoryview, *, first: bool) -> Piece:
        self._event -= len(data)
        last = not self._left and not self._more
        if self._event < 0 or (last and self._event):
            raise Odd("an event that is not as long as it says")
        return Piece(data, first, last, self._wanted)


def _words(body: memoryview) -> str:
    text = bytes(body[3:515])
    return (text[6:] if text[:1] == b"#" else text).decode("utf-8", "replace")
