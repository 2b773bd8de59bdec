"""Rejoin: the Prefect flow that a person starts when a server is back that a failover replaced."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from prefect_mha.flows.approval import ask_in_prefect, show_page, this_run_id
from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.deeds.rejoin import REJOIN_FLOW, artifact_key, concluded, rejoin_by_hand
from prefect_mha.flows.engine.acting import ActingRun
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import ClusterName, RejoinRequest
from prefect_mha.replication.errors import MhaError
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.rejoin.outcome import markdown, plan_markdown


@flow(name=REJOIN_FLOW, flow_run_name="rejoin {cluster}", persist_result=False)
def rejoin(cluster: ClusterName, how: RejoinRequest) -> State[Any]:
    """Make a server that a failover replaced, and that is back, a replica of the new primary.

    Args:
        cluster: Name of a configured cluster, such as "app1".
        how: Which server, by which way, and whether somebody is asked first.
    """
    config, _ = load_named(cluster)
    key = f"{artifact_key(cluster)}-plan"
    try:
        with logged(config):
            outcome = rejoin_by_hand(
                config,
                how.server,
                How(how.way),
                dry_run=how.dry_run,
                ask=ask_in_prefect(how.waiting(), key) if how.ask_first else None,
                replay=how.choice(),
                hide=how.hide_values,
                run=ActingRun(REJOIN_FLOW, cluster, config.manager_workdir, this_run_id()),
            )
    except MhaError as error:
        return Failed(message=str(error))
    if outcome.refusal is not None and outcome.plan is None:
        show_page(markdown(outcome, cluster), key, f"Rejoin of {cluster}, refused")
    if outcome.planned_only and outcome.plan is not None:
        show_page(plan_markdown(outcome.plan), key, f"Rejoin plan of {cluster}")
    return concluded(outcome).as_state()
