"""The runbook of a rejoin, step by step; it knows nothing of how it was started."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import AlreadyActing, MhaError, RefusalError
from ....replication.local.interrupts import Interrupted, finish_from_here
from ....replication.memory.journal import END, REJOIN
from ....replication.model.ways_back import How
from ....replication.rejoin.following import works
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.outcome import RejoinOutcome
from ....replication.rejoin.plan import TAKEN_BACK
from ....replication.rejoin.remembered.interrupted import LEFT
from ....tasks import diverged, rejoin
from ....tasks.step import Step
from ...engine.recorder import Recorder
from .rewind import rewind

log = logging.getLogger("mha")
R = TypeVar("R")
#: What is said of a rewind that did not come to its end.
GOES_ON = "it is read-only; how far it came is remembered, and --how=rewind goes on there"


def rejoin_server(job: RejoinJob, by: str, asked_to_end: Callable[[], bool] = lambda: False) -> RejoinOutcome:
    """Closed, looked at once more, pointed, started, released. A failure is an outcome.

    The failover lock is held while roles are looked at and set, and not while what only the old server has is copied,
    taken back and compared: a failover must not wait for that. ``asked_to_end``: whether it is to be left, where that
    is still possible. Raises AlreadyActing when a failover or a switch is under way at its beginning: then nothing was
    done; Interrupted when it was left.
    """
    lock = FailoverLock(job.config.servers)
    lock.take()
    book = RejoinRunbook(job, lock, asked_to_end)
    try:
        return book.outcome(by)
    finally:
        book.unlock()


class RejoinRunbook(Recorder):
    """One rejoin. Whoever goes on after a death enters at the same first step: each looks whether it is done."""

    _locked = True

    def __init__(self, job: RejoinJob, lock: FailoverLock, asked_to_end: Callable[[], bool]) -> None:
        super().__init__(job.journal)
        self._job, self._lock, self._asked_to_end = job, lock, asked_to_end

    def outcome(self, by: str) -> RejoinOutcome:
        """All steps, in order. Raises Interrupted when somebody asks it to end before it is pointed."""
        job, plan = self._job, self._job.plan
        try:
            self._step(rejoin.look_first)
        except MhaError as error:
            # Nothing was done: one that was cut short before is as it was, too, and may be gone on with.
            return self._not_done(error)
        self._may_go_on()
        pointed = False
        try:
            job.journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=by, plan=plan.as_dict())
            self._step(rejoin.close)
            self._may_go_on()
            if plan.how is How.REWIND:
                rewind(job, self._step, self._may_go_on, self._unlocked)
            facts = self._step(rejoin.look_again)
            self._may_go_on()
            finish_from_here()
            pointed = True
            self._step(rejoin.point, facts)
            if plan.how is How.REWIND:
                with self._unlocked():
                    self._step(diverged.see_it_equal, facts)
                self._step(rejoin.see_the_same_primary)
            self._step(rejoin.start, facts)
            stands = self._step(rejoin.see_it_level)
        except Interrupted as asked:
            if self._asked_to_end():
                self._leave()
            else:
                # Else a manager would go on with what somebody has ended.
                self._ended(RejoinOutcome(1, str(asked), plan, stopped=True))
            raise
        except AlreadyActing as error:
            # Others may act by now, or do; who goes on with it looks what is done.
            self._leave()
            return self._not_done(error, GOES_ON if plan.how is How.REWIND else "")
        except MhaError as error:
            return self._failed(error, pointed=pointed)
        undone = self._set_free(by)
        for line in undone:
            log.error("%s.", line)
        summary = f"{plan.old_name} replicates from {plan.new_name}, {stands}"
        return self._ended(
            RejoinOutcome(10 if undone else 0, summary, plan, notes=tuple(f"Left to do: {line}." for line in undone))
        )

    def _set_free(self, by: str) -> tuple[str, ...]:
        """It is a replica, whatever fails from here on; what is left to do, in sentences."""
        try:
            left: tuple[str, ...] = self._step(rejoin.let_go, by)
        except MhaError as error:
            left = (f"it replicates and is still held read-only: {error}; run mha rejoin again",)
        if self._job.plan.block:
            try:
                missing: tuple[str, ...] = self._step(rejoin.put_block)
                left = (*left, *missing)
            except MhaError as error:
                left = (*left, f"its block was not written into the configuration: {error}")
        return left

    def unlock(self) -> None:
        """Give the failover lock back."""
        if self._locked:
            self._locked = False
            self._lock.release()

    @contextlib.contextmanager
    def _unlocked(self) -> Iterator[None]:
        """Others may act within. Raises AlreadyActing where they do at its end."""
        self.unlock()
        yield
        self._lock_again()

    def _lock_again(self) -> None:
        if not self._locked:
            self._lock = FailoverLock(self._job.config.servers)
            self._lock.take()
            self._locked = True

    def _step(self, work: Step[..., R], *args: Any) -> R:
        """While the lock is ours, where it is held: what a process that stood still was about to do is not done."""
        if self._locked:
            self._lock.verify()
        return self.run(work, self._job, *args, about=self._job.plan.old_name)

    def _may_go_on(self) -> None:
        """Until it is pointed it can be left, and a failover that waits for the lock has it."""
        if self._asked_to_end():
            raise Interrupted("the watch ends")

    def _not_done(self, error: MhaError, stands: str = "") -> RejoinOutcome:
        plan, refusal = self._job.plan, error.refusal if isinstance(error, RefusalError) else None
        log.error("Got ERROR: %s", refusal or error)
        notes = (f"{plan.old_name}: {stands}.",) if stands else ()
        return RejoinOutcome(1, str(error), plan, refusal=refusal, notes=notes, timeline=tuple(self.timeline))

    def _failed(self, error: MhaError, *, pointed: bool) -> RejoinOutcome:
        plan, stands = self._job.plan, "it was left as it was, and read-only"
        if plan.how is How.REWIND:
            stands = GOES_ON
        try:
            if pointed or (plan.pointed and self._is_to_be_taken_back(error)):
                self._lock_again()
                stands = self._step(rejoin.take_back)
            elif plan.pointed:
                self._leave()
                return self._not_done(error, stands)
        except AlreadyActing as lost:
            # Others may act on it by now: it is theirs.
            log.error("Got ERROR: %s", lost)
            self._leave()
            return self._not_done(error, f"it may point at {plan.new_name}, and was left: {lost}")
        except MhaError as trouble:
            stands = f"it may point at {plan.new_name}, and could not be taken back: {trouble}"
        return self._ended(self._not_done(error, stands))

    def _is_to_be_taken_back(self, error: MhaError) -> bool:
        """One that was pointed before; never one that works."""
        code = error.refusal.code if isinstance(error, RefusalError) else ""
        return code in TAKEN_BACK and not works(self._job)

    def _leave(self) -> None:
        """Somebody is to go on with it, this process or another."""
        self._job.journal.record(REJOIN, LEFT, self._job.plan.old)

    def _ended(self, outcome: RejoinOutcome) -> RejoinOutcome:
        outcome = replace(outcome, timeline=tuple(self.timeline))
        facts = {name: value for name, value in outcome.as_dict().items() if name != "server"}
        self._job.journal.record(END, "ended", self._job.plan.old, **facts)
        return outcome
