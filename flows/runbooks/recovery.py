"""One failover from the verdict to its outcome: the runbook is run; however it ends, that is told and remembered."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from ...replication.errors import AlreadyActing, CannotRemember, LockLost, MhaError, RefusalError, ServerGone
from ...replication.fencing.last_look import what_was_told
from ...replication.local.interrupts import Interrupted, finish_from_here, put_off
from ...replication.local.person import this_person
from ...replication.memory.failover_flags import FailoverFlags
from ...replication.memory.journal import BEGIN, END, LOCK_LOST
from ...replication.model.refusal import NOBODY_REACHED, Refusal
from ...replication.planning.plan import ALREADY_ACTING
from ...replication.reporting.job import FailoverJob
from ...replication.reporting.ledger import losses
from ...replication.reporting.outcome import Outcome
from ...replication.reporting.report import result_line
from .failover import Runbook
from .returning.way_back import tell_how_to_return

log = logging.getLogger("mha")


def recover(job: FailoverJob, *, ssh_reachable: bool | None = None, log_directories: tuple[str, ...] = ()) -> Outcome:
    """Run one failover from the verdict to the report. A failure of the failover is an outcome, not an exception.

    ``ssh_reachable`` is what detection found out, None to find out here; ``log_directories`` are where the primary
    said its binary log is while it lived.
    """
    job.writes_out()
    run = Runbook(job, ssh_reachable, log_directories)
    refusal: Refusal | None = None
    run.old.begin()
    if job.somebody_else:
        run.notes.append(what_was_told(job.dead.name))
    try:
        told = {"options": vars(job.options), "resumed": bool(job.past), "by": this_person()}
        job.journal.record(BEGIN, "began", job.dead.address, **told)
        outcome = run.outcome()
    except MhaError as error:
        refusal = error.refusal if isinstance(error, RefusalError) else None
        if isinstance(error, AlreadyActing):
            refusal = _others_act(error)
            log.warning("This manager does not fail over: %s", error)
        else:
            log.error("Got ERROR: %s", refusal or error)
        run.gone = isinstance(error, ServerGone) and run.found.promoted is not None
        if isinstance(error, LockLost):
            run.notes += _begun(run)
        else:
            run.let_receive_again()
        outcome = run.found.outcome(1, str(error), refusal=refusal)
    except Interrupted as asked:
        run.let_receive_again()
        outcome = run.found.outcome(1, f"{asked}; {_left(run)}", stopped=True)
        log.error("Got ERROR: %s.", outcome.summary)
        if outcome.promoted is not None:
            run.notes.append(f"{outcome.summary}.")
    finally:
        # What is left is to tell it.
        finish_from_here()
        run.old.end()
        job.withheld.end()
        if job.ahead is not None:
            job.ahead.drop()
        run.lock.release()
        job.address.close()
    if put_off():
        run.notes.append(put_off())
    ledger = run.account() if outcome.promoted is not None or not outcome.stopped else ()
    for line in losses(ledger):
        log.error("Transactions %s", line)
    if outcome.promoted is not None:
        try:
            tell_how_to_return(run, ledger)
        except MhaError as error:  # the new primary may be gone again, and the outcome stands
            log.warning("The statement that makes %s a replica is not known: %s", job.dead.name, error)
    outcome = replace(outcome, timeline=tuple(run.timeline), notes=tuple(run.notes), ledger=ledger)
    flags = FailoverFlags(job.config.manager_workdir, job.config.name)
    if outcome.promoted is not None and outcome.exit_code != 1:
        flags.mark_complete()
    elif outcome.began_phase_2 and not (outcome.stopped or outcome.called_off or _not_of_the_cluster(job, outcome)):
        flags.mark_error()
    with contextlib.suppress(CannotRemember):  # told already, and the outcome goes to people in any case
        job.journal.record(END, "ended", job.dead.address, **outcome.as_dict())
    log.info("%s", result_line(outcome))
    return outcome


def _not_of_the_cluster(job: FailoverJob, outcome: Outcome) -> bool:
    """It failed by this manager, which stood still or reached nobody: no reason to refuse the next failover."""
    if outcome.lost_its_lock or outcome.promoted is not None:
        return outcome.lost_its_lock
    nobody = outcome.refusal is not None and outcome.refusal.code == NOBODY_REACHED
    return nobody or not job.sessions.observe().up


def _left(run: Runbook) -> str:
    """How far a failover came that somebody ended, for people."""
    if run.found.promoted is not None and run.found.plan is not None:
        new = run.found.plan.new_primary_name
        return f"{new} takes writes, the others do not follow it yet: Retry, mha failover --resume or a manager goes on"
    if run.stopped is None:
        return "nothing was changed"
    return "no server was opened for writes, and the replicas listen to the old primary again"


def _begun(run: Runbook) -> list[str]:
    """What was done before the lock was lost, for people: nothing of it is taken back, for others may act now."""
    done = [f"{step.step}{f' ({step.server})' if step.server else ''}" for step in run.timeline if step.ok]
    log.error("Done before the lock was lost, and left as it is: %s.", "; ".join(done) or "nothing")
    return [f"Done before the lock was lost, and left as it is: {'; '.join(done)}."] if done else []


def _others_act(error: AlreadyActing) -> Refusal:
    if isinstance(error, LockLost):
        remedy = "Nothing, if a manager watches: it sees whether somebody acted, and goes on if nobody did."
        return Refusal(LOCK_LOST, str(error), remedy)
    return Refusal(ALREADY_ACTING, str(error), "Wait until it has ended.")
