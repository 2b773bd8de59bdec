"""All flows of all configured clusters, served from one process: for those who have no work pool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.runner import Runner
from prefect.schedules import Cron, Interval
from prefect.types.entrypoint import EntrypointType

from prefect_mha.config import ConfigError
from prefect_mha.flows.binlog_server import binlog_server
from prefect_mha.flows.clusters import conf_directory, configured_clusters, load_named
from prefect_mha.flows.failover import failover
from prefect_mha.flows.health_check import health_check
from prefect_mha.flows.monitor import monitor
from prefect_mha.flows.purge_relay_logs import purge_relay_logs
from prefect_mha.flows.rejoin import rejoin
from prefect_mha.flows.switchover import switchover
from prefect_mha.replication.maintenance.binlog_server.health import is_here

#: What is always to run is started again: at once when its process died, later when it failed by itself, for that may
#: happen again and again, and by a slow schedule, for what nobody was told of. A run that finds another at work ends as
#: *Skipped*; so no limit is needed, whose lease a run would lose when the server is restarted.
AGAIN_AFTER = {"Crashed": timedelta(0), "Failed": timedelta(minutes=1)}
AGAIN_IN_ANY_CASE = timedelta(minutes=10)


def serve_all(*, watch: bool = True) -> None:
    """Serve until interrupted. ``watch``: with a monitor for every cluster. Raises ConfigError without a cluster."""
    clusters = configured_clusters()
    if not clusters:
        raise ConfigError(f"no cluster is configured in {conf_directory()}; set MHA_CONF_DIR to where the files are")
    deployments = [each for cluster in clusters for each in deployments_of(cluster, watch=watch)]
    asyncio.run(_serve(deployments))


async def _serve(deployments: Sequence[RunnerDeployment]) -> None:
    # As many at once as there are: a monitor never ends, and a failover must not wait for a place.
    runner = Runner(name="mha", limit=len(deployments), pause_on_shutdown=False)
    for deployment in deployments:
        made = await runner.aadd_deployment(deployment)
        if deployment.triggers:  # what is always to run does not wait for its slow schedule
            async with get_client() as client:
                await client.create_flow_run_from_deployment(made)
    print(f"Serving {len(deployments)} deployments; end with Ctrl-C.", flush=True)
    await runner.start()


def deployments_of(cluster: str, *, watch: bool = True) -> Iterator[RunnerDeployment]:
    """The deployments of one cluster, each named for it."""

    def made(flow: Any, what: str, **more: Any) -> RunnerDeployment:
        parameters = {"cluster": cluster, **more.pop("parameters", {})}
        deployment: RunnerDeployment = flow.to_deployment(
            name=f"{what}-{cluster}",
            parameters=parameters,
            tags=[f"cluster:{cluster}"],
            entrypoint_type=EntrypointType.MODULE_PATH,
            **more,
        )
        return deployment

    if watch:
        yield made(monitor, "monitor", **always(f"monitor-{cluster}"))
    yield made(failover, "failover")
    yield made(switchover, "switchover")
    yield made(rejoin, "rejoin")
    yield made(health_check, "health-check", schedules=[Interval(timedelta(minutes=10))])
    yield made(purge_relay_logs, "purge-relay-logs", schedules=[Cron("17 3 * * *")])
    config, _ = load_named(cluster)
    for block in config.binlog_servers:
        if is_here(block):
            what = f"binlog-server-{block.block}"
            yield made(binlog_server, what, parameters={"name": block.block}, **always(f"{what}-{cluster}"))


def always(deployment: str) -> dict[str, Any]:
    """Keeps a deployment running: what starts it, and what starts it again."""
    again = [
        DeploymentEventTrigger(
            name=f"mha: start {deployment} again that {what.lower()}",
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.name": deployment, "prefect.resource.role": "deployment"},
            expect={f"prefect.flow-run.{what}"},
            schedule_after=after,
        )
        for what, after in AGAIN_AFTER.items()
    ]
    return {"schedules": [Interval(AGAIN_IN_ANY_CASE)], "triggers": again}
