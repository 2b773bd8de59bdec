"""What must hold before the primary's role is moved: every precondition a named check with its reason and hint. Pure.

The order is that of asking: the cluster, the target, the replicas, what runs (`switch_sessions`), the accounts. An
error refuses the switch, a warning is told. MHA's list (its wiki, "masterha_master_switch"), and what it never asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from config import ClusterConfig, ServerConfig
from replication.activity import Activity
from replication.check import Check, Severity
from replication.errant import strays
from replication.grants import Job, needs
from replication.plan import Refusal
from replication.selection import Follower, followers_of, gtid_kind
from replication.sessions import FAILOVER_LOCK, MONITOR_LOCK
from replication.snapshots import ClusterState, Filters, GtidKind, ServerState
from replication.switch_options import SwitchOptions
from replication.switch_sessions import session_checks
from replication.topology import find_primary


@dataclass(frozen=True)
class _Case:
    """Everything the checks look at, with the names that they go by."""

    config: ClusterConfig
    cluster: ClusterState
    activity: Mapping[str, Activity]
    options: SwitchOptions
    old: ServerConfig
    target: ServerConfig | None
    followers: tuple[Follower, ...]

    @property
    def old_state(self) -> ServerState | None:
        return self.cluster.get(self.old.address)

    @property
    def target_state(self) -> ServerState | None:
        return self.cluster.get(self.target.address) if self.target else None

    @property
    def new_replicas(self) -> tuple[ServerState, ...]:
        """Those that are to replicate from the target."""
        of_old = tuple(f.state for f in self.followers if self.target is None or f.key != self.target.address)
        old = self.old_state
        return (*of_old, old) if old is not None and self.options.orig_master_is_new_slave else of_old


def switch_checks(
    config: ClusterConfig,
    cluster: ClusterState,
    activity: Mapping[str, Activity],
    options: SwitchOptions,
    target: ServerConfig | None,
    *,
    acting: bool = False,
) -> tuple[Check, ...]:
    """Every check, in the order asked. ``target`` is None when the named one is unknown or nobody may be promoted.

    ``acting`` says that we hold the failover lock ourselves, everywhere.
    """
    primary = find_primary(config, cluster)
    alive = tuple(_alive(config, cluster))
    if isinstance(primary, Refusal):
        return (*alive, Check("primary", config.name, False, primary.sentence.rstrip("."), hint=primary.remedy))
    case = _Case(config, cluster, activity, options, primary, target, followers_of(primary, config, cluster))
    return (
        *alive,
        Check("primary", primary.name, True, "it is the primary"),
        *_target(case),
        *_replicas(case),
        *_versions(case),
        *_filters(case),
        *_transactions(case),
        *_seen(case),
        *_others_acting(case, acting),
        *_sessions(case),
        *_accounts(case),
        *_moved_over(case),
    )


def _check(name: str, subject: str, wrong: str, fine: str, hint: str, severity: Severity = Severity.ERROR) -> Check:
    """``wrong`` is why not, empty when all is well; then ``fine`` is said."""
    return Check(name, subject, not wrong, wrong or fine, severity, hint)


# the cluster -----------------------------------------------------------------------------------------------------


def _alive(config: ClusterConfig, cluster: ClusterState) -> Iterator[Check]:
    reasons = {d.key: d.reason for d in cluster.down}
    for server in config.servers:
        reason = reasons.get(server.address, "")
        yield _check(
            "server-alive",
            server.name,
            f"it cannot be used: {reason}" if reason else "",
            "it answers",
            "a planned switch needs every configured server; start it, or take it out of the configuration",
        )


# the target ------------------------------------------------------------------------------------------------------


def _target(case: _Case) -> Iterator[Check]:
    options, target = case.options, case.target
    if target is None:
        if options.new_master_host is not None:
            wanted = f"{options.new_master_host}:{options.new_master_port}"
            names = ", ".join(s.name for s in case.config.servers if s.address != case.old.address)
            yield Check(
                "target-known", wanted, False, f"it is not a server of {case.config.name}", hint=f"name {names}"
            )
        return
    yield Check("target-known", target.name, True, f"it is a server of {case.config.name}")
    itself = target.address == case.old.address
    yield _check(
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
    yield _check(
        "target-follows",
        target.name,
        "" if follows else f"it does not replicate from {case.old.name}",
        f"it replicates from {case.old.name}",
        "name a replica of the current primary",
    )
    yield _check(
        "target-may-be-primary",
        target.name,
        "no_master is set" if target.no_master else "",
        "no_master is not set",
        "name another server, or take no_master out of its block",
    )
    yield _check(
        "target-log-bin",
        target.name,
        "" if state.log_bin else "log_bin is off, so nobody could replicate from it",
        "log_bin is on",
        "set log_bin on it and restart it, or name another server",
    )
    yield _check(
        "target-log-replica-updates",
        target.name,
        "" if state.log_replica_updates else "log_replica_updates is off, so it does not pass on what it received",
        "log_replica_updates is on",
        "set log_replica_updates (log_slave_updates) on it and restart it, or name another server",
    )
    delay = next((f.channel.delay for f in case.followers if f.key == target.address), 0)
    yield _check(
        "target-not-delayed",
        target.name,
        f"it is delayed by {delay} s on purpose" if delay else "",
        "it is not delayed on purpose",
        "set its delay to 0 and let it catch up, or name another server",
    )


# the replicas ----------------------------------------------------------------------------------------------------


def _replicas(case: _Case) -> Iterator[Check]:
    limit = max(1, case.options.seconds_behind_master)
    # Replicas of replicas are left alone with multi_tier_slave; nobody else may stand aside.
    for server in case.config.servers:
        state = case.cluster.get(server.address)
        if state is None or server.address == case.old.address or any(f.key == server.address for f in case.followers):
            continue
        yield _check(
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
        yield _check(
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
        yield _check("applier-running", name, stopped, "its applier runs", "mend the error and start replication on it")
        lag = channel.seconds_behind
        late = "it does not know how far behind it is" if lag is None else ""
        if lag is not None and lag > limit:
            late = f"it is {lag} s behind, more than {limit}"
        yield _check(
            "lag",
            name,
            late,
            f"it is {lag} s behind",
            "wait until it has caught up, or raise --seconds_behind_master",
        )
        yield _check(
            "replica-read-only",
            name,
            "" if follower.state.read_only else "read_only is off, so applications can write to it",
            "read_only is on",
            "set read_only=1 on it",
            Severity.WARNING,
        )


def _versions(case: _Case) -> Iterator[Check]:
    state, old = case.target_state, case.old_state
    if state is None or old is None or state.key == old.key:
        return
    for replica in case.new_replicas:
        wrong = ""
        if replica.vendor is not state.vendor:
            wrong = f"it is {replica.vendor}, and {state.name} is {state.vendor}"
        elif state.major > replica.major:
            wrong = f"its version {_dotted(replica)} is older than {_dotted(state)} of {state.name}"
        yield _check(
            "version",
            replica.name,
            f"{wrong}, so it could not replicate from it" if wrong else "",
            f"its version {_dotted(replica)} can replicate from {_dotted(state)}",
            "upgrade the replicas first, or promote a server of the oldest version",
        )
    yield _check(
        "version-of-target",
        state.name,
        f"its version {_dotted(state)} is older than {_dotted(old)} of the primary" if state.major < old.major else "",
        f"its version {_dotted(state)} is not older than the primary's",
        "what the newer version wrote may not be understood; promote a server of the same version",
        Severity.WARNING,
    )


def _filters(case: _Case) -> Iterator[Check]:
    state, old = case.target_state, case.old_state
    mine = next((f for f in case.followers if state is not None and f.key == state.key), None)
    if not case.config.check_repl_filter or mine is None or state is None or old is None:
        return
    hint = "give all servers the same filters, or set check_repl_filter=0 when you know what is missing where"
    for other in case.followers:
        if other.key != state.key:
            told = _filter_difference(other.channel.filters, mine.channel.filters)
            yield _check(
                "filters",
                other.state.name,
                f"its replication filters differ from those of {state.name}: {told}" if told else "",
                f"its replication filters are those of {state.name}",
                hint,
            )
    for other_state in (old, *(f.state for f in case.followers if f.key != state.key)):
        told = _difference(
            ("binlog_do_db", other_state.binlog_do_db, state.binlog_do_db),
            ("binlog_ignore_db", other_state.binlog_ignore_db, state.binlog_ignore_db),
        )
        yield _check(
            "binlog-filters",
            other_state.name,
            f"its binary log leaves out other schemas than that of {state.name}: {told}" if told else "",
            f"its binary log holds the same schemas as that of {state.name}",
            hint,
        )
    yield _check(
        "target-unfiltered",
        state.name,
        f"it filters what it replicates ({_words(mine.channel.filters)}), so it does not hold all of the primary's data"
        if mine.channel.filters
        else "",
        "it replicates everything",
        "make sure that applications need only what it holds",
        Severity.WARNING,
    )


def _filter_difference(theirs: Filters, mine: Filters) -> str:
    return _difference(*((name, value, getattr(mine, name)) for name, value in vars(theirs).items()))


def _difference(*compared: tuple[str, str, str]) -> str:
    """Lists of names are equal whatever their order; an empty one is not the same as any other."""
    return "; ".join(
        f"{name} is {theirs or 'empty'}, there {mine or 'empty'}"
        for name, theirs, mine in compared
        if _names(theirs) != _names(mine)
    )


def _names(listed: str) -> frozenset[str]:
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def _words(filters: Filters) -> str:
    return "; ".join(f"{name}: {value}" for name, value in vars(filters).items() if value)


# transactions ----------------------------------------------------------------------------------------------------


def _transactions(case: _Case) -> Iterator[Check]:
    old, target = case.old_state, case.target_state
    if old is None:
        return
    for follower in case.followers:
        found = strays(old, follower.state)
        promoted = target is not None and follower.key == target.key
        yield _check(
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
        missing = target.gtid_purged - replica.gtid_executed if target.gtid_purged and replica.gtid_executed else None
        yield _check(
            "purged",
            replica.name,
            f"it lacks transactions that {target.name} has purged from its binary logs: {missing}" if missing else "",
            f"{target.name} still has in its binary logs whatever it lacks",
            "let it catch up from the current primary, or rebuild it, or promote another server",
        )


# what runs -------------------------------------------------------------------------------------------------------


def _seen(case: _Case) -> Iterator[Check]:
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None or activity.unseen:
            why = "; ".join(activity.unseen) if activity else "it did not answer in time"
            # What is missing for want of a privilege is refused there, by the privilege's name.
            severity = Severity.ERROR if activity is None else Severity.WARNING
            yield Check("activity-seen", state.name, False, f"not all that runs there could be seen: {why}", severity)
        else:
            yield Check("activity-seen", state.name, True, "what runs there was seen")


def _others_acting(case: _Case, acting: bool) -> Iterator[Check]:
    for state in case.cluster.up:
        activity = case.activity.get(state.key)
        if activity is None:
            continue
        held = {lock.name: lock for lock in activity.advisory}
        failover, monitor = held.get(FAILOVER_LOCK), held.get(MONITOR_LOCK)
        if not acting:
            yield _check(
                "nobody-acts",
                state.name,
                f"session {failover.process} ({failover.user}@{failover.host}) holds the failover lock: "
                "another manager or command is acting on this cluster"
                if failover
                else "",
                "nobody holds the failover lock",
                "wait until it has ended, or end that session when nothing is behind it",
            )
        yield _check(
            "no-other-manager",
            state.name,
            f"session {monitor.process} ({monitor.user}@{monitor.host}) holds the monitor lock, "
            "and it is no manager of this system"
            if monitor and not monitor.ours
            else "",
            f"our manager watches it (session {monitor.process})" if monitor else "no other manager watches it",
            "stop that manager first (masterha_stop on its host), or it may fail over in the middle of the switch",
        )


def _sessions(case: _Case) -> Iterator[Check]:
    wanted = [(case.old, True)] + ([(case.target, False)] if case.target and case.target != case.old else [])
    for server, is_old in wanted:
        activity = case.activity.get(server.address)
        if activity is not None:
            yield from session_checks(activity, case.options, is_old=is_old)


# accounts --------------------------------------------------------------------------------------------------------


def _accounts(case: _Case) -> Iterator[Check]:
    for server in case.config.servers:
        state, activity = case.cluster.get(server.address), case.activity.get(server.address)
        if state is None or activity is None:
            continue
        acts = server.address == case.old.address or (case.target is not None and server.address == case.target.address)
        for need in needs(activity.grants, Job.SWITCH if acts else Job.REPOINT, state.vendor, state.version):
            yield _check(
                f"privilege-{need.power}",
                server.name,
                "" if need.granted else f"the account {server.user} may not {need.meaning}",
                f"the account {server.user} may {need.meaning}",
                f"GRANT {need.any_of[0]} ON *.* to it",
            )
    yield from _replication_account(case)


def replication_user(old: ServerConfig, followers: Sequence[Follower]) -> str:
    """The account with which the old primary will replicate: the configured one, or the one its replicas use."""
    return old.repl_user or next((f.channel.source_user for f in followers if f.channel.source_user), "")


def _replication_account(case: _Case) -> Iterator[Check]:
    target = case.target_state
    used = {(f.channel.source_user, f.config) for f in case.followers if target is None or f.key != target.key}
    if case.options.orig_master_is_new_slave:
        user, password = replication_user(case.old, case.followers), case.old.repl_password
        missing = "repl_user" if not user else "repl_password" if password is None else ""
        yield _check(
            "replication-credentials",
            case.old.name,
            f"{missing} is not set, so it cannot be made a replica" if missing else "",
            f"it can be made a replica with the account {user}",
            f"set {missing or 'repl_password'} in the configuration, or leave out --orig_master_is_new_slave",
        )
        used.add((user, case.old))
    activity = case.activity.get(target.key) if target else None
    if target is None or activity is None or activity.replication_accounts is None:
        return
    for user, server in sorted(used, key=lambda item: (item[0], item[1].address)):
        known = not user or _may_come(activity.replication_accounts, user, server)
        yield _check(
            "replication-account",
            target.name,
            "" if known else f"it has no account {user} with REPLICATION SLAVE for {server.name}",
            f"{server.name} may replicate from it as {user}",
            "create the account on the primary, so that all servers have it",
        )


def _may_come(accounts: Iterable[tuple[str, str]], user: str, server: ServerConfig) -> bool:
    """Whether an account's host pattern fits the server. A name is believed: how it resolves, only the server knows."""
    for name, pattern in accounts:
        if name != user:
            continue
        if "/" in pattern:
            try:
                if ipaddress.ip_address(server.ip) in ipaddress.ip_network(pattern, strict=False):
                    return True
            except ValueError:
                return True
        elif not re.fullmatch(r"[\d.%_:a-fA-F]*", pattern) or _like(pattern, (server.ip, server.hostname)):
            return True
    return False


def _like(pattern: str, texts: Collection[str]) -> bool:
    expression = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern) or ".*"
    return any(re.fullmatch(expression, text, re.IGNORECASE) for text in texts)


# what moves over with the role -----------------------------------------------------------------------------------


def _moved_over(case: _Case) -> Iterator[Check]:
    old, target = case.old_state, case.target_state
    yield _check(
        "address-hook",
        case.config.name,
        "" if case.config.master_ip_online_change_script else "master_ip_online_change_script is not set",
        f"{case.config.master_ip_online_change_script} moves the address",
        "applications have to find the new primary by themselves",
        Severity.WARNING,
    )
    if old is None or target is None or old.key == target.key:
        return
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
    yield _check(
        "semi-sync",
        target.name,
        "it has no semi-synchronous plugin for a source, so its commits will wait for nobody" if lost else "",
        "semi-synchronous replication goes on as it is" if old.semi_sync.source_enabled else "no semi-sync is in use",
        "install the plugin that the primary has",
        Severity.WARNING,
    )


def _dotted(state: ServerState) -> str:
    return ".".join(str(part) for part in state.major)
