"""What a failover will do, to whom and why: one object, printed by --dry-run, executed as it stands, journaled.

Pure: snapshots, configuration and options in; a `FailoverPlan` or a `Refusal` out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ...config.address import may_forbid
from ..model.refusal import NOBODY_REACHED, Refusal
from ..model.state import ClusterState, GtidKind
from .role_plan import ReplicaRecovery, RolePlan
from .selection import (
    Candidate,
    Follower,
    Selection,
    bereaved_of,
    gtid_kind,
    most_advanced,
    rank,
)

#: The code of the refusal of a failover that finds another command acting: it may be tried again when that has ended.
ALREADY_ACTING = "already-acting"


@dataclass(frozen=True)
class FailoverOptions:
    """What a command line or a deployment asks of one failover; names are MHA's options."""

    new_master_host: str | None = None
    new_master_port: int | None = None
    skip_save_master_binlog: bool = False
    skip_change_master: bool = False
    skip_disable_read_only: bool = False
    remove_dead_master_conf: bool = False
    wait_until_gtid_in_sync: bool = True
    ignore_last_failover: bool = False
    last_failover_minute: int = 480
    ssh_reachable: bool | None = None
    salvage_policy: str | None = None


@dataclass(frozen=True, kw_only=True)
class FailoverPlan(RolePlan):
    """One failover; positions are coordinates in the dead primary's log.

    ``remarks`` are sentences for whoever reads it, on what is not part of it.
    """

    dead: str
    dead_name: str
    latest: tuple[str, ...]
    save_binlog: bool
    repoint: bool
    open_for_writes: bool
    remarks: tuple[str, ...] = ()

    DEED = "failover"

    @property
    def former_name(self) -> str:
        """The name of the dead primary."""
        return self.dead_name

    def with_others_of(self, earlier: FailoverPlan) -> FailoverPlan:
        """This plan, which was made on a look at the replicas alone: everybody else is as the earlier plan has them.

        A server that was down then, or that belongs to another tier, was not looked at again.
        """
        asked = {x.key: x.name for x in earlier.levelings}
        before = {c.key: c for c in earlier.candidates}
        candidates = tuple(c if c.key in asked else before.get(c.key, c) for c in self.candidates)
        left = [pair for pair in earlier.left_out if pair[0] not in asked.values()]
        left += [pair for pair in self.left_out if pair[0] in asked.values()]
        return replace(self, candidates=candidates, left_out=tuple(left))

    def difference(self, newer: FailoverPlan) -> tuple[str, ...]:
        """What a newer plan would do otherwise, in sentences; empty when it is the same deed."""
        told = []
        if self.new_primary != newer.new_primary:
            told.append(f"promote {newer.new_primary_name} instead of {self.new_primary_name}")
        if self.kind is not newer.kind:
            told.append(f"replicate by {newer.kind} instead of {self.kind}")
        mine, theirs = {x.key: x.name for x in self.levelings}, {x.key: x.name for x in newer.levelings}
        told += [f"leave out {name}" for key, name in mine.items() if key not in theirs]
        told += [f"take in {name}" for key, name in theirs.items() if key not in mine]
        return tuple(told)


def make_plan(
    config: ClusterConfig,
    dead: ServerConfig,
    cluster: ClusterState,
    options: FailoverOptions,
    *,
    excluded: Mapping[str, str] | None = None,
    barred: Mapping[str, str] | None = None,
    busy: Mapping[str, str] | None = None,
) -> FailoverPlan | Refusal:
    """Decide what to do about a dead primary, or why nothing may be done.

    A replica that is down or broken is left out and reported, never a reason to refuse (design rule 9). ``excluded``
    maps addresses of servers that were tried and failed to the reason, ``barred`` those of servers that let no
    application in, and may follow as well as others; those that are ``busy`` are promoted last.
    """
    absent = {d.key: d.reason for d in cluster.down}
    followers = bereaved_of(dead, config, cluster)
    refusal = _first_refusal(config, dead, cluster, followers)
    if refusal is not None:
        return refusal
    selection = rank(config, dead, followers, absent, excluded={**(barred or {}), **(excluded or {})}, busy=busy)
    chosen = _chosen(config, selection, options)
    if isinstance(chosen, Refusal):
        return chosen
    kind = gtid_kind(followers, config.use_gtid_auto_pos)
    usable = [f for f in followers if not (excluded and f.key in excluded)]
    levelings = tuple(leveling(f, kind) for f in usable)
    managed = {f.key for f in usable} | (_second_tier(config, cluster) if config.multi_tier_slave else set())
    left_out = tuple((c.name, c.barred[0]) for c in selection.candidates if c.key not in managed)
    plan = FailoverPlan(
        cluster=config.name,
        dead=dead.address,
        dead_name=dead.name,
        new_primary=chosen.key,
        new_primary_name=chosen.name,
        kind=kind,
        latest=_latest(usable),
        levelings=levelings,
        left_out=left_out,
        candidates=_chosen_first(selection, chosen),
        save_binlog=not options.skip_save_master_binlog,
        repoint=not options.skip_change_master,
        open_for_writes=not options.skip_disable_read_only,
    )
    return replace(plan, steps=_steps(config, plan))


