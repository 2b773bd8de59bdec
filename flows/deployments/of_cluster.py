"""The deployments of one cluster: each has its name and its tag, and its form offers this cluster alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefect.deployments.runner import RunnerDeployment
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.runner.storage import GitRepository
from prefect.schedules import Cron, Interval
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.annotations import freeze

from ...config import ConfigError
from ...replication.maintenance.binlog_server.health import is_here
from ..binlog_server import binlog_server
from ..clusters import conf_directory, configured_clusters, load_named
from ..drill import drill
from ..failover import failover
from ..health_check import health_check
from ..monitor import monitor
from ..purge_relay_logs import purge_relay_logs
from ..rejoin import rejoin
from ..switchover import switchover

#: What is always to run is started again: at once when its process died, later when it failed by itself, for that may
#: happen again and again, and by a slow schedule, for what nobody was told of. A run that finds another at work ends as
#: *Skipped*; so no limit is needed, whose lease a run would lose when the server is restarted.
AGAIN_AFTER = {"Crashed": timedelta(0), "Failed": timedelta(minutes=1)}
AGAIN_IN_ANY_CASE = timedelta(minutes=10)
#: Flows that have deployments.
FLOWS = tuple(
    each.name for each in (monitor, failover, switchover, rejoin, drill, health_check, purge_relay_logs, binlog_server)
)
#: Relay logs are purged at night, the clusters one after the other: hour at which it begins, and minutes that it takes.
NIGHT, NIGHT_LASTS = 2, 180
#: When a drill is asked for, as cron has it: in working hours, once its schedule is set going.
MONTHLY = "0 10 2 * *"


class Clone(GitRepository):
    """The project's code from a repository, for workers where it is not installed; what it needs is installed there.

    ``secret`` is the name of a Secret block with an access token; the token itself stays in Prefect.
    """

    def __init__(self, url: str, branch: str | None = None, secret: str = "") -> None:
        super().__init__(url, branch=branch)
        self._repository, self._of_branch, self._secret = url, branch, secret

    def to_pull_step(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Clone it, and go where the package's name is."""
        step: dict[str, Any] = {"id": "clone", "repository": self._repository}
        if self._of_branch:
            step["branch"] = self._of_branch
        if self._secret:
            step["access_token"] = f"{{{{ prefect.blocks.secret.{self._secret} }}}}"
        where = {"directory": "{{ clone.directory }}/src"}
        steps = "prefect.deployments.steps"
        return [{f"{steps}.git_clone": step}, {f"{steps}.set_working_directory": where}]


@dataclass(frozen=True)
class Pool:
    """A work pool and its queue whose workers begin the runs. ``clone``: where they get the code, if not installed."""

    name: str
    queue: str = "default"
    clone: Clone | None = None


def those_configured() -> tuple[str, ...]:
    """The clusters to be deployed. Raises ConfigError when there is none."""
    if clusters := configured_clusters():
        return clusters
    raise ConfigError(f"no cluster is configured in {conf_directory()}; set MHA_CONF_DIR to where the files are")


def deployments_of(
    cluster: str, *, watch: bool = True, pool: Pool | None = None, copies: bool = False
) -> Iterator[RunnerDeployment]:
    """The deployments of one cluster, each named for it, and for no other. Raises ConfigError.

    Without a ``pool`` they are served here, and so are the binlog servers of this host. With one ``copies`` tells
    whether there is one for each binlog server, in a queue that is its host's alone.
    """

    def made(flow: Any, what: str, *, queue: str = "", **more: Any) -> RunnerDeployment:
        deployment: RunnerDeployment = flow.to_deployment(
            name=f"{what}-{cluster}",
            # The form shows this one value, and the API takes no other.
            parameters={"cluster": freeze(cluster), **more.pop("parameters", {})},
            tags=[cluster_tag(cluster)],
            entrypoint_type=EntrypointType.MODULE_PATH,
            work_pool_name=pool.name if pool else None,
            work_queue_name=(queue or pool.queue) if pool else None,
            **more,
        )
        if pool is not None and pool.clone is not None:
            deployment.storage = pool.clone
            module, _, name = str(deployment.entrypoint).rpartition(".")
            deployment.entrypoint = f"{module.replace('.', '/')}.py:{name}"
        return deployment

    if watch:
        yield made(monitor, "monitor", **always(f"monitor-{cluster}"))
    yield made(failover, "failover")
    yield made(switchover, "switchover")
    yield made(rejoin, "rejoin")
    # Whoever wants it sets it going: a drill is held only where the cluster's file allows it, and asks first.
    yield made(drill, "drill", schedules=[Cron(MONTHLY, slug="monthly", active=False)])
    every_ten_minutes = Interval(timedelta(minutes=10), slug="every-ten-minutes")
    yield made(health_check, "health-check", schedules=[every_ten_minutes])
    yield made(purge_relay_logs, "purge-relay-logs", schedules=[Cron(at_night(cluster), slug="nightly")])
    config, _ = load_named(cluster)
    for block in config.binlog_servers:
        if copies if pool else is_here(block):
            what = f"binlog-server-{block.block}"
            yield made(
                binlog_server,
                what,
                queue=binlog_queue(block.hostname),
                parameters={"name": block.block},
                **always(f"{what}-{cluster}"),
            )


def cluster_tag(cluster: str) -> str:
    """What every run of a cluster is tagged with."""
    return f"cluster:{cluster}"


def binlog_queue(host: str) -> str:
    """The work queue that only the worker on a binlog server's host serves."""
    return f"binlog-server-{host}"


def at_night(cluster: str) -> str:
    """When a cluster's relay logs are purged, as cron has it: the same for a name, and not for all at once."""
    minute = 60 * NIGHT + zlib.crc32(cluster.encode()) % NIGHT_LASTS
    return f"{minute % 60} {minute // 60} * * *"


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
    return {"schedules": [Interval(AGAIN_IN_ANY_CASE, slug="keep-running")], "triggers": again}
