"""Failover: the Prefect flow that a person starts whose primary is dead."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from prefect_mha.flows.approval import ask_in_prefect, is_retry, show_page, this_run_id
from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.deeds.failover import FAILOVER, fail_over_by_hand, plan_key
from prefect_mha.flows.engine.acting import ActingRun
from prefect_mha.flows.engine.ending import ended
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import ClusterName, FailoverHow, FailoverRequest
from prefect_mha.replication.errors import MhaError, RefusalError
from prefect_mha.replication.reporting.report import plan_markdown


@flow(name=FAILOVER, flow_run_name="failover {cluster}", persist_result=False)
def failover(cluster: ClusterName, how: FailoverHow = FailoverRequest()) -> State[Any]:  # noqa: B008 - not changed
    """Fail a cluster over whose primary is dead; a retry of the run goes on with what it began.

    Args:
        cluster: Name of a configured cluster, such as "app1".
        how: What is to be done, and whether somebody is asked first.
    """
    config, _ = load_named(cluster)
    try:
        with logged(config):
            outcome = fail_over_by_hand(
                config,
                how.options(),
                dead_host=how.dead_primary or None,
                dry_run=how.dry_run,
                ask=ask_in_prefect(how.waiting(), plan_key(cluster)) if how.ask_first else None,
                resume=is_retry(),
                run=ActingRun(FAILOVER, cluster, config.manager_workdir, this_run_id()),
            )
    except MhaError as error:
        return Failed(name="Refused" if isinstance(error, RefusalError) else "Failed", message=str(error))
    if how.dry_run and outcome.plan is not None:
        show_page(plan_markdown(outcome.plan), plan_key(cluster), f"Failover plan of {cluster}")
        return Completed(name="Planned", message="a failover is possible; nothing was changed")
    return ended(outcome).as_state()
