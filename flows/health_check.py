"""Health check: every check of masterha_check_repl, from a schedule, as a flow run that fails when a check does.

It also answers what would happen if the primary died now, and tells what is new.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from prefect_mha.config import ClusterConfig
from prefect_mha.flows.clusters import load_named
from prefect_mha.flows.engine.events import telling_prefect
from prefect_mha.flows.engine.run_log import logged
from prefect_mha.flows.engine.start import step
from prefect_mha.flows.forms import ClusterName, Seconds
from prefect_mha.replication.model.check import Check, Severity, failed
from prefect_mha.replication.notify.events import finish as finish_hooks
from prefect_mha.replication.planning.readiness import Readiness
from prefect_mha.tasks.health_check import assess, judge, look_at_cluster, show_checks, show_readiness, tell

log = logging.getLogger("mha")


@flow(name="health-check", flow_run_name="health check {cluster}", persist_result=False)
def health_check(cluster: ClusterName, seconds_behind: Seconds = 30) -> State[Any]:
    """Check that a cluster replicates well and is fit for a failover; nothing is created or changed anywhere.

    Args:
        cluster: Name of a configured cluster, such as "app1" (see the monitor).
        seconds_behind: How many seconds a replica may be late, 0 to 86400.
    """
    config, _ = load_named(cluster)
    with logged(config, in_file=False):
        return _checked(config, seconds_behind)


def _checked(config: ClusterConfig, seconds_behind: int) -> State[Any]:
    cluster = config.name
    facts = step(look_at_cluster, config)
    checks, ready = step(judge, facts, seconds_behind), step(assess, facts)
    for check in checks:
        if not check.ok and check.severity is not Severity.INFO:
            log.log(logging.ERROR if check.failed else logging.WARNING, "%s: %s", check.name, check)
    log.log(logging.INFO if ready.ready else logging.WARNING, "%s", ready)
    with telling_prefect(config):
        step(tell, config, checks, ready)
        step(show_checks, cluster, checks)
        step(show_readiness, ready)
        finish_hooks(config.hook_timeout)
    return conclude(cluster, checks, ready)


def conclude(cluster: str, checks: Sequence[Check], ready: Readiness) -> State[Any]:
    """How the flow run ends in the UI: with the number of what failed, and the first of it."""
    bad = failed(checks)
    if bad:
        return Failed(message=f"{cluster}: {len(bad)} of {len(checks)} checks failed; {bad[0].name}: {bad[0]}")
    warnings = sum(not check.ok and check.severity is Severity.WARNING for check in checks)
    return Completed(message=f"{cluster}: {len(checks)} checks, none failed, {warnings} warnings. {ready}")
