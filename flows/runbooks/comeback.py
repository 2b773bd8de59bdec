"""The old primary within a failover, from the verdict to the report: watched, proven dead again, levelled, counted."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...replication.cluster.pool import reachable
from ...replication.errors import CameBack, MhaError, RefusalError
from ...replication.fencing.comeback import Apart, Comeback, ComebackStep, Window, decide, refusal
from ...replication.fencing.lookout import Closing, Lookout, Sight
from ...replication.fencing.policy import SSH
from ...replication.memory.held_servers import HeldServers
from ...replication.memory.last_writable import OLD_PRIMARY, LastWritable, told_to_close
from ...replication.model.position import BinlogPosition
from ...replication.planning.plan import FailoverPlan
from ...replication.reporting.ledger import Fate, LedgerLine
from ...tasks import comeback, fence, select

if TYPE_CHECKING:
    from .failover import Runbook

log = logging.getLogger("mha")

#: How often what it took is levelled before the opening; one that comes back without end is closed each time, counted
#: afterwards, and no reason to stay without a primary.
ROUNDS = 3
#: Seconds that its host is given to let us in, when it answers again.
LOGIN = 3.0
#: Seconds that closing it may take which is under way when it is to be opened again.
CLOSES = 15.0


class OldPrimary:
    """Watches it through a `Lookout`, and decides by what that sees; see `replication.fencing.comeback`."""

    def __init__(self, failover: Runbook) -> None:
        self._failover, job = failover, failover.job
        again = (lambda: fence.fence_over_ssh(job)) if SSH in job.config.fence else None
        host = job.sessions.host(job.dead.address)
        else_ = job.somebody_else
        self._lookout = Lookout(job.dead, host, self._note, again, self._may_act, job.places, stranger=else_)
        # Whether it was asked once more, by its fencing: one that lives and answers then must not have been touched.
        self._asked = False
        self._levelled = self._rounds = 0
        self._proof: Sight | None = None
        self._given_back = False
        self.lines: tuple[LedgerLine, ...] = ()

    def begin(self) -> None:
        """From here on it is looked at; from its fencing on it is closed the moment it answers."""
        self._failover.job.before_opening = self._prove
        self._lookout.start()

    def end(self) -> None:
        """The failover is over; who holds it read-only from now on is the manager's guard."""
        self._lookout.end()

    def _may_act(self) -> bool:
        lock = self._failover.lock
        return self._asked and lock.taken and lock.held

    def fenced(self) -> None:
        """Its fencing was tried: from here on its host is looked at, too."""
        self._asked = True
        verdict = self._failover.found.fenced
        sure = verdict is not None and any(t.means == SSH and t.proof for t in verdict.tried)
        if sure:
            # What it took until then is in its log, which is read from now on.
            self._levelled = self._lookout.sight.appeared
        self._lookout.look_at_host(kill=sure, seen_gone=sure)

    # before the new primary is open --------------------------------------------------------------------------------

    def settled(self, plan: FailoverPlan) -> FailoverPlan:
        """Do what its coming back asks for, if it did, before the chosen replica is brought level: the plan from here.

        Raises RefusalError when it was never dead, or when it lives and cannot be closed.
        """
        sight = self._lookout.sight
        if sight.appeared == self._levelled and not (sight.closed or sight.cannot):
            return plan
        step, why = decide(self._case(sight))
        self._failover.job.journal.record(OLD_PRIMARY, step.value, plan.dead, why=why)
        strict = step is ComebackStep.LEAVE and self._failover.job.salvage_policy == "strict"
        if strict or step in (ComebackStep.CALL_OFF, ComebackStep.REFUSE):
            self._refuse(step, why)
        if step is ComebackStep.GO_ON:
            return plan
        log.warning("%s came back before anybody was opened: %s.", plan.dead_name, why)
        self._rounds += 1
        self._levelled = sight.appeared
        if step is ComebackStep.SAVE:
            self._stop_over_ssh()
        elif step is ComebackStep.RECEIVE and sight.last is not None:
            plan = self._receive(plan, sight.last)
        return plan

    def came_back(self) -> bool:
        """It may have taken writes since the chosen replica was levelled, as far as is known without a look."""
        return self._stale(self._lookout.sight)

    def _prove(self) -> None:
        """The last look before the opening. Raises CameBack."""
        self._proof = sight = self._lookout.look(brief=True)
        if self._stale(sight):
            raise CameBack(f"{self._failover.job.dead.name} is not known to be dead any more: {sight}.")

    def _stale(self, sight: Sight) -> bool:
        open_there = bool(sight.cannot) and sight.port == "open"
        return open_there or (sight.appeared > self._levelled and self._rounds < ROUNDS)

    def _case(self, sight: Sight) -> Comeback:
        failover, job = self._failover, self._failover.job
        answers = sight.closed or sight.process or sight.port != "silent"
        host = job.sessions.host(job.dead.address)
        # What was saved before is kept for a host that is dark by now.
        failover.fencing.ssh = answers and reachable(host, LOGIN)
        given = any(each.cut is not None and each.cut.transactions for each in failover.applied)
        moved = [failover.found.released, failover.found.acquired]
        return Comeback(
            sight=sight,
            new=sight.appeared > self._levelled,
            began=self._lookout.began,
            by_silence=not job.answers_though_dead,
            reversible=not given and not any(half.done for each in moved if each is not None for half in each.halves),
            ssh=failover.fencing.ssh and not job.options.skip_save_master_binlog,
            receivable=not given,
        )

    def _refuse(self, step: ComebackStep, why: str) -> None:
        failover = self._failover
        if step is ComebackStep.CALL_OFF:
            self._give_back("it was never dead")
        raise RefusalError(refusal(step, failover.job.dead.name, why))

    def give_back(self) -> None:
        """The failover ends without a new primary: an old one that answers, and was closed by it, is it again.

        Not where somebody else holds the right to act: that one decides. What it was sent and did not answer it may
        still do, as when it stood still and wakes: that is remembered.
        """
        self._lookout.end(wait=CLOSES)
        if self._lookout.sight.closed and not self._given_back and self._failover.lock.taken:
            self._give_back("nobody was opened in its place")
            return
        job = self._failover.job
        if told_to_close(job.journal.entries(), job.dead.address) is not None:
            LastWritable(job.config).may_close_late(job.dead.address, time.time())

    def _give_back(self, why: str) -> None:
        failover = self._failover
        failover.lock.verify()
        self._given_back = True
        self._lookout.end(wait=CLOSES)
        if any(closing.how.was_open for closing in self._lookout.closings):
            failover.run(comeback.reopen, failover.job, why, about=failover.job.dead.name)

    def _stop_over_ssh(self) -> None:
        """What runs there is stopped by the policy's means, as at the verdict; its log is read afterwards."""
        if SSH in self._failover.job.config.fence:
            self._failover.fencing.at_once()
            self.fenced()

    def _receive(self, plan: FailoverPlan, closing: Closing) -> FailoverPlan:
        failover, job = self._failover, self._failover.job
        try:
            failover.run(comeback.receive_again, job, plan, closing, about=job.dead.name)
        except MhaError as error:
            log.error("What %s wrote meanwhile could not be received: %s", job.dead.name, error)
            if job.salvage_policy == "strict":
                self._refuse(ComebackStep.LEAVE, f"what it took could not be received ({error})")
        failover.stopped = failover.run(fence.stop_receivers, job, plan)
        newer: FailoverPlan = failover.run(select.choose, job, failover.stopped, {})
        # The address may be there already, and who received all of it is as good as another.
        same = next((x for x in newer.levelings if x.key == plan.new_primary and not x.broken), None)
        if same is None:
            return newer
        return replace(plan, levelings=newer.levelings, latest=newer.latest, left_out=newer.left_out)

    # once it is open -----------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The new one takes writes: look at the old one right after it, and tell how old the proof was."""
        self._asked = True
        at, sight = time.time(), self._lookout.look()
        self._lookout.look_at_host(kill=True)
        if self._proof is None:
            return
        window = Window(self._proof.at, str(self._proof), at, sight.at, str(sight))
        log.info("%s: %s.", self._failover.job.dead.name, window)
        self._failover.notes.append(f"{self._failover.job.dead.name}: {window}.")

    def count(self, plan: FailoverPlan, place: BinlogPosition | None) -> None:
        """The end: what it took that the new primary lacks is a second history, counted and told.

        ``place`` is where in its log the new primary stands, with GTIDs a place before that.
        """
        job = self._failover.job
        sight = self._lookout.look()
        hold = HeldServers.of(job.config).get(job.dead.address)
        seen = bool(sight.appeared or (hold is not None and hold.returns) or self._lived_between())
        if not seen and not self._may_have_lived(place):
            return
        found = self._counted(plan, place, sight)
        for _ in range(ROUNDS):
            before, sight = sight, self._lookout.sight
            if sight.appeared == before.appeared:
                break
            found = self._counted(plan, place, sight)
        if found is None or (found.transactions is None and not seen):
            return
        came = "it came back and took them, and " if seen else ""
        why = found.why or f"{came}{plan.new_primary_name} had been opened without them"
        line = LedgerLine(
            Fate.APART, found.where, plan.dead_name, plan.dead_name, transactions=found.transactions, why=why
        )
        self.lines = (line,)
        count = "an unknown number of" if found.transactions is None else found.transactions
        told = (
            f"Two histories: {plan.dead_name} holds {count} transactions that {plan.new_primary_name} lacks "
            f"({found.where}). It is held read-only; keep its binary logs, take what you need of them over by hand, "
            "then rebuild it."
        )
        self._failover.notes.append(told)
        log.error("%s", told)

    def _lived_between(self) -> bool:
        """It ran when this run fenced it, beside a new primary that a former run had opened."""
        verdict = self._failover.found.fenced
        return self._failover.opened is not None and verdict is not None and any(t.lived for t in verdict.tried)

    def _may_have_lived(self, place: BinlogPosition | None) -> bool:
        """Nobody watched it between the former run and this one; its log tells, where that can be read."""
        return self._failover.opened is not None and place is not None and self._failover.fencing.ssh

    def _counted(self, plan: FailoverPlan, place: BinlogPosition | None, sight: Sight) -> Apart | None:
        # Killed since, it may have more than it said; then its log is read, where its host lets us.
        closing = sight.last if sight.closed or sight.process is None else None
        job, directories = self._failover.job, self._failover.directories()
        return self._failover.run(
            comeback.count_apart, job, plan, closing, place, directories, about=self._failover.job.dead.name
        )

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        """Called by the lookout's threads; what cannot be recorded is told, and closed all the same."""
        job = self._failover.job
        try:
            job.journal.record(OLD_PRIMARY, event, job.dead.address, **facts)
            holds = HeldServers.of(job.config)
            if facts.get("was_open"):
                if holds.get(job.dead.address) is not None:
                    holds.closed(job.dead.address, how=facts["how"])
                text = f"{job.dead.name} answered and took writes while it is being replaced: {facts['how']}"
                job.events.tell("returned", old=job.dead, text=text, since=self._lookout.began)
        except OSError as error:
            log.error("The return of %s cannot be recorded: %s", job.dead.name, error)
