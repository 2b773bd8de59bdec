"""All flows of all configured clusters, served from one process: for those who have no work pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prefect.client.orchestration import get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner

from .of_cluster import deployments_of, those_configured


def serve_all(*, watch: bool = True) -> None:
    """Serve until interrupted. ``watch``: with a monitor for every cluster. Raises ConfigError without a cluster."""
    asyncio.run(_serve([each for cluster in those_configured() for each in deployments_of(cluster, watch=watch)]))


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
