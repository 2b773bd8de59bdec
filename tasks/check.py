"""Check: is the cluster fit for a failover? Seen at once, judged by name, shown as a table."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_table_artifact

from config import ClusterConfig
from replication.check import Check, rows
from replication.checks import of_replication
from replication.checks.facts import Facts
from replication.checks.observe import look
from replication.sessions import Sessions
from tasks.policy import STEP


@task(name="Look at servers, hosts and scripts", **STEP)
def look_at_cluster(config: ClusterConfig) -> Facts:
    """Everything that the checks judge; what cannot be seen is a fact, too."""
    sessions = Sessions(config)
    try:
        return look(config, sessions)
    finally:
        sessions.close()


@task(name="Judge what was seen", **STEP)
def judge(facts: Facts, seconds_behind: int) -> tuple[Check, ...]:
    """Every check; ``seconds_behind`` is how late a replica may be."""
    return of_replication(facts, seconds_behind)


@task(name="Show the checks", **STEP)
def show_checks(cluster: str, checks: Sequence[Check]) -> None:
    """A table artifact, what is not well first."""
    told = rows(sorted(checks, key=lambda check: (not check.failed, check.ok)))
    create_table_artifact(told, key=artifact_key(cluster), description=f"Health of {cluster}")


def artifact_key(cluster: str) -> str:
    """Prefect allows lower case letters, digits and dashes."""
    return "health-check-" + re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")
