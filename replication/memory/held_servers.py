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

from ...config import ClusterConfig, ServerConfig
from ...config.models import is_address
from ..local.own_files import open_own, ours
from ..model.state import ClusterState
from .journal import Journal

#: What is remembered of a held server's block: how it is reached. Secrets are not; they are the other servers'.
REACHED_BY = (
    "block hostname ip port ssh_host ssh_ip ssh_port ssh_user user master_pid_file master_binlog_dir remote_workdir"
).split()

HELD, CLOSED, RELEASED, PRIMARY, MOVED = "held", "closed", "released", "primary", "moved"
AWAY, BACK = "away", "back"


@dataclass(frozen=True)
class Hold:
    """One server that is held read-only. ``since`` and ``last_closed`` are seconds since the epoch.

    ``instead`` is the ``ip:port`` that took its place, ``traces`` what fencing left on its host (option files, masked
    units), ``returns`` how often it came back and took writes, ``seen`` AWAY once it was seen not to answer, and BACK
    once it was told that it does again. ``server`` is how it is reached, without secrets, should
    its block leave the configuration. ``uuid`` is MySQL's server_uuid, empty where nobody told it: what it is known by
    should it come back with another address.
    """

    key: str
    name: str
    since: float
    instead: str
    traces: tuple[str, ...] = ()
    returns: int = 0
    last_closed: float | None = None
    server: Mapping[str, Any] = field(default_factory=dict, compare=False)
    uuid: str = ""
    seen: str = ""

    def __str__(self) -> str:
        text = f"{self.name} is held read-only since {_clock(self.since)}, when {self.instead} took its place"
        if self.last_closed is not None:
            text += f"; it came back {self.returns} times and took writes, last at {_clock(self.last_closed)}"
        return text


class HeldServers:
    """The file of one application. Nothing is made before something is recorded. Raises OSError.

    A server is held under the ``ip:port`` that it had; one of ``servers`` that has its name, and another address by
    now, is the same.
    """

    def __init__(self, workdir: Path, app: str, servers: Iterable[ServerConfig] = ()) -> None:
        self.path = workdir / f"{app}.held.jsonl"
        self._servers = tuple(servers)
        self._seen: tuple[int, int] | None = None
        self._current: tuple[Hold, ...] = ()

    @classmethod
    def of(cls, config: ClusterConfig) -> HeldServers:
        """The holds of a configured application."""
        return cls(config.manager_workdir, config.name, config.servers)

    def adopt(self, servers: Iterable[ServerConfig]) -> None:
        """The configuration was read again."""
        self._servers, self._seen = tuple(servers), None

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
            lines = list(self._lines())
            self._current, self._seen = _fold(lines, _renamed(lines, self._servers)), version
        return self._current

    def get(self, key: str) -> Hold | None:
        """The hold of the server at ``ip:port``, if there is one."""
        return next((hold for hold in self.current() if hold.key == key), None)

    def replaced(
        self,
        key: str,
        name: str,
        instead: str,
        traces: tuple[str, ...] = (),
        server: Mapping[str, Any] | None = None,
        uuid: str = "",
    ) -> None:
        """A failover puts ``instead`` into the place of ``key``, which is held from now on.

        ``server`` and ``uuid`` as in `Hold`.
        """
        self._record(PRIMARY, instead)
        self._record(HELD, key, name=name, instead=instead, traces=traces, reached=dict(server or {}), uuid=uuid)

    def moved(self, key: str, to: str) -> None:
        """The server that is held under ``key`` answers at the address ``to``."""
        self._record(MOVED, key, to=to)

    def is_primary(self, key: str) -> None:
        """A planned switch made that server the primary: it is held no longer, and who is held is so because of it."""
        if self.current():
            self._record(PRIMARY, key)

    def closed(self, key: str, **facts: Any) -> None:
        """It came back, took writes, and was closed."""
        self._record(CLOSED, key, **facts)

    def away(self, key: str) -> None:
        """It does not answer; recorded once, whatever it does afterwards."""
        if (hold := self.get(key)) is not None and not hold.seen:
            self._record(AWAY, key)

    def back_closed(self, key: str) -> bool:
        """It answers, read-only; whether that is news: it was away, and nobody told of its return."""
        hold = self.get(key)
        if hold is None or hold.seen != AWAY or hold.returns:
            return False
        self._record(BACK, key)
        return True

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
    found = like.elsewhere(known)
    found.beside(servers)
    return found


