"""A cluster and its manager as text and as a table for people, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ...config import ClusterConfig, ServerConfig
from ...replication.model.refusal import Refusal
from ...replication.model.state import ClusterState, ReplicaChannel, ServerState
from ...replication.model.topology import find_primary, source_of, tree
from .terminal import Column, fitted

_COLUMNS = (
    Column("server"),
    Column("role", keep=1),
    Column("version", keep=6),
    Column("read_only", keep=5),
    Column("replicates from", keep=3),
    Column("threads", keep=4),
    Column("executed up to", keep=7),
    Column("behind", keep=2, right=True),
)


def topology_text(config: ClusterConfig, cluster: ClusterState) -> Iterator[str]:
    """MHA's picture, and a line for everything in it that is not well."""
    primary = find_primary(config, cluster)
    if isinstance(primary, Refusal):
        yield str(primary)
        for state in cluster.up:
            yield f" ?--{state.name} (replicates from {state.sources or 'nobody'})"
    else:
        yield from tree(config, cluster, primary)
    for down in cluster.down:
        yield down.reason
    for state in cluster.up:
        for channel in state.channels:
            yield from (f"{state.name}: {trouble}" for trouble in _troubles(channel))


def _troubles(channel: ReplicaChannel) -> Iterator[str]:
    if channel.receiver != "Yes":
        error = f": error {channel.receiver_errno}: {channel.receiver_error}" if channel.receiver_errno else ""
        where = f"{channel.source_host}:{channel.source_port}"
        yield f"it receives nothing from {where} ({channel.receiver}){error}"
    if not channel.applier_running:
        error = f" with error {channel.applier_errno}: {channel.applier_error}" if channel.applier_errno else ""
        yield f"its applier has stopped{error}"
    elif channel.seconds_behind:
        meant = f" ({channel.delay} s of it on purpose)" if channel.delay else ""
        yield f"it is {channel.seconds_behind} s behind{meant}"


def topology_table(config: ClusterConfig, cluster: ClusterState, width: int | None = None) -> Table:
    """One line a server, in the configuration's order; at 80 columns without what there is no room for."""
    primary = find_primary(config, cluster)
    title = str(primary) if isinstance(primary, Refusal) else f"primary {primary.name}"
    cells = []
    for row in topology_json(config, cluster)["servers"]:
        closed = {None: "", True: "yes", False: "no"}[row.get("read_only")]
        threads = f"{row['receiver']}/{'Yes' if row['applier'] else 'No'}" if row.get("receiver") else ""
        said = (row.get(key) for key in ("source", "executed", "seconds_behind"))
        source, executed, behind = ("" if value is None else str(value) for value in said)
        told = (row["server"], row["role"], row.get("version", ""), closed, source, threads, executed, behind)
        cells.append(told)
    return fitted(_COLUMNS, cells, title=f"{config.name}: {title}", width=width)


def topology_json(config: ClusterConfig, cluster: ClusterState) -> dict[str, Any]:
    """The same as plain data.

    ``seconds_behind`` and ``delay`` are seconds; ``executed`` is a place in the source's log, of a primary the end of
    its own; ``gtid_executed`` is absent where there are no GTIDs, and so is what a server that is down cannot tell.
    """
    primary = find_primary(config, cluster)
    address = None if isinstance(primary, Refusal) else primary.address
    rows: list[dict[str, Any]] = []
    for server in config.servers:
        state = cluster.get(server.address)
        row = {"server": _short(server), "address": server.address, "block": server.block}
        if state is None:
            rows.append({**row, "role": "DEAD PRIMARY" if server.address == address else "down"})
        else:
            rows.append({**row, **_row(config, state, is_primary=server.address == address)})
    return {
        "cluster": config.name,
        "primary": address,
        "down": {d.name: d.reason for d in cluster.down},
        "trouble": asdict(primary) if isinstance(primary, Refusal) else None,
        "servers": rows,
    }


def _row(config: ClusterConfig, state: ServerState, *, is_primary: bool) -> dict[str, Any]:
    channel = state.channels[0] if state.channels else None
    row: dict[str, Any] = {
        "role": "primary" if is_primary else ("replica" if channel else "no replica"),
        "version": state.version_text,
        "vendor": state.vendor.value,
        "server_id": state.server_id,
        "read_only": not state.writable,
        "executed": str(state.end_of_log) if state.end_of_log and not channel else None,
    }
    if state.gtid_executed or state.mariadb_gtid:
        row["gtid_executed"] = str(state.gtid_executed or state.mariadb_gtid)
    if channel is not None:
        source = source_of(config, state)
        row |= {
            "source": _short(source) if source else f"{channel.source_host}:{channel.source_port}",
            "positioned_by": channel.gtid_kind.value,
            "receiver": channel.receiver,
            "applier": channel.applier_running,
            "received": str(channel.received) if channel.received else None,
            "executed": str(channel.executed) if channel.executed else None,
            "seconds_behind": channel.seconds_behind,
            "delay": channel.delay,
            "troubles": list(_troubles(channel)),
        }
    return row


def _short(server: ServerConfig) -> str:
    return f"{server.hostname}:{server.port}"
