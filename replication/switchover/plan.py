"""What a planned switch will do, to whom and why: one object, shown by --dry-run, executed as it stands, journaled.

Pure: snapshots, configuration and options in; a `SwitchPlan` or a `Refusal` out. Unlike a failover, a switch is never
urgent, so a single precondition that does not hold is a refusal (`switch_checks`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...config import ClusterConfig, ServerConfig
from ..checks.switch import switch_checks
from ..checks.switch.accounts import replication_user
from ..checks.trying_logins import TriedLogin
from ..model.check import Check, failed
from ..model.refusal import Refusal
from ..model.state import ClusterState
from ..model.topology import find_primary
from ..planning.plan import address_steps, leveling
from ..planning.role_plan import RolePlan
from ..planning.selection import Follower, Selection, followers_of, gtid_kind, rank
from ..planning.switch_options import SwitchOptions
from ..workload.activity import Activity

__all__ = ["SwitchOptions", "SwitchPlan", "make_switch_plan"]


@dataclass(frozen=True, kw_only=True)
class SwitchPlan(RolePlan):
    """One planned switch.

    ``repl_user`` is the account with which the old one will replicate, empty when it does not become a replica.
    """

    old: str
    old_name: str
    orig_is_new_replica: bool
    repl_user: str
    checks: tuple[Check, ...]

    DEED = "switchover"

    @property
    def former_name(self) -> str:
        """The name of the primary whose role moves."""
        return self.old_name

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What is not as it should be, and does not stand in the way."""
        return tuple(check for check in self.checks if not check.ok)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, in which nobody is levelled."""
        told = super().as_dict()
        return {"followers": told.pop("levelings"), **told}


def make_switch_plan(
    config: ClusterConfig,
    cluster: ClusterState,
    activity: Mapping[str, Activity],
    options: SwitchOptions,
    *,
    acting: bool = False,
    logins: tuple[TriedLogin, ...] = (),
) -> SwitchPlan | Refusal:
    """Decide how the primary's role moves to another server, or why it may not move now.

    ``activity`` is what runs on each server, by ``ip:port``. The refusal's code is the name of the first check that
    failed, its evidence all that failed. ``acting`` says that we hold the failover lock ourselves, everywhere.
    ``logins`` are what was tried of logging in as a replica.
    """
    old = find_primary(config, cluster)
    if isinstance(old, Refusal):
        return old
    followers = followers_of(old, config, cluster)
    selection = _ranked(config, old, cluster, followers)
    target = _target(config, selection, options)
    checks = switch_checks(config, cluster, activity, options, target, acting=acting, logins=logins)
    wrong = failed(checks)
    if wrong:
        return _refusal(config, wrong)
    if target is None:
        return Refusal(
            "no-candidate",
            f"The planned switch of {config.name} is refused: none of the replicas may become the primary.",
            "Fix one of the reasons below, or name a server with --new_master_host.",
            tuple(f"{c.name}: {'; '.join(c.barred)}" for c in selection.candidates),
        )
    kind = gtid_kind(followers, config.use_gtid_auto_pos)
    followed = {f.key for f in followers}
    chosen_first = sorted(selection.candidates, key=lambda c: c.key != target.address)
    plan = SwitchPlan(
        cluster=config.name,
        old=old.address,
        old_name=old.name,
        new_primary=target.address,
        new_primary_name=target.name,
        kind=kind,
        levelings=tuple(leveling(f, kind) for f in followers),
        orig_is_new_replica=options.orig_master_is_new_slave,
        repl_user=replication_user(old, followers) if options.orig_master_is_new_slave else "",
        left_out=tuple((c.name, c.barred[0]) for c in selection.candidates if c.key not in followed),
        candidates=tuple(chosen_first),
        checks=checks,
    )
    return replace(plan, steps=_steps(config, plan, options))


def _ranked(
    config: ClusterConfig, old: ServerConfig, cluster: ClusterState, followers: Sequence[Follower]
) -> Selection:
    """The failover's rules, with all replicas regarded as latest, for they will be; so no delay rule either."""
    level = [replace(f, channel=replace(f.channel, received=None)) for f in followers]
    absent = {s.key: f"it does not replicate from {old.name}" for s in cluster.up}
    absent |= {d.key: d.reason for d in cluster.down}
    ranked = rank(config, old, level, absent)
    return Selection(
        tuple(replace(c, merits=tuple(m for m in c.merits if m != "received the most")) for c in ranked.candidates)
    )


def _target(config: ClusterConfig, selection: Selection, options: SwitchOptions) -> ServerConfig | None:
    """The named one, whatever the checks will say of it; otherwise the best; None when there is none."""
    if options.new_master_host is not None:
        return config.server_at(options.new_master_host, options.new_master_port)
    return config.server(selection.chosen.key) if selection.chosen else None


def _refusal(config: ClusterConfig, wrong: Sequence[Check]) -> Refusal:
    first = wrong[0]
    return Refusal(
        first.name,
        f"The planned switch of {config.name} is refused: {first.subject}: {first.text}.",
        first.hint,
        tuple(str(check) for check in wrong),
    )


def _steps(config: ClusterConfig, plan: SwitchPlan, options: SwitchOptions) -> tuple[str, ...]:
    """The plan in words, in the order of the runbook."""
    old, new, hook = plan.old_name, plan.new_primary_name, config.master_ip_online_change_script
    others = ", ".join(x.name for x in plan.others)
    steps = [f"take the failover lock on {', '.join(x.name for x in plan.levelings)}"]
    if options.flush_tables:
        steps += [f"flush tables on {old}, while writes still flow"]
    steps += [f"see {new} level with {old}, while writes still flow"]
    steps += address_steps(config, hook, "take", f"from {old}", "--command=stop")
    lock = "" if options.skip_lock_all_tables else ", and hold the global read lock"
    steps += [f"stop all writes on {old}{lock}: for at most {options.deadline:g} s, else everything is taken back"]
    steps += [f"read the end of {old}'s binary log when it stands still", f"wait until {new} has executed all of it"]
    steps += [f"end the sessions of applications on {old}", f"open {new} for writes"]
    steps += address_steps(config, hook, "give", f"to {new}", "--command=start")
    if others:
        steps += [f"point {others} at {new} ({plan.kind})"]
    if plan.orig_is_new_replica:
        steps += [f"make {old} a replica of {new}"]
    else:
        steps += [f"leave {old} read-only, a replica of nobody"]
    steps += [f"forget the old source on {new}", "verify every server", "report"]
    return tuple(steps)
