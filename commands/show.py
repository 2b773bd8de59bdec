"""A cluster as a table for people and as plain data for programs."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from config import ClusterConfig, ServerConfig
from replication.plan import Refusal
from replication.snapshots import ClusterState, ServerState
from replication.topology import find_primary, source_of


def topology_table(config: ClusterConfig, cluster: ClusterState) -> Table:
    """One line a server, in the configuration's order."""
    table = Table(title=_title(config, cluster), title_justify="left")
    for heading in ("server", "role", "version", "read_only", "replicates from", "threads", "executed up to", "behind"):
        table.add_column(heading, justify="right" if heading == "behind" else "left", overflow="fold")
    for row in topology_json(config, cluster)["servers"]:
        table.add_row(*(str(row.get(key, "")) for key in _KEYS))
    return table


_KEYS = ("server", "role", "version", "read_only", "source", "threads", "executed", "behind")


def topology_json(config: ClusterConfig, cluster: ClusterState) -> dict[str, Any]:
    """The same as plain data; ``behind`` is seconds."""
    primary = find_primary(config, cluster)
    address = None if isinstance(primary, Refusal) else primary.address
    rows: list[dict[str, Any]] = []
    for server in config.servers:
        state = cluster.get(server.address)
        if state is None:
            rows.append({"server": _short(server), "role": "DEAD PRIMARY" if server.address == address else "down"})
        else:
            rows.append(_row(config, state, is_primary=server.address == address))
    return {
        "cluster": config.name,
        "primary": address,
        "down": {d.name: d.reason for d in cluster.down},
        "trouble": str(primary) if address is None else "",
        "servers": rows,
    }


def _row(config: ClusterConfig, state: ServerState, *, is_primary: bool) -> dict[str, Any]:
    channel = state.channels[0] if state.channels else None
    source = source_of(config, state)
    return {
        "server": f"{state.hostname}:{state.key.rpartition(':')[2]}",
        "role": "primary" if is_primary else ("replica" if channel else "no replica"),
        "version": state.version_text,
        "read_only": "no" if state.writable else "yes",
        "source": _short(source) if source else (f"{channel.source_host}:{channel.source_port}" if channel else ""),
        "threads": f"{channel.receiver}/{'Yes' if channel.applier_running else 'No'}" if channel else "",
        "executed": str(channel.executed or "") if channel else str(state.end_of_log or ""),
        "behind": ("" if channel.seconds_behind is None else channel.seconds_behind) if channel else "",
    }


def _short(server: ServerConfig) -> str:
    return f"{server.hostname}:{server.port}"


def _title(config: ClusterConfig, cluster: ClusterState) -> str:
    primary = find_primary(config, cluster)
    return f"{config.name}: {primary}" if isinstance(primary, Refusal) else f"{config.name}: primary {primary.name}"
