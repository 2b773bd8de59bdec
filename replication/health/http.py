"""The manager's answers to load balancers over HTTP, and the looks at the servers that they come from.

    GET /primary/SERVER             200 when it takes writes and no other does, else 503
    GET /replica/SERVER?max_lag=5   200 when it is a working replica at most so many seconds behind, else 503
    GET /primary, GET /replica      the same of any server; the answer names it
    GET /servers                    all of it
    GET /metrics                    numbers for Prometheus (`metrics`)
    GET /                           a page of all clusters of this process (`board`), for whom `admission` lets in
    GET /incident/PAGE              the page of a last incident that is named there, for the same

SERVER is a block's name (server1), a hostname, an address, or ip:port. Every answer but the last three is JSON. Nothing
can be changed through it and no secret is in it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from prometheus_client import CONTENT_TYPE_LATEST as METRICS

from ...config import ClusterConfig, ConfigError, ServerConfig
from ..cluster.pool import replaced
from ..errors import MhaError
from ..local.http_port import POLICY, Asker, HttpPort, Reply
from ..model.state import ClusterState, ServerDown, ServerState
from ..mysql.server import Server
from ..threads import Thread
from .admission import admitted
from .board import BOARD, PAGES
from .metrics import WatchSeen, exposition
from .roles import HealthAnswer, Standings, judge

#: Seconds between two looks at a server, and after which a look without an answer counts as none.
EVERY = 0.5
LOOK = 1.5
#: Seconds for which many who ask at once get what one of them was told.
RECENT = 0.05
HTML = "text/html; charset=utf-8"


class HealthWatch:
    """Looks at every server all the time, each in a thread and over a session of its own: one that hangs hides none of
    the others, and a failover never waits for it."""

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._servers = [Server(server) for server in config.servers]
        self._seen: dict[str, ServerState] = {}
        self._why: dict[str, str] = {}
        self._pings: dict[str, float] = {}
        self._standings: Standings | None = None
        self._last: WatchSeen | None = None
        self._over = threading.Event()
        self._judging = threading.Lock()

    def start(self) -> None:
        """Begin to look."""
        for server in self._servers:
            Thread(target=self._look_at, args=(server,), name=f"health {server}", daemon=True).start()

    def stop(self) -> None:
        """End; a look that is under way is left to its own deadline."""
        self._over.set()

    def standings(self) -> Standings:
        """What is known now."""
        return self.seen().standings

    def seen(self, recent: float = 0.0) -> WatchSeen:
        """What is known now, and what it is known from; or what was known at most ``recent`` seconds ago."""
        with self._judging:
            if self._last is not None and time.monotonic() - self._last.at < recent:
                return self._last
            oldest = time.time() - EVERY - LOOK
            up = [state for state in map(self._seen.get, self._keys()) if state and state.observed_at > oldest]
            known = {state.key for state in up}
            down = [
                ServerDown(s.address, s.name, s.hostname, self._why.get(s.address, "it does not answer"), False)
                for s in self.config.servers
                if s.address not in known
            ]
            # What a look told is as old as the oldest of them, at most.
            now = time.monotonic() - max((time.time() - state.observed_at for state in up), default=0.0)
            cluster = ClusterState(tuple(up), tuple(down), replaced(self.config))
            self._standings = judge(self.config, cluster, self._standings, now)
            self._last = WatchSeen(cluster, self._standings, dict(self._pings), time.monotonic())
            return self._last

    def _keys(self) -> list[str]:
        return [server.address for server in self.config.servers]

    def _look_at(self, server: Server) -> None:
        while not self._over.is_set():
            try:
                server.connect(LOOK)
                began = time.monotonic()
                server.scalar("SELECT 1", action="ping", timeout=LOOK)
                self._pings[server.key] = time.monotonic() - began
                self._seen[server.key] = server.observe()
            except MhaError as error:
                self._seen.pop(server.key, None)
                self._why[server.key] = str(error)
            # Freshness is kept also while nobody asks.
            self.standings()
            self._over.wait(EVERY)
        server.close()


class HealthServer:
    """The HTTP server in the manager. ``port`` is the one that it listens on. Raises OSError when that is taken."""

    def __init__(self, config: ClusterConfig, port: int | None = None) -> None:
        self._watch = HealthWatch(config)
        self._port = HttpPort(config.health_address, config.health_port if port is None else port, self._reply, _policy)
        self.port: int = self._port.port

    def start(self) -> None:
        """Answer until `stop`."""
        self._watch.start()
        self._port.start()

    def stop(self) -> None:
        """End it."""
        self._port.stop()
        self._watch.stop()

    def seen(self) -> WatchSeen:
        """What its looks saw."""
        return self._watch.seen(RECENT)

    def _reply(self, target: str, asker: Asker) -> Reply:
        if (path := urlsplit(target).path) == "/" or path.startswith(PAGES):
            return _page(self._watch.config, asker, path)
        if urlsplit(target).path == "/metrics":
            return 200, METRICS, exposition(self._watch.config, self._watch.seen(RECENT))
        code, document = answer(self._watch.config, self._watch.seen(RECENT).standings, target, time.monotonic())
        return code, "application/json", (json.dumps(document) + "\n").encode()


def _page(config: ClusterConfig, asker: Asker, path: str) -> Reply:
    token = config.health_token.get_secret_value() if config.health_token is not None else ""
    code = admitted(asker, token)
    if code == 200 and path == "/":
        return code, HTML, BOARD.page()
    if code == 200:
        with contextlib.suppress(OSError):
            if (found := BOARD.incident_page(path)) is not None:
                return code, HTML, found
        return 404, "text/plain; charset=utf-8", b"No page of an incident has this name.\n"
    said = {401: "The token is wanted, as the password.", 403: "Look from this host itself, or set health_token."}[code]
    return code, "text/plain; charset=utf-8", f"{said}\n".encode()


def _policy(kind: str) -> str:
    if kind != HTML:
        return POLICY
    # Who is only asked by balancers loads no template engine.
    from ..reporting.pictures.fleet import policy

    return policy()


def answer(config: ClusterConfig, standings: Standings, path: str, now: float) -> tuple[int, dict[str, Any]]:
    """Status code and document for one request. Pure. Raises ValueError for what is no path."""
    url = urlsplit(path)
    _, role, *rest = url.path.split("/", 2)
    if role not in ("primary", "replica", "servers"):
        return 404, {"ok": False, "text": "ask for /primary, /replica, /servers or /metrics"}
    if role == "servers":
        return 200, {key: {"name": s.name, "role": s.role, "why": s.why} for key, s in standings.servers.items()}
    try:
        max_lag = _max_lag(url.query)
    except ValueError:
        return 400, {"ok": False, "text": "max_lag is a number of seconds"}

    def ask(key: str) -> HealthAnswer:
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
    lag = float(given[-1]) if given else None
    if lag is not None and not lag >= 0:
        raise ValueError("no number of seconds")
    return lag


def _named(config: ClusterConfig, name: str) -> ServerConfig | None:
    try:
        return next((s for s in config.servers if s.block == name), None) or config.server(name)
    except ConfigError:
        return None


def _any(ask: Callable[[str], HealthAnswer], standings: Standings, role: str) -> HealthAnswer:
    answers = [ask(key) for key in standings.servers]
    return next((a for a in answers if a.ok), HealthAnswer(False, f"no server is a {role} now"))
