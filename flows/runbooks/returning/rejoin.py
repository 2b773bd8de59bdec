"""The runbook of a rejoin, step by step; it knows nothing of how it was started."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import Any, TypeVar

from prefect import Task

from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import LockLost, MhaError, RefusalError
from ....replication.local.interrupts import finish_from_here
from ....replication.memory.journal import END, REJOIN
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.outcome import RejoinOutcome
from ....tasks import rejoin
from ...engine.recorder import Recorder

log = logging.getLogger("mha")
R = TypeVar("R")


def rejoin_server(job: RejoinJob, by: str) -> RejoinOutcome:
    """Under the failover lock: closed, looked at once more, pointed, started, released. A failure is an outcome.

    Raises AlreadyActing when a failover or a switch is under way: then nothing was done.
    """
    lock = FailoverLock(job.config.servers)
    lock.take()
    try:
        return RejoinRunbook(job, lock).outcome(by)
    finally:
        lock.release()


class RejoinRunbook(Recorder):
    """One rejoin. Whoever goes on after a death enters at the same first step: each looks whether it is done."""

    def __init__(self, job: RejoinJob, lock: FailoverLock) -> None:
        super().__init__(job.journal)
        self._job, self._lock = job, lock

    def outcome(self, by: str) -> RejoinOutcome:
        """All steps, in order."""
        job, plan = self._job, self._job.plan
        job.journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=by, plan=plan.as_dict())
        pointed = False
        try:
            self._step(rejoin.close)
            facts = self._step(rejoin.look_again)
            finish_from_here()
            pointed = True
            self._step(rejoin.point, facts)
            self._step(rejoin.start, facts)
            stands = self._step(rejoin.see_it_level)
        except LockLost as error:
            # Others may act by now; who goes on with it looks what is done.
            log.error("Got ERROR: %s", error)
            return RejoinOutcome(1, str(error), plan, timeline=tuple(self.timeline))
        except MhaError as error:
            return self._ended(self._failed(error, pointed=pointed or plan.pointed))
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

    def _step(self, task: Task[..., R], *args: Any) -> R:
        """While the lock is ours: what a process that stood still was about to do is not done."""
        self._lock.verify()
        return self.run(task, self._job, *args, about=self._job.plan.old_name)

    def _failed(self, error: MhaError, *, pointed: bool) -> RejoinOutcome:
        job, plan = self._job, self._job.plan
        refusal = error.refusal if isinstance(error, RefusalError) else None
        log.error("Got ERROR: %s", refusal or error)
        stands = "it was left as it was, and read-only"
        if pointed:
            try:
                stands = self.run(rejoin.take_back, job, about=plan.old_name)
            except MhaError as trouble:
                stands = f"it may point at {plan.new_name}, and could not be taken back: {trouble}"
        return RejoinOutcome(1, str(error), plan, refusal=refusal, notes=(f"{plan.old_name}: {stands}.",))

    def _ended(self, outcome: RejoinOutcome) -> RejoinOutcome:
        outcome = replace(outcome, timeline=tuple(self.timeline))
        facts = {name: value for name, value in outcome.as_dict().items() if name != "server"}
        self._job.journal.record(END, "ended", self._job.plan.old, **facts)
        return outcome
