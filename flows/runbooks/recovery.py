"""One failover from the verdict to its outcome: the runbook is run; however it ends, that is told and remembered."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from ...replication.errors import AlreadyActing, CannotRemember, LockLost, MhaError, RefusalError
from ...replication.local.interrupts import Interrupted, finish_from_here, put_off
from ...replication.memory.journal import BEGIN, END, LOCK_LOST
from ...replication.memory.manager_files import FailoverFlags
from ...replication.model.refusal import Refusal
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
    run = Runbook(job, ssh_reachable, log_directories)
    refusal: Refusal | None = None
    run.old.begin()
    try:
        job.journal.record(BEGIN, "began", job.dead.address, options=vars(job.options), resumed=bool(job.past))
        outcome = run.outcome()
    except MhaError as error:
        refusal = error.refusal if isinstance(error, RefusalError) else None
        if isinstance(error, AlreadyActing):
            refusal = _others_act(error)
            log.warning("No failover by this one: %s", error)
        else:
            log.error("Got ERROR: %s", refusal or error)
        if isinstance(error, LockLost):
            run.notes += run.begun()
        else:
            run.let_receive_again()
        outcome = Outcome(exit_code=1, summary=str(error), refusal=refusal, **run.known)
    except Interrupted as asked:
        log.error("Got ERROR: %s; nothing was changed.", asked)
        run.let_receive_again()
        outcome = Outcome(exit_code=1, summary=f"{asked}; nothing was changed", stopped=True, **run.known)
    finally:
        # What is left is to tell it.
        finish_from_here()
        run.old.end()
        run.lock.release()
        job.address.close()
    if put_off():
        run.notes.append(put_off())
    ledger = run.account() if not outcome.stopped else ()
    for line in losses(ledger):
        log.error("Transactions %s", line)
    if outcome.promoted is not None:
        try:
            tell_how_to_return(run, ledger)
        except MhaError as error:  # the new primary may be gone again, and the outcome stands
            log.warning("How %s may come back cannot be told: %s", job.dead.name, error)
    outcome = replace(outcome, timeline=tuple(run.timeline), notes=tuple(run.notes), ledger=ledger)
    flags = FailoverFlags(job.config.manager_workdir, job.config.name)
    if outcome.promoted is not None and outcome.exit_code != 1:
        flags.mark_complete()
    elif outcome.began_phase_2 and not (outcome.called_off or outcome.lost_its_lock):
        flags.mark_error()
    with contextlib.suppress(CannotRemember):  # told already, and the outcome goes to people in any case
        job.journal.record(END, "ended", job.dead.address, **outcome.as_dict())
    log.info("%s", result_line(outcome))
    return outcome


def _others_act(error: AlreadyActing) -> Refusal:
    if isinstance(error, LockLost):
        remedy = "Nothing while a manager watches: it looks who acted, and goes on where nobody did."
        return Refusal(LOCK_LOST, str(error), remedy)
    return Refusal(ALREADY_ACTING, str(error), "Wait until it has ended.")
