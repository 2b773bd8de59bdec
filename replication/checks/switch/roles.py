"""Who is to become the primary, and who is to follow it: whether they can. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...model.check import Check, Severity
from ...model.state import GtidKind, ServerState
from ...planning.selection import Follower, gtid_kind
from ..cluster.replicas import lag, threads
from ..cluster.servers import LOG_BIN, LOG_UPDATES, READ_ONLY
from ..cluster.topology import IS_REPLICA, TIERS
from ..rule import Rule
from .subject import SwitchCase

KNOWN = Rule("target-known", "Is the named server one of the configuration?", "name {names}")
ANOTHER = Rule(
    "target-is-another",
    "Is it another one than the primary?",
    "there is nothing to switch; name one of the replicas",
)
FOLLOWS = Rule("target-follows", "Does it replicate from the primary?", "name a replica of the current primary")
MAY = Rule(
    "target-may-be-primary",
    "May it be promoted, without no_master in its block?",
    "name another server, or take no_master out of its block",
)
NOT_DELAYED = Rule(
    "target-not-delayed",
    "Does it follow without a delay that was set on purpose?",
    "set its delay to 0 and let it catch up, or name another server",
)
VERSION = Rule(
    "version",
    "Can every server follow it that is to: of the same vendor, and of no older version?",
    "upgrade the replicas first, or promote a server of the oldest version",
)
NOT_OLDER = Rule(
    "version-of-target",
    "Is its version not older than the primary's?",
    "what the newer version wrote may not be understood; promote a server of the same version",
    Severity.WARNING,
)
RULES = (KNOWN, ANOTHER, FOLLOWS, MAY, NOT_DELAYED, VERSION, NOT_OLDER)


def checks(case: SwitchCase) -> Iterator[Check]:
    """The target first, then the replicas."""
    yield from _target(case)
    yield from _others(case)
    for follower in case.followers:
        yield from _replica(case, follower)
    yield from _versions(case)


def _target(case: SwitchCase) -> Iterator[Check]:
    options, target, old = case.options, case.target, case.old.name
    if target is None:
        if options.new_master_host is not None:
            port = f":{options.new_master_port}" if options.new_master_port else ""
            names = ", ".join(s.name for s in case.config.servers if s.address != case.old.address)
            text = f"it is not a server of {case.config.name}"
            yield KNOWN.no(f"{options.new_master_host}{port}", text, names=names)
        return
    name = target.name
    yield KNOWN.yes(name, f"it is a server of {case.config.name}")
    itself = target.address == case.old.address
    yield ANOTHER.judge(name, not itself, f"it is {'' if itself else 'not '}the current primary")
    state = case.target_state
    if itself or state is None:
        return
    follower = next((f for f in case.followers if f.key == target.address), None)
    follows = "replicates" if follower else "does not replicate"
    yield FOLLOWS.judge(name, follower is not None, f"it {follows} from {old}")
    yield MAY.judge(name, not target.no_master, f"no_master is {'set' if target.no_master else 'not set'}")
    yield _log(state)
    yield _log_of_updates(case, state)
    delay = follower.channel.delay if follower else 0
    yield NOT_DELAYED.judge(name, not delay, f"it is {f'delayed by {delay} s' if delay else 'not delayed'} on purpose")


def _log(state: ServerState) -> Check:
    if state.log_bin:
        return LOG_BIN.yes(state.name, "log_bin is on")
    text = "log_bin is off, so nobody could replicate from it"
    return LOG_BIN.no(state.name, text, Severity.ERROR, server=state.hostname)


def _log_of_updates(case: SwitchCase, state: ServerState) -> Check:
    dialect = case.dialect(state.key)
    variable = dialect.variable("log_replica_updates") if dialect else "log_replica_updates"
    if state.log_replica_updates:
        return LOG_UPDATES.yes(state.name, f"{variable} is on")
    if gtid_kind(case.followers, case.config.use_gtid_auto_pos) is GtidKind.POSITION:
        return LOG_UPDATES.yes(state.name, f"{variable} is off, which file and position do not need")
    text = f"{variable} is off, so it does not pass on what it received"
    return LOG_UPDATES.no(state.name, text, Severity.ERROR, variable=variable, server=state.hostname)


def _others(case: SwitchCase) -> Iterator[Check]:
    # Replicas of replicas are left alone with multi_tier_slave; nobody else may stand aside.
    followers = {follower.key for follower in case.followers}
    for server in case.config.servers:
        state = case.cluster.get(server.address)
        if state is None or server.address == case.old.address or server.address in followers:
            continue
        if state.channels:
            text = f"replicates from {state.sources}, not from {case.old.name}"
            yield TIERS.judge(state.name, case.config.multi_tier_slave, text, primary=case.old.name)
        else:
            yield IS_REPLICA.no(state.name, "replicates from nobody", primary=case.old.name)


def _replica(case: SwitchCase, follower: Follower) -> Iterator[Check]:
    state, channel, dialect = follower.state, follower.channel, case.dialect(follower.key)
    if dialect is not None:
        runs = channel.applier_running and not follower.broken
        yield from threads(dialect, state, replace(channel, applier_running=runs))
    yield lag(state, channel, max(1, case.options.seconds_behind_master), whole=True)
    text = "read_only is on" if state.read_only else "read_only is off, so applications can write to it"
    yield READ_ONLY.judge(state.name, state.read_only, text, Severity.WARNING, server=state.hostname)


def _versions(case: SwitchCase) -> Iterator[Check]:
    state, old = case.target_state, case.old_state
    if state is None or old is None or state.key == old.key:
        return
    target = _dotted(state)
    for replica in case.new_replicas:
        own = _dotted(replica)
        if replica.vendor is not state.vendor:
            text = f"it is {replica.vendor}, and {state.name} is {state.vendor}, so it could not replicate from it"
            yield VERSION.no(replica.name, text)
        elif state.major > replica.major:
            text = f"its version {own} is older than {target} of {state.name}, so it could not replicate from it"
            yield VERSION.no(replica.name, text)
        else:
            yield VERSION.yes(replica.name, f"its version {own} can replicate from {target}")
    if state.major < old.major:
        yield NOT_OLDER.no(state.name, f"its version {target} is older than {_dotted(old)} of the primary")
    else:
        yield NOT_OLDER.yes(state.name, f"its version {target} is not older than the primary's")


def _dotted(state: ServerState) -> str:
    return ".".join(str(part) for part in state.major)
