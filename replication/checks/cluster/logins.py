"""Whether replicas could follow each server that may be promoted: what `trying_logins` tried, judged. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.check import Check, Severity
from ...mysql.dialects import ChannelThread, Dialect
from ...mysql.dialects.accounts import AccountLife
from ...mysql.dialects.connecting import PRIVATE_PLUGINS, Connecting
from ...mysql.dialects.for_people import typed
from ..facts import Facts
from ..rule import Rule
from ..trying_logins import TriedLogin, of_channel

LOGIN = Rule(
    "replication-login",
    "Can every replica log in, from its own host and as its channel does, on every other server that may be promoted?",
    "{remedy}",
    varies="only told where it cannot be tried",
)
FILE = Rule(
    "repl-password",
    "Would a server that is made a replica with repl_user and repl_password be let in by those that may be promoted?",
    "{remedy}",
    varies="warning when something else than the account keeps it out",
)
KEY = Rule(
    "replication-key",
    "Does every channel ask for TLS or for its source's public key, where the account's plugin demands one of them?",
    "a failover adds it to the channel; to see it work before: `{stop}; {change}; {start}` on {server}",
    Severity.WARNING,
)
RULES = (LOGIN, FILE, KEY)

#: A client's numbers: nobody there, no such name, TLS.
_UNREACHED, _UNNAMED, _TLS = frozenset({2002, 2003}), frozenset({2005}), frozenset({2026})
_REFUSED, _EXPIRED, _LOCKED, _FOREIGN = 1045, frozenset({1820, 1862}), frozenset({3118, 4151, 3955}), 1130


def checks(facts: Facts) -> Iterator[Check]:
    """One of each rule for a server that passes, one for each server that would not let it in."""
    for server in facts.config.servers:
        of_it = [login for login in facts.logins if login.start.address == server.address]
        for rule, several in ((LOGIN, [x for x in of_it if x.own]), (FILE, [x for x in of_it if not x.own])):
            yield from _of_one(facts, rule, several)
        yield from _key(facts, server.address)


def _of_one(facts: Facts, rule: Rule, logins: Sequence[TriedLogin]) -> Iterator[Check]:
    if not logins:
        return
    start = logins[0].start
    untried = [login for login in logins if login.untried]
    wrong = [(login, found) for login in logins if not login.untried and (found := judge(facts, login)) is not None]
    for login, (trouble, remedy) in wrong:
        worse = Severity.WARNING if rule is FILE and login.number not in (_REFUSED, *_EXPIRED, *_LOCKED) else None
        yield rule.no(start.name, trouble, worse, remedy=remedy)
    for why in dict.fromkeys(login.untried for login in untried):
        names = ", ".join(login.end.hostname for login in untried if login.untried == why)
        text = f"whether it could follow {names} was not tried: {why}"
        yield rule.no(start.name, text, Severity.INFO, remedy="what mysql.user says of it is judged by another check")
        if differ := [login.end.hostname for login in untried if login.untried == why and _differs(facts, login)]:
            text = f"the account {logins[0].user} has another password, or the same set anew, on {', '.join(differ)}"
            remedy = (
                f"on them, with sql_log_bin=0: `ALTER USER` with the password that {logins[0].user} has on the primary"
            )
            yield rule.no(start.name, text, Severity.WARNING, remedy=remedy)
    if not wrong and not untried:
        yield rule.yes(start.name, f"is let in by {', '.join(x.end.hostname for x in logins)} as {logins[0].user}")


def _differs(facts: Facts, login: TriedLogin) -> bool:
    """What the end keeps of the account's password is not what the primary keeps of it."""
    if facts.primary is None or login.end.address == facts.primary.address:
        return False
    there = {(x.user, x.host): x.print for x in facts.lives_on(login.end.address) if x.user == login.user and x.print}
    first = {(x.user, x.host): x.print for x in facts.lives_on(facts.primary.address) if x.print}
    return any(first.get(account, printed) != printed for account, printed in there.items())


