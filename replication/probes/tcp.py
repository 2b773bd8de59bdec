"""Knock at a port: what a TCP connection and the first bytes tell, without a login and without a session."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..detection.observation import Finding
from ..model.greeting import GREETING, LOGIN, awaits_login


def finish(connection: socket.socket, greeting: bytes) -> None:
    """End a handshake after the greeting, as somebody who is refused; nothing is waited for, and no error raised.

    A server counts who leaves before, and at max_connect_errors it takes nothing more from that host (error 1129); it
    does not count who is refused.
    """
    if awaits_login(greeting):
        with contextlib.suppress(OSError):
            connection.send(LOGIN)
            connection.shutdown(socket.SHUT_WR)


def probe_port(address: str, port: int, timeout: float) -> tuple[Finding, str]:
    """Whether somebody greets there within ``timeout`` seconds, and the error in words.

    ANSWERED: it greeted, as mysqld and sshd do first. REFUSED: the host lives, nobody listens. SILENT: the kernel took
    the connection, or gave it up again, and no greeting came. UNANSWERED: nothing came back at all.
    """
    ends = time.monotonic() + timeout
    try:
        connection = socket.create_connection((address, port), timeout=timeout)
    except ConnectionRefusedError:
        return Finding.REFUSED, "connection refused"
    except OSError as error:
        return Finding.UNANSWERED, str(error) or type(error).__name__
    with connection:
        try:
            connection.settimeout(max(0.01, ends - time.monotonic()))
            if greeting := connection.recv(GREETING):
                finish(connection, greeting)
                return Finding.ANSWERED, ""
            return Finding.SILENT, "it closed the connection without a greeting"
        except OSError as error:
            return Finding.SILENT, f"connected, no greeting: {error}"


#: Seconds after which a knock that nobody answered is given up, and how many are waited for at once.
FORGOTTEN, MOST = 15.0, 80


@dataclass
class _Knock:
    socket: socket.socket
    began: float
    accepted: bool = False


class PortProbes:
    """Knocks at one port that stay open until they are answered: who answers late has answered.

    ``again`` is how many seconds after one the next follows, where packets may be lost; None for a single knock, at a
    server that counts those who do not log in (max_connect_errors). One thread knocks; another may close.
    """

    def __init__(self, address: Callable[[], str], port: int, *, again: float | None = None) -> None:
        self._address, self._port, self._again = address, port, again
        self._open: list[_Knock] = []
        self._knocking, self._over = threading.Lock(), False

    def probe(self, timeout: float) -> tuple[Finding, str]:
        """Knock, and wait ``timeout`` seconds for whatever comes back, to this knock or to an earlier one.

        As `probe_port`; SLOW is a greeting for an earlier knock. A frozen server's kernel takes connections (SILENT).
        """
        with self._knocking:
            try:
                return self._wait(timeout)
            finally:
                if self._over:
                    self._forget_all()

    def close(self) -> None:
        """Forget them all, at the end of a knock that is waited for just now."""
        self._over = True
        if self._knocking.acquire(blocking=False):
            try:
                self._forget_all()
            finally:
                self._knocking.release()

    def _wait(self, timeout: float) -> tuple[Finding, str]:
        began = time.monotonic()
        try:
            self._begin(began)
            taken = ""
            ends = began + timeout
            next_due = began + self._again if self._again is not None else ends
            while (now := time.monotonic()) < ends:
                for each in self._stirring(max(0.0, min(ends, next_due) - now)):
                    found = self._found(each, began)
                    if found is None:
                        taken = "connected, no greeting"
                    elif found[0] is not Finding.UNANSWERED:
                        self._forget_all()
                        return found
                if next_due <= time.monotonic() < ends:
                    self._begin(time.monotonic())
                    next_due += self._again or timeout
            return (Finding.SILENT, taken) if taken else (Finding.UNANSWERED, "timed out")
        except OSError as error:
            return Finding.UNANSWERED, str(error) or type(error).__name__

    def _forget_all(self) -> None:
        for each in self._open:
            each.socket.close()
        self._open = []

    def _begin(self, now: float) -> None:
        while self._open and (len(self._open) >= MOST or now - self._open[0].began > FORGOTTEN):
            self._forget(self._open[0])
        address = self._address()
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        made.setblocking(False)
        self._open.append(_Knock(made, now))
        made.connect_ex((address, self._port))

    def _stirring(self, seconds: float) -> list[_Knock]:
        poll = select.poll()
        by_fd = {}
        for each in self._open:
            by_fd[each.socket.fileno()] = each
            poll.register(each.socket, select.POLLIN if each.accepted else select.POLLOUT)
        if not by_fd:
            time.sleep(max(0.0, seconds))
        return [by_fd[fd] for fd, _ in poll.poll(max(0.0, seconds) * 1000)] if by_fd else []

    def _found(self, each: _Knock, began: float) -> tuple[Finding, str] | None:
        """What came back to a knock; None when its connection was just taken."""
        late = f"{time.monotonic() - each.began:.1f} s after the knock"
        if not each.accepted:
            code = each.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                each.accepted = True
                return None
            self._forget(each)
            return (Finding.REFUSED, "connection refused") if code == errno.ECONNREFUSED else (Finding.UNANSWERED, "")
        try:
            said = each.socket.recv(GREETING)
            if said:
                finish(each.socket, said)
        except OSError:
            said = b""
        self._forget(each)
        if not said:
            return Finding.SILENT, "it closed the connection without a greeting"
        return (Finding.ANSWERED, "") if each.began >= began else (Finding.SLOW, f"it greets {late}")

    def _forget(self, each: _Knock) -> None:
        each.socket.close()
        self._open.remove(each)
