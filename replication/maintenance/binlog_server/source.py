"""What a binlog server knows of its cluster: how its source is, and whether another server is the primary by now."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, replace

from ....config import ClusterConfig, ServerConfig
from ...cluster.pool import ConnectionPool
from ...errors import MhaError
from ...model.refusal import Refusal
from ...model.state import ClusterState, ServerState
from ...model.topology import find_primary
from ...mysql.dialects import binary_log
from ...mysql.server import Server
from ...threads import Thread
from .archive import ArchivedLog, is_log_name

log = logging.getLogger("mha")

#: Seconds between two looks at the source.
INTERVAL = 1.0
#: Every so many looks all servers are looked at, although the source is well.
ALL_EVERY = 10
#: Seconds that one look may take.
PATIENCE = 4.0


def read_logs(server: Server, timeout: float | None = None) -> tuple[ArchivedLog, ...]:
    """The binary logs that a server has, in its order; none when it writes none. Raises ServerError."""
    rows = server.query("SHOW BINARY LOGS", action="list its binary logs", timeout=timeout)
    with server.reading("list its binary logs"):
        named = [binary_log(row) for row in rows]
    return tuple(ArchivedLog(name, size) for name, size in named if is_log_name(name))


def next_source(
    config: ClusterConfig, cluster: ClusterState, current: ServerConfig | None, *, replaced: bool = False
) -> ServerConfig | Refusal:
    """Whose logs are to be copied now. Pure.

    The primary, as the replicas see it. While that is not clear, in the middle of a failover, a source that is up and
    follows nobody stays; when it is dead, a replica or read-only, the one server that takes writes and follows nobody
    is the new one: a promoted server has no replica yet, and with two servers it never gets one. A wrong guess harms
    nothing, for every server has its own directory. ``replaced``: a failover from the current one was begun, so it is
    left for that one server even while it takes writes, unless somebody follows it again.
    """
    found = find_primary(config, cluster)
    known = next((s for s in config.servers if current is not None and s.address == current.address), None)
    if isinstance(found, ServerConfig) and (known is None or found.address == known.address):
        return found
    if isinstance(found, ServerConfig) and cluster.get(found.address) is not None:
        return found
    state = cluster.get(known.address) if known is not None else None
    alone = _alone(cluster)
    if known is not None and replaced and not followed(known, cluster):
        others = [s for s in alone if s.key != known.address]
        alone, state = (others, None) if len(others) == 1 else (alone, state)
    if known is not None and state is not None and not state.channels and (state.writable or len(alone) != 1):
        return known
    if len(alone) == 1:
        return next(s for s in config.servers if s.address == alone[0].key)
    if known is not None:
        return known
    return found


def rival_of(source: ServerConfig, cluster: ClusterState) -> str:
    """Another server that takes writes as a primary does, while nobody follows this one; empty for none. Pure.

    A primary that was cut off and replaced comes back writable for a moment. What it is sent then must not be
    acknowledged, and which of the two is the right one is not for a binlog server to say.
    """
    if followed(source, cluster):
        return ""
    return next((s.name for s in _alone(cluster) if s.key != source.address), "")


def rival_now(source: ServerConfig, cluster: ClusterState, before: str) -> str:
    """The same, after ``before``: one that does not answer this time is a rival still. Pure."""
    return rival_of(source, cluster) or (before if before in {down.name for down in cluster.down} else "")


def stands(source: ServerConfig, cluster: ClusterState) -> bool:
    """Whether nobody who answered is another primary, and one follows it, or nobody is silent. Pure."""
    others = [s for s in cluster.up if s.key != source.address]
    silent = any(down.key != source.address for down in cluster.down)
    closed = all(s not in _alone(cluster) for s in others)
    return closed and (followed(source, cluster) or not silent)


def followed(source: ServerConfig, cluster: ClusterState) -> bool:
    """Whether any replica receives from it, or tries to. Pure."""
    channels = [s.channel_from(source.hostname, source.ip, source.port) for s in cluster.up]
    return any(c is not None and not c.receiver_stopped for c in channels)


def _alone(cluster: ClusterState) -> list[ServerState]:
    """Those that take writes and follow nobody."""
    return [s for s in cluster.up if not s.channels and s.writable and s.log_bin]


@dataclass(frozen=True)
class SourceView:
    """One look: ``state`` of the source, or the ``reason`` why there is none; ``at`` in epoch seconds, 0: none yet.

    ``other`` is the server to copy instead, ``cluster`` the last look at all servers, which was begun at ``begun``
    (monotonic clock: the other one may be set), ``logs`` what the source had.
    ``rival`` is who takes writes as well, as far as the last look at all servers tells. ``clock_ahead`` is by how many
    seconds this host's clock was ahead of the source's then, NaN where that is not known.
    """

    state: ServerState | None = None
    reason: str = ""
    other: ServerConfig | None = None
    cluster: ClusterState | None = None
    logs: tuple[ArchivedLog, ...] = ()
    at: float = 0.0
    rival: str = ""
    begun: float = 0.0
    clock_ahead: float = math.nan


class SourceWatch(Thread):
    """Looks at the source about every second, in a thread: a source that hangs must not hold up the copying."""

    def __init__(
        self, config: ClusterConfig, sessions: ConnectionPool, source: ServerConfig, seen: SourceView | None = None
    ) -> None:
        super().__init__(name="binlog watch", daemon=True)
        self.source, self._config, self._sessions = source, config, sessions
        self._over = threading.Event()
        self.look = seen or SourceView()
        #: A failover from the source was begun.
        self.replaced = False

    def __str__(self) -> str:
        return self.source.name

    def run(self) -> None:
        # The first look is at the source alone: all have just been looked at.
        number = 1
        while not self._over.is_set():
            try:
                self.look = self._look(everybody=number % ALL_EVERY == 0)
            except MhaError as error:
                self.look = replace(self.look, state=None, reason=str(error), other=None, at=time.time())
            except RuntimeError:
                if self._over.is_set():
                    return  # the sessions were closed under a look that took long
                raise
            number += 1
            self._over.wait(INTERVAL)

    def stop(self) -> None:
        """End it; a look that is under way is not waited for."""
        self._over.set()

    def _look(self, *, everybody: bool) -> SourceView:
        before, begun = self.look, time.monotonic()
        # A source that was away, is closed or a replica now costs no look of its own: who takes its place is asked.
        everybody = everybody or (before.state is None and before.at > 0.0)
        everybody = everybody or bool(before.state is not None and (before.state.channels or not before.state.writable))
        everybody = everybody or bool(before.rival) or self.replaced
        seen = self._sessions.observe(None if everybody else [self.source], timeout=PATIENCE)
        state = seen.get(self.source.address)
        other, logs = None, before.logs
        if everybody:
            found = next_source(self._config, seen, self.source, replaced=self.replaced)
            if isinstance(found, ServerConfig) and found.address != self.source.address:
                other = found
        if state is not None and state.end_of_log is not None:
            file = before.state.end_of_log.file if before.state and before.state.end_of_log else ""
            if everybody or state.end_of_log.file != file:
                logs = read_logs(self._sessions.server(self.source.address))
        reason = next((d.reason for d in seen.down if d.key == self.source.address), "")
        rival = rival_now(self.source, seen, before.rival) if everybody else before.rival
        ahead = before.clock_ahead
        if state is not None and (everybody or math.isnan(ahead)):
            ahead = _clock_ahead(self._sessions.server(self.source.address))
        cluster, begun = (seen, begun) if everybody else (before.cluster, before.begun)
        return SourceView(state, reason, other, cluster, logs, time.time(), rival, begun, ahead)


def _clock_ahead(server: Server) -> float:
    action = "read its clock"
    told = server.scalar("SELECT UNIX_TIMESTAMP()", action=action, timeout=PATIENCE)
    with server.reading(action):
        return time.time() - float(told)
