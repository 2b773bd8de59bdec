"""Purge relay logs: remove what the replicas of a cluster have executed, one replica after the other."""

from __future__ import annotations

import logging
import threading
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.engine.start import step
from prefect_mha.flows.forms import ClusterName
from prefect_mha.replication.errors import MhaError
from prefect_mha.replication.maintenance.relay_logs.purge_cluster import purge_cluster
from prefect_mha.replication.model.words import dashed, plain
from prefect_mha.tasks.purge_relay_logs import purge_relay_logs as purge_one

log = logging.getLogger("mha")


@flow(name="purge-relay-logs", flow_run_name="purge relay logs of {cluster}", persist_result=False)
def purge_relay_logs(cluster: ClusterName) -> State[Any]:
    """Remove the executed relay logs of every replica that keeps them; what is not executed stays.

    Args:
        cluster: Name of a configured cluster, such as "app1" (see the monitor).
    """
    config, _ = load_named(cluster)
    try:
        with logged(config, in_file=False):
            done = purge_cluster(config, threading.Event(), lambda run, replica: step(purge_one, run, replica))
    except MhaError as error:
        return Failed(message=str(error))
    rows = [{name: plain(v) if isinstance(v, str) else v for name, v in row.items()} for row in done.rows()]
    create_table_artifact(table=rows, key=f"{dashed(cluster)}-relay-logs", description=f"Relay logs of {cluster}")
    if done.left_out:
        return Completed(name="Partly done", message=str(done))
    return Completed(message=str(done))
