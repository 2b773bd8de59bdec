"""Who is the primary, and how the cluster looks as a tree. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...config import ClusterConfig, ServerConfig
from .refusal import NOBODY_REACHED, Refusal
from .state import ClusterState, GtidKind, ServerState, Vendor


def source_of(config: ClusterConfig, state: ServerState) -> ServerConfig | None:
    """The configured server that this one replicates from, if it replicates from a configured one other than itself."""
    for channel in state.channels:
        for server in config.servers:
            if channel.of_a_rescue or server.address == state.key:
                continue
            if channel.source_host in (server.hostname, server.ip) and channel.source_port == server.port:
                return server
    return None


def find_primary(config: ClusterConfig, cluster: ClusterState) -> ServerConfig | Refusal:
    """The one server that takes, or took, the writes, alive or dead. In this order it is:

    1. whoever the last failover put into a dead one's place, while that server takes writes and follows nobody alive;
    2. the one that living servers follow and that itself follows nobody (MHA, ServerManager: one non-replica server).
       A server that is held read-only has no vote, and none counts for it while somebody else is voted for;
    3. of several such, the only one that answers and takes writes: a replica may have been left behind on a server that
       was switched off or closed, or belong to a tier whose middle is dead;
    4. of two that replicate from each other, the only one that is writable.
    """
    held = {replaced.key for replaced in cluster.held}
    follows = {state.key: source_of(config, state) for state in cluster.up}
    by_address = {s.address: s for s in config.servers}
    votes = Counter(source.address for key, source in follows.items() if source is not None and key not in held)
    if any(key not in held for key in votes):
        votes = Counter({key: count for key, count in votes.items() if key not in held})
    promoted = _in_place_of_the_dead(cluster, follows)
    if promoted is not None:
        return _beside_nobody(by_address[promoted], cluster)
    if not votes:
        return _no_replica(config, cluster)
    followed_alone = [key for key in votes if follows.get(key) is None]
    if len(followed_alone) == 1:
        return _beside_nobody(by_address[followed_alone[0]], cluster)
    if not followed_alone:
        return _of_a_pair(config, cluster, sorted(votes))
    writable = [key for key in followed_alone if (state := cluster.get(key)) is not None and state.writable]
    unknown = [down.key for down in cluster.down if down.alive and down.key in followed_alone]
    if len(writable) == 1 and not unknown:
        return by_address[writable[0]]
    return Refusal(
        "two-primaries",
        f"The replicas of {config.name} follow different servers: {', '.join(sorted(followed_alone))}.",
        "Point all of them at one primary.",
        tuple(f"{key} follows {source.name if source else 'nobody'}" for key, source in follows.items()),
    )


def _in_place_of_the_dead(cluster: ClusterState, follows: dict[str, ServerConfig | None]) -> str | None:
    """Whom the manager's memory names, when nothing that is seen now contradicts it."""
    held = {replaced.key for replaced in cluster.held}
    for key in dict.fromkeys(replaced.instead for replaced in cluster.held):
        state, source = cluster.get(key), follows.get(key)
        if state is None or not state.writable or key in held:
            continue
        if source is None or source.address in held or cluster.get(source.address) is None:
            return key
    return None


def _beside_nobody(primary: ServerConfig, cluster: ClusterState) -> ServerConfig | Refusal:
    """The primary, unless somebody else takes writes too and replicates from nobody; a held one is closed elsewhere."""
    held = {replaced.key for replaced in cluster.held}
    for state in cluster.up:
        if state.key != primary.address and state.key not in held and not state.channels and state.writable:
            return Refusal(
                "two-primaries",
                f"{state.name} replicates from nobody and takes writes, beside the primary {primary.name}.",
                "Set read_only on it, or make it a replica, or take it out of the configuration.",
            )
    return primary


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
            NOBODY_REACHED,
            f"There is no alive server in {config.name}: none could be reached.",
            "The reasons are below; check network, account and password.",
            evidence,
        )
    return Refusal(
        "no-replica",
        f"There is no alive slave in {config.name}: no reachable server replicates from a configured one.",
        "Set up replication, or check that the configuration names every server as the replicas name their source.",
        evidence
        + tuple(
            f"{s.name}: " + (f"replicates from {s.sources}, no server of these" if s.channels else "not a replica")
            for s in cluster.up
        ),
    )


def opened_by_another(dead: ServerConfig, cluster: ClusterState) -> ServerState | None:
    """The replica that a failover of this dead primary had opened before it was interrupted.

    It takes writes, and was stopped before; a replica that was merely left writable tries to reach its source, or has
    given up while its applier still waits for more.
    """
    for state in cluster.up:
        channel = state.channel_from(dead.hostname, dead.ip, dead.port) or state.rescued_channel
        if channel is None or not channel.receiver_stopped or not state.writable:
            continue
        if not (channel.receiver_gave_up and channel.applier_running):
            return state
    return None


def tree(config: ClusterConfig, cluster: ClusterState, primary: ServerConfig) -> Iterator[str]:
    """MHA's picture of the cluster, a line a server; whoever does not belong to it stands at its end."""
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
    """MHA's list of who is dead, who is alive, and who replicates from the primary, dead or alive."""
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
