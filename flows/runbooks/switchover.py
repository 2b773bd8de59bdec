"""The runbook of a planned switch, phase by phase; it knows nothing of how it was started."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ...replication.checks.cluster.topology import STRANGERS
from ...replication.errors import MhaError
from ...replication.fencing.everyone import close_to_everybody, end_those_who_may_not_write
from ...replication.local.interrupts import Interrupted, finish_from_here, put_off
from ...replication.local.person import this_person
from ...replication.memory.held_servers import HeldServers
from ...replication.memory.journal import END, SWITCH
from ...replication.reporting.outcome import ReplicaOutcome
from ...replication.switchover.handover import close_again
from ...replication.switchover.job import HandedOver, Preparation, SwitchJob
from ...replication.switchover.outcome import SwitchOutcome, result_line
from ...replication.switchover.resume import facts_of, facts_of_ready
from ...tasks.semi_sync import Waiting
from ...tasks.switchover import follow_new, get_ready, hold_writes, old_primary, online_change, take_over
from ..engine.recorder import Recorder
from ..engine.start import parallel

log = logging.getLogger("mha")
R = TypeVar("R")


def switch_over(job: SwitchJob) -> SwitchOutcome:
    """Move the primary's role. The caller holds the failover lock. A failure is an outcome, not an exception."""
    book = SwitchRunbook(job)
    try:
        told = {"pid": os.getpid(), "by": this_person(), **facts_of(job.plan)}
        job.journal.record(SWITCH, "began", job.plan.old, **told)
        ready, handed = book.hand_over()
    except BaseException as error:
        outcome = book.take_back(error)
        log.info("%s", result_line(outcome))
        if not isinstance(error, Exception | Interrupted):
            raise
        return outcome
    return book.go_forward(ready, handed)


