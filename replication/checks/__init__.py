"""The checks: named questions about a cluster and their answers, one file a subject.

`observe.look` sees, the subjects judge what was seen (pure), and whoever asked shows it. docs/checks.md lists `RULES`.
"""

from __future__ import annotations

from ..model.check import Check
from .cluster import filters, former, gtids, logins, openness, privileges, replicas, second_copy, servers, topology
from .facts import Facts
from .hosts import scripts, voices, ways
from .hosts import tools as hosts
from .rule import Rule
from .switch import RULES as SWITCH_RULES

#: Seconds a replica may be late (MHA's default for --seconds_behind_master).
SECONDS_BEHIND = 30

RULES: tuple[Rule, ...] = (
    *topology.RULES,
    *former.RULES,
    *replicas.RULES,
    *filters.RULES,
    *gtids.RULES,
    *servers.RULES,
    *second_copy.RULES,
    *openness.RULES,
    *privileges.RULES,
    *logins.RULES,
    *hosts.RULES,
    *ways.RULES,
    *scripts.RULES,
    *voices.RULES,
    *SWITCH_RULES,
)


def of_ssh(facts: Facts) -> tuple[Check, ...]:
    """What masterha_check_ssh asks."""
    return (*hosts.logins(facts), *scripts.binlog_servers(facts))


def of_replication(facts: Facts, seconds_behind: int = SECONDS_BEHIND) -> tuple[Check, ...]:
    """What masterha_check_repl asks; checks of hosts are among them as far as hosts were looked at."""
    return (
        *topology.checks(facts),
        *former.checks(facts),
        *replicas.checks(facts, seconds_behind),
        *filters.checks(facts),
        *gtids.checks(facts),
        *servers.checks(facts),
        *second_copy.checks(facts),
        *openness.checks(facts),
        *privileges.checks(facts),
        *logins.checks(facts),
        *hosts.logins(facts),
        *hosts.checks(facts),
        *ways.checks(facts.ways, facts.config.rescue_port),
        *scripts.binlog_servers(facts),
        *scripts.checks(facts),
        *voices.checks(facts),
    )
