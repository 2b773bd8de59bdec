"""Drill: the Prefect flow of a failover or a switch that is practised, from a schedule or by a person."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from prefect_mha.flows.approval import ask_in_prefect, show_page, this_run_id
from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.deeds.drill import DRILL_FLOW, artifact_key, concluded, drill_by_hand
from prefect_mha.flows.engine.acting import ActingRun
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.forms import ClusterName, DrillRequest
from prefect_mha.replication.drill.kinds import DrillKind
from prefect_mha.replication.drill.plan import plan_markdown
from prefect_mha.replication.errors import MhaError


@flow(name=DRILL_FLOW, flow_run_name="drill {cluster}", persist_result=False)
def drill(cluster: ClusterName, how: DrillRequest = DrillRequest()) -> State[Any]:  # noqa: B008 - not changed
    """Practise a failover or a switch on a cluster whose file allows it, and show how long writes were out.

    Args:
        cluster: Name of a configured cluster, such as "app1".
        how: Which kind, and whether somebody is asked first.
    """
    config, load = load_named(cluster)
    key = f"{artifact_key(cluster)}-plan"
    try:
        with logged(config):
            outcome = drill_by_hand(
                config,
                DrillKind(how.kind),
                load=load,
                dry_run=how.dry_run,
                ask=ask_in_prefect(how.waiting(), key) if how.ask_first else None,
                run=ActingRun(DRILL_FLOW, cluster, config.manager_workdir, this_run_id()),
            )
    except (MhaError, OSError) as error:
        return Failed(message=str(error))
    if outcome.planned_only and outcome.plan is not None:
        show_page(plan_markdown(outcome.plan), key, f"Drill plan of {cluster}")
    return concluded(outcome).as_state()
