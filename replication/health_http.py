"""The manager's answers to load balancers over HTTP, and the looks at the servers that they come from.

    GET /primary/SERVER             200 when it takes writes and no other does, else 503
    GET /replica/SERVER?max_lag=5   200 when it is a working replica at most so many seconds behind, else 503
    GET /primary, GET /replica      the same of any server; the answer names it
    GET /servers                    all of it

SERVER is a block's name (server1), a hostname, an address, or ip:port. Every answer is JSON. Nothing can be changed
through it and no secret is in it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from config import ClusterConfig, ConfigError, ServerConfig
from replication.errors import MhaError
from replication.health import Answer, Standings, judge
from replication.sessions import Sessions

log = logging.getLogger("mha")

#: Seconds between two looks, and for a server to answer in one.
EVERY = 0.5
LOOK = 1.5
#: Seconds that a client may take for its request.
REQUEST = 5.0


class Watch:
    """Looks at every server all the time, over sessions of its own: a failover never waits for it."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config, self._sessions = config, Sessions(config)
        self._standings: Standings | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def config(self) -> ClusterConfig:
        return self._config

    @property
    def standings(self) -> Standings | None:
        """What the last look told; None before the first."""
        return self._standings

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._sessions.close()

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            # The moment before the look: what it tells may be as old.
            now = time.monotonic()
            try:
                cluster = self._sessions.observe(timeout=LOOK)
            except RuntimeError:
                # Its threads are gone, because it was stopped meanwhile.
                return
            except MhaError as error:
                log.warning("The servers could not be looked at for the load balancers: %s", error)
                continue
            self._standings = judge(self._config, cluster, self._standings, now)


class HealthServer:
    """The HTTP server in the manager. ``port`` is the one that it listens on. Raises OSError when that is taken."""

    def __init__(self, config: ClusterConfig, port: int | None = None) -> None:
        self._watch = Watch(config)
        handler = type("Handler", (_Handler,), {"watch": self._watch})
        self._server = ThreadingHTTPServer(
            (config.health_address, config.health_port if port is None else port), handler
        )
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Answer until `stop`."""
        self._watch.start()
        threading.Thread(target=self._server.serve_forever, name="health http", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._watch.stop()


class _Handler(BaseHTTPRequestHandler):
    watch: Watch
    timeout = REQUEST
    server_version = "prefect-mha"
    sys_version = ""

    def do_GET(self) -> None:
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def do_OPTIONS(self) -> None:
        """HAProxy's default method."""
        self._reply()

    def log_message(self, format: str, *args: Any) -> None:
        """Several lines a second would hide everything else in the manager's log."""

    def _reply(self) -> None:
        code, document = answer(self.watch.config, self.watch.standings, self.path, time.monotonic())
        body = (json.dumps(document) + "\n").encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def answer(config: ClusterConfig, standings: Standings | None, path: str, now: float) -> tuple[int, dict[str, Any]]:
    """Status code and document for one request. Pure."""
    url = urlsplit(path)
    _, role, *rest = url.path.split("/", 2)
    if role not in ("primary", "replica", "servers"):
        return 404, {"ok": False, "text": "ask for /primary, /replica or /servers"}
    if standings is None:
        return 503, {"ok": False, "text": "the servers have not been looked at yet"}
    if role == "servers":
        return 200, {key: {"name": s.name, "role": s.role, "why": s.why} for key, s in standings.servers.items()}
    try:
        max_lag = _max_lag(url.query)
    except ValueError:
        return 400, {"ok": False, "text": "max_lag is a number of seconds"}

    def ask(key: str) -> Answer:
        return standings.primary(key, now) if role == "primary" else standings.replica(key, now, max_lag)

    if rest and rest[0]:
        server = _named(config, unquote(rest[0]))
        if server is None:
            return 404, {"ok": False, "text": f"{unquote(rest[0])} is no server of {config.name}"}
        found = ask(server.address)
    else:
        found = _any(ask, standings, role)
    return 200 if found.ok else 503, asdict(found)


def _max_lag(query: str) -> float | None:
    given = parse_qs(query).get("max_lag")
    return float(given[-1]) if given else None


def _named(config: ClusterConfig, name: str) -> ServerConfig | None:
    try:
        return next((s for s in config.servers if s.block == name), None) or config.server(name)
    except ConfigError:
        return None


def _any(ask: Callable[[str], Answer], standings: Standings, role: str) -> Answer:
    answers = [ask(key) for key in standings.servers]
    return next((a for a in answers if a.ok), Answer(False, f"no server is a {role} now"))
