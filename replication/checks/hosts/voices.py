"""Who would notice that the primary is silent, besides the manager and what lives on its own host. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...detection.independence import same_host
from ...model.check import Check, Severity
from ..facts import Facts
from ..rule import Rule

SECOND = Rule(
    "second-voice",
    "Could somebody on a third host, not the manager's or the primary's, confirm that a silent primary is dead?",
    "run the manager elsewhere, or name a host that sees the primary: `witness = HOST`; without one a silent host is "
    "never failed over",
    Severity.WARNING,
)
ROUTE = Rule(
    "secondary-route",
    "Are the hosts that secondary_check_script asks others than the primary's and the manager's?",
    "name another host with `-s`: this one fails together with what it is to confirm, so it is not counted",
    Severity.WARNING,
)
WITNESS = Rule(
    "witness",
    "Does every witness answer over SSH, on a host that is neither the manager's nor the primary's?",
    "let the manager log in to {host} over SSH, or name another host as `witness`",
    Severity.WARNING,
)
RULES = (SECOND, ROUTE, WITNESS)


def checks(facts: Facts) -> Iterator[Check]:
    """Every check of the voices."""
    primary = facts.primary
    if primary is not None:
        others = [s for s in facts.config.servers if s.address != primary.address and not same_host(s, primary)]
        voices = [s.name for s in others if s.address not in facts.own]
        voices += [seen.host for seen in facts.witnesses if not seen.trouble]
        counted = [r.host for r in facts.routes if not r.local and r.address not in (primary.ip, primary.ssh_ip)]
        if voices:
            yield SECOND.yes(facts.config.name, f"{', '.join(voices)} would")
        elif facts.config.secondary_check_script and (counted or not facts.routes):
            yield SECOND.yes(facts.config.name, f"{', '.join(counted) or 'the secondary check'} would")
        else:
            own = ", ".join(s.name for s in others) or "nobody"
            text = f"besides the primary there is only {own}, on the manager's own host or the primary's"
            yield SECOND.no(facts.config.name, text)
    for seen in facts.witnesses:
        yield WITNESS.judge(seen.host, not seen.trouble, seen.trouble or "answers over SSH", host=seen.host)
    for route in facts.routes:
        if route.local:
            yield ROUTE.no(route.host, "is the manager's own host")
        elif primary is not None and route.address in (primary.ip, primary.ssh_ip):
            yield ROUTE.no(route.host, f"is the host of the primary {primary.name}")
        else:
            yield ROUTE.yes(route.host, "is another host")
