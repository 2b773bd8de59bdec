"""Select: look at every survivor, rule out what must not be done, and make the plan."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..replication.cluster.pool import with_writers
from ..replication.errors import RefusalError
from ..replication.memory.failover_flags import FailoverFlags
from ..replication.memory.journal import Opened
from ..replication.model.refusal import Refusal
from ..replication.model.state import ClusterState, GtidKind
from ..replication.model.topology import listing
from ..replication.planning.plan import FailoverPlan, make_plan, resume_plan
from ..replication.rejoin.remembered.interrupted import not_proven
from ..replication.reporting.job import FailoverJob
from .policy import STEP
from .step import task

log = logging.getLogger("mha")

#: Seconds that a server without a session is waited for in a failover, where the others answer at once.
UNCONNECTED = 2.0


@task(name="Look at every server", **STEP)
def observe(job: FailoverJob) -> ClusterState:
    """The survivors as they are now; one that does not answer in time is down, with the reason.

    A replica that is open is looked at twice: somebody may have made it a primary by hand.
    """
    others = [s for s in job.config.servers if s.address != job.dead.address]
    cluster = with_writers(job.sessions, job.sessions.observe(others, unconnected=UNCONNECTED))
    _log_cluster(job, cluster)
    return cluster


@task(name="Check that a failover is allowed", small=True, **STEP)
def check_allowed(job: FailoverJob) -> None:
    """MHA's rules against flapping: an unfinished failover, or one too recent, stops the next.

    Raises RefusalError.
    """
    flags = FailoverFlags(job.config.manager_workdir, job.config.name)
    if job.options.ignore_last_failover:
        flags.clear()
        return
    if flags.has_error():
        raise RefusalError.of(
            "last-failover-failed",
            f"The last failover of {job.config.name} did not end well: {flags.error} exists.",
            "Look at the cluster, then remove that file or start with --ignore_last_failover.",
        )
    age = flags.complete_age()
    if age is not None and age < job.options.last_failover_minute * 60:
        raise RefusalError.of(
            "too-early",
            f"Current time is too early to do failover again: the last one of {job.config.name} was "
            f"{age / 60:.0f} minutes ago, and {job.options.last_failover_minute} must pass.",
            f"Remove {flags.complete} or start with --ignore_last_failover, or a smaller --last_failover_minute.",
        )


@task(name="Choose the new primary", **STEP)
def choose(
    job: FailoverJob,
    cluster: ClusterState,
    excluded: Mapping[str, str],
    barred: Mapping[str, str] | None = None,
    busy: Mapping[str, str] | None = None,
) -> FailoverPlan:
    """The plan, with every candidate's reasons. Raises RefusalError when nothing may be promoted."""
    barred = {**not_proven(job.config.manager_workdir, job.config.name), **(barred or {})}
    decided = make_plan(job.config, job.dead, cluster, job.options, excluded=excluded, barred=barred, busy=busy)
    if isinstance(decided, Refusal):
        raise RefusalError(decided)
    log.info("Searching new master from slaves..")
    for candidate in decided.candidates:
        if candidate.eligible:
            log.info(" %s: place %d: %s", candidate.name, candidate.rank, ", ".join(candidate.merits))
        else:
            log.info(" %s: not chosen: %s", candidate.name, "; ".join(candidate.barred))
    log.info("New master is %s", decided.new_primary_name)
    return decided


@task(name="Find out where the last failover was interrupted", **STEP)
def resume(job: FailoverJob, cluster: ClusterState, opened: Opened) -> FailoverPlan:
    """The rest of a failover that had opened a server. Raises RefusalError when that server is not there any more."""
    decided = resume_plan(job.config, job.dead, cluster, opened.key, GtidKind(opened.kind))
    if isinstance(decided, Refusal):
        raise RefusalError(decided)
    return decided


def _log_cluster(job: FailoverJob, cluster: ClusterState) -> None:
    for line in listing(job.config, cluster, job.dead):
        log.info("%s", line)
