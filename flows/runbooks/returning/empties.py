"""Errant transactions of a replica are kept on the manager, and get empty twins on the primary."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import replace

from ....replication.cluster.pool import ConnectionPool
from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import MhaError, RefusalError
from ....replication.memory.journal import END, REJOIN, Journal
from ....replication.model.gtid import GtidSet
from ....replication.rejoin.diverged.archive import LIST
from ....replication.rejoin.diverged.own import Own
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.observe import WhoIsBack
from ....replication.rejoin.outcome import RejoinOutcome
from ....replication.rejoin.plan import RejoinPlan
from ....replication.reporting.incident.beside import write_page
from ....tasks import diverged, rejoin
from ...engine.recorder import Recorder

log = logging.getLogger("mha")


def accept_as_empties(who: WhoIsBack, plan: RejoinPlan, sessions: ConnectionPool, by: str) -> RejoinOutcome:
    """Exit code 0: nobody lacks a GTID of that server any more; 1: not all was done, and the same again goes on."""
    config = who.config
    with contextlib.closing(Journal.new(config.manager_workdir, config.name, REJOIN)) as journal:
        job, book = RejoinJob(who, plan, sessions, journal), Recorder(journal)
        journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=by, plan=plan.as_dict())
        try:
            own: Own = book.run(diverged.keep_own, job, about=plan.old_name)
            done = _committed(job, book, GtidSet.parse(plan.errant))
            outcome = RejoinOutcome(
                0, f"{plan.new_name} has {done} empty transactions more", plan, notes=_notes(plan, own)
            )
        except (MhaError, OSError) as error:
            refusal = error.refusal if isinstance(error, RefusalError) else None
            log.error("Got ERROR: %s", refusal or error)
            outcome = RejoinOutcome(1, str(error), plan, refusal=refusal)
        facts = {name: value for name, value in outcome.as_dict().items() if name not in ("server", "notes")}
        journal.record(END, "ended", plan.old, **facts)
        looks = write_page(journal, config.name, config.path)
    return replace(outcome, head=looks.head)


def _committed(job: RejoinJob, book: Recorder, gtids: GtidSet) -> int:
    """Under the failover lock: the primary stays it meanwhile."""
    lock = FailoverLock(job.config.servers)
    lock.take()
    try:
        book.run(rejoin.look_first, job, about=job.plan.old_name)
        done: int = book.run(diverged.commit_empties, job, gtids, lock, about=job.plan.new_name)
    finally:
        lock.release()
    return done


def _notes(plan: RejoinPlan, own: Own) -> tuple[str, ...]:
    tables = f" in {', '.join(own.tables)}" if own.tables else ""
    return (
        f"Of {plan.old_name} were kept: {own}; {own.kept.directory / LIST} lists each transaction.",
        f"What they did{tables} is on {plan.old_name} alone: see that it does no harm there, or rebuild it.",
    )
