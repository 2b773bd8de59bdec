"""Who else acts on the servers of a planned switch, whether all that was seen, and who cannot be kept out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ...model.check import Check, Severity
from ..rule import Rule
from .sessions import few
from .subject import SwitchCase

SEEN = Rule(
    "activity-seen",
    "Could everything be seen that runs on every server?",
    "give the account what it lacks, and try again",
    varies="warning where a privilege is missing: that is refused by the privilege's own name",
)
SUPERS = Rule(
    "super-writers",
    "Can accounts with SUPER be kept out of the old primary (super_read_only, tx_read_only)?",
    "stop those applications, or take SUPER from their accounts, then pass --allow_super_writers",
    varies="warning with --allow_super_writers",
)
NOBODY_ACTS = Rule(
    "nobody-acts",
    "Is no other manager or command acting on this cluster?",
    "wait until it has ended, or end that session when nothing is behind it",
)
NO_OTHER_MANAGER = Rule(
    "no-other-manager",
    "Is the cluster watched by no manager of another system, such as MHA's?",
    "stop that manager first (masterha_stop on its host), or it may fail over in the middle of the switch",
)
RULES = (SEEN, SUPERS, NOBODY_ACTS, NO_OTHER_MANAGER)


def checks(case: SwitchCase, acting: bool) -> Iterator[Check]:
    """Of every server that answers; ``acting`` as for `switch_checks`."""
    yield from _seen(case)
    yield from _closable(case)
    yield from _others_acting(case, acting)


def _seen(case: SwitchCase) -> Iterator[Check]:
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None:
            yield SEEN.no(state.name, "not all that runs there could be seen: it did not answer in time")
        elif activity.unseen:
            text = f"not all that runs there could be seen: {'; '.join(activity.unseen)}"
            yield SEEN.no(state.name, text, Severity.WARNING)
        else:
            yield SEEN.yes(state.name, "what runs there was seen")


def _closable(case: SwitchCase) -> Iterator[Check]:
    """Whether writes of accounts with SUPER can be stopped on the old primary, and stay so."""
    old = case.old_state
    if old is None or old.super_read_only is not None:
        return
    if old.tx_read_only is not None:
        yield SUPERS.yes(old.name, "tx_read_only closes it to accounts with SUPER, too")
        return
    activity = case.activity.get(old.key)
    # Sessions of the manager's own account are mostly the manager's.
    supers = (activity.supers or frozenset()) - {case.old.user} if activity else frozenset()
    found = [str(p) for p in activity.processes if p.user in supers] if activity else []
    text = (
        "it has neither super_read_only nor tx_read_only, so nothing keeps out sessions of accounts with SUPER: "
        f"{'; '.join(few(found)) or 'none now'}"
    )
    yield SUPERS.no(old.name, text, Severity.WARNING if case.options.allow_super_writers else None)


def _others_acting(case: SwitchCase, acting: bool) -> Iterator[Check]:
    # MHA's manager takes the monitor lock on the primary alone, ours on every server.
    seen = [lock for activity in case.activity.values() for lock in activity.advisory if lock.counts]
    holders = [(lock.user, lock.host) for lock in seen if lock.name == MONITOR_LOCK]
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None:
            continue
        # A session that can do nothing of a manager's work is none: it is ended when the lock is taken.
        held = {lock.name: lock for lock in activity.advisory if lock.counts}
        failover, monitor = held.get(FAILOVER_LOCK), held.get(MONITOR_LOCK)
        if failover is not None and not acting:
            who = f"session {failover.process} ({failover.user}@{failover.host})"
            text = f"{who} holds the failover lock: another manager or command is acting on this cluster"
            yield NOBODY_ACTS.no(state.name, text)
        elif not acting:
            yield NOBODY_ACTS.yes(state.name, "nobody holds the failover lock")
        if monitor is None:
            yield NO_OTHER_MANAGER.yes(state.name, "no other manager watches it")
        elif monitor.ours or holders.count((monitor.user, monitor.host)) > 1:
            yield NO_OTHER_MANAGER.yes(state.name, f"our manager watches it (session {monitor.process})")
        else:
            who = f"session {monitor.process} ({monitor.user}@{monitor.host})"
            text = f"{who} holds the monitor lock, and it is no manager of this system"
            yield NO_OTHER_MANAGER.no(state.name, text)