def _latest(usable: Sequence[Follower]) -> tuple[str, ...]:
    """Those that received the most; one that executes late on purpose comes last, for the others would wait for it."""
    advanced = most_advanced([f for f in usable if not f.broken] or usable)
    return tuple(f.key for f in sorted(advanced, key=lambda f: bool(f.channel.delay)))


def leveling(follower: Follower, kind: GtidKind) -> ReplicaRecovery:
    """A replica as it is now."""
    channel = follower.channel
    return ReplicaRecovery(
        follower.key,
        follower.state.name,
        channel.name,
        kind,
        channel.executed,
        channel.received,
        follower.broken,
        channel.delay,
    )


def _second_tier(config: ClusterConfig, cluster: ClusterState) -> set[str]:
    """Replicas of living replicas: with `multi_tier_slave` they are left alone, and nothing is missing of them."""
    alive = [s for s in config.servers if cluster.get(s.address) is not None]
    return {
        state.key
        for state in cluster.up
        if any(state.channel_from(s.hostname, s.ip, s.port) for s in alive if s.address != state.key)
    }


def resume_plan(
    config: ClusterConfig, dead: ServerConfig, cluster: ClusterState, opened: str, kind: GtidKind
) -> FailoverPlan | Refusal:
    """Finish a failover that was interrupted after the server at ``opened`` took writes: it stays the new primary.

    Those that still follow the dead primary are leveled and pointed at it; those that point at it are not in the plan.
    It may be read-only again after a crash: it is opened again, unless somebody else takes writes by now.
    """
    new = cluster.get(opened)
    others = [s.name for s in cluster.up if s.writable and s.key != opened] if new and not new.writable else []
    if new is None or others:
        now = f"is read-only now, while {', '.join(others)} can be written" if others else "cannot be reached now"
        return Refusal(
            "unfinished-failover",
            f"A failover of {config.name} was interrupted after {opened} had been opened for writes, "
            f"and {opened} {now}.",
            "It may hold transactions that no other server has. "
            + ("Set read_only on one of them" if others else "Bring it back")
            + ", or remove the journal named below.",
        )
    followers = [f for f in bereaved_of(dead, config, cluster) if f.key != opened]
    channel = new.channel_from(dead.hostname, dead.ip, dead.port) or new.rescued_channel
    target = ReplicaRecovery(opened, new.name, channel.name if channel else "", kind, None, None)
    levelings = [leveling(f, kind) for f in followers]
    chosen = Candidate(opened, new.name, (), ("it was opened for writes before the failover was interrupted",), 1)
    plan = FailoverPlan(
        cluster=config.name,
        dead=dead.address,
        dead_name=dead.name,
        new_primary=opened,
        new_primary_name=new.name,
        kind=kind,
        latest=(opened,),
        levelings=(target, *levelings),
        left_out=tuple((d.name, d.reason) for d in cluster.down),
        candidates=(chosen,),
        save_binlog=True,
        repoint=True,
        open_for_writes=True,
    )
    return replace(plan, steps=_steps(config, plan))


def _first_refusal(
    config: ClusterConfig, dead: ServerConfig, cluster: ClusterState, followers: tuple[Follower, ...]
) -> Refusal | None:
    if not cluster.up:
        return Refusal(
            NOBODY_REACHED,
            f"No server of {config.name} can be reached, so nothing can be promoted.",
            "Check the network between the manager and the servers, and the account in the configuration.",
            tuple(f"{d.name}: {d.reason}" for d in cluster.down),
        )
    others = [s for s in cluster.up if s.key != dead.address]
    if not followers:
        return Refusal(
            "no-replica",
            f"No reachable server replicates from {dead.name}.",
            "Check replication on the servers below, or promote one by hand.",
            tuple(f"{s.name} replicates from {s.sources or 'nobody'}" for s in others)
            + tuple(f"{d.name}: {d.reason}" for d in cluster.down),
        )
    opened = [f.state for f in followers if f.key in cluster.writing]
    if opened:
        names = ", ".join(state.name for state in opened)
        return Refusal(
            "a-replica-takes-writes",
            f"{names} still has a channel to {dead.name}, but takes writes of its own: somebody made it a primary.",
            "Keep it: forget its source there (RESET REPLICA ALL) and point the other replicas at it. Or give it up: "
            "SET GLOBAL read_only=1 there, and start again; what it wrote alone is told as errant then.",
            tuple(f"{state.name} is writable, and its own log grows" for state in opened),
        )
    followed = {f.key for f in followers}
    rivals = [s for s in others if s.writable and s.key not in followed and not s.channels]
    if rivals:
        return Refusal(
            "another-primary",
            f"{rivals[0].name} takes writes and replicates from nobody: the cluster may have a primary already.",
            "If it is the new primary, point the other replicas at it; if it is a stray server, set read_only on it.",
            tuple(f"{s.name} is writable" for s in rivals),
        )
    return None


