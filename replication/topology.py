"""Who is the primary, and how the cluster looks as a tree. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from config import ClusterConfig, ServerConfig
from replication.plan import Refusal
from replication.snapshots import ClusterState, GtidKind, ServerState, Vendor


def source_of(config: ClusterConfig, state: ServerState) -> ServerConfig | None:
    """The configured server that this one replicates from, if it replicates from a configured one."""
    for channel in state.channels:
        for server in config.servers:
            if channel.of_a_rescue:
                continue
            if channel.source_host in (server.hostname, server.ip) and channel.source_port == server.port:
                return server
    return None


def find_primary(config: ClusterConfig, cluster: ClusterState) -> ServerConfig | Refusal:
    """The one server that the others replicate from, alive or dead (MHA, ServerManager: one non-replica server).

    Two servers that replicate from each other are primary and standby when exactly one of them is writable; so it is
    with several that are replicated from, as long as all of them can be seen.
    """
    follows = {state.key: source_of(config, state) for state in cluster.up}
    votes = Counter(source.address for source in follows.values() if source is not None)
    if not votes:
        return _no_replica(config, cluster)
    by_address = {s.address: s for s in config.servers}
    followed_alone = [key for key in votes if follows.get(key) is None]
    if len(followed_alone) == 1:
        primary = by_address[followed_alone[0]]
        strays = [s for s in cluster.up if s.key != primary.address and not s.channels and s.writable]
        if strays:
            return Refusal(
                "two-primaries",
                f"{strays[0].name} replicates from nobody and takes writes, beside the primary {primary.name}.",
                "Set read_only on it, or make it a replica, or take it out of the configuration.",
            )
        return primary
    if not followed_alone:
        return _of_a_pair(config, cluster, sorted(votes))
    # After a switch that left a replica behind: the old primary is seen to be closed, and so it is none.
    seen = [state for key in followed_alone if (state := cluster.get(key)) is not None]
    writable = [state for state in seen if state.writable]
    if len(seen) == len(followed_alone) and len(writable) == 1:
        return by_address[writable[0].key]
    return Refusal(
        "two-primaries",
        f"The replicas of {config.name} follow different servers: {', '.join(sorted(followed_alone))}.",
        "Point all of them at one primary.",
        tuple(f"{key} follows {source.name if source else 'nobody'}" for key, source in follows.items()),
    )


def _of_a_pair(config: ClusterConfig, cluster: ClusterState, keys: list[str]) -> ServerConfig | Refusal:
    states = [s for s in cluster.up if s.key in keys]
    writable = [s for s in states if s.writable]
    if len(writable) == 1:
        return next(s for s in config.servers if s.address == writable[0].key)
    return Refusal(
        "multi-master",
        f"Of the servers that replicate from each other, {len(writable)} take writes; exactly one must.",
        "Set read_only=1 on all of them but the primary.",
        tuple(f"{s.name}: read_only={int(s.read_only)}" for s in states),
    )


def _no_replica(config: ClusterConfig, cluster: ClusterState) -> Refusal:
    evidence = tuple(f"{d.name}: {d.reason}" for d in cluster.down)
    if not cluster.up:
        return Refusal(
            "no-server-reachable",
            f"There is no alive server in {config.name}: none could be reached.",
            "The reasons are below; check network, account and password.",
            evidence,
        )
    return Refusal(
        "no-replica",
        f"There is no alive slave in {config.name}: no reachable server replicates from a configured one.",
        "Set up replication, or check that the configuration names every server as the replicas name their source.",
        evidence + tuple(f"{s.name}: not a replica" for s in cluster.up),
    )


def opened_by_another(dead: ServerConfig, cluster: ClusterState) -> ServerState | None:
    """The replica that a failover of this dead primary had opened before it was cut short.

    It takes writes, and its receiver was stopped; a replica that was merely left writable tries to reach its source.
    """
    for state in cluster.up:
        channel = state.channel_from(dead.hostname, dead.ip, dead.port) or state.rescued_channel
        if channel is not None and channel.receiver_stopped and state.writable:
            return state
    return None


def tree(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> Iterator[str]:
    """The predecessor's picture of the cluster, a line a server; whoever does not belong to it stands at its end."""
    alive = {s.key for s in cluster.up}
    mark = "current master" if primary.address in alive else "dead master"
    yield f"{primary.name} ({mark})"
    shown = {primary.address}
    yield from _branches(config, cluster, primary.address, 0, shown)
    for state in cluster.up:
        if state.key not in shown:
            yield f" ?--{state.name} (replicates from {state.sources or 'nobody'})"
    for down in cluster.down:
        if down.key != primary.address:
            yield f" ?--{down.name} (not reachable)"


def _branches(config: ClusterConfig, cluster: ClusterState, address: str, depth: int, shown: set[str]) -> Iterator[str]:
    for state in cluster.up:
        source = source_of(config, state)
        if state.key not in shown and source is not None and source.address == address:
            shown.add(state.key)
            yield f" {'   ' * depth}+--{state.name}"
            yield from _branches(config, cluster, state.key, depth + 1, shown)


def listing(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> Iterator[str]:
    """The predecessor's list of who is dead, who is alive, and who replicates from the primary, dead or alive."""
    by_address = {server.address: server for server in config.servers}
    yield "Dead Servers:"
    if cluster.get(primary.address) is None and all(down.key != primary.address for down in cluster.down):
        yield f"  {primary.name}"
    for down in cluster.down:
        yield f"  {down.name}: {down.reason.removeprefix(f'{down.name}: ')}"
    yield "Alive Servers:"
    for state in cluster.up:
        yield f"  {state.name}"
    yield "Alive Slaves:"
    for state in cluster.up:
        channel = state.channel_from(primary.hostname, primary.ip, primary.port)
        if channel is None or state.key == primary.address:
            continue
        log_bin = "enabled" if state.log_bin else "disabled"
        yield f"  {state.name}  Version={state.version_text} log-bin:{log_bin}"
        if state.vendor is Vendor.MARIADB or channel.gtid_kind is not GtidKind.POSITION:
            yield f"    GTID: {channel.gtid_kind}"
        yield f"    Replicating from {primary.hostname}({channel.source_host}:{channel.source_port})"
        if by_address[state.key].candidate_master:
            yield "    Primary candidate for the new Master (candidate_master is set)"
        if by_address[state.key].no_master:
            yield "    Not candidate for the new Master (no_master is set)"