class SwitchRunbook(Recorder):
    """One planned switch; what is left to do is kept for the report."""

    def __init__(self, job: SwitchJob) -> None:
        super().__init__(job.journal)
        self.job = job
        left = [check for check in job.plan.checks if check.name == STRANGERS.name and not check.ok]
        self.notes: list[str] = [str(check) for check in left]
        self.left: list[str] = []
        self.left_old = False

    # before the new primary is open ------------------------------------------------------------------------------

    def hand_over(self) -> tuple[Preparation, HandedOver]:
        """Get ready while writes flow, let applications leave, then the moment itself."""
        job = self.job
        log.info("* Phase 2: Rejecting updates Phase..")
        ready = self.run(get_ready.get_ready, job)
        job.journal.record("hold", "intent", job.plan.old, **facts_of_ready(ready))
        self.left_old = True
        self.run(online_change.leave_old, job)
        job.writes_out()
        return ready, self.run(hold_writes.hand_writes_over, job, ready, about=job.plan.old_name)

    def take_back(self, error: BaseException) -> SwitchOutcome:
        """The new primary is not open: the old one takes writes again, and the address comes back."""
        job = self.job
        finish_from_here()
        known = isinstance(error, MhaError | Interrupted)
        why = str(error) if known else f"{type(error).__name__}: {error}"
        stopped = isinstance(error, Interrupted)
        log.error("Got ERROR: %s", why)
        try:
            if job.may_be_open:
                close_again(job.sessions.server(job.plan.new_primary))
            if job.lifted:
                close_to_everybody(job.sessions.server(job.plan.new_primary))
            if job.stop.former is not None:
                self.run(hold_writes.give_writes_back, job, about=job.plan.old_name)
        except MhaError as trouble:
            log.error("Writes could not be given back: %s", trouble)
            self.notes.append(f"{job.plan.old_name} stays read-only: {trouble}. The next start tries again")
            job.stop.close()
            return self.outcome(1, why, stopped=stopped)
        if self.left_old:
            self.tolerate(partial(self.run, online_change.come_back, job), "Applications were not called back")
        self.tolerate(partial(self.run, get_ready.give_back_lent, job), "A lent setting was not given back")
        job.stop.close()
        summary = f"{why} (everything was taken back, {job.plan.old_name} is the primary)"
        outcome = self.outcome(1, summary, stopped=stopped)
        self.note(END, "ended", job.plan.old, **outcome.as_dict())
        return outcome

    # after it ------------------------------------------------------------------------------------------------------

    def go_forward(self, ready: Preparation, handed: HandedOver) -> SwitchOutcome:
        """The new primary takes writes: whatever fails from here on is told, and the rest is done."""
        job, plan, opened = self.job, self.job.plan, time.monotonic()
        demanded = job.config.semi_sync == "require" and self.do(take_over.demand, job, ready)
        if ready.target_former.tx_read_only:
            new = job.sessions.server(plan.new_primary)
            self.tolerate(lambda: end_those_who_may_not_write(new), "Sessions that can never write were not ended")
        checks = self.do(online_change.come_to_new, job) or ()
        job.writes_back()
        self.left += [f"Address: {check}" for check in checks if not check.ok]
        holds = HeldServers.of(job.config)
        self.tolerate(
            partial(holds.is_primary, plan.new_primary), f"{plan.new_primary_name} may still be held read-only"
        )
        self.note("handed over", "done", plan.new_primary, **dict(handed.parts))
        log.info("* Switching slaves in parallel..")
        works: list[tuple[str, str, Callable[[], ReplicaOutcome]]] = [
            (x.key, x.name, partial(self.run, follow_new.follow_new, job, x, handed, about=x.name)) for x in plan.others
        ]
        works.append((plan.old, plan.old_name, partial(self.free_old, ready, handed)))
        replicas = []
        for (key, name, _), result in zip(works, parallel([w for _, _, w in works]), strict=True):
            if isinstance(result, BaseException):
                log.error("%s: %s", name, result)
                result = ReplicaOutcome(key, name, False, str(result))
            replicas.append(result)
        if all(replica.ok for replica in replicas):
            log.info("All new slave servers switched successfully.")
        log.info("* Phase 5: New master cleanup phase..")
        self.do(take_over.forget_old_source, job, about=plan.new_primary_name)
        waiting: Waiting = self.do(take_over.move_semi_sync, job, ready, replicas) or Waiting()
        self.left += waiting.undone
        if demanded and not waiting.stuck:
            waited = f"waited for acknowledgements, for {time.monotonic() - opened:.1f} s at most"
            self.notes.append(f"{plan.new_primary_name}: then its commits {waited} (semi_sync=require)")
        self.notes += self.do(take_over.move_events, job, ready, waiting) or ()
        self.do(get_ready.give_back_lent, job)
        self.left += self.do(take_over.verify_switch, job, handed) or ()
        self.notes += (*self.tell_who_may_write(ready), *([put_off()] if put_off() else []))
        job.stop.close()
        complete = not self.left and all(replica.ok for replica in replicas)
        outcome = self.outcome(
            0 if complete else 10,
            f"{plan.new_primary_name} is the new primary",
            opened=True,
            held=handed.seconds or None,
            replicas=tuple(replicas),
            address=tuple(checks),
        )
        self.note(END, "ended", plan.old, **outcome.as_dict())
        log.info("%s", result_line(outcome))
        return outcome

    def tell_who_may_write(self, ready: Preparation) -> tuple[str, ...]:
        """Where there is no super_read_only: what keeps accounts with SUPER out of the old primary, if anything."""
        name = self.job.plan.old_name
        if ready.former.super_read_only is not None:
            return ()
        if ready.former.tx_read_only is None:
            return (f"{name} has no super_read_only: read_only does not keep out users with SUPER",)
        return (
            f"{name} has no super_read_only: tx_read_only=1 keeps out users with SUPER until it is restarted; "
            "set it to 0 before START SLAVE, and before it is opened, by hand",
        )

    def free_old(self, ready: Preparation, handed: HandedOver) -> ReplicaOutcome:
        """The old primary's lock is given back only when nobody is there to use that."""
        job, name = self.job, self.job.plan.old_name
        self.run(old_primary.end_sessions, job, about=name)
        log.info("Unlocking all tables on the orig master:")
        freed = self.run(old_primary.let_go, job, handed, about=name)
        if not job.plan.orig_is_new_replica:
            self.notes += old_primary.how_to_return(job, ready, handed)
            return freed
        return self.run(old_primary.make_replica, job, ready, handed, about=name)

    # how it is told ------------------------------------------------------------------------------------------------

    def note(self, step_name: str, event: str, about: str, **facts: Any) -> None:
        """What is only told may be lost on a full disk; what the next run needs is recorded before its effect."""
        try:
            super().note(step_name, event, about, **facts)
        except OSError as error:
            log.error("The journal cannot be written: %s", error)

    def do(self, task: Any, *args: Any, about: str = "") -> Any:
        """A step that may fail without stopping the others; None then, and a line of what is left to do."""
        try:
            return self.run(task, *args, about=about)
        except (MhaError, OSError) as error:
            log.error("%s", error)
            self.left.append(str(error))
            return None

    def tolerate(self, work: Callable[[], object], what: str) -> None:
        """Something on the way back that must not stop the rest of it."""
        try:
            work()
        except (MhaError, OSError) as error:
            log.error("%s: %s", what, error)
            self.notes.append(f"{what}: {error}")

    def outcome(self, code: int, summary: str, **more: Any) -> SwitchOutcome:
        """What came of it."""
        notes = (*(f"ERROR: {line}" for line in self.left), *self.notes)
        return SwitchOutcome(code, summary, plan=self.job.plan, notes=notes, timeline=tuple(self.timeline), **more)
