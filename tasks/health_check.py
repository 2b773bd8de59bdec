"""Check: is the cluster fit for a failover? Seen at once, judged by name, shown as a table."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..config import ClusterConfig
from ..replication.checks import of_replication
from ..replication.checks.cluster import former
from ..replication.checks.cluster.privileges import warnings_of_accounts
from ..replication.checks.cluster.replicas import LAG
from ..replication.checks.cluster.topology import STRANGERS
from ..replication.checks.facts import Facts
from ..replication.checks.observe import look
from ..replication.cluster.pool import ConnectionPool
from ..replication.memory.failover_flags import FailoverFlags
from ..replication.memory.last_check import CheckRecord, LastCheck, names_of, news
from ..replication.model.check import Check, failed, rows
from ..replication.model.words import dashed
from ..replication.notify.events import EventHooks
from ..replication.planning import readiness
from ..replication.planning.readiness import Past, Readiness
from ..replication.rejoin.remembered.standing import with_former_primaries
from .policy import STEP, once
from .role import remember_role
from .step import task


@task(name="Look at servers, hosts and scripts", **STEP)
def look_at_cluster(config: ClusterConfig) -> Facts:
    """Everything that the checks judge; what cannot be seen is a fact, too."""
    sessions = ConnectionPool(config)
    try:
        facts = with_former_primaries(look(config, sessions))
        primary = facts.cluster.get(facts.primary.address) if facts.primary is not None else None
        if primary is not None and primary.writable:
            remember_role(sessions, primary.key)
        return facts
    finally:
        sessions.close()


@task(name="Judge what was seen", **STEP)
def judge(facts: Facts, seconds_behind: int) -> tuple[Check, ...]:
    """Every check; ``seconds_behind`` is how late a replica may be."""
    return of_replication(facts, seconds_behind)


@task(name="Show the checks", **STEP)
def show_checks(cluster: str, checks: Sequence[Check]) -> None:
    """A table artifact, what is not well first."""
    from prefect.artifacts import create_table_artifact

    told = rows(sorted(checks, key=lambda check: (not check.failed, check.ok)))
    create_table_artifact(told, key=f"health-check-{dashed(cluster)}", description=f"Health of {cluster}")


@task(name="If the primary died now", **STEP)
def assess(facts: Facts) -> Readiness:
    """Who would be promoted, what would be lost, what is in the way."""
    past = Past.of(FailoverFlags(facts.config.manager_workdir, facts.config.name))
    also = (*warnings_of_accounts(facts), *former.notes(facts))
    return readiness.assess(facts.config, facts.cluster, past, facts.primary_log_readable, also)


@task(name="Show the readiness", **STEP)
def show_readiness(ready: Readiness) -> None:
    """A page."""
    from prefect.artifacts import create_markdown_artifact

    key = f"readiness-{dashed(ready.cluster)}"
    create_markdown_artifact(
        readiness.markdown(ready), key=key, description=f"If the primary of {ready.cluster} died now"
    )


@task(name="Tell what is new", **once("people are told once"))
def tell(config: ClusterConfig, checks: Sequence[Check], ready: Readiness) -> None:
    """What the last check did not find, to people; the readiness and who is late, to Prefect, each time."""
    events = EventHooks(config)
    tell_news(config, checks, ready)
    for check in checks:
        if check.name == LAG.name and not check.ok:
            events.note("lagging", text=str(check), server=check.subject)
    events.note("ready" if ready.ready else "not_ready", **ready.as_dict())


def tell_news(config: ClusterConfig, checks: Sequence[Check], ready: Readiness) -> None:
    """What the last check did not find, to people; and keep it for the next one."""
    events, kept, now = EventHooks(config), LastCheck(config), names_of(checks)
    event = news(kept.read(), now)
    unknown = tuple(str(check) for check in checks if check.name == STRANGERS.name and not check.ok)
    kept.write(CheckRecord(time.time(), now, ready.as_dict(), unknown))
    bad = [f"{check.name}: {check}" for check in failed(checks)]
    if event == "check_failed":
        events.tell(event, text=f"{len(bad)} of {len(checks)} checks failed; {bad[0]}", failed=bad)
    elif event:
        events.tell(event, text=f"all {len(checks)} checks are well again")
