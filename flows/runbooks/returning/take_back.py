"""A rejoin that was cut short and may not go on: the server is stopped, and a replica of nobody where that is safe."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime

from ....config import ClusterConfig
from ....replication.cluster.pool import ConnectionPool
from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import RefusalError
from ....replication.memory.journal import END, REJOIN, Journal
from ....replication.model.refusal import Refusal
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.observe import WhoIsBack
from ....replication.rejoin.plan import RejoinPlan
from ....replication.rejoin.remembered.interrupted import BegunRejoin, last_of_each
from ....tasks import rejoin
from ...engine.recorder import Recorder

log = logging.getLogger("mha")


def take_back_what_was_cut_short(who: WhoIsBack, sessions: ConnectionPool) -> str:
    """What was done, in words; empty where no rejoin of that server was cut short after it may have been pointed.

    Raises MhaError's children, and of them RefusalError for a plan that cannot be read.
    """
    config = who.config
    begun = last_of_each(config.manager_workdir, config.name).get(who.old.address)
    if begun is None or not begun.cut_short:
        return ""
    with contextlib.closing(Journal.new(config.manager_workdir, config.name, REJOIN)) as journal:
        done = ""
        if begun.pointed:
            done = _take_back(RejoinJob(who, _plan(begun, who), sessions, journal))
        _end(journal, begun, f"cut short, and taken back: {done or 'nothing was done yet'}")
    return done


def end_what_was_cut_short(config: ClusterConfig, begun: BegunRejoin, why: str) -> None:
    """Nobody goes on with it: only the journals say so, its server is as it is. Raises CannotRemember."""
    with contextlib.closing(Journal.new(config.manager_workdir, config.name, REJOIN)) as journal:
        _end(journal, begun, f"cut short, and not gone on with: {why}")


def _plan(begun: BegunRejoin, who: WhoIsBack) -> RejoinPlan:
    """As its journal has it. Raises RefusalError where that is no plan of ours."""
    try:
        return RejoinPlan.parse(begun.plan)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        began = datetime.fromtimestamp(begun.at).strftime("%Y-%m-%d %H:%M:%S")
        raise RefusalError(
            Refusal(
                "unknown-plan",
                f"The rejoin of {who.old.name} that was begun at {began} was cut short, and its plan cannot be read "
                f"({type(error).__name__}: {error}): another version wrote it.",
                "Take it back with that version, or stop replication there yourself, and say what it is to have: "
                "--how=rebuild.",
            )
        ) from error


def _end(journal: Journal, begun: BegunRejoin, summary: str) -> None:
    journal.record(REJOIN, "began", begun.key, pid=0, by=begun.by, plan=begun.plan)
    journal.record(END, "ended", begun.key, summary=summary)


def _take_back(job: RejoinJob) -> str:
    lock = FailoverLock(job.config.servers)
    lock.take()
    try:
        done: str = Recorder(job.journal).run(rejoin.take_back, job, about=job.plan.old_name)
        return done
    finally:
        lock.release()
