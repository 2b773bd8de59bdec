"""May the primary be opened again that answers and takes no writes? Pure: what was seen in, what to do and why out.

A server with ``read_only=1`` in its my.cnf, as it should have, is closed after each of its starts. It may be opened
when it was the primary and took writes before, when its restart is what closed it, and when nobody else can have taken
writes meanwhile. Whatever a person did by hand is a person's to take back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ...config import ClusterConfig, ServerConfig
from ..memory.last_writable import SeenWritable
from ..model.errant import strays
from ..model.state import ClusterState, ServerState
from ..model.topology import source_of

#: Seconds by which two answers of when a life began may differ.
SAME_LIFE = 2


class Reopening(StrEnum):
    """What follows."""

    OPEN = "open"
    FAIL_OVER = "fail over"
    TELL = "tell"


@dataclass(frozen=True)
class ClosedPrimary:
    """What is known of a primary that takes no writes.

    ``started`` as in `last_writable`. ``set_here``: what closes it was set since its start; None where nothing tells.
    ``logs`` are the bytes of its binary logs by name. ``open_business``: what a failover or a switch of this host left
    open, in words. The cluster was looked at twice where a replica is open (`sessions.with_writers`).
    """

    state: ServerState
    cluster: ClusterState
    started: int
    seen: SeenWritable | None
    set_here: bool | None
    logs: Mapping[str, int]
    open_business: str = ""


@dataclass(frozen=True)
class ReopeningDecision:
    """What to do about it, and why in words. ``by_hand``: somebody closed it while it ran."""

    act: Reopening
    why: str
    by_hand: bool = False


def judge(config: ClusterConfig, primary: ServerConfig, case: ClosedPrimary) -> ReopeningDecision:
    """Open it only where nothing speaks against it, as `reopen` says."""
    seen = case.seen
    if any(held.key == primary.address for held in case.cluster.held):
        return ReopeningDecision(Reopening.TELL, "it is held read-only, because another server took its place")
    if case.open_business:
        return ReopeningDecision(Reopening.TELL, case.open_business)
    if seen is None or seen.key != primary.address:
        return ReopeningDecision(Reopening.TELL, "this manager never saw it take writes")
    by_hand = case.set_here or abs(case.started - seen.started) <= SAME_LIFE
    if by_hand and not seen.asked:
        return ReopeningDecision(Reopening.TELL, "somebody closed it by hand while it ran", by_hand=True)
    if seen.by_hand:
        return ReopeningDecision(Reopening.TELL, "somebody closed it by hand, and its restart does not take that back")
    if not seen.watched:
        return ReopeningDecision(Reopening.TELL, "it was restarted while no manager watched")
    if against := rivals(config, primary, case):
        return ReopeningDecision(Reopening.TELL, against)
    closed = "what a failover had sent to close it came late" if seen.asked else "its restart closed it"
    why = f"{closed}, it took writes before, and nobody else did since"
    if config.reopen == "failover":
        return ReopeningDecision(Reopening.FAIL_OVER, why)
    return ReopeningDecision(Reopening.OPEN if config.reopen == "yes" else Reopening.TELL, why)


def rivals(config: ClusterConfig, primary: ServerConfig, case: ClosedPrimary) -> str:
    """Why the writes of others, or what the primary lost, forbid to open it; empty when nothing does.

    A majority of the servers has to say so, itself counted, and among them one that replicates from it.
    """
    held = {replaced.key for replaced in case.cluster.held}
    followers = 0
    for state in case.cluster.up:
        if state.key == primary.address or state.key in held:
            continue
        if why := _against(config, primary, case, state):
            return f"{state.name} {why}"
        followers += 1
    if not followers:
        return "no replica of it answers, so nobody can tell whether another server took writes"
    if 2 * (followers + 1) <= len(config.servers):
        silent = ", ".join(down.name for down in case.cluster.down)
        return f"too few servers answer to tell that nobody else took writes ({silent})"
    return ""


def _against(config: ClusterConfig, primary: ServerConfig, case: ClosedPrimary, state: ServerState) -> str:
    source = source_of(config, state)
    if source is None:
        return (
            f"replicates from {state.sources}" if state.sources else "replicates from nobody, and may have had writes"
        )
    known = case.seen.strays.get(state.key, "") if case.seen is not None else ""
    own = strays(case.state, state)
    if state.key in case.cluster.writing or own not in ("", known):
        return f"has transactions of its own, which the primary lacks{f': {own}' if own else ''}"
    if state.writable and not (case.state.gtid_executed or case.state.mariadb_gtid):
        return "can be written, and without GTIDs nothing proves that nobody did"
    if source.address != primary.address:
        return ""
    channel = state.channel_from(primary.hostname, primary.ip, primary.port)
    place = channel.received if channel is not None else None
    if place is not None and place.file in case.logs and place.pos > case.logs[place.file]:
        return "received more than the primary still has: its crash lost the end of its log, so fail over to that one"
    return ""
