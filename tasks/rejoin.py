"""Rejoin: an old server that is back becomes a replica of the new primary."""

from __future__ import annotations

import logging
import os
import socket

from ..replication.errors import RefusalError
from ..replication.fencing.read_only import Closed
from ..replication.model.refusal import Refusal
from ..replication.model.state import ServerState
from ..replication.model.topology import find_primary
from ..replication.rejoin import following
from ..replication.rejoin.diverged.empties import plan_for
from ..replication.rejoin.facts import RejoinFacts
from ..replication.rejoin.job import RejoinJob
from ..replication.rejoin.observe import WhoIsBack, look
from ..replication.rejoin.plan import RejoinPlan
from ..replication.rejoin.release import release, write_block
from ..replication.rejoin.remembered.interrupted import POINT, START, TAKE_BACK, last_of_each
from .policy import STEP
from .step import task

log = logging.getLogger("mha")


@task(name="Look whether it is still to be done", **STEP)
def look_first(job: RejoinJob) -> None:
    """Under the lock, before anything is done: by now it may be the primary again. Raises RefusalError."""
    if refusal := under_way(job.who):
        raise RefusalError(refusal)
    _as_planned(job)


def under_way(who: WhoIsBack) -> Refusal | None:
    """Another process of this host is at it: it does not keep the failover lock while it copies or compares."""
    last = last_of_each(who.config.manager_workdir, who.config.name).get(who.old.address)
    if last is None or not last.alive or last.pid == os.getpid():
        return None
    sentence = f"A rejoin of {who.old.name} is under way on this host, in process {last.pid}."
    return Refusal("already-rejoining", sentence, "Wait for its end.")


@task(name="Close the old server to writers", **STEP)
def close(job: RejoinJob) -> Closed:
    """Whatever it took until then is seen by the next look."""
    closed = following.close(job)
    log.info("%s: %s.", job.plan.old_name, closed)
    return closed


@task(name="Look again whether it has more than the primary", **STEP)
def look_again(job: RejoinJob) -> RejoinFacts:
    """Closed and under the lock: what is done is what was planned, or nothing. Raises RefusalError."""
    return _as_planned(job)


def _as_planned(job: RejoinJob) -> RejoinFacts:
    facts = look(job.who, job.sessions)
    newer = plan_for(facts, job.plan.how)
    if isinstance(newer, Refusal):
        raise RefusalError(newer)
    if _what_is_done(newer) != _what_is_done(job.plan):
        raise RefusalError(
            Refusal(
                "cluster-changed",
                f"{job.config.name} changed while the question stood: {newer.old_name} would now follow "
                f"{newer.new_name}{f', and has {newer.errant}' if newer.errant else ''}.",
                "Look at the cluster, then start again.",
            )
        )
    return facts


def _what_is_done(plan: RejoinPlan) -> tuple[object, ...]:
    return plan.new, plan.kind, plan.position, plan.pointed, plan.errant


@task(name="See the same primary", **STEP)
def see_the_same_primary(job: RejoinJob) -> None:
    """A failover may have been while the lock was not held. Raises RefusalError."""
    primary = find_primary(job.config, job.sessions.observe())
    if isinstance(primary, Refusal) or primary.address != job.plan.new:
        raise RefusalError(
            Refusal(
                "cluster-changed",
                f"{job.config.name} changed meanwhile: {job.plan.new_name} is the primary no more.",
                "Look at the cluster, then start again.",
            )
        )


@task(name=POINT, **STEP)
def point(job: RejoinJob, facts: RejoinFacts) -> bool:
    """CHANGE … TO, as its other replicas have it."""
    following.point(job, facts)
    return True


@task(name=START, **STEP)
def start(job: RejoinJob, facts: RejoinFacts) -> ServerState:
    """Both halves run, and are seen to."""
    state = following.start(job, facts)
    log.info("%s: OK: replicates from %s, read-only.", job.plan.old_name, job.plan.new_name)
    return state


@task(name="See that it executes", **STEP)
def see_it_level(job: RejoinJob) -> str:
    """What the new primary has now, or that it gets nearer."""
    stands = following.see_it_level(job)
    log.info("%s: %s.", job.plan.old_name, stands)
    return stands


@task(name="Hold it no longer", **STEP)
def let_go(job: RejoinJob, by: str) -> tuple[str, ...]:
    """What kept it closed and off is taken back; returns what is left to do."""
    return release(job, f"{by}@{socket.gethostname()}")


@task(name="Write its block into the configuration", **STEP)
def put_block(job: RejoinJob) -> tuple[str, ...]:
    """As masterha_conf_host does; returns what is left to do."""
    return write_block(job)


@task(name=TAKE_BACK, **STEP)
def take_back(job: RejoinJob) -> str:
    """It is stopped and stays read-only."""
    done = following.take_back(job)
    log.warning("%s: %s.", job.plan.old_name, done)
    return done
