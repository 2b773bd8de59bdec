"""Services that people are told by: a mail server, a webhook, and one that takes the call and never answers.

Each listens on 127.0.0.1 of the network of the thread that makes it; for a manager: ``with cluster.in_manager_net()``.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class _Service:
    """Something that listens, as a context manager; ``got`` is what it was told, in order."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self._changed = threading.Condition()
        self._server = self._listen()
        self.port = int(self._server.server_address[1])

    def _listen(self) -> socketserver.TCPServer:
        raise NotImplementedError

    def take(self, told: Any) -> None:
        """Keep what came, and wake who waits for it."""
        with self._changed:
            self.got.append(told)
            self._changed.notify_all()

    def wait_for(self, what: Callable[[list[Any]], bool], seconds: float = 20.0) -> list[Any]:
        """What it was told as soon as ``what`` holds of it; AssertionError when that is not in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: what(self.got), seconds), self.got
            return list(self.got)

    def __enter__(self) -> Any:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailServer(_Service):
    """Takes mail over SMTP (RFC 5321) from whoever logs in with this password (AUTH PLAIN and LOGIN, RFC 4954)."""

    def __init__(self, password: str) -> None:
        self.password = password
        super().__init__()

    def _listen(self) -> socketserver.TCPServer:
        service = self

        class Session(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            def handle(self) -> None:
                self.say("220 lab ESMTP")
                trusted = False
                while line := self.rfile.readline().decode().strip():
                    verb = line[:4].upper()
                    if verb == "EHLO":
                        self.say("250-lab\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN")
                    elif verb == "AUTH":
                        trusted = self.log_in(line.split()[1:])
                        self.say("235 welcome" if trusted else "535 who are you?")
                    elif verb == "DATA":
                        self.say("354 go on" if trusted else "530 log in first")
                        if trusted:
                            service.take(self.message())
                            self.say("250 taken")
                    else:
                        self.say("221 bye" if verb == "QUIT" else "250 well")
                        if verb == "QUIT":
                            return

            def log_in(self, words: list[str]) -> bool:
                if words[0].upper() == "PLAIN":
                    given = words[1] if len(words) > 1 else self.ask("")
                    return base64.b64decode(given).decode().split("\0")[-1] == service.password
                if len(words) < 2:
                    self.ask("VXNlcm5hbWU6")
                return base64.b64decode(self.ask("UGFzc3dvcmQ6")).decode() == service.password

            def ask(self, question: str) -> str:
                self.say(f"334 {question}")
                return self.rfile.readline().decode().strip()

            def message(self) -> EmailMessage:
                lines: list[bytes] = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line[1:] if line.startswith(b"..") else line)
                made = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                assert isinstance(made, EmailMessage)
                return made

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        server.daemon_threads = True
        return server


class Webhook(_Service):
    """Takes JSON over HTTP; ``got`` has each document with its ``path`` and ``at``. ``refusing`` answers 503."""

    def __init__(self) -> None:
        self.refusing = False
        self._refused = threading.Event()
        super().__init__()

    def wait_for_refusal(self, seconds: float = 20.0) -> None:
        """Wait until somebody was turned away; AssertionError when nobody was in time."""
        assert self._refused.wait(seconds)

    def _listen(self) -> socketserver.TCPServer:
        service = self

        class Call(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if service.refusing:
                    service._refused.set()
                else:
                    service.take({**json.loads(body), "path": self.path, "at": time.time()})
                self.send_response(503 if service.refusing else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Call)
        server.daemon_threads = True
        return server


class SilentService:
    """A port that the kernel accepts calls on, and nobody answers: ``calls`` counts them."""

    def __enter__(self) -> SilentService:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._socket.getsockname()[1])
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    @property
    def calls(self) -> int:
        return len(self._held)

    def _accept(self) -> None:
        while True:
            try:
                self._held.append(self._socket.accept()[0])
            except OSError:
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        for each in self._held:
            each.close()
