"""A port that greets as a server does and then says an error, of any number and at any moment of a session.

What real servers say only after days (an expired password), or not at all in a lab. `Moment` is when it says it; the
number may be changed while it runs.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from collections.abc import Sequence
from enum import StrEnum

_CAPABILITIES = 0x0200 | 0x8000 | 0x80000 | 0x2000 | 0x8 | 0x1  # 4.1, secure connection, plug-ins, transactions, db
_SSL = 0x800
_OK = b"\x00\x00\x00" + struct.pack("<H", 2) + b"\x00\x00"
_EOF = b"\xfe\x00\x00" + struct.pack("<H", 2)
#: One column of text and one row with a 0, as SELECT @@GLOBAL.read_only is answered.
_ZERO = (b"\x01", b"\x03def\x00\x00\x00\x01r\x00\x0c" + struct.pack("<HIBHB", 33, 1, 253, 0, 0) + b"\x00\x00", _EOF)
#: A fatal handshake_failure (RFC 5246, 7.2).
_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"


class Moment(StrEnum):
    """When the error comes."""

    CONNECT = "instead of the greeting"  # 1040, 1129, 1130
    LOGIN = "as the answer to the login"  # 1045, 1862, 3118
    PING = "as the answer to a statement"  # 1820, 1226
    PLUGIN = "another authentication plugin"
    TLS = "a TLS alert"
    NOT_LISTENED = "a connection that is closed again at once"
    NOTHING = "nothing, for as long as anybody waits"
    NONE = "no error"


class ErrorServer(socketserver.ThreadingTCPServer):
    """``with ErrorServer(Moment.LOGIN, 1862) as server:`` on a port of its own of the loopback; ``asked`` counts."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, moment: Moment, number: int = 0, text: str = "says the stub", address: str = "127.0.0.1"
    ) -> None:
        self.moment, self.number, self.text, self.asked = moment, number, text, 0
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Talk)
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def server_close(self) -> None:
        """No more of it."""
        self.over.set()
        self.shutdown()
        super().server_close()

    @property
    def error(self) -> bytes:
        """What it says, as a packet; without a text there is not even a state."""
        said = f"#HY000{self.text}".encode() if self.text else b""
        return b"\xff" + struct.pack("<H", self.number) + said


class _Talk(socketserver.StreamRequestHandler):
    server: ErrorServer

    def handle(self) -> None:
        """One session."""
        with contextlib.suppress(OSError, EOFError):
            self._talk(self.server.moment)

    def _talk(self, moment: Moment) -> None:
        self.server.asked += 1
        if moment is Moment.NOT_LISTENED:
            return
        if moment is Moment.NOTHING:
            self.server.over.wait(60.0)
            return
        if moment is Moment.CONNECT:
            self._say([self.server.error], 0)
            return
        capabilities = _CAPABILITIES | (_SSL if moment is Moment.TLS else 0)
        greeting = b"\x0a10.11.0-MariaDB\x00" + struct.pack("<I", 7) + b"12345678\x00"
        greeting += struct.pack("<HBHH", capabilities & 0xFFFF, 33, 2, capabilities >> 16)
        greeting += bytes([21]) + bytes(10) + b"123456789012\x00mysql_native_password\x00"
        self._say([greeting], 0)
        self._listen()
        if moment is Moment.TLS:
            self.request.sendall(_ALERT)
            return
        if moment is Moment.PLUGIN:
            self._say([b"\xfeauthentication_of_tomorrow\x00salt\x00"], 2)
            self._listen()
            return
        if moment is Moment.LOGIN:
            self._say([self.server.error], 2)
            return
        self._say([_OK], 2)
        while (packet := self._listen())[:1] == b"\x03":
            if not packet[1:].upper().startswith(b"SELECT"):
                self._say([_OK], 1)
            elif self.server.moment is Moment.PING:
                self._say([self.server.error], 1)
            else:
                self._say([*_ZERO, b"\x010", _EOF], 1)

    def _say(self, payloads: Sequence[bytes], first: int) -> None:
        said = (struct.pack("<I", len(p))[:3] + bytes([first + n]) + p for n, p in enumerate(payloads))
        self.request.sendall(b"".join(said))

    def _listen(self) -> bytes:
        head = self.rfile.read(4)
        if len(head) < 4:
            raise EOFError
        return self.rfile.read(int.from_bytes(head[:3], "little"))
