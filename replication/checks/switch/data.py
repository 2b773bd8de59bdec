"""Whether the servers of a planned switch hold and pass on the same data: filters and transactions compared. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.check import Check, Severity
from ...model.errant import strays
from ...model.gtid import GtidSet
from ...model.state import GtidKind
from ...planning.selection import gtid_kind
from ..cluster import filters
from ..cluster.gtids import ERRANT, PURGED
from ..rule import Rule
from .subject import SwitchCase

UNFILTERED = Rule(
    "target-unfiltered",
    "Does the target replicate everything?",
    "make sure that applications need only what it holds",
    Severity.WARNING,
)
RULES = (UNFILTERED,)


def checks(case: SwitchCase) -> Iterator[Check]:
    """Of every replica and every log, against the target's."""
    if case.config.check_repl_filter:
        yield from _filters(case)
    yield from _errant(case)
    yield from _purged(case)


def _filters(case: SwitchCase) -> Iterator[Check]:
    state, old = case.target_state, case.old_state
    mine = next((f for f in case.followers if state is not None and f.key == state.key), None)
    if mine is None or state is None or old is None:
        return
    others = [follower for follower in case.followers if follower.key != state.key]
    own, logged = filters.of_channel(mine.channel.filters), filters.of_log(state)
    for other in others:
        yield filters.channel_like(other.state, other.channel.filters, own, state.name)
    for each in (old, *(other.state for other in others)):
        yield filters.log_like(each, logged, state.name)
    if own:
        text = f"it filters what it replicates ({filters.words(own)}), so it does not hold all of the primary's data"
        yield UNFILTERED.no(state.name, text)
    else:
        yield UNFILTERED.yes(state.name, "it replicates everything")


def _errant(case: SwitchCase) -> Iterator[Check]:
    old, target = case.old_state, case.target_state
    if old is None:
        return
    for follower in case.followers:
        state = follower.state
        found = strays(old, state)
        promoted = target is not None and follower.key == target.key
        worse = Severity.ERROR if promoted and follower.config.check_errant else None
        text = f"it has transactions that {old.name} does not have: {found}"
        if not found:
            text = f"it has nothing that {old.name} does not have"
        where = {"server": state.hostname, "conf": case.config.path}
        yield ERRANT.judge(state.name, not found, text, worse, **where)


def _purged(case: SwitchCase) -> Iterator[Check]:
    target = case.target_state
    if target is None or gtid_kind(case.followers, case.config.use_gtid_auto_pos) is not GtidKind.MYSQL:
        return
    dialect = case.dialect(target.key)
    variable = dialect.variable("binlog_expire_logs_seconds") if dialect else "binlog_expire_logs_seconds"
    for replica in case.new_replicas:
        missing = (target.gtid_purged or GtidSet()) - (replica.gtid_executed or GtidSet())
        text = f"it lacks transactions that {target.name} has purged from its binary logs: {missing}"
        if not missing:
            text = f"{target.name} still has in its binary logs whatever it lacks"
        where = {"server": replica.hostname, "holder": target.hostname, "variable": variable}
        yield PURGED.judge(replica.name, not missing, text, Severity.ERROR, **where)
