"""Who followed whom before and afterwards, as boxes. Pure: what the journal tells, and no more."""

from __future__ import annotations

from ...planning.role_plan import short_name
from ..history.incident import Incident, Kind
from ..pictures.boxes import Box, Tree


def trees(incident: Incident) -> tuple[Tree, ...]:
    """Before and after; nothing of an incident in which no role moved, or moved back as in a drill."""
    if incident.kind in (Kind.REJOIN, Kind.DRILL) or incident.new is None:
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
    # Who stands apart stands below those who follow.
    return (Tree("Before", before), Tree("After", (after[0], *sorted(after[1:], key=lambda box: not box.below))))
