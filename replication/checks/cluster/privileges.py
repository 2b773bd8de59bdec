"""Privileges, one by one: of the manager's account, and of the account that replicas log in with. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ....config import ServerConfig
from ...model.check import Check, Severity
from ...mysql.dialects.accounts import typed_account
from ...mysql.dialects.connecting import more_of_channels
from ...mysql.dialects.privileges import Power
from ...mysql.grants import MEANING, Duty, NeededGrant, may_come, need, powers_of
from ..account_life import SHORTLY, SOON, how_it_ends, sentence
from ..facts import Facts, ServerFacts
from ..rule import Rule

#: Where the severity is another one.
_VARIES = {
    # No session has to replay anything then.
    Power.APPLY_LOG: "only told while every replica can fetch the saved log from `rescue_port`, or over SSH",
    Power.END_ANY_SESSION: "warning before a planned switch",
}
_MILD = frozenset({Power.SET_LOG_VARIABLES, Power.MOVE_EVENTS})
POWERS = {
    power: Rule(
        f"privilege-{power}",
        f"May `user` {MEANING[power]}?",
        "`GRANT {privilege} ON *.* TO {account}` on {server}",
        Severity.WARNING if power in _MILD else Severity.ERROR,
        varies=_VARIES.get(power, ""),
    )
    for power in dict.fromkeys((*powers_of(Duty.FAILOVER), *powers_of(Duty.SWITCH)))
}
CHANNELS = Rule(
    "privilege-see-channels",
    "May `user` read how channels of MySQL 8.0 and newer connect, so that all of it is kept when they are turned?",
    "`GRANT SELECT ON performance_schema.* TO {account}` on {server}",
    Severity.WARNING,
)
REPLICATE = Rule(
    "replication-account",
    "May every other server log in as repl_user, with REPLICATION SLAVE, on every server that may be promoted?",
    "`GRANT REPLICATION SLAVE ON *.* TO {account}` on the primary, for an account that these hosts come in with",
    varies="only told when mysql.user cannot be read",
)
LASTS = Rule(
    "account-lasts",
    f"Will `user` and repl_user still be let in in {SOON} days: neither locked, nor of a password that expires?",
    "`ALTER USER {account} PASSWORD EXPIRE NEVER`, or a new password, on the primary and in the configuration; "
    "a locked one: `ALTER USER {account} ACCOUNT UNLOCK`",
    Severity.WARNING,
    varies=f"error when it is expired or locked, or has less than {SHORTLY} days; only told when it cannot be seen",
)
RULES = (*(POWERS[power] for power in powers_of(Duty.FAILOVER)), LASTS, CHANNELS, REPLICATE)


def checks(facts: Facts) -> Iterator[Check]:
    """Every privilege on every server whose account could be asked."""
    for server in facts.config.servers:
        seen = facts.servers.get(server.address)
        if seen is not None:
            yield from _own(server, seen, served=_served(facts, server))
            yield from _lasting(server, seen)
    for server in facts.config.servers:
        seen, state = facts.servers.get(server.address), facts.cluster.get(server.address)
        if seen is not None and state is not None and state.log_bin and not server.no_master:
            yield from _replication(facts, server, seen)


def _served(facts: Facts, server: ServerConfig) -> bool:
    """Its own threads would fetch what was saved, and execute it: then the account needs nothing for that."""
    ways = [way for way in facts.ways if way.server.address == server.address]
    return bool(ways) and not any(way.trouble and way.forward for way in ways)


def _own(server: ServerConfig, seen: ServerFacts, *, served: bool) -> Iterator[Check]:
    vendor, version = seen.dialect.vendor, seen.dialect.version
    for power in powers_of(Duty.REPOINT if server.no_master else Duty.FAILOVER):
        worse = Severity.INFO if served and power is Power.APPLY_LOG else None
        yield of_power(server, seen.account, need(seen.grants, power, vendor, version), worse)
    if not more_of_channels(vendor, version):
        return
    may = seen.grants.has("SELECT") or seen.grants.has_on("performance_schema", "SELECT")
    text = f"the account {seen.account} {'may' if may else 'may not'} read performance_schema"
    yield CHANNELS.judge(server.name, may, text, account=seen.account, server=server.hostname)


def of_power(server: ServerConfig, account: str, asked: NeededGrant, worse: Severity | None = None) -> Check:
    """One power of the manager's account on one server."""
    text = f"the account {account} {'may' if asked.granted else 'may not'} {asked.meaning}"
    fields = {"privilege": asked.any_of[0], "account": account, "server": server.hostname}
    return POWERS[asked.power].judge(server.name, asked.granted, text, worse, **fields)


def _lasting(server: ServerConfig, seen: ServerFacts) -> Iterator[Check]:
    if seen.lives is None:
        text = "how long the accounts last is not known: their passwords' ages cannot be read"
        yield LASTS.no(server.name, text, Severity.INFO, account=seen.account)
        return
    ends = [life for life in seen.lives if how_it_ends(life)]
    for life in ends:
        at_once = life.expired or life.locked or (life.days_left or 0.0) < SHORTLY
        worse = Severity.ERROR if at_once else None
        yield LASTS.no(server.name, sentence(life), worse, account=typed_account(life.user, life.host))
    if not ends:
        yield LASTS.yes(server.name, "the accounts of the manager and of replicas last")


def warnings_of_accounts(facts: Facts) -> tuple[str, ...]:
    """For whoever asks what a failover would meet: accounts that are, or will soon be, refused. Once each."""
    found = (sentence(life) for seen in facts.servers.values() for life in seen.lives or ())
    return tuple(dict.fromkeys(words for words in found if words))


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
