"""Binlog server: copy a primary's binary logs to the worker's host, and follow the new primary after a failover."""

from __future__ import annotations

import logging
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from prefect_mha.config import ConfigError
from prefect_mha.flows.clusters import load_named, stopped_by_cancelling
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import BlockName, ClusterName
from prefect_mha.replication.errors import AlreadyActing
from prefect_mha.replication.maintenance.binlog_server.block import CopyOptions, pick_block
from prefect_mha.replication.maintenance.binlog_server.health import is_here
from prefect_mha.replication.maintenance.binlog_server.server import BinlogServer

log = logging.getLogger("mha")


@flow(name="binlog-server", flow_run_name="binlog server {name} of {cluster}", persist_result=False)
def binlog_server(cluster: ClusterName, name: BlockName = "") -> State[Any]:
    """Copy a cluster's binary logs to this worker's host until the run is cancelled.

    Once it runs it asks nothing of Prefect: with the API away it copies all the same. Where another one copies into the
    same directory the run is *Skipped*.

    Args:
        cluster: Name of a configured cluster, such as "app1" (see the monitor).
        name: The [binlogN] block whose host this worker runs on, such as "binlog1"; may be empty when there is one.
    """
    config, load = load_named(cluster)
    block = pick_block(config, name)
    if not is_here(block):
        # Any worker of the pool may have taken the run; copies on the wrong host would be found by no rescue.
        raise ConfigError(
            f"this worker is not on {block.hostname}, the host of [{block.block}]; start one there, with a work queue "
            "that is the deployment's alone"
        )
    with logged(config, in_file=False), stopped_by_cancelling() as stop:
        try:
            BinlogServer(load, name, CopyOptions(), stop).run()
        except AlreadyActing as error:
            return Completed(name="Skipped", message=str(error))
    return Completed(message="it was asked to end")
