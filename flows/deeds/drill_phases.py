"""The phases of a drill, deeds of their own among them; it knows nothing of how it was started.

However it goes, it ends: what was done to the primary and nobody replaced is undone, and what is left is said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...config import ClusterConfig, ConfigError, ServerConfig
from ...replication.drill import measure
from ...replication.drill.job import DrillJob
from ...replication.drill.kinds import DrillKind
from ...replication.drill.past import ABOUT_TO, HURT, WAS
from ...replication.drill.scorecard import Scorecard
from ...replication.errors import AlreadyActing, MhaError, RefusalError
from ...replication.local.interrupts import Interrupted, finish_from_here
from ...replication.model.refusal import Refusal
from ...replication.rejoin.outcome import RejoinOutcome
from ...replication.switchover.outcome import SwitchOutcome
from ...tasks import drill as tasks
from ..engine.recorder import Recorder

log = logging.getLogger("mha")
R = TypeVar("R")

#: What a moment later may be no reason any more: its host boots, somebody else is at it.
PASSING = frozenset({"not-running", "primary-dead", "primary-read-only", "cluster-changed", "already-rejoining"})
#: It follows already: a manager brought it back.
FOLLOWS = "already-a-replica"
#: Seconds between two attempts, and for which one that is refused is tried again.
AGAIN, TRIED = 2.0, 60.0


@dataclass(frozen=True)
class Moves:
    """How the role is moved as planned (to that server, or the best), and how a server becomes a replica again."""

    switch: Callable[[ClusterConfig, ServerConfig | None], SwitchOutcome]
    rejoin: Callable[[ClusterConfig, str], RejoinOutcome]


class DrillRunbook(Recorder):
    """One drill; what is seen is kept for the scorecard."""

    def __init__(self, job: DrillJob, moves: Moves, before: str) -> None:
        super().__init__(job.journal)
        self.job, self.moves, self.before = job, moves, before
        self.began = time.time()
        self.sent = self.done = self.stopped = 0.0
        self.moved_at: float | None = None
        self.back_at: float | None = None
        self.replaced: tasks.Replaced | None = None
        self.new: ServerConfig | None = None
        self.parts: tuple[tuple[str, float], ...] = ()
        self.lost: int | None = None
        self.trouble = ""
        self.notes: list[str] = []
        self.left: tuple[str, ...] = ()

    def hold(self) -> Scorecard:
        """All of it. Failures are on the card."""
        try:
            self._practise()
        except (MhaError, ConfigError, OSError, Interrupted) as error:
            self._failed(str(error))
            log.error("The drill goes no further: %s", error)
        finish_from_here()
        try:
            if self.sent and self.job.plan.kind is not DrillKind.SSH_LOSS:
                self._restore()
        except (MhaError, ConfigError, OSError) as error:
            self._failed(str(error))
            log.error("The drill cannot put everything back: %s", error)
        self.stopped = time.time()
        self.job.canary.stop()
        try:
            moved = self.replaced is not None
            if self.sent and self.job.plan.kind.fails_over and not moved:
                self.run(tasks.let_replicas_try, self.job)
            self.left = self.run(tasks.see_all, self.job, moved=moved)
            if not self.left:
                self.run(tasks.clear_up, self.job, moved=moved)
        except (MhaError, OSError) as error:
            self.left = (str(error),)
        return self._card()

    # what is practised -------------------------------------------------------------------------------------------

    def _practise(self) -> None:
        job, plan = self.job, self.job.plan
        self.run(tasks.start_canary, job, about=plan.primary_name)
        if plan.kind is DrillKind.SWITCH:
            self.sent = time.time()
            outcome = self._moved("Switch as planned", lambda: self.moves.switch(job.load(), None))
            self.done = time.time()
            if not outcome.opened or outcome.plan is None:
                self._failed(outcome.summary)
                return
            self._took_over(job.config_of(outcome.plan.new_primary))
        else:
            self.note(HURT, ABOUT_TO, plan.primary, kind=plan.kind.value)
            self.sent = time.time()
            told = self.run(tasks.inject_fault, job, about=plan.primary_name)
            self.done = time.time()
            self.note(HURT, WAS, plan.primary, what=told)
            log.warning("Drill: %s: %s.", plan.primary_name, told)
            if plan.kind is DrillKind.SSH_LOSS:
                self.notes.append(f"{self.run(tasks.see_ssh, job, about=plan.primary_name)}.")
                self.replaced = tasks.failover_since(job, self.sent)
                self.lost = self.run(tasks.count_lost, job, plan.primary)
                return
            self._failed_over()

    def _restore(self) -> None:
        """Who had the role has it again; what was done to a primary that nobody replaced is undone."""
        job = self.job
        if job.plan.kind.fails_over:
            self.replaced = self.replaced or self.run(tasks.see_whether_replaced, job, self.sent)
            if self.replaced is None or not self.replaced.told.opened:
                told = self.run(tasks.undo, job, self.sent, about=job.plan.primary_name)
                self.notes += [f"{told}."] if told else []
                return
            if not self._bring_back():
                return
        elif self.new is None:
            return
        self._switch_back()

    def _failed(self, why: str) -> None:
        self.trouble = f"{self.trouble}; {why}" if self.trouble else why

    def _took_over(self, new: ServerConfig) -> None:
        """Writes are back there: what it lacks is counted before anything else is changed."""
        self.new, self.moved_at = new, time.time()
        self.job.canary.wait(1, min(tasks.LEVEL, max(1.0, self.job.deadline.left)))
        self.lost = self.run(tasks.count_lost, self.job, new.address, about=new.name)
        told = tasks.switch_since(self.job, self.sent) if self.replaced is None else self.replaced.told
        if told is not None:
            hurt = measure.fault_at(self.job.canary.acks, self.sent, self.done)
            self.parts = measure.parts(told, hurt, self.replaced.verdict if self.replaced else None)

    def _failed_over(self) -> None:
        job = self.job
        self.replaced = self.run(tasks.wait_for_manager, job, self.sent, self.done)
        if self.replaced is None:
            self.notes.append(f"{job.plan.primary_name} takes writes again by itself, and nobody replaced it.")
            self.lost = self.run(tasks.count_lost, job, job.plan.primary)
            return
        told = self.replaced.told
        new = next((s for s in job.config.servers if told.new is not None and s.name == told.new), None)
        if not told.opened or new is None:
            self._failed(f"the failover {told.id} opened no new primary: {told.summary or told.ended}")
            return
        self._took_over(new)
        if told.not_recovered:
            self.notes.append(f"Not recovered by the failover: {', '.join(told.not_recovered)}.")

    def _bring_back(self) -> bool:
        """The old one runs again and follows, never by giving it other data; whether it does."""
        job = self.job
        if job.plan.kind is DrillKind.POWER:
            self.run(tasks.switch_on, job, about=job.plan.primary_name)

        def attempt() -> str:
            outcome = self.moves.rejoin(job.load(), job.plan.primary)
            if outcome.exit_code != 1 or (outcome.refusal is not None and outcome.refusal.code == FOLLOWS):
                return ""
            refusal = outcome.refusal or Refusal("not-rejoined", outcome.summary, "")
            if refusal.code not in PASSING:
                raise RefusalError(refusal)
            return str(refusal)

        return self._again("Bring it back as a replica", attempt, job.deadline.seconds)

    def _switch_back(self) -> None:
        job = self.job

        def attempt() -> str:
            self.back_at = time.time()
            outcome = self.moves.switch(job.load(), job.primary)
            return "" if outcome.opened else outcome.summary

        self._again("Switch back", attempt, TRIED)

    def _again(self, name: str, attempt: Callable[[], str], seconds: float) -> bool:
        """Until it has nothing to say, in time; else its last words are the trouble."""
        ends = time.monotonic() + min(seconds, self.job.deadline.left)
        while True:
            try:
                said = self._moved(name, attempt)
            except AlreadyActing as error:
                said = str(error)
            except RefusalError as error:
                self._failed(str(error))
                return False
            if not said:
                return True
            if time.monotonic() > ends:
                self._failed(said)
                return False
            time.sleep(AGAIN)

    def _moved(self, name: str, work: Callable[[], R]) -> R:
        """A deed of its own, with its own run and journal, as one step of this one's."""
        about = self.job.plan.primary_name
        self.note(name, "began", about)
        try:
            result = work()
        except BaseException as error:
            self.note(name, "failed", about, error=str(error))
            raise
        self.note(name, "done", about)
        return result

    # what it shows -----------------------------------------------------------------------------------------------

    def _card(self) -> Scorecard:
        job, acks = self.job, self.job.canary.acks
        back = self.back_at or self.stopped
        # Of a failover as well as of none: what is measured is what an application would have seen.
        gap = measure.outage(acks, self.sent, self.moved_at or back) if self.sent else None
        again = measure.outage(acks, self.back_at, self.stopped) if self.back_at else None
        replaced = self.replaced is not None and self.replaced.told.opened
        return Scorecard(
            cluster=job.config.name,
            kind=job.plan.kind.value,
            began=self.began,
            primary=job.plan.primary_name,
            target=job.plan.target,
            new_primary=self.new.name if self.new is not None else None,
            failed_over=replaced or (job.plan.kind is DrillKind.SWITCH and self.new is not None),
            wants_failover=job.plan.kind is not DrillKind.SSH_LOSS,
            out=gap.seconds if gap is not None else None,
            back=again.seconds if again is not None else None,
            parts=self.parts,
            acknowledged=len(acks),
            lost=self.lost,
            overlapping=measure.overlapping([ack for ack in acks if ack.at < back]),
            total=time.time() - self.began,
            trouble=self.trouble,
            left=self.left,
            notes=tuple(self.notes),
            before=self.before,
        )
