"""Whether somebody listens at a server's port: one try, or tries that go on side by side. No login, no session."""

from __future__ import annotations

import errno
import select
import socket
import time

#: Seconds that a try is waited for while others are begun: a link may take that long both ways.
LIVES = 2.0


def knock(ip: str, port: int, seconds: float) -> str:
    """Whether somebody listens there: open, refused (the host lives, nobody listens), or silent for ``seconds``."""
    with _socket(ip) as sock:
        sock.settimeout(seconds)
        try:
            sock.connect((ip, port))
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "silent"
        return "open"


class PortTries:
    """Tries that do not wait for the ones before them: a late answer counts whenever it comes. One thread's own."""

    def __init__(self, ip: str, port: int) -> None:
        self._ip, self._port = ip, port
        self._pending: list[tuple[float, socket.socket]] = []

    def probe(self, seconds: float) -> str:
        """Begin one more, and wait ``seconds`` for an answer to any: open, refused or silent."""
        now = time.monotonic()
        for began, sock in self._pending:
            if now - began > LIVES:
                sock.close()
        self._pending = [(began, sock) for began, sock in self._pending if now - began <= LIVES]
        said = self._begin(now) or self._answer(now + seconds) or "silent"
        if said != "silent":
            # Whoever answers now would count the others as handshakes that were broken off.
            self.close()
        return said

    def close(self) -> None:
        """Give up every try."""
        for _, sock in self._pending:
            sock.close()
        self._pending = []

    def _begin(self, now: float) -> str:
        sock = _socket(self._ip)
        sock.setblocking(False)
        said = _said(sock.connect_ex((self._ip, self._port)))
        if said == "pending":
            self._pending.append((now, sock))
            return ""
        sock.close()
        # A network that cannot be reached answers at once; the pause is the others'.
        return said if said != "silent" else ""

    def _answer(self, ends: float) -> str:
        while (left := ends - time.monotonic()) > 0:
            poll = select.poll()
            by_number = {sock.fileno(): (began, sock) for began, sock in self._pending}
            for number in by_number:
                poll.register(number, select.POLLOUT)
            for number, _ in poll.poll(left * 1000):
                began, sock = by_number[number]
                said = _said(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                if said in ("open", "refused"):
                    return said
                self._pending.remove((began, sock))
                sock.close()
        return ""


def _said(code: int) -> str:
    if code == 0:
        return "open"
    if code == errno.ECONNREFUSED:
        return "refused"
    return "pending" if code in (errno.EINPROGRESS, errno.EWOULDBLOCK) else "silent"


def _socket(ip: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
