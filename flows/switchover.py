"""Switchover: the Prefect flow of a planned switch that a person starts."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from prefect_mha.flows.approval import ask_in_prefect, show_page, this_run_id
from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.deeds.switchover import SWITCHOVER, concluded, switch_by_hand
from prefect_mha.flows.engine.acting import ActingRun
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import ClusterName, SwitchHow, SwitchRequest
from prefect_mha.replication.errors import MhaError
from prefect_mha.replication.model.words import dashed
from prefect_mha.replication.switchover.outcome import plan_markdown


@flow(name=SWITCHOVER, flow_run_name="switchover {cluster}", persist_result=False)
def switchover(cluster: ClusterName, how: SwitchHow = SwitchRequest()) -> State[Any]:  # noqa: B008 - not changed
    """Move the primary's role of a living cluster to another server.

    Args:
        cluster: Name of a configured cluster, such as "app1".
        how: What is to be done, and whether somebody is asked first.
    """
    config, _ = load_named(cluster)
    plan_key = f"switchover-{dashed(cluster)}-plan"
    ask = ask_in_prefect(how.waiting(), plan_key) if how.ask_first else None
    run = ActingRun(SWITCHOVER, cluster, config.manager_workdir, this_run_id())
    try:
        with logged(config):
            outcome = switch_by_hand(config, how.options(), dry_run=how.dry_run, ask=ask, run=run)
    except MhaError as error:
        return Failed(message=str(error))
    if outcome.checked_only and outcome.plan is not None:
        show_page(plan_markdown(outcome.plan), plan_key, f"Switchover plan of {cluster}")
    return concluded(outcome).as_state()
