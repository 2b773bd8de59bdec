"""What a primary that waited for a second disk proves: where all that acknowledge were read, nothing is missing. Pure.

It holds for what the configuration names: who else acknowledges, a replica or a reader of somebody's own, is not known.
"""

from __future__ import annotations

from ...config import ClusterConfig, ServerConfig
from ..model.state import ClusterState
from ..planning.plan import FailoverPlan
from ..rescue.saved import SavedBinlog


def proven(
    config: ClusterConfig,
    dead: ServerConfig,
    before: ClusterState | None,
    plan: FailoverPlan,
    rescue: SavedBinlog | None,
) -> str:
    """Why nothing that the dead primary acknowledged is missing, for people; empty where that is not proven.

    ``before`` is the cluster as the watch saw it last. With ``semi_sync=require`` the primary waited, and whoever it
    may have waited for was looked at: the replicas since their receivers were stopped, the binlog servers since they
    acknowledge nothing more of it. What was read of them is what the failover used.
    """
    was = before.get(dead.address) if before is not None else None
    if config.semi_sync != "require" or before is None or was is None or rescue is None:
        return ""
    if not was.semi_sync.loses_nothing or rescue.kept is not None or rescue.no_room:
        return ""
    replicas = {s.key: s.name for s in before.up if s.key != was.key and s.semi_sync.replica_enabled}
    logs = {b.block: f"{b.hostname} [{b.block}]" for b in config.binlog_servers if b.binlog_ack}
    if not (replicas.keys() <= {x.key for x in plan.levelings} and logs.keys() <= set(rescue.looked_at)):
        return ""
    if not (replicas or logs):
        return ""
    names = ", ".join([*replicas.values(), *logs.values()])
    return f"each commit waited for a second disk (semi_sync=require), and all that acknowledge were read: {names}"
