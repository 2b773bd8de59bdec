"""Rebuild: a server that is back is given the data of another, before it becomes a replica of the new primary."""

from __future__ import annotations

import logging

from ..replication.cluster.pool import ConnectionPool
from ..replication.errors import RefusalError
from ..replication.model.refusal import Refusal
from ..replication.model.ways_back import Method
from ..replication.rejoin.facts import RejoinFacts
from ..replication.rejoin.observe import WhoIsBack, look
from ..replication.rejoin.plan import RejoinPlan
from ..replication.rejoin.rebuild import left, steps
from ..replication.rejoin.rebuild.job import RebuildJob
from ..replication.rejoin.rebuild.observe import look_around
from ..replication.rejoin.rebuild.place import Place
from ..replication.rejoin.rebuild.plan import rebuild_plan
from ..replication.rejoin.rebuild.verify import Verified
from .policy import STEP, once
from .rejoin import under_way
from .step import task

log = logging.getLogger("mha")

PLACED = left.PLACED


def plan_of(who: WhoIsBack, sessions: ConnectionPool, wish: str, rate: int, *, keep: bool) -> RejoinPlan | Refusal:
    """Look at everybody, then decide. Raises RefusalError, ServerError, ConfigError."""
    facts = look(who, sessions)
    if refusal := under_way(who):
        return refusal
    return rebuild_plan(facts, look_around(who, sessions, facts), wish=wish, rate=rate, keep=keep)


@task(name="Look whether it may still be rebuilt", **STEP)
def look_first(job: RebuildJob) -> None:
    """Before anything is done: the same donor, the same primary, room on the disk. Raises RefusalError."""
    asked = job.copying
    newer = plan_of(job.who, job.sessions, asked.method.value, asked.rate, keep=asked.keep)
    if isinstance(newer, Refusal):
        raise RefusalError(newer)
    if newer.copying is not None and (newer.new, newer.copying.donor) == (job.plan.new, asked.donor):
        return
    raise RefusalError(
        Refusal(
            "cluster-changed",
            f"{job.config.name} changed meanwhile: {job.plan.new_name} is the primary no more, or "
            f"{job.copying.donor_name} is not whom its data would come from.",
            "Look at the cluster, then start again.",
        )
    )


@task(name="Make a place for the new data", **STEP)
def make_ready(job: RebuildJob) -> str:
    """Or see that a copy is there already, which a rebuild that was cut short brought to its end."""
    return steps.made_ready(job)


@task(name="Have it start read-only", **STEP)
def hold_at_start(job: RebuildJob) -> tuple[str, ...]:
    """By an option file, where its host has a directory for that; else its start is followed by a close."""
    return steps.hold_at_start(job)


@task(name="Copy the donor's data", **once("a copy that broke off is begun again by the next call"))
def copy(job: RebuildJob) -> str:
    """Beside the old data, and whole."""
    return steps.copied(job)


@task(name="Put the old data aside", **once("it stops a server"))
def put_aside(job: RebuildJob) -> str:
    """A copy of it, before a dump is loaded over it."""
    return steps.put_aside(job)


@task(name="Load a dump of the donor", **once("a load that broke off is begun again by the next call"))
def load(job: RebuildJob) -> Place:
    """All that the donor has; where it stands."""
    return steps.loaded(job)


@task(name="Swap the data", **once("it stops a server"))
def swap(job: RebuildJob) -> str:
    """The new in, the old aside; it runs again, closed."""
    return steps.swapped(job)


@task(name="Set its place", **STEP)
def set_place(job: RebuildJob, place: Place | None) -> RejoinFacts:
    """Where it goes on from; and how it is looked at from now on."""
    found = steps.placed(job, place)
    log.info("%s: its data is that of %s.", job.plan.old_name, found)
    return look(job.who, job.sessions)


@task(name="Compare its data", **STEP)
def compare(job: RebuildJob) -> Verified:
    """With the primary's, at one place of its log. Raises StatementFailed where a table differs."""
    found = steps.compared(job)
    log.info("%s: %s.", job.plan.old_name, found)
    return found


@task(name="Settle the old data", **STEP)
def settle(job: RebuildJob) -> str:
    """Kept under a name with the date, or removed; where it lies."""
    return steps.settled(job)


@task(name="Take the rebuild back", **STEP)
def take_back(job: RebuildJob) -> str:
    """The old data is in its place."""
    done = steps.taken_back(job)
    log.warning("%s: %s.", job.plan.old_name, done)
    return done


def loads(job: RebuildJob) -> bool:
    """By a dump."""
    return job.copying.method is Method.DUMP