def judge(facts: Facts, login: TriedLogin) -> tuple[str, str] | None:
    """What is wrong and what to do, or None."""
    state, lives = facts.cluster.get(login.end.address), facts.lives_on(login.end.address)
    return judged(login, state.server_id if state is not None else 0, [x for x in lives if x.user == login.user])


def judged(login: TriedLogin, server_id: int, lives: Sequence[AccountLife]) -> tuple[str, str] | None:
    """The same of an end whose ``server_id`` is known, and of the accounts of that name there."""
    start, end, user = login.start.hostname, login.end, login.user
    if not login.error:
        if not login.found or login.found == server_id:
            return None
        text = f"what it calls {login.host} is not {end.name}: there answers a server with server_id {login.found}"
        return text, f"correct {login.host} in DNS or /etc/hosts of {start}, or point its channel at an address"
    whose = "of its channel" if login.own else "of repl_password in the configuration"
    text = f"could not follow {end.name} as {user}, with the password {whose}: {login.error}"
    number, as_primary = login.number, f"on {end.hostname}"
    if number == _REFUSED and any(x.certificate for x in lives) and not login.asks.certificate:
        text = (
            f"could not follow {end.name}: the account {user} must show a certificate there, and its channel has none"
        )
        return text, f"give the channel SSL_CERT and SSL_KEY, or `ALTER USER '{user}'@'%' REQUIRE SSL` {as_primary}"
    if number == _REFUSED and not login.own:
        return text, f"write the password of {user} into repl_password; its channel on other servers keeps its own"
    if number in (_REFUSED, _FOREIGN):
        return (
            text,
            f"give {user} the password that its channel has, for {login.start.ip}, on {end.hostname} as elsewhere",
        )
    if number in _EXPIRED:
        return text, f"`ALTER USER '{user}'@'%' PASSWORD EXPIRE NEVER` {as_primary}, or a new password everywhere"
    if number in _LOCKED:
        return text, f"`ALTER USER '{user}'@'%' ACCOUNT UNLOCK` {as_primary}"
    if number in _TLS:
        return text, f"look at the certificate of {end.hostname}, its dates and its name, and at the channel's SSL_CA"
    if number in _UNREACHED:
        return text, f"let {start} reach {login.host} at port {end.port}; see how /etc/hosts there spells it"
    if number in _UNNAMED:
        return text, f"add {login.host} to DNS or /etc/hosts of {start}"
    return text, "fix what the error names: after a failover it would follow nobody"


def _key(facts: Facts, key: str) -> Iterator[Check]:
    """Read, not tried: a server may know the password from an earlier login, and forgets it when it restarts."""
    state, seen = facts.cluster.get(key), facts.servers.get(key)
    if state is None or seen is None or state not in facts.replicas:
        return
    channel = next((c for c in state.channels if not c.of_a_rescue), None)
    if channel is None or not seen.dialect.has_public_keys:
        return
    user = of_channel(state.channels)
    demand = [
        other.hostname
        for other in facts.config.servers
        if other.address != key
        and any(x.user == user and x.plugin in PRIVATE_PLUGINS for x in facts.lives_on(other.address))
    ]
    if not demand:
        return
    asks = Connecting.of(channel.row)
    if asks.private or channel.ssl or channel.public_key:
        yield KEY.yes(state.name, f"sends the password of {user} only over TLS or encrypted")
        return
    text = (
        f"asks for neither TLS nor a public key, and the account {user} takes its password only over TLS or encrypted: "
        f"{', '.join(demand)} would refuse it unless they remember it"
    )
    words = _typed(seen.dialect, channel.name, len(state.channels))
    yield KEY.no(state.name, text, server=state.hostname, **words)


def _typed(dialect: Dialect, channel: str, channels: int) -> dict[str, str]:
    change, _ = dialect.ask_for_key(channel, None)
    receiver = ChannelThread.RECEIVER
    words = {"stop": dialect.stop(channel, receiver), "change": change, "start": dialect.start(channel, receiver)}
    return {name: typed(sql, channels) for name, sql in words.items()}
