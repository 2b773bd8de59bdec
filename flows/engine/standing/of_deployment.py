"""A run that stands ready as one of its cluster's deployment: who watches that sees failovers that nobody started.

It is a subflow of the monitor's run where there is one, as any flow is that is called in another.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable

import httpx
from prefect import Task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import temporary_settings
from prefect.states import Pending

from ..entered import flow_run
from ..steps import described

log = logging.getLogger("mha.engine")

#: How often a request is made again that a busy server refuses.
RETRIES = 3


def made_for(flow: str, cluster: str, name: str, tags: Iterable[str]) -> FlowRun | None:
    """A new run of the cluster's deployment of that flow, for this process to enter: *Pending*, so no worker begins it.

    None where the cluster has no such deployment, or Prefect makes none of it. It asks the API up to three times, and
    again where that is busy. Raises httpx.HTTPError, RuntimeError where it does not answer.
    """
    try:
        with temporary_settings({"client.max_retries": RETRIES}), get_client(sync_client=True) as client:
            found = _deployment(client, flow, cluster)
            if found is None:
                return None
            return client.create_flow_run_from_deployment(
                found.id,
                parameters={"cluster": cluster},
                state=Pending(),
                name=name,
                tags=list(tags),
                parent_task_run_id=_in_this_run(client, flow),
            )
    except httpx.HTTPStatusError as error:
        if error.response.status_code >= 500:
            raise
        log.warning("Prefect makes no run of the deployment %s of %s: %s", flow, cluster, described(error))
        return None


def _deployment(client: SyncPrefectClient, flow: str, cluster: str) -> DeploymentResponse | None:
    """The one that is named for its cluster, else the first of those that are for it."""
    found = client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[f"cluster:{cluster}"])),
    )
    ours = [each for each in found if each.parameters.get("cluster") == cluster]
    return min(ours, key=lambda each: (each.name != f"{flow}-{cluster}", each.name), default=None)


def _in_this_run(client: SyncPrefectClient, flow: str) -> uuid.UUID | None:
    """What stands for it among the tasks of the run that this is called in, as Prefect's own subflows have it."""
    here = flow_run()
    if here is None:
        return None
    standing_for_it: Task[[], None] = Task(fn=lambda: None, name=flow)
    made = client.create_task_run(
        task=standing_for_it, flow_run_id=here.id, dynamic_key=str(uuid.uuid4()), state=Pending()
    )
    return made.id
