"""Privileges, one by one: of the manager's account, and of the account that replicas log in with. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from config import ServerConfig
from replication.check import Check, Severity
from replication.checks.facts import Facts, ServerFacts
from replication.checks.rule import Rule
from replication.grants import MEANING, Job, may_come, need, powers_of

#: What statements in a log need on the schemas they change; rows alone come through BINLOG, which asks for none.
CONTENT = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX")

_GRANT = "`GRANT {privilege} ON *.* TO {account}` on {server}"
POWERS = {
    power: Rule(f"privilege-{power}", f"May `user` {MEANING[power]}?", _GRANT) for power in powers_of(Job.FAILOVER)
}
DATA = Rule(
    "privilege-data",
    "May `user` execute the statements that a rescued log holds (" + ", ".join(CONTENT) + ")?",
    _GRANT,
    Severity.WARNING,
)
REPLICATE = Rule(
    "replication-account",
    "May every other server log in as repl_user, with REPLICATION SLAVE, on every server that may be promoted?",
    "`GRANT REPLICATION SLAVE ON *.* TO {account}` on the primary, for an account that these hosts come in with",
    varies="only told when mysql.user cannot be read",
)
RULES = (*POWERS.values(), DATA, REPLICATE)


def checks(facts: Facts) -> Iterator[Check]:
    """Every privilege on every server whose account could be asked."""
    for server in facts.config.servers:
        seen = facts.servers.get(server.address)
        if seen is not None:
            yield from _own(server, seen)
    for server in facts.config.servers:
        seen, state = facts.servers.get(server.address), facts.cluster.get(server.address)
        if seen is not None and state is not None and state.log_bin and not server.no_master:
            yield from _replication(facts, server, seen)


def _own(server: ServerConfig, seen: ServerFacts) -> Iterator[Check]:
    vendor, version = seen.dialect.vendor, seen.dialect.version
    for power in powers_of(Job.REPOINT if server.no_master else Job.FAILOVER):
        asked = need(seen.grants, power, vendor, version)
        text = f"the account {seen.account} {'may' if asked.granted else 'may not'} {asked.meaning}"
        fields = {"privilege": asked.any_of[0], "account": seen.account, "server": server.hostname}
        yield POWERS[power].judge(server.name, asked.granted, text, **fields)
    missing = [privilege for privilege in CONTENT if not seen.grants.has(privilege)]
    text = f"the account {seen.account} has no {', '.join(missing)} on all schemas" if missing else "all of them"
    fields = {"privilege": ", ".join(missing), "account": seen.account, "server": server.hostname}
    yield DATA.judge(server.name, not missing, text, **fields)


def _replication(facts: Facts, server: ServerConfig, seen: ServerFacts) -> Iterator[Check]:
    if seen.replication_accounts is None:
        text = "whether replicas may log in is not known: mysql.user cannot be read"
        yield REPLICATE.no(server.name, text, Severity.INFO, account=f"{server.repl_user or 'repl'!r}@'%'")
        return
    barred = []
    user = server.repl_user or ""
    for other in facts.config.servers:
        state = facts.cluster.get(other.address)
        used = other.repl_user or next((c.source_user for c in state.channels), "") if state else other.repl_user
        if other.address == server.address or not used:
            continue
        user = used
        if not may_come(seen.replication_accounts, used, other):
            barred.append(other.hostname)
    if not user:
        return
    text = f"{', '.join(barred)} may not replicate from it as {user}" if barred else f"{user} may replicate from it"
    yield REPLICATE.judge(server.name, not barred, text, account=f"'{user}'@'%'")
