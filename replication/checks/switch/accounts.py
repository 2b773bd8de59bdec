"""What the accounts may do that a planned switch uses: the manager's, one privilege by one, and the replicas'. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ....config import ServerConfig
from ...model.check import Check, Severity
from ...mysql.dialects.accounts import typed_account
from ...mysql.dialects.privileges import Power
from ...mysql.grants import Duty, may_come, needs
from ...planning.selection import Follower
from ..cluster.logins import LOGIN, judged
from ..cluster.privileges import POWERS, REPLICATE, of_power
from ..rule import Rule
from .subject import SwitchCase

CREDENTIALS = Rule(
    "replication-credentials",
    "With --orig_master_is_new_slave: is it known with which account and password the old primary is to replicate?",
    "set {missing} in the configuration, or leave out --orig_master_is_new_slave",
)
#: What nothing else has to be allowed to do.
OWN = (Power.FLUSH, Power.MOVE_EVENTS)
RULES = (*(POWERS[power] for power in OWN), CREDENTIALS)


def checks(case: SwitchCase) -> Iterator[Check]:
    """Of every server, what the manager's account may do there, and who may replicate from the target."""
    for server in case.config.servers:
        state, activity = case.cluster.get(server.address), case.activity.get(server.address)
        if state is None or activity is None:
            continue
        acts = server.address == case.old.address or (case.target is not None and server.address == case.target.address)
        for need in needs(activity.grants, Duty.SWITCH if acts else Duty.REPOINT, state.vendor, state.version):
            yield of_power(server, activity.account, need, Severity.WARNING if need.optional else None)
    yield from _replication_account(case)
    yield from _logins(case)


def replication_user(old: ServerConfig, followers: Sequence[Follower]) -> str:
    """The account with which the old primary will replicate: the configured one, or the one its replicas use."""
    return old.repl_user or next((f.channel.source_user for f in followers if f.channel.source_user), "")


def _follows_already(case: SwitchCase) -> bool:
    old, new = case.old_state, case.target
    return old is not None and new is not None and old.channel_from(new.hostname, new.ip, new.port) is not None


def _logins(case: SwitchCase) -> Iterator[Check]:
    """What was tried: whoever is to follow the target logs in there as its channel does, or with what it is given."""
    target = case.target_state
    if target is None:
        return
    new = {state.key for state in case.new_replicas}
    given = () if _follows_already(case) else (case.old.address,)
    for login in case.logins:
        start = login.start.address
        if login.end.address != target.key or start not in new or login.untried or login.own is (start in given):
            continue
        found = judged(login, target.server_id, ())
        if found is None:
            yield LOGIN.yes(login.start.name, f"{target.name} lets it in as {login.user}")
        else:
            yield LOGIN.no(login.start.name, found[0], remedy=found[1])


def _replication_account(case: SwitchCase) -> Iterator[Check]:
    target = case.target_state
    used = {(f.channel.source_user, f.config) for f in case.followers if target is None or f.key != target.key}
    if case.options.orig_master_is_new_slave:
        user, password = replication_user(case.old, case.followers), case.old.repl_password
        missing = "repl_user" if not user else "repl_password" if password is None else ""
        if missing and not _follows_already(case):
            text = f"{missing} is not set, so it cannot be made a replica"
            yield CREDENTIALS.no(case.old.name, text, missing=missing)
        else:
            # One of a pair: its channel goes on with what it has.
            yield CREDENTIALS.yes(case.old.name, f"it can be made a replica with the account {user}")
        used.add((user, case.old))
    activity = case.activity.get(target.key) if target else None
    if target is None or activity is None or activity.replication_accounts is None:
        return
    for user, server in sorted(used, key=lambda item: (item[0], item[1].address)):
        known = not user or may_come(activity.replication_accounts, user, server)
        text = f"{server.name} may {'' if known else 'not '}replicate from it as {user}"
        yield REPLICATE.judge(target.name, known, text, account=typed_account(user, "%"))
