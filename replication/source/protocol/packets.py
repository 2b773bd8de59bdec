"""Packets of the client/server protocol: a length of three bytes, a number, and the payload.

MySQL Internals Manual, "Client/Server Protocol, Packets": a payload of 2^24-1 bytes or more is split, and one that ends
with a full packet is followed by an empty one.
"""

from __future__ import annotations

import struct
import time
from typing import Protocol

from ...errors import MhaError

#: The longest payload of one packet.
FULL = 0xFFFFFF
#: Bytes that are gathered before they are sent: a system call an event costs a small tail seconds.
GATHERED = 64 * 1024
_PIECE = 256 * 1024


class Socket(Protocol):
    """What a connection must be able to do: a TCP socket, or a channel of a reverse forward."""

    def recv(self, size: int, /) -> bytes: ...
    def send(self, data: bytes, /) -> int: ...
    def settimeout(self, seconds: float, /) -> None: ...
    def close(self) -> None: ...


class ProtocolError(MhaError):
    """A peer sent what no replica sends."""


class Gone(MhaError):
    """A peer closed its connection, or did not go on within its deadline."""


class Refused(MhaError):
    """What a peer is told in an error packet; ``errno`` is the server's number for it."""

    def __init__(self, errno: int, text: str) -> None:
        self.errno = errno
        super().__init__(text)


class Wire:
    """One connection, read and written by one thread.

    ``stall`` is how many seconds a peer may leave a send without any progress. Raises Gone, ProtocolError.
    """

    def __init__(self, sock: Socket, *, stall: float) -> None:
        self._sock, self._stall = sock, stall
        self._sequence = 0
        self._out = bytearray()
        #: Bytes that were handed over to the peer.
        self.sent = 0

    def read(self, *, until: float, limit: int) -> bytes:
        """The next payload, of at most ``limit`` bytes (below 16 MB); ``until`` is a time of the monotonic clock."""
        head = self._exactly(4, until)
        size, self._sequence = int.from_bytes(head[:3], "little"), head[3] + 1
        if size > limit or size == FULL:
            raise ProtocolError(f"a packet of {size} bytes, where none is longer than {limit}")
        return self._exactly(size, until)

    def send(self, payload: bytes) -> None:
        """One payload, sent at once."""
        self.add(payload)
        self.flush()

    def add(self, payload: bytes | memoryview) -> None:
        """One payload that may be gathered with those that follow."""
        self.add_pieces(len(payload), (payload,))

    def add_event(self, event: bytes | memoryview) -> None:
        """One event of a log, as a payload."""
        size = len(event) + 1
        if size >= FULL:
            self.add_pieces(size, (b"\0", event))
            return
        out = self._out
        # The status byte of an event, 0, goes before it.
        out += struct.pack("<IB", size | (self._sequence & 0xFF) << 24, 0)
        out += event
        self._sequence += 1
        if len(out) >= GATHERED:
            self.flush()

    def add_pieces(self, size: int, pieces: object) -> None:
        """One payload of ``size`` bytes that comes in pieces (an iterable of bytes), split where it must be."""
        left_of_packet, left = self._header(size), size
        for piece in pieces:  # type: ignore[attr-defined]
            view = memoryview(piece)
            while len(view):
                if not left_of_packet:
                    left_of_packet = self._header(left)
                taken = view[: min(left_of_packet, _PIECE)]
                self._out += taken
                view = view[len(taken) :]
                left -= len(taken)
                left_of_packet -= len(taken)
                if len(self._out) >= GATHERED:
                    self.flush()
        if left:
            raise ProtocolError(f"{left} of {size} bytes of a payload are missing")
        if size and size % FULL == 0:
            self._header(0)

    def flush(self) -> None:
        """Hand over what was gathered."""
        view = memoryview(bytes(self._out))
        self._out.clear()
        while len(view):
            try:
                self._sock.settimeout(self._stall)
                count = self._sock.send(view)  # type: ignore[arg-type]  # any buffer will do
            except TimeoutError:
                raise Gone(f"it took nothing for {self._stall:g} s") from None
            except (OSError, EOFError) as error:
                raise Gone(f"the connection broke: {error}") from None
            if not count:
                raise Gone("the connection was closed")
            self.sent += count
            view = view[count:]

    def _header(self, left: int) -> int:
        size = min(left, FULL)
        self._out += struct.pack("<I", size | (self._sequence & 0xFF) << 24)
        self._sequence += 1
        return size

    def _exactly(self, count: int, until: float) -> bytes:
        got = bytearray()
        while len(got) < count:
            left = until - time.monotonic()
            if left <= 0:
                raise Gone("it said nothing within its time")
            try:
                self._sock.settimeout(left)
                piece = self._sock.recv(min(count - len(got), _PIECE))
            except TimeoutError:
                raise Gone("it said nothing within its time") from None
            except (OSError, EOFError) as error:
                raise Gone(f"the connection broke: {error}") from None
            if not piece:
                raise Gone("it closed the connection")
            got += piece
        return bytes(got)


def length_encoded(value: int) -> bytes:
    """An integer of one, three, four or nine bytes."""
    if value < 251:
        return bytes([value])
    if value < 1 << 16:
        return b"\xfc" + struct.pack("<H", value)
    if value < 1 << 24:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + struct.pack("<Q", value)


def counted(text: bytes) -> bytes:
    """Bytes behind their length."""
    return length_encoded(len(text)) + text


OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF = b"\xfe\x00\x00\x02\x00"


def error(errno: int, text: str) -> bytes:
    """An error packet; its text is cut at what servers allow (512 bytes)."""
    return b"\xff" + struct.pack("<H", errno) + b"#HY000" + text.encode()[:510]


def result(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> tuple[bytes, ...]:
    """The payloads of a result of texts."""
    fields = tuple(
        counted(b"def")
        + counted(b"") * 3
        + counted(name.encode())
        + counted(b"")
        + b"\x0c"
        + struct.pack("<HIBHBxx", 33, 1024, 253, 0, 0)
        for name in columns
    )
    values = tuple(b"".join(counted(value.encode()) for value in row) for row in rows)
    return (length_encoded(len(columns)), *fields, EOF, *values, EOF)
