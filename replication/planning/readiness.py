"""If the primary died now: who would be promoted and why, what would be lost, how long it takes, what is in the way.

Pure: a look at the cluster in, a `Readiness` out. It asks the very plan that a failover would make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...config import ClusterConfig, ServerConfig
from ..detection.independence import same_host
from ..memory.failover_flags import FailoverFlags
from ..model.refusal import Refusal
from ..model.state import ClusterState, ServerState
from ..model.topology import find_primary
from ..model.words import in_markdown as md
from .plan import FailoverOptions, FailoverPlan, make_plan
from .selection import Candidate, bytes_behind, followers_of, most_advanced

#: Minutes after a failover in which the next one is refused: by `mha monitor`, and by `masterha_manager`.
SOON, SOON_FOR_ITS_COMMAND = 60, 480


@dataclass(frozen=True)
class Past:
    """What the last failovers left: whether one failed, and the seconds since one was completed (None for never)."""

    failed: bool = False
    age: float | None = None

    @classmethod
    def of(cls, flags: FailoverFlags) -> Past:
        """As the manager's files say."""
        return cls(flags.has_error(), flags.complete_age())


@dataclass(frozen=True)
class Readiness:
    """The answer for one cluster. ``ready`` when a failover would go on; otherwise ``blockers`` say why not.

    ``unreceived`` is bytes of the primary's log that no replica has received (None when that cannot be told): lost only
    if the primary's host cannot be read over SSH. ``readable`` is whether it can be now, None when nobody looked.
    ``second_copy`` is why, by its settings, nothing acknowledged is on the primary's disk alone, empty where it may be.
    ``drain_seconds`` is about how long the candidate needs to execute what it received, None when it cannot be told.
    ``notes`` are what does not stop a failover.
    """

    cluster: str
    primary: str
    ready: bool
    candidate: str = ""
    why: tuple[str, ...] = ()
    unreceived: int | None = None
    readable: bool | None = None
    archived: bool = False
    second_copy: str = ""
    drain_seconds: float | None = None
    blockers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def loss(self) -> str:
        """What would be lost, as a sentence without its end."""
        if not self.ready:
            return "nothing is done, so nothing can be told"
        if self.second_copy:
            return f"nothing that was acknowledged, by its settings: {self.second_copy}"
        if self.unreceived is None:
            amount = "what no replica has received, and how much that is cannot be told"
        elif not self.unreceived:
            return "nothing: the replicas have received all of the primary's log"
        else:
            amount = f"about {self.unreceived} bytes of the primary's log, which no replica has received yet"
        if self.readable:
            return f"nothing while the primary's host answers over SSH; without it {amount}"
        if self.archived:
            return f"{amount}, but for what the binlog servers have"
        return f"{amount}; its host cannot be read over SSH" if self.readable is False else f"at most {amount}"

    def __str__(self) -> str:
        if not self.ready:
            who = self.primary or "the primary"
            return f"If {who} died now, a failover would be refused: {'; '.join(self.blockers)}"
        drain = "" if self.drain_seconds is None else f"; about {self.drain_seconds:.0f} s to execute what it received"
        return f"If {self.primary} died now, {self.candidate} would be promoted{drain}. Lost: {self.loss}."

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, events and results."""
        return {**asdict(self), "loss": self.loss, "text": str(self)}


def assess(
    config: ClusterConfig,
    cluster: ClusterState,
    past: Past | None = None,
    readable: bool | None = None,
    also: tuple[str, ...] = (),
) -> Readiness:
    """The readiness of a cluster as it was just seen, its primary included; ``also`` are notes of whoever looked."""
    past = past or Past()
    primary = find_primary(config, cluster)
    if isinstance(primary, Refusal):
        return Readiness(config.name, "", False, blockers=_blockers(primary, past), notes=also)
    survivors = _without(cluster, primary)
    decided = make_plan(config, primary, survivors, FailoverOptions())
    if isinstance(decided, Refusal):
        return Readiness(
            config.name,
            primary.name,
            False,
            blockers=_blockers(decided, past),
            readable=readable,
            notes=(*_read_only(cluster, primary), *also),
        )
    blockers = _blockers(None, past)
    return Readiness(
        config.name,
        primary.name,
        not blockers,
        candidate=decided.new_primary_name,
        why=decided.candidates[0].merits,
        unreceived=_unreceived(config, cluster, primary),
        readable=readable,
        archived=bool(config.binlog_servers),
        second_copy=_second_copy(config, cluster, primary),
        drain_seconds=_drain(decided, survivors),
        blockers=blockers,
        notes=(*_read_only(cluster, primary), *_notes(decided, past), *also),
        candidates=decided.candidates,
    )


def _second_copy(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> str:
    """Why what is acknowledged has a second copy that a failover reads, in words; empty where that is not certain."""
    state = cluster.get(primary.address)
    if state is None or not state.semi_sync.loses_nothing:
        return ""
    followers = {follower.state.key: follower.state for follower in followers_of(primary, config, cluster)}
    disks = [f"{x.name}'s" for x in followers.values() if x.semi_sync.replica_enabled]
    disks += [f"{block.block}'s" for block in config.binlog_servers if block.binlog_ack]
    # One word is enough for a commit, and the word of one that goes down with the primary is none.
    if acknowledge_beside(config, primary, followers):
        return ""
    return f"commits wait until they are on another disk ({' or '.join(disks)})" if disks else ""


def acknowledge_beside(
    config: ClusterConfig, primary: ServerConfig, replicas: Mapping[str, ServerState]
) -> tuple[str, ...]:
    """Who acknowledges on the primary's own host, of those ``replicas`` (by ``ip:port``) and the binlog servers."""
    there = [s for s in config.servers if s.address != primary.address and same_host(s, primary)]
    found = [s.name for s in there if (x := replicas.get(s.address)) is not None and x.semi_sync.replica_enabled]
    found += [b.block for b in config.binlog_servers if b.binlog_ack and same_host(b, primary)]
    return tuple(found)


