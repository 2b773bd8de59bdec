"""Purge the executed relay logs of one replica."""

from __future__ import annotations

from ..config import ServerConfig
from ..replication.maintenance.relay_logs.purge import Purged
from ..replication.maintenance.relay_logs.purge_cluster import ClusterPurge
from .policy import once
from .step import task


@task(name="Purge relay logs", task_run_name="Purge relay logs on {replica}", **once("the next night is near"))
def purge_relay_logs(run: ClusterPurge, replica: ServerConfig) -> Purged:
    """One of the replicas of a run; not retried, for the next night is near."""
    return run.purge(replica)
