"""What must hold before the primary's role is moved: every precondition a named check with its reason and hint. Pure.

The order is that of asking: the cluster, the target, the replicas, the accounts, what runs (`switch_sessions`). An
error refuses the switch, a warning is told. MHA's list (its wiki, "masterha_master_switch"), and what it never asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ....config import ClusterConfig, ServerConfig
from ...checks.trying_logins import TriedLogin
from ...coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ...model.check import Check, Severity
from ...model.errant import strays
from ...model.gtid import GtidSet
from ...model.refusal import Refusal
from ...model.state import ClusterState, GtidKind, ServerState
from ...model.topology import find_primary
from ...planning.selection import followers_of, gtid_kind
from ...workload.activity import Activity
from .accounts import account_checks
from .filters import filter_checks
from .options import SwitchOptions
from .sessions import session_checks
from .subject import SwitchCase, judged


def switch_checks(
    config: ClusterConfig,
    cluster: ClusterState,
    activity: Mapping[str, Activity],
    options: SwitchOptions,
    target: ServerConfig | None,
    *,
    acting: bool = False,
    logins: tuple[TriedLogin, ...] = (),
) -> tuple[Check, ...]:
    """Every check, in the order asked. ``target`` is None when the named one is unknown or nobody may be promoted.

    ``acting`` says that we hold the failover lock ourselves, everywhere. ``logins`` are what was tried of logging in as
    a replica.
    """
    primary = find_primary(config, cluster)
    alive = tuple(_alive(config, cluster))
    if isinstance(primary, Refusal):
        return (*alive, Check("primary", config.name, False, primary.sentence.rstrip("."), hint=primary.remedy))
    case = SwitchCase(
        config, cluster, activity, options, primary, target, followers_of(primary, config, cluster), logins
    )
    return (
        *alive,
        Check("primary", primary.name, True, "it is the primary"),
        *_target(case),
        *_replicas(case),
        *_versions(case),
        *filter_checks(case),
        *_transactions(case),
        *account_checks(case),
        *_seen(case),
        *_closable(case),
        *_others_acting(case, acting),
        *_sessions(case),
        *_moved_over(case),
    )


# the cluster -----------------------------------------------------------------------------------------------------


def _alive(config: ClusterConfig, cluster: ClusterState) -> Iterator[Check]:
    reasons = {d.key: d.reason for d in cluster.down}
    for server in config.servers:
        reason = reasons.get(server.address, "")
        yield judged(
            "server-alive",
            server.name,
            f"it cannot be used: {reason}" if reason else "",
            "it answers",
            "a planned switch needs every configured server; start it, or take it out of the configuration",
        )


# the target ------------------------------------------------------------------------------------------------------


def _target(case: SwitchCase) -> Iterator[Check]:
    options, target = case.options, case.target
    if target is None:
        if options.new_master_host is not None:
            port = f":{options.new_master_port}" if options.new_master_port else ""
            wanted = f"{options.new_master_host}{port}"
            names = ", ".join(s.name for s in case.config.servers if s.address != case.old.address)
            yield Check(
                "target-known", wanted, False, f"it is not a server of {case.config.name}", hint=f"name {names}"
            )
        return
    yield Check("target-known", target.name, True, f"it is a server of {case.config.name}")
    itself = target.address == case.old.address
    yield judged(
        "target-is-another",
        target.name,
        "it is the current primary" if itself else "",
        "it is not the current primary",
        "there is nothing to switch; name one of the replicas",
    )
    state = case.target_state
    if itself or state is None:
        return
    follows = any(f.key == target.address for f in case.followers)
    yield judged(
        "target-follows",
        target.name,
        "" if follows else f"it does not replicate from {case.old.name}",
        f"it replicates from {case.old.name}",
        "name a replica of the current primary",
    )
    yield judged(
        "target-may-be-primary",
        target.name,
        "no_master is set" if target.no_master else "",
        "no_master is not set",
        "name another server, or take no_master out of its block",
    )
    yield judged(
        "target-log-bin",
        target.name,
        "" if state.log_bin else "log_bin is off, so nobody could replicate from it",
        "log_bin is on",
        "set log_bin on it and restart it, or name another server",
    )
    yield judged(
        "target-log-replica-updates",
        target.name,
        ""
        if state.log_replica_updates or gtid_kind(case.followers, case.config.use_gtid_auto_pos) is GtidKind.POSITION
        else "log_replica_updates is off, so it does not pass on what it received",
        f"log_replica_updates is {'on' if state.log_replica_updates else 'off, which file and position do not need'}",
        "set log_replica_updates (log_slave_updates) on it and restart it, or name another server",
    )
    delay = next((f.channel.delay for f in case.followers if f.key == target.address), 0)
    yield judged(
        "target-not-delayed",
        target.name,
        f"it is delayed by {delay} s on purpose" if delay else "",
        "it is not delayed on purpose",
        "set its delay to 0 and let it catch up, or name another server",
    )


# the replicas ----------------------------------------------------------------------------------------------------


def _replicas(case: SwitchCase) -> Iterator[Check]:
    limit = max(1, case.options.seconds_behind_master)
    # Replicas of replicas are left alone with multi_tier_slave; nobody else may stand aside.
    for server in case.config.servers:
        state = case.cluster.get(server.address)
        if state is None or server.address == case.old.address or any(f.key == server.address for f in case.followers):
            continue
        yield judged(
            "follows-primary",
            state.name,
            ""
            if case.config.multi_tier_slave and state.channels
            else f"it replicates from {state.sources or 'nobody'}, not from {case.old.name}",
            f"it replicates from {state.sources} and is left alone",
            "point it at the primary, set multi_tier_slave=1, or take it out of the configuration",
        )
    for follower in case.followers:
        channel, name = follower.channel, follower.state.name
        yield judged(
            "receiver-running",
            name,
            ""
            if channel.receiver == "Yes"
            else f"its receiver does not run ({channel.receiver}); error {channel.receiver_errno}: "
            f"{channel.receiver_error}"
            if channel.receiver_errno
            else f"its receiver does not run ({channel.receiver or 'No'})",
            "its receiver runs",
            "mend the error and start replication on it",
        )
        stopped = follower.broken or ("" if channel.applier_running else "its applier does not run")
        yield judged("applier-running", name, stopped, "its applier runs", "mend the error and start replication on it")
        lag = channel.seconds_behind
        late = "it does not know how far behind it is" if lag is None else ""
        if lag is not None and lag > limit:
            late = f"it is {lag} s behind, more than {limit}"
        yield judged(
            "lag",
            name,
            late,
            f"it is {lag} s behind",
            "wait until it has caught up, or raise --seconds_behind_master",
        )
        yield judged(
            "replica-read-only",
            name,
            "" if follower.state.read_only else "read_only is off, so applications can write to it",
            "read_only is on",
            "set read_only=1 on it",
            Severity.WARNING,
        )


def _versions(case: SwitchCase) -> Iterator[Check]:
    state, old = case.target_state, case.old_state
    if state is None or old is None or state.key == old.key:
        return
    for replica in case.new_replicas:
        wrong = ""
        if replica.vendor is not state.vendor:
            wrong = f"it is {replica.vendor}, and {state.name} is {state.vendor}"
        elif state.major > replica.major:
            wrong = f"its version {_dotted(replica)} is older than {_dotted(state)} of {state.name}"
        yield judged(
            "version",
            replica.name,
            f"{wrong}, so it could not replicate from it" if wrong else "",
            f"its version {_dotted(replica)} can replicate from {_dotted(state)}",
            "upgrade the replicas first, or promote a server of the oldest version",
        )
    yield judged(
        "version-of-target",
        state.name,
        f"its version {_dotted(state)} is older than {_dotted(old)} of the primary" if state.major < old.major else "",
        f"its version {_dotted(state)} is not older than the primary's",
        "what the newer version wrote may not be understood; promote a server of the same version",
        Severity.WARNING,
    )


# transactions ----------------------------------------------------------------------------------------------------


def _transactions(case: SwitchCase) -> Iterator[Check]:
    old, target = case.old_state, case.target_state
    if old is None:
        return
    for follower in case.followers:
        found = strays(old, follower.state)
        promoted = target is not None and follower.key == target.key
        yield judged(
            "errant",
            follower.state.name,
            f"it has transactions that {old.name} does not have: {found}" if found else "",
            f"it has nothing that {old.name} does not have",
            "inspect them; then inject empty transactions with these GTIDs on the primary, or rebuild the replica"
            + (", or set check_errant=0 to accept them" if promoted else ""),
            Severity.ERROR if promoted and follower.config.check_errant else Severity.WARNING,
        )
    if target is None or gtid_kind(case.followers, case.config.use_gtid_auto_pos) is not GtidKind.MYSQL:
        return
    for replica in case.new_replicas:
        missing = (target.gtid_purged or GtidSet()) - (replica.gtid_executed or GtidSet())
        yield judged(
            "purged",
            replica.name,
            f"it lacks transactions that {target.name} has purged from its binary logs: {missing}" if missing else "",
            f"{target.name} still has in its binary logs whatever it lacks",
            "let it catch up from the current primary, or rebuild it, or promote another server",
        )


# what runs -------------------------------------------------------------------------------------------------------


def _seen(case: SwitchCase) -> Iterator[Check]:
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None or activity.unseen:
            why = "; ".join(activity.unseen) if activity else "it did not answer in time"
            # What is missing for want of a privilege is refused there, by the privilege's name.
            severity = Severity.ERROR if activity is None else Severity.WARNING
            text, hint = (
                f"not all that runs there could be seen: {why}",
                "see to it that the account may, and try again",
            )
            yield Check("activity-seen", state.name, False, text, severity, hint)
        else:
            yield Check("activity-seen", state.name, True, "what runs there was seen")


def _others_acting(case: SwitchCase, acting: bool) -> Iterator[Check]:
    # MHA's manager takes the monitor lock on the primary alone, ours on every server.
    seen = [lock for activity in case.activity.values() for lock in activity.advisory if lock.counts]
    locks = [lock for lock in seen if lock.name == MONITOR_LOCK]
    holders = [(lock.user, lock.host) for lock in locks]
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None:
            continue
        # A session that can do nothing of a manager's work is none: it is ended when the lock is taken.
        held = {lock.name: lock for lock in activity.advisory if lock.counts}
        failover, monitor = held.get(FAILOVER_LOCK), held.get(MONITOR_LOCK)
        if not acting:
            yield judged(
                "nobody-acts",
                state.name,
                f"session {failover.process} ({failover.user}@{failover.host}) holds the failover lock: "
                "another manager or command is acting on this cluster"
                if failover
                else "",
                "nobody holds the failover lock",
                "wait until it has ended, or end that session when nothing is behind it",
            )
        yield judged(
            "no-other-manager",
            state.name,
            f"session {monitor.process} ({monitor.user}@{monitor.host}) holds the monitor lock, "
            "and it is no manager of this system"
            if monitor and not monitor.ours and holders.count((monitor.user, monitor.host)) < 2
            else "",
            f"our manager watches it (session {monitor.process})" if monitor else "no other manager watches it",
            "stop that manager first (masterha_stop on its host), or it may fail over in the middle of the switch",
        )


def _closable(case: SwitchCase) -> Iterator[Check]:
    """Whether writes of accounts with SUPER can be stopped on the old primary, and stay so."""
    old = case.old_state
    if old is None or old.super_read_only is not None:
        return
    if old.tx_read_only is not None:
        yield Check("super-writers", old.name, True, "tx_read_only closes it to accounts with SUPER, too")
        return
    activity = case.activity.get(old.key)
    # Sessions of the manager's own account are mostly the manager's.
    supers = (activity.supers or frozenset()) - {case.old.user} if activity else frozenset()
    found = [str(p) for p in activity.processes if p.user in supers] if activity else []
    yield judged(
        "super-writers",
        old.name,
        "it has neither super_read_only nor tx_read_only, so nothing keeps out sessions of accounts with SUPER: "
        + ("; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "") if found else "none now"),
        "",
        "stop those applications, or take SUPER from their accounts, then give --allow_super_writers",
        Severity.WARNING if case.options.allow_super_writers else Severity.ERROR,
    )


def _sessions(case: SwitchCase) -> Iterator[Check]:
    wanted = [(case.old, True)] + ([(case.target, False)] if case.target and case.target != case.old else [])
    for server, is_old in wanted:
        activity = case.activity.get(server.address)
        if activity is not None:
            yield from session_checks(activity, case.options, is_old=is_old)


# what moves over with the role -----------------------------------------------------------------------------------


def _moved_over(case: SwitchCase) -> Iterator[Check]:
    old, target = case.old_state, case.target_state
    script = case.config.master_ip_online_change_script
    movers = [script if name == "script" else name for name in case.config.vip_provider if name != "script" or script]
    yield judged(
        "address-hook",
        case.config.name,
        "" if movers else "master_ip_online_change_script is not set, and there is no vip_provider",
        f"{', '.join(map(str, movers))} moves the address",
        "applications have to find the new primary by themselves",
        Severity.WARNING,
    )
    if old is None or target is None or old.key == target.key:
        return
    yield judged(
        "lets-applications-in",
        target.name,
        f"{shut} is on, so no application would get in" if (shut := _shut(target)) else "",
        "nothing but read_only keeps applications out",
        f"SET GLOBAL {shut}=0 there",
    )
    activity = case.activity.get(old.key)
    events = activity.events if activity else 0
    runs = old.event_scheduler.upper() in ("ON", "1")
    yield Check(
        "events",
        old.name,
        True,
        f"its event scheduler is {'on' if runs else 'off'}, with {events} enabled events"
        + (f"; they move to {target.name}" if runs and events else ""),
        Severity.INFO,
    )
    lost = old.semi_sync.source_enabled and target.semi_sync.source_enabled is None
    yield judged(
        "semi-sync",
        target.name,
        "it has no semi-synchronous plugin for a source, so its commits will wait for nobody" if lost else "",
        "semi-synchronous replication goes on as it is" if old.semi_sync.source_enabled else "no semi-sync is in use",
        "install the plugin that the primary has",
        Severity.WARNING,
    )


def _shut(target: ServerState) -> str:
    """What the switch itself does not clear; where there is no super_read_only, a former switch closed it so."""
    if target.offline_mode:
        return "offline_mode"
    return "transaction_read_only" if target.tx_read_only and target.super_read_only is not None else ""


def _dotted(state: ServerState) -> str:
    return ".".join(str(part) for part in state.major)
