"""Two servers went apart: what only the old one has is kept, compared, replayed on the new one, or taken back."""

from __future__ import annotations

import logging

from ..replication.coordination.failover_lock import FailoverLock
from ..replication.errors import StatementFailed
from ..replication.model.gtid import GtidSet
from ..replication.rejoin.diverged import own as steps
from ..replication.rejoin.diverged.comparison.choice import Choice
from ..replication.rejoin.diverged.comparison.schema import read_tables
from ..replication.rejoin.diverged.empties import commit_empty
from ..replication.rejoin.diverged.equal import differing, execute_up_to, known_point, sums_of
from ..replication.rejoin.diverged.own import Against, Own
from ..replication.rejoin.diverged.replaying import Replayed
from ..replication.rejoin.facts import RejoinFacts
from ..replication.rejoin.job import RejoinJob
from ..replication.rejoin.remembered.rewound import DIFFERS, EQUAL, REWIND
from .policy import STEP, once
from .step import task

log = logging.getLogger("mha")


@task(name="Copy what only the old server has", **STEP)
def keep_own(job: RejoinJob) -> Own:
    """Off its host, proven, synced, listed."""
    own = steps.keep_own(job)
    log.info("Of %s were kept: %s.", job.plan.old_name, own)
    return own


@task(name="Compare it with what the new primary changed", **STEP)
def compare(job: RejoinJob, own: Own) -> Against:
    """Row by row, by the logs of both."""
    against = steps.compare(job, own)
    log.info("What only %s has against %s: %s.", job.plan.old_name, job.plan.new_name, against)
    return against


@task(name="Replay it on the new primary", **once("whoever begins anew looks at the new primary's log first"))
def replay(job: RejoinJob, against: Against, choice: Choice, lock: FailoverLock) -> Replayed:
    """What was chosen, each transaction only while nothing is in its way, and the lock is ours. Raises LockLost."""
    done = steps.replay_chosen(job, against, choice, lock.verify)
    log.info("%d transactions of %s were replayed on %s.", len(done.done), job.plan.old_name, job.plan.new_name)
    return done


@task(name="Commit empty transactions in their place", **once("a failover waits for its lock; the same again goes on"))
def commit_empties(job: RejoinJob, gtids: GtidSet, lock: FailoverLock) -> int:
    """On the primary, each only while the lock is ours. Raises LockLost."""
    done = commit_empty(job.new, gtids, lock.verify)
    log.info("%s: %d empty transactions were committed.", job.plan.new_name, done)
    return done


@task(name="See that it can be taken back", **STEP)
def see_it_can_be_undone(job: RejoinJob, own: Own) -> None:
    """By its log and its tables. Raises RefusalError."""
    steps.see_it_can_be_undone(job, own)


@task(name="Take back what only the old server has", **STEP)
def undo(job: RejoinJob, own: Own) -> int:
    """How many transactions were taken back now."""
    count = steps.undo_own(job, own)
    log.info("%s: %d transactions were taken back.", job.plan.old_name, count)
    return count


@task(name="Let it have executed what both have", **STEP)
def forget(job: RejoinJob, own: Own | None) -> None:
    """Its logs are deleted, its GTIDs set."""
    steps.forget_own(job, own)


@task(name="Compare the tables that were changed", **STEP)
def see_it_equal(job: RejoinJob, facts: RejoinFacts) -> tuple[str, ...]:
    """At a place that both know; the tables. Raises StatementFailed where they differ, which is remembered."""
    plan, rewound = job.plan, facts.rewound
    names = rewound.tables if rewound is not None else ()
    server = job.sessions.server(plan.old)
    point = known_point(job.new, names, plan.kind)
    execute_up_to(server, plan.channel, job.new, point, plan.kind)
    differ = differing(sums_of(server, read_tables(server, names), names, point.hashed), point.sums)
    if differ:
        why = f"{', '.join(differ)} differ at {point.gtids or point.place}"
        job.journal.record(REWIND, DIFFERS, plan.old, why=why)
        raise StatementFailed(plan.old_name, "compare it with the new primary", f"{why}: rebuild it")
    job.journal.record(REWIND, EQUAL, plan.old)
    log.info("%s has the same as %s in %s.", plan.old_name, plan.new_name, ", ".join(names) or "no table")
    return names
