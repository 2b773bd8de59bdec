"""Who followed whom before and afterwards, as boxes. Pure: what the journal tells, and no more."""

from __future__ import annotations

from dataclasses import dataclass

from ...planning.role_plan import short_name
from ..history.incident import Incident, Kind


@dataclass(frozen=True)
class Box:
    """One server: its name, a word of what it is, and whether it hangs below the primary."""

    name: str
    role: str
    below: bool


@dataclass(frozen=True)
class Tree:
    """One picture: a primary, who follows it, and who stands apart."""

    title: str
    boxes: tuple[Box, ...]


def trees(incident: Incident) -> tuple[Tree, ...]:
    """Before and after; nothing of an incident in which no role moved."""
    if incident.kind is Kind.REJOIN or incident.new is None:
        return ()
    old, new = short_name(incident.old), short_name(incident.new)
    told = [short_name(name) for name, _ in (*incident.replicas, *incident.left_out)]
    others = [name for name in dict.fromkeys(told) if name not in (old, new)]
    dead = "primary, dead" if incident.kind is Kind.FAILOVER else "primary"
    before = (Box(old, dead, False), *(Box(name, "replica", True) for name in (new, *others)))
    if not incident.opened:
        return (Tree("Before", before),)
    apart = {short_name(name) for name in (*incident.not_recovered, *(name for name, _ in incident.left_out))}
    after = [Box(new, "primary", False)]
    after += [Box(name, "does not follow" if name in apart else "replica", name not in apart) for name in others]
    follows = any(short_name(name) == old and words.startswith("replicates from") for name, words in incident.replicas)
    kept = "held read-only" if incident.kind is Kind.FAILOVER else "read-only"
    after.append(Box(old, "replica" if follows else kept, follows))
    return (Tree("Before", before), Tree("After", tuple(after)))
