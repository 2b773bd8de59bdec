"""Which server may take writes and which reads, as load balancers ask. Pure: looks at a cluster in, answers out.

A replica's lag is the time since it was last seen to have all that its source had: it grows also while nobody can say,
because the receiver is stopped or the source is dead, where Seconds_Behind_Source says NULL or 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ..model.state import ClusterState, ServerState
from ..model.topology import source_of

#: Seconds after which a look is too old to answer from: better no session than one with who knows whom.
STALE = 5.0


@dataclass(frozen=True)
class Standing:
    """What is known of one server. ``role`` is primary, replica or none; ``why`` says why it is none.

    ``fresh_at`` is when a replica had all its source had (a time.monotonic(), None when never seen so).
    """

    name: str
    role: str
    why: str = ""
    fresh_at: float | None = None


@dataclass(frozen=True)
class HealthAnswer:
    """What a load balancer is told: take it or not, and why in one line. ``lag`` is seconds."""

    ok: bool
    text: str
    server: str = ""
    lag: float | None = None


@dataclass(frozen=True)
class Standings:
    """All servers of a cluster by ``ip:port``, as they were ``looked_at`` (a time.monotonic())."""

    servers: dict[str, Standing]
    looked_at: float

    def primary(self, key: str, now: float) -> HealthAnswer:
        """Whether that server takes writes, and no other does."""
        if old := self._too_old(now):
            return old
        standing, writable = self.servers[key], [s for s in self.servers.values() if s.role == "primary"]
        if standing.role != "primary":
            return HealthAnswer(False, standing.why or "it is a replica", standing.name)
        if len(writable) > 1:
            return HealthAnswer(False, f"several take writes: {', '.join(s.name for s in writable)}", standing.name)
        return HealthAnswer(True, "it is the primary", standing.name)

    def replica(self, key: str, now: float, max_lag: float | None) -> HealthAnswer:
        """Whether that server is a working replica, at most ``max_lag`` seconds behind."""
        if old := self._too_old(now):
            return old
        standing = self.servers[key]
        if standing.role != "replica":
            return HealthAnswer(False, standing.why or "it is the primary", standing.name)
        if standing.fresh_at is None:
            return HealthAnswer(False, "it was not seen to have all that its source has", standing.name)
        lag = now - standing.fresh_at
        # What happened since the last look counts too, but a second of it is the pace of the looks.
        if max_lag is not None and lag - min(1.0, now - self.looked_at) > max_lag:
            return HealthAnswer(False, f"it is {lag:.1f} s behind", standing.name, lag)
        return HealthAnswer(True, "it replicates", standing.name, lag)

    def _too_old(self, now: float) -> HealthAnswer | None:
        age = now - self.looked_at
        return HealthAnswer(False, f"the last look at the servers was {age:.1f} s ago") if age > STALE else None


def judge(config: ClusterConfig, cluster: ClusterState, before: Standings | None, now: float) -> Standings:
    """What one look tells; ``before`` is what was known until then."""
    standings = {server.address: _standing(config, cluster, server, now) for server in config.servers}
    for key, standing in standings.items():
        known = before.servers.get(key) if before is not None else None
        if standing.role == "replica" and standing.fresh_at is None and known is not None:
            standings[key] = replace(standing, fresh_at=known.fresh_at)
    return Standings(standings, now)


def _standing(config: ClusterConfig, cluster: ClusterState, server: ServerConfig, now: float) -> Standing:
    state = cluster.get(server.address)
    if state is None:
        reason = next((d.reason for d in cluster.down if d.key == server.address), "it does not answer")
        return Standing(server.name, "none", reason)
    if not state.channels:
        if state.closed_by:
            return Standing(server.name, "none", "it is read-only" if not state.writable else "it takes no writes")
        return Standing(server.name, "primary")
    if state.writable:
        return _writable_replica(server, state)
    for channel in state.channels:
        if not channel.applier_running:
            error = f" with error {channel.applier_errno}" if channel.applier_errno else ""
            return Standing(server.name, "none", f"its applier is stopped{error}")
    return Standing(server.name, "replica", fresh_at=_fresh(config, cluster, state, now))


def _writable_replica(server: ServerConfig, state: ServerState) -> Standing:
    """One that follows and takes writes: the primary just after its promotion, or the writing half of a pair."""
    if any(channel.receiver == "Yes" for channel in state.channels):
        return Standing(server.name, "none", f"it takes writes although it replicates from {state.sources}")
    return Standing(server.name, "primary")


def _fresh(config: ClusterConfig, cluster: ClusterState, state: ServerState, now: float) -> float | None:
    source = source_of(config, state)
    if source is None or cluster.get(source.address) is None:
        return None
    behind = [channel.seconds_behind if channel.receiver == "Yes" else None for channel in state.channels]
    known = [seconds for seconds in behind if seconds is not None]
    return now - max(known) if len(known) == len(behind) else None
