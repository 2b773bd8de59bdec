"""What only an old server has is brought to the manager and listed; nothing is replayed, and no server is changed."""

from __future__ import annotations

import contextlib
import getpass
import os

from ....replication.cluster.pool import ConnectionPool
from ....replication.errors import MhaError
from ....replication.memory.journal import END, REJOIN, Journal
from ....replication.rejoin.archive import LIST, Archive
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.observe import WhoIsBack
from ....replication.rejoin.outcome import RejoinOutcome
from ....replication.rejoin.plan import RejoinPlan
from ....tasks import rejoin
from ...engine.recorder import Recorder


def rescue_its_own(who: WhoIsBack, plan: RejoinPlan, sessions: ConnectionPool) -> RejoinOutcome:
    """Exit code 10: it is kept, and a person has to say what becomes of it."""
    config = who.config
    with contextlib.closing(Journal.new(config.manager_workdir, config.name, REJOIN)) as journal:
        job, book = RejoinJob(who, plan, sessions, journal), Recorder(journal)
        journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=getpass.getuser(), plan=plan.as_dict())
        try:
            outcome = _kept(plan, book.run(rejoin.archive_its_own, job, about=plan.old_name))
        except MhaError as error:
            outcome = RejoinOutcome(1, f"what only {plan.old_name} has could not be copied: {error}", plan)
        facts = {name: value for name, value in outcome.as_dict().items() if name != "server"}
        journal.record(END, "ended", plan.old, **facts)
    return outcome


def _kept(plan: RejoinPlan, kept: Archive) -> RejoinOutcome:
    notes = (
        *(f"{line}." for line in kept.lines),
        f"{kept.directory / LIST} lists each transaction; mysqlbinlog reads the logs beside it.",
        f"Repeat on {plan.new_name} what is wanted of them, then rebuild {plan.old_name}, which stays as it is.",
    )
    return RejoinOutcome(10, f"kept {kept}; nothing was replayed", plan, notes=notes)
