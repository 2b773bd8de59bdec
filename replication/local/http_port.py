"""A port that answers short HTTP questions: one thread, however many come, and whatever they send.

Whoever reaches the port may open connections, say nothing, speak a byte a second, or talk nonsense. So everything is
bounded: connections, bytes and seconds of a question, questions a second; and when there are too many, who came first
and has not asked yet has to go. Who asks at once, as a load balancer does, is answered meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple

from ..threads import Thread

log = logging.getLogger("mha")

#: Connections at once; bytes of a question; seconds for it and for taking its answer; connections taken a second.
MOST, LONGEST, SECONDS, A_SECOND = 64, 8192, 5.0, 200
#: Seconds between two looks at whose time is up.
TICK = 0.25
METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Reply = tuple[int, str, bytes]
"""Status code, content type, body."""


class Asker(NamedTuple):
    """Who asks: the address, and what the headers ``Authorization`` and ``Host`` say; empty for none."""

    address: str = ""
    authorization: str = ""
    host: str = ""


Answering = Callable[[str, Asker], Reply]
"""From the target of a request and who asks to the reply; ValueError for one that makes no sense."""
#: In every answer: a browser guesses no type, keeps nothing, shows it in no frame, and loads and runs nothing but by
#: the policy of who made it.
HEADERS = (
    "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
    "X-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n"
)
POLICY = "default-src 'none'; frame-ancestors 'none'"


@dataclass
class _Caller:
    connection: socket.socket
    until: float
    said: bytearray = field(default_factory=bytearray)
    answer: bytes = b""


class HttpPort:
    """Listens on an address from the beginning, and answers from `start` to `stop`. Raises OSError when it is taken."""

    def __init__(
        self, address: str, port: int, answering: Answering, policy: Callable[[str], str] = lambda _: POLICY
    ) -> None:
        """``policy`` is the Content-Security-Policy of an answer by its content type."""
        self._answering, self._policy = answering, policy
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=MOST)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._callers: dict[int, _Caller] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._may, self._counted = float(A_SECOND), time.monotonic()

    def start(self) -> None:
        """Answer until `stop`."""
        self._thread = Thread(target=self._run, name="health http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; who is connected is cut off."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(2 * TICK + 1.0)
        self._listener.close()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._listen()
                for key, _ in self._selector.select(TICK):
                    if key.data is None:
                        self._accept()
                    else:
                        self._serve(key.data)
                self._end_late()
        finally:
            for caller in list(self._callers.values()):
                self._end(caller)
            self._selector.close()

    def _listen(self) -> None:
        """Take new connections, unless there were so many in this second that the rest has to wait."""
        now = time.monotonic()
        self._may = min(float(A_SECOND), self._may + (now - self._counted) * A_SECOND)
        self._counted = now
        listening = self._listener in {key.fileobj for key in self._selector.get_map().values()}
        if self._may >= 1 and not listening:
            self._selector.register(self._listener, selectors.EVENT_READ, None)
        elif self._may < 1 and listening:
            self._selector.unregister(self._listener)

    def _accept(self) -> None:
        while self._may >= 1:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # This process has no descriptor left: those of callers come back in time.
                self._may = -float(A_SECOND)
                return
            self._may -= 1
            connection.setblocking(False)
            if len(self._callers) >= MOST:
                self._end(next(iter(self._callers.values())))
            caller = _Caller(connection, time.monotonic() + SECONDS)
            self._callers[connection.fileno()] = caller
            self._selector.register(connection, selectors.EVENT_READ, caller)
            # The question comes with the connection, mostly.
            self._serve(caller)

    def _serve(self, caller: _Caller) -> None:
        if caller.connection.fileno() not in self._callers:
            return  # it had to go in this very round
        try:
            if not caller.answer and not self._heard(caller):
                return
            sent = caller.connection.send(caller.answer)
            caller.answer = caller.answer[sent:]
        except BlockingIOError:
            return
        except OSError:
            self._end(caller)
            return
        except Exception:
            log.exception("Unexpected error while the health port answered a request.")
            self._end(caller)
            return
        if caller.answer:
            self._selector.modify(caller.connection, selectors.EVENT_WRITE, caller)
        else:
            self._end(caller)

    def _heard(self, caller: _Caller) -> bool:
        """Whether the question is whole, or none any more; then there is an answer. Raises OSError."""
        data = caller.connection.recv(LONGEST)
        if not data:
            raise ConnectionResetError("it asked nothing")
        caller.said += data
        if len(caller.said) > LONGEST:
            caller.answer = _reply(431, "text/plain", b"")
        elif b"\r\n\r\n" in caller.said or b"\n\n" in caller.said:
            caller.answer = self._answer(bytes(caller.said), caller.connection.getpeername()[0])
        return bool(caller.answer)

    def _answer(self, said: bytes, address: str) -> bytes:
        words = said.split(b"\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/"):
            return _reply(400, "text/plain", b"")
        if words[0] not in METHODS:
            return _reply(501, "text/plain", b"")
        try:
            reply = self._answering(words[1], _asker(said, address))
        except ValueError:
            return _reply(400, "text/plain", b"")
        return _reply(*reply, body_too=words[0] != "HEAD", policy=self._policy(reply[1]))

    def _end_late(self) -> None:
        now = time.monotonic()
        for caller in [caller for caller in self._callers.values() if caller.until < now]:
            self._end(caller)

    def _end(self, caller: _Caller) -> None:
        self._callers.pop(caller.connection.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(caller.connection)
        caller.connection.close()


def _asker(said: bytes, address: str) -> Asker:
    """The first of each header counts; one that is folded over lines is none."""
    found: dict[str, str] = {}
    for line in said.decode("latin-1").split("\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), value.strip())
    return Asker(address, found.get("authorization", ""), found.get("host", ""))


def _reply(code: int, kind: str, body: bytes, *, body_too: bool = True, policy: str = POLICY) -> bytes:
    phrase = HTTPStatus(code).phrase
    asks = 'WWW-Authenticate: Basic realm="mha", charset="UTF-8"\r\n' if code == HTTPStatus.UNAUTHORIZED else ""
    head = (
        f"HTTP/1.0 {code} {phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{asks}{HEADERS}"
        f"Content-Security-Policy: {policy}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if body_too else b"")
