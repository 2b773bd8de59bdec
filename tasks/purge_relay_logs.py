"""Purge the executed relay logs of one replica."""

from __future__ import annotations

from prefect import task

from prefect_mha.config import ServerConfig
from prefect_mha.replication.maintenance.relay_logs.purge import Purged
from prefect_mha.replication.maintenance.relay_logs.purge_cluster import ClusterPurge
from prefect_mha.tasks.policy import once


@task(name="Purge relay logs", task_run_name="Purge relay logs on {replica}", **once("the next night is near"))
def purge_relay_logs(run: ClusterPurge, replica: ServerConfig) -> Purged:
    """One of the replicas of a run; not retried, for the next night is near."""
    return run.purge(replica)
