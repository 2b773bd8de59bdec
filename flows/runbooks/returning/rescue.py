"""What only an old server has is brought to the manager, listed, compared; what a person chose is replayed."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass, replace

from ....replication.cluster.pool import ConnectionPool
from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import MhaError, RefusalError
from ....replication.local.person import this_person
from ....replication.memory.journal import END, REJOIN, Journal
from ....replication.model.refusal import Refusal
from ....replication.model.ways_back import How
from ....replication.rejoin.diverged.archive import LIST
from ....replication.rejoin.diverged.comparison.choice import Choice
from ....replication.rejoin.diverged.comparison.report import SQL, TEXT, Compared
from ....replication.rejoin.diverged.own import Against, Own, tell
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.observe import WhoIsBack, look
from ....replication.rejoin.outcome import RejoinOutcome, replay_question
from ....replication.rejoin.plan import RejoinPlan, rejoin_plan
from ....replication.reporting.approval import APPROVAL, Ask
from ....replication.reporting.incident.beside import write_page
from ....tasks import diverged, rejoin
from ...engine.recorder import Recorder

log = logging.getLogger("mha")

#: Lines of the report that are told at once.
TOLD = 20


@dataclass(frozen=True)
class Wanted:
    """What is to be replayed, and whether values are hidden; ``ask`` puts it to a person first."""

    replay: Choice
    hide: bool
    ask: Ask | None


def rescue_its_own(who: WhoIsBack, plan: RejoinPlan, sessions: ConnectionPool, wanted: Wanted) -> RejoinOutcome:
    """Exit code 10: it is kept, and a person has to say what becomes of the rest; 0: the new primary has all of it."""
    config = who.config
    with contextlib.closing(Journal.new(config.manager_workdir, config.name, REJOIN)) as journal:
        job, book = RejoinJob(who, plan, sessions, journal), Recorder(journal)
        journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=this_person(), plan=plan.as_dict())
        try:
            outcome = _rescued(job, book, wanted)
        except (MhaError, OSError) as error:
            refusal = error.refusal if isinstance(error, RefusalError) else None
            said = f"what only {plan.old_name} has could not be rescued: {error}"
            outcome = RejoinOutcome(1, said, plan, refusal=refusal)
        # Rows of users are told in the report, and remembered in its files alone.
        facts = {name: value for name, value in outcome.as_dict().items() if name not in ("server", "notes")}
        journal.record(END, "ended", plan.old, notes=list(outcome.clashes), **facts)
        looks = write_page(journal, config.name, config.path)
    return replace(outcome, head=looks.head)


def _rescued(job: RejoinJob, book: Recorder, wanted: Wanted) -> RejoinOutcome:
    about = job.plan.old_name
    own = book.run(diverged.keep_own, job, about=about)
    against = book.run(diverged.compare, job, own, about=about)
    chosen = against.chosen(wanted.replay)
    told = tell(job, against, chosen.left, hide=wanted.hide)
    for line in list(told.lines())[:TOLD]:
        log.info("%s", line)
    if chosen.replay:
        if wanted.ask is not None:
            answer = wanted.ask(replay_question(job.plan, told, len(chosen.replay)))
            log.info("%s.", answer)
            if not answer.go_on:
                return RejoinOutcome(
                    10, f"kept {own}; {answer}; nothing was replayed", job.plan, notes=_notes(job, own, told)
                )
            job.journal.record(APPROVAL, "answered", job.plan.old, **answer.as_dict())
        told = _replayed(job, book, against, wanted)
    return _outcome(job, own, told)


def _replayed(job: RejoinJob, book: Recorder, against: Against, wanted: Wanted) -> Compared:
    """Under the failover lock: the new primary stays it meanwhile."""
    lock = FailoverLock(job.config.servers)
    lock.take()
    try:
        book.run(rejoin.look_first, job, about=job.plan.old_name)
        done = book.run(diverged.replay, job, against, wanted.replay, lock, about=job.plan.new_name)
    finally:
        lock.release()
    return tell(job, against, done.left, done.done, hide=wanted.hide)


def _outcome(job: RejoinJob, own: Own, told: Compared) -> RejoinOutcome:
    all_there = told.all_there and not own.stopped
    done = f"{len(told.replayed)} were replayed on {told.new}" if told.replayed else "nothing was replayed"
    if told.there:
        done = f"{done}, {len(told.there)} were there already"
    notes = _notes(job, own, told)
    return RejoinOutcome(
        0 if all_there else 10,
        f"kept {own}; {told.summary()}; {done}",
        job.plan,
        notes=notes,
        all_there=all_there,
        page=told.markdown(),
        clashes=tuple(told.without_values()),
    )


def _notes(job: RejoinJob, own: Own, told: Compared) -> tuple[str, ...]:
    kept = own.kept
    lines = [*(f"{line}." for line in kept.lines), *list(told.lines())[1 : TOLD + 1]]
    lines.append(f"{kept.directory / TEXT} tells all of it, {kept.directory / LIST} lists each transaction.")
    if told.left:
        lines.append(
            f"{kept.directory / SQL} has what was not replayed, as SQL to edit and run on {told.new}. What is in "
            "nobody's way is replayed with --replay=all, or of some tables with --replay=DATABASE.TABLE,…"
        )
        lines.append(f"{told.old} stays as it is: --how=rewind takes back what it alone has, and makes it a replica.")
    return tuple(lines)


def way_back_of(who: WhoIsBack, sessions: ConnectionPool) -> RejoinPlan | Refusal:
    """How a server all of whose own the new primary has becomes a replica: it has nothing more, or it is rewound.

    Without GTIDs, and with MariaDB's, what was replayed is another transaction: it comes back by replication.
    """
    facts = look(who, sessions)
    plan = rejoin_plan(facts, How.FOLLOW)
    has_more = isinstance(plan, Refusal) and plan.code in ("has-more", "rewind-cut-short")
    return rejoin_plan(facts, How.REWIND) if has_more else plan
