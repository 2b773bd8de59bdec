"""Servers that a failover replaced, until they are replicas again: the cluster has one less so long. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.ways_back import FormerState
from ..facts import Facts
from ..rule import Rule

FORMER = Rule(
    "former-primary",
    "Is every server that a failover replaced a replica again, or released?",
    "once its mysqld runs, `mha rejoin --conf {conf} --host {server}` tells what it has and makes it a replica",
    Severity.WARNING,
    varies="only told of one that is being made a replica",
)
RULES = (FORMER,)

_STANDS = {
    FormerState.DOWN: "was replaced by a failover, is held read-only, and does not answer",
    FormerState.HELD: "was replaced by a failover, is back, and is held read-only",
}


def checks(facts: Facts) -> Iterator[Check]:
    """One of each that is held; one of the cluster where nobody is."""
    if not facts.former:
        yield FORMER.yes(facts.config.name, "no server waits to come back")
    for each in facts.former:
        rejoins = each.state is FormerState.REJOINING
        text = _STANDS.get(each.state, f"is being made a replica ({each})")
        where = {"conf": facts.config.path, "server": each.name.partition("(")[0]}
        yield FORMER.no(each.name, text, Severity.INFO if rejoins else None, **where)


def notes(facts: Facts) -> tuple[str, ...]:
    """The same, as what is to be said beside the readiness."""
    return tuple(f"{check.subject} {check.text}: no failover counts on it" for check in checks(facts) if not check.ok)
