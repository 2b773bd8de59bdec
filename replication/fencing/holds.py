"""Who may not take writes although it was a primary once: servers that a failover replaced, until somebody lifts it.

One append-only file beside the journals, ``<app>.held.jsonl``, says who is held and since when, when it came back,
and who released it. Managers and commands of one working directory share it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from config import ServerConfig
from replication.journal import Journal
from replication.own_files import open_own, ours

#: What is remembered of a held server's block: how it is reached. Secrets are not; they are the other servers'.
REACHED_BY = (
    "block hostname ip port ssh_host ssh_ip ssh_port ssh_user user master_pid_file master_binlog_dir remote_workdir"
).split()

HELD, CLOSED, RELEASED, PRIMARY = "held", "closed", "released", "primary"


@dataclass(frozen=True)
class Hold:
    """One server that is held read-only. ``since`` and ``last_closed`` are seconds since the epoch.

    ``instead`` is the ``ip:port`` that took its place, ``traces`` what fencing left on its host (option files, masked
    units), ``returns`` how often it came back and took writes. ``server`` is how it is reached, without secrets, should
    its block leave the configuration.
    """

    key: str
    name: str
    since: float
    instead: str
    traces: tuple[str, ...] = ()
    returns: int = 0
    last_closed: float | None = None
    server: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        text = f"{self.name} is held read-only since {_clock(self.since)}, when {self.instead} took its place"
        if self.last_closed is not None:
            text += f"; it came back {self.returns} times and took writes, last at {_clock(self.last_closed)}"
        return text


class Holds:
    """The file of one application. Nothing is made before something is recorded. Raises OSError."""

    def __init__(self, workdir: Path, app: str) -> None:
        self.path = workdir / f"{app}.held.jsonl"
        self._seen: tuple[int, int] | None = None
        self._current: tuple[Hold, ...] = ()

    def current(self) -> tuple[Hold, ...]:
        """Everybody who is held now; cheap while the file does not change."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ()
        if not ours(self.path):
            return ()
        version = stat.st_mtime_ns, stat.st_size
        if version != self._seen:
            self._current, self._seen = _fold(self._lines()), version
        return self._current

    def get(self, key: str) -> Hold | None:
        """The hold of the server at ``ip:port``, if there is one."""
        return next((hold for hold in self.current() if hold.key == key), None)

    def replaced(
        self, key: str, name: str, instead: str, traces: tuple[str, ...] = (), server: Mapping[str, Any] | None = None
    ) -> None:
        """A failover puts ``instead`` into the place of ``key``, which is held from now on; ``server`` as in `Hold`."""
        self._record(PRIMARY, instead)
        self._record(HELD, key, name=name, instead=instead, traces=traces, reached=dict(server or {}))

    def is_primary(self, key: str) -> None:
        """A planned switch made that server the primary: it is held no longer, and who is held is so because of it."""
        if self.current():
            self._record(PRIMARY, key)

    def closed(self, key: str, **facts: Any) -> None:
        """It came back, took writes, and was closed."""
        self._record(CLOSED, key, **facts)

    def left_trace(self, key: str, traces: tuple[str, ...]) -> None:
        """Something more was left on its host, which a release takes away."""
        self._record("trace", key, traces=traces)

    def release(self, key: str, by: str, why: str) -> None:
        """It is held no longer: who decided that, and why."""
        self._record(RELEASED, key, by=by, why=why)

    def _record(self, event: str, key: str, **facts: Any) -> None:
        journal = Journal(self.path)
        try:
            if _torn(self.path):
                # What a crash left of a line must not swallow this one.
                with os.fdopen(open_own(self.path, os.O_WRONLY | os.O_APPEND), "ab") as file:
                    file.write(b"\n")
            journal.record("hold", event, key, **facts)
        finally:
            journal.close()

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                continue


def reached_by(server: ServerConfig) -> dict[str, Any]:
    """What a hold remembers of a server."""
    return {name: getattr(server, name) for name in REACHED_BY}


def config_of(hold: Hold, servers: Iterable[ServerConfig]) -> ServerConfig | None:
    """The held server as it is configured; as the hold remembers it, once its block left the configuration. Pure.

    What the hold does not remember (passwords, keys) is another server's. None for a hold that remembers nothing.
    """
    servers = tuple(servers)
    named = next((s for s in servers if s.address == hold.key), None)
    if named is not None or not hold.server or not servers:
        return named
    like = next((s for s in servers if s.user == hold.server.get("user")), servers[0])
    known = {name: hold.server[name] for name in REACHED_BY if name in hold.server}
    known["master_binlog_dir"] = tuple(known.get("master_binlog_dir", like.master_binlog_dir))
    return like.model_copy(update=known)


def _fold(lines: Iterator[dict[str, Any]]) -> tuple[Hold, ...]:
    holds: dict[str, Hold] = {}
    for line in lines:
        # What is no line of ours is passed over, as one that a crash cut off is; the others still hold.
        with contextlib.suppress(LookupError, TypeError, AttributeError):
            holds = _with(holds, line)
    return tuple(holds.values())


def _with(holds: dict[str, Hold], line: dict[str, Any]) -> dict[str, Hold]:
    """Who is held after one more line. Raises LookupError, TypeError, AttributeError for one that is none of ours."""
    key, facts = line["server"], line.get("facts", {})
    hold = holds.get(key)
    match line["event"]:
        case "primary":
            return {k: replace(h, instead=key) for k, h in holds.items() if k != key}
        case "held":
            traces = tuple(facts["traces"])
            server = facts.get("reached", {})
            return {**holds, key: Hold(key, facts["name"], line["t"], facts["instead"], traces, server=server)}
        case "released":
            return {k: h for k, h in holds.items() if k != key}
        case "closed" if hold is not None:
            return {**holds, key: replace(hold, returns=hold.returns + 1, last_closed=line["t"])}
        case "trace" if hold is not None:
            return {**holds, key: replace(hold, traces=(*hold.traces, *facts["traces"]))}
    return holds


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
