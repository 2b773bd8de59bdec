"""Monitor: the flow of a manager that watches a cluster, and goes on with the new primary after a failover."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from prefect_mha.flows.clusters import load_named, stopped_by_cancelling
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import ClusterName
from prefect_mha.flows.manager.manager import Manager
from prefect_mha.flows.manager.options import ManagerOptions
from prefect_mha.replication.errors import AlreadyActing
from prefect_mha.replication.memory.manager_lock import ManagerLock
from prefect_mha.replication.memory.workdir import make_workdir
from prefect_mha.replication.planning.plan import FailoverOptions


@flow(name="monitor", flow_run_name="monitor {cluster}", persist_result=False)
def monitor(cluster: ClusterName) -> State[Any]:
    """Watch a cluster until the run is cancelled; fail over when its primary dies, and go on with the new one.

    Where another manager watches on this host the run is *Skipped*: a schedule may start it again and again.

    Args:
        cluster: Name of a configured cluster, such as "app1": the configuration is /etc/mha/app1.cnf or
            /etc/mha/app1.toml, or in the directory that MHA_CONF_DIR names.
    """
    config, load = load_named(cluster)
    options = ManagerOptions(failover=FailoverOptions(last_failover_minute=60), go_on=True)
    make_workdir(config.manager_workdir)
    lock = ManagerLock(config.manager_workdir, config.name)
    with logged(config), stopped_by_cancelling() as stop:
        try:
            lock.acquire()
        except AlreadyActing as error:
            return Completed(name="Skipped", message=str(error))
        try:
            Manager(load, options, stop).run()
        finally:
            lock.release()
    return Completed(message="it was asked to end")
