"""What a ledger and the journal of the failover tell of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..reporting.history.incident import Incident
from .canary import Ack

#: Seconds without a row that say nothing where the canary is about to be stopped.
PAUSE = 1.0
#: The steps of a failover or a switch that a scorecard names, and by which name.
STEPS = {
    "Fence the old primary": "fence",
    "Execute what was received": "drain",
    "Save the dead primary's binary log": "save",
    "Apply what was saved": "apply",
    "Open the new primary for writes": "open",
    "Move the address": "address",
    "Hand the writes over": "hand over",
}


@dataclass(frozen=True)
class Outage:
    """From the last row before it to the first after it (seconds since the epoch)."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        return self.until - self.since


def outage(acks: Sequence[Ack], since: float, until: float) -> Outage | None:
    """The longest time without a row that overlaps that span.

    None where no row came after its beginning, or where the last silence, up to its end, is the longest and no mere
    pause: nobody was seen to take rows again.
    """
    if not any(ack.at > since for ack in acks):
        return None
    gaps = [Outage(a.at, b.at) for a, b in pairwise(acks) if b.at > since and a.at < until]
    longest = max(gaps, key=lambda gap: gap.seconds, default=None)
    return None if longest is None or until - acks[-1].at > max(PAUSE, longest.seconds) else longest


def overlapping(acks: Sequence[Ack]) -> int:
    """Rows that a server acknowledged after another had taken its place: as of two that take writes in turns.

    ``acks`` are those up to the switch back.
    """
    if not acks:
        return 0
    order = [acks[0].server_id]
    count = 0
    for ack in acks:
        if ack.server_id == order[-1]:
            continue
        if ack.server_id in order:
            count += 1
        else:
            order.append(ack.server_id)
    return count


def parts(told: Incident, hurt: float, verdict: float | None) -> tuple[tuple[str, float], ...]:
    """Names and seconds of what a failover went to, in order; ``hurt`` is when the primary was hurt."""
    found: list[tuple[str, float]] = []
    if told.out is not None:
        found.append(("detect", max(0.0, told.out.since - hurt)))
        if verdict is not None:
            found.append(("confirm", max(0.0, verdict - max(told.out.since, hurt))))
    new = told.new.partition("(")[0] if told.new else ""
    seen: set[str] = set()
    for step in told.steps:
        name = STEPS.get(step.name)
        # Of the replicas that follow later nobody waits.
        if name is None or name in seen or step.seconds is None or (name == "drain" and not _about(step.server, new)):
            continue
        seen.add(name)
        found.append((name, step.seconds))
    return tuple(found)


def _about(server: str, new: str) -> bool:
    return not server or server == new


def fault_at(acks: Sequence[Ack], sent: float, done: float) -> float:
    """When a primary was hurt: its last row within the time in which that was done; else when it was sent."""
    within = [ack.at for ack in acks if sent <= ack.at <= done]
    return max(within, default=sent)
