"""The deployments of all configured clusters in a work pool, made or brought up to date; what is left over is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from ...replication.errors import MhaError
from ..engine.api import api_configured
from ..engine.record import asking
from .of_cluster import FLOWS, Pool, cluster_tag, deployments_of, those_configured

#: Deployments in one answer of the API.
BATCH = 200
#: A request to the API: seconds that it may take, and how often it is made again when the server is busy.
REQUEST_SECONDS, RETRIES = 30.0, 5


@dataclass(frozen=True)
class Made:
    """One deployment as it is in Prefect now. ``queue`` is whose worker begins its runs."""

    cluster: str
    flow: str
    name: str
    queue: str
    new: bool


@dataclass(frozen=True)
class LeftOver:
    """One that was made for a cluster, or a part of it, that is configured no more; ``running`` are its runs."""

    cluster: str
    name: str
    id: UUID
    running: int


@dataclass(frozen=True)
class Deployed:
    """What `deploy` did. ``removed`` tells whether what was left over is gone."""

    pool: Pool
    pool_is_new: bool
    made: tuple[Made, ...]
    left_over: tuple[LeftOver, ...]
    removed: bool


def deploy(pool: Pool, *, watch: bool = True, copies: bool = False, remove: bool = False) -> Deployed:
    """Make what each configured cluster is to have; what a person paused or scheduled otherwise stays so.

    ``watch``: with a monitor each; ``copies``: with a deployment for each binlog server; ``remove`` what is left over.
    Raises ConfigError, or MhaError where Prefect does not answer or does not take it.
    """
    if not api_configured():
        raise MhaError(
            "no Prefect API is configured; set PREFECT_API_URL to the server that is to have the deployments"
        )
    clusters = those_configured()
    # All are read before anything is made: a wrong file leaves everything as it was.
    wanted = {cluster: list(deployments_of(cluster, watch=watch, pool=pool, copies=copies)) for cluster in clusters}
    with asking("the deployments", REQUEST_SECONDS, RETRIES) as client:
        pool_is_new = _pool_there(client, pool.name)
        before = {(flow, each.name): each for flow, each in _ours(client)}
        made = tuple(
            _applied(client, cluster, each, before.get((str(each.flow_name), str(each.name))))
            for cluster, deployments in wanted.items()
            for each in deployments
        )
        names = {(each.flow_name, each.name) for cluster in clusters for each in _all_of(cluster, pool)}
        # Whoever deploys into another pool may know clusters that this host does not.
        others = [one for key, one in before.items() if key not in names and one.work_pool_name == pool.name]
        left_over = tuple(_left_over(client, others))
        if remove:
            for each in removable(left_over):
                client.delete_resource_owned_automations(f"prefect.deployment.{each.id}")
                client.delete_deployment(each.id)
    return Deployed(pool, pool_is_new, made, left_over, remove)


def removable(left_over: Sequence[LeftOver]) -> tuple[LeftOver, ...]:
    """Those of clusters of which nothing runs: another host may watch what this one has no configuration of."""
    busy = {each.cluster for each in left_over if each.running}
    return tuple(each for each in left_over if each.cluster not in busy)


def _all_of(cluster: str, pool: Pool) -> Iterator[RunnerDeployment]:
    """What a cluster may have, asked for this time or not."""
    return deployments_of(cluster, watch=True, pool=pool, copies=True)


def _pool_there(client: SyncPrefectClient, name: str) -> bool:
    """See that there is such a pool, of whatever type it is; whether it was made."""
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        return True
    return False


def _ours(client: SyncPrefectClient) -> Iterator[tuple[str, DeploymentResponse]]:
    """Every deployment that was made here or served, by the name that `deployments_of` gives, with its flow's name."""
    for flow in FLOWS:
        offset = 0
        while found := client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])), limit=BATCH, offset=offset
        ):
            yield from ((flow, each) for each in found if _cluster_of(flow, each))
            offset += BATCH


def _cluster_of(flow: str, deployment: DeploymentResponse) -> str:
    cluster = str(deployment.parameters.get("cluster", ""))
    ours = deployment.name.startswith(f"{flow}-") and deployment.name.endswith(f"-{cluster}")
    return cluster if cluster and ours and cluster_tag(cluster) in deployment.tags else ""


def _applied(
    client: SyncPrefectClient, cluster: str, deployment: RunnerDeployment, before: DeploymentResponse | None
) -> Made:
    flow, name = str(deployment.flow_name), str(deployment.name)
    if before is not None:
        deployment.paused = before.paused
        deployment.schedules = [_as_it_is(each) for each in before.schedules]
        _as_enabled(client, deployment, before.id)
    try:
        deployment.apply()
    except DeploymentApplyError as error:
        raise MhaError(f"Prefect does not take the deployment {name}: {error}") from error
    return Made(cluster, flow, name, str(deployment.work_queue_name), before is None)


def _as_it_is(schedule: Any) -> DeploymentScheduleCreate:
    """A schedule as a person may have changed it."""
    kept = {
        name: value
        for name in ("schedule", "active", "max_scheduled_runs", "parameters", "slug")
        if (value := getattr(schedule, name)) is not None
    }
    return DeploymentScheduleCreate(**kept)


def _as_enabled(client: SyncPrefectClient, deployment: RunnerDeployment, before: UUID) -> None:
    """What starts it again is made anew: what somebody had switched off stays so."""
    there = client.request(
        "GET", "/automations/related-to/{resource_id}", path_params={"resource_id": f"prefect.deployment.{before}"}
    ).json()
    off = {each["name"] for each in there if not each["enabled"]}
    for trigger in deployment.triggers:
        if isinstance(trigger, DeploymentEventTrigger):
            trigger.enabled = trigger.name not in off


def _left_over(client: SyncPrefectClient, deployments: Sequence[DeploymentResponse]) -> Iterator[LeftOver]:
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    for each in deployments:
        of_it = DeploymentFilter(id=DeploymentFilterId(any_=[each.id]))
        runs = client.read_flow_runs(flow_run_filter=running, deployment_filter=of_it)
        yield LeftOver(str(each.parameters["cluster"]), each.name, each.id, len(runs))