def _without(cluster: ClusterState, primary: ServerConfig) -> ClusterState:
    """The cluster as a failover would see it."""
    return ClusterState(
        tuple(s for s in cluster.up if s.key != primary.address),
        tuple(s for s in cluster.down if s.key != primary.address),
        cluster.held,
    )


def _blockers(refusal: Refusal | None, past: Past) -> tuple[str, ...]:
    found = [f"{refusal.sentence} {refusal.remedy}", *refusal.evidence] if refusal else []
    if past.failed:
        found.append("the last failover failed and nobody has looked at it: remove its .failover.error file")
    if past.age is not None and past.age < SOON * 60:
        found.append(f"the last failover was {past.age / 60:.0f} minutes ago: too early for the next one")
    return tuple(found)


def _read_only(cluster: ClusterState, primary: ServerConfig) -> Iterator[str]:
    state = cluster.get(primary.address)
    if state is not None and state.closed_by:
        yield f"{primary.name} is a read-only primary: nobody takes writes now ({', '.join(state.closed_by)})"


def _notes(plan: FailoverPlan, past: Past) -> Iterator[str]:
    for name, reason in plan.left_out:
        yield f"{name} would be left out: {reason}"
    for leveling in plan.levelings:
        if leveling.broken:
            yield f"{leveling.name} would stay as it is: {leveling.broken}"
    if past.age is not None and SOON * 60 <= past.age < SOON_FOR_ITS_COMMAND * 60:
        yield (
            f"the last failover was {past.age / 60:.0f} minutes ago: masterha_manager refuses the next one within "
            f"{SOON_FOR_ITS_COMMAND} unless it is told otherwise"
        )


def _unreceived(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> int | None:
    state = cluster.get(primary.address)
    advanced = most_advanced(followers_of(primary, config, cluster))
    if state is None or not advanced:
        return None
    return bytes_behind(advanced[0].channel.received, state.end_of_log)


def _drain(plan: FailoverPlan, survivors: ClusterState) -> float | None:
    """Seconds behind are what it needs at the pace of the primary; a delay would be lifted."""
    state = survivors.get(plan.new_primary)
    channel = next((c for c in state.channels if c.name == plan.target.channel), None) if state else None
    if channel is None:
        return None
    if channel.received is not None and channel.executed == channel.received:
        return 0.0
    return float(channel.seconds_behind) if channel.seconds_behind is not None else None


def markdown(readiness: Readiness) -> str:
    """A page for Prefect's UI: the answer, what is in the way, and every server's chances."""
    state = "ready" if readiness.ready else "NOT READY"
    parts = [f"# {md(readiness.cluster)}: {state} for a failover", "", md(str(readiness)), ""]
    for heading, lines in (("In the way", readiness.blockers), ("Also", readiness.notes)):
        if lines:
            parts += [f"## {heading}", "", *(f"- {md(line)}" for line in lines), ""]
    if readiness.candidates:
        parts += ["## Why this server", "", "| server | place | for it | against it |", "|---|---:|---|---|"]
        parts += [
            f"| {md(c.name)} | {c.rank or '–'} | {md(', '.join(c.merits))} | {md('; '.join(c.barred))} |"
            for c in readiness.candidates
        ]
    return "\n".join(parts) + "\n"