def _chosen(config: ClusterConfig, selection: Selection, options: FailoverOptions) -> Candidate | Refusal:
    if options.new_master_host is None:
        if selection.chosen is not None:
            return selection.chosen
        return Refusal(
            "no-candidate",
            "None of the existing replicas may become the primary.",
            "Fix one of the reasons below, or name a server with --new_master_host after changing its settings.",
            tuple(f"{c.name}: {'; '.join(c.barred)}" for c in selection.candidates),
        )
    wanted = options.new_master_host + (f":{options.new_master_port}" if options.new_master_port else "")
    server = config.server_at(options.new_master_host, options.new_master_port)
    match = next((c for c in selection.candidates if server is not None and c.key == server.address), None)
    if match is None:
        return Refusal(
            "unknown-target",
            f"{wanted} is not a server of {config.name} that could be promoted.",
            f"Name one of: {', '.join(c.name for c in selection.candidates)}.",
        )
    if not match.eligible:
        return Refusal(
            "target-barred",
            f"{match.name} may not become the primary: {match.barred[0]}.",
            "Name another server, or change its settings.",
            match.barred,
        )
    return match


def _chosen_first(selection: Selection, chosen: Candidate) -> tuple[Candidate, ...]:
    return (chosen, *(c for c in selection.candidates if c.key != chosen.key))


def _steps(config: ClusterConfig, plan: FailoverPlan) -> tuple[str, ...]:
    """The plan in words, in the order of the runbook."""
    others = ", ".join(x.name for x in plan.others) or "no other replica"
    behind = plan.new_primary not in plan.latest
    hook = config.master_ip_failover_script
    steps = [f"take the failover lock on {', '.join(x.name for x in plan.levelings)}"]
    steps += ["stop every receiver, so that nothing moves any more"]
    means = [m for m in config.fence if not m.startswith("script:") and m != "ip"]
    required = f"; required: {', '.join(config.fence_required)}" if config.fence_required else ""
    steps += [
        f"make sure that mysqld on {plan.dead_name} does not serve again ({', '.join(means) or 'none'}{required})"
    ]
    steps += address_steps(
        config,
        hook,
        "take",
        f"from {plan.dead_name}",
        "--command=stopssh (stop without SSH)",
    )
    scripts = [m.removeprefix("script:") for m in config.fence if m.startswith("script:")]
    scripts += [config.shutdown_script] if config.shutdown_script else []
    power = [f"{script} --command=stopssh (stop without SSH)" for script in scripts]
    if config.power_first:
        steps += power
    if plan.save_binlog:
        steps += [f"save what only {plan.dead_name} has, over SSH"]
    if not config.power_first:
        steps += [f"{step}; at once when SSH does not answer" for step in power]
    steps += [f"let {plan.new_primary_name} execute all that it received"]
    if behind:
        steps += [f"bring {plan.new_primary_name} level with the most advanced replica"]
    steps += [f"let {plan.new_primary_name} receive the saved part from the manager, as if {plan.dead_name} lived"]
    address = list(address_steps(config, hook, "give", f"to {plan.new_primary_name}", "--command=start"))
    opening = [f"open {plan.new_primary_name} for writes", "write a row there"] if plan.open_for_writes else []
    first = may_forbid(config.vip_provider, script=bool(hook), on_failure=config.vip_on_failure)
    steps += [*address, *opening] if first else [*opening, *address]
    if plan.repoint:
        steps += [f"level {others} and point them at {plan.new_primary_name} ({plan.kind})"]
    steps += [f"forget the old source on {plan.new_primary_name}", "verify every server", "report"]
    return tuple(steps)


def address_steps(config: ClusterConfig, script: str | None, verb: str, whom: str, call: str) -> Iterator[str]:
    """One half of moving the address, provider by provider; ``script`` is what this kind of move calls."""
    for provider in config.vip_provider:
        if provider == "script":
            if script:
                yield f"{script} {call}"
        elif provider == "haproxy":
            yield f"{verb} writes {whom} on {', '.join(config.haproxy_sockets)}"
        elif provider == "proxysql":
            yield f"{verb} writes {whom} on {', '.join(config.proxysql_admins)}"
        else:
            yield f"{verb} {', '.join(config.vip_addresses) or 'the address'} {whom} ({provider})"