def _renamed(lines: Iterable[Mapping[str, Any]], servers: Iterable[ServerConfig]) -> dict[str, str]:
    """Old and present ``ip:port`` of those whose name is another address now. Pure.

    An address that is configured is whoever is configured there: nobody is looked for elsewhere.
    """
    servers = tuple(servers)
    configured = {s.address for s in servers}
    # A hostname that is written as an address is no name: who has it now may be anybody.
    by_name = {(s.hostname, s.port): s.address for s in servers if not is_address(s.hostname)}
    renamed = {}
    for line in lines:
        with contextlib.suppress(LookupError, TypeError, AttributeError):
            reached = line.get("facts", {}).get("reached", {})
            now = by_name.get((reached.get("hostname", ""), reached.get("port", 0)))
            if line["event"] == HELD and now is not None and line["server"] not in configured:
                renamed[line["server"]] = now
    return renamed


def _fold(lines: Iterable[Mapping[str, Any]], renamed: Mapping[str, str]) -> tuple[Hold, ...]:
    holds: dict[str, Hold] = {}
    for line in lines:
        # What is no line of ours is passed over, as one that a crash cut off is; the others still hold.
        with contextlib.suppress(LookupError, TypeError, AttributeError):
            holds = _with(holds, line, renamed)
    return tuple(holds.values())


def _with(holds: dict[str, Hold], line: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Hold]:
    """Who is held after one more line. Raises LookupError, TypeError, AttributeError for one that is none of ours."""
    key, facts = renamed.get(line["server"], line["server"]), line.get("facts", {})
    hold, others = holds.get(key), {k: h for k, h in holds.items() if k != key}
    match line["event"]:
        case "primary":
            return {k: replace(h, instead=key) for k, h in others.items()}
        case "held":
            traces, instead = tuple(facts["traces"]), renamed.get(facts["instead"], facts["instead"])
            server, uuid = facts.get("reached", {}), facts.get("uuid", "")
            return {**holds, key: Hold(key, facts["name"], line["t"], instead, traces, server=server, uuid=uuid)}
        case "released":
            return others
        case "closed" if hold is not None:
            return {**holds, key: replace(hold, returns=hold.returns + 1, last_closed=line["t"])}
        case "away" | "back" if hold is not None:
            return {**holds, key: replace(hold, seen=line["event"])}
        case "trace" if hold is not None:
            return {**holds, key: replace(hold, traces=(*hold.traces, *facts["traces"]))}
        case "moved" if hold is not None:
            return {**others, facts["to"]: replace(hold, key=facts["to"])}
    return holds


def come_back_elsewhere(
    held: Iterable[Hold], servers: Iterable[ServerConfig], cluster: ClusterState
) -> tuple[tuple[str, str], ...]:
    """Who of the held answers under an address that the hold does not know: old and new ``ip:port``. Pure.

    By MySQL's server_uuid. One that others receive from is none: it was made the primary again, by whomever.
    """
    configured = {s.address for s in servers}
    sources = {(c.source_uuid, c.receiver) for state in cluster.up for c in state.channels}
    return tuple(
        (hold.key, state.key)
        for hold in held
        for state in cluster.up
        if hold.uuid and state.server_uuid == hold.uuid and hold.key not in configured
        if (hold.uuid, "Yes") not in sources
    )


def _torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
