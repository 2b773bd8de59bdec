"""The runbook of what happens when a primary dies, phase by phase; it knows nothing of how it was started."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ...replication.actions.drained import Drained
from ...replication.cluster.pool import took_writes
from ...replication.coordination.failover_lock import FailoverLock
from ...replication.errors import (
    AlreadyActing,
    CameBack,
    CannotLevel,
    LockLost,
    MhaError,
    RefusalError,
    ServerGone,
    TooBusy,
)
from ...replication.local.interrupts import finish_from_here, may_be_left
from ...replication.memory.follow_up import note_left
from ...replication.memory.journal import Opened, opened_before, saved_before, unrestored_settings
from ...replication.model.position import BinlogPosition
from ...replication.model.state import GtidKind
from ...replication.planning.plan import FailoverPlan
from ...replication.planning.role_plan import ReplicaRecovery
from ...replication.reporting.job import FailoverJob
from ...replication.reporting.ledger import Fate, LedgerLine, account, judge, losses
from ...replication.reporting.outage import outage
from ...replication.reporting.outcome import Outcome, ReplicaOutcome, left_behind
from ...replication.rescue.saved import AppliedBinlog, SavedBinlog
from ...tasks import apply_diffs, comeback, fence, promote, repoint, save_binlog, select, verify, vip
from ...tasks.rescue import lent_settings
from ...tasks.step import Step
from ..engine.start import both, parallel
from .comeback import OldPrimary
from .fencing import Fencing
from .leveling.closed_ways import given_up_before
from .leveling.new_primary import Level, as_it_is, outcomes_of, reached, until
from .leveling.one_replica import Leveler
from .leveling.pointed import start_those_pointed
from .leveling.purged import give_purged
from .opening import Opening

log = logging.getLogger("mha")
R = TypeVar("R")


class Runbook(Leveler):
    """One failover, phase by phase; what each phase found is kept for the next one and for the report."""

    def __init__(self, job: FailoverJob, ssh_reachable: bool | None, log_directories: tuple[str, ...]) -> None:
        super().__init__(job, log_directories)
        self.ssh = ssh_reachable if job.options.ssh_reachable is None else job.options.ssh_reachable
        self.lock = FailoverLock([])
        self.frozen: FailoverPlan | None = None
        self.undone: list[str] = []
        self.fencing = Fencing(self, bool(self.ssh))
        self.opened = opened_before(job.past)
        self.old = OldPrimary(self)
        self.opening = Opening(self)
        #: Where in the dead primary's log the server stands that a former run opened, as far as its journal tells.
        self.stands: BinlogPosition | None = None
        #: The new primary is gone again: nobody waits for it once more.
        self.gone = False
        #: Whether a run that somebody cancelled may be left before its next step: not while a server is opened.
        self.leavable = True

    def outcome(self) -> Outcome:
        """All phases, in order."""
        if self.job.past:
            # What was interrupted has left servers in the middle: there is no before the first effect.
            finish_from_here()
        if unrestored_settings(self.job.past):
            kept: list[str] = self.run(lent_settings.give_back_settings, self.job)
            self.notes += kept
        if self.opened is not None and not took_writes(self.job.sessions, self.opened):
            self.opened = None
        self.opening.wait_no_longer()
        if self.opened is not None:
            self.leavable = False
            plan, level = self.where_it_was_interrupted(self.opened)
        else:
            plan = self.phase_1_configuration()
            plan = self.phase_2_dead_primary(plan)
            plan, level = self.phase_3_new_primary(plan)
        # Writes are back: whoever goes on with it points the others at the new primary.
        may_be_left()
        replicas = self.phase_4_other_replicas(plan, level)
        replicas = self.phase_5_clean_up(plan, level, replicas)
        if plan.repoint:
            note_left(self.job.journal, left_behind(self.job.config, plan, replicas))
        self.old.count(plan, self.stands or reached(level.recovered, level.proof))
        acquired = self.found.acquired
        astray = acquired is None or acquired.failed or any(not check.ok for check in self.found.address)
        ill = {replica.key for replica in replicas if not replica.ok}
        # What an earlier primary's successor took has reached nobody as long as its own tail has not.
        lost = level.rescue.no_room or (self.chain.used and level.rescue.copy is None)
        lost = lost or any(line.fate is Fate.LOST for line in self.account())
        something_left = bool(plan.left_out or self.undone or astray or lost or self.old.lines)
        late = not something_left and not self.ways.undone and bool(ill) and ill <= self.waiting.busy.keys()
        self.notes += (*self.undone, *self.ways.undone)
        code = 10 if something_left or ill else 0
        return self.found.outcome(
            code, f"{plan.new_primary_name} is the new primary", replicas=replicas, only_late=late
        )

    def where_it_was_interrupted(self, opened: Opened) -> tuple[FailoverPlan, Level]:
        """A former run died after it had opened a server: enter after phase 3, with everything looked at afresh."""
        log.warning("Going on with a failover that was interrupted: %s had been opened for writes.", opened.key)
        cluster = self.run(select.observe, self.job)
        plan = self.run(select.resume, self.job, cluster, opened)
        self.found.plan = plan
        self.take_lock(plan)
        if self.ssh is None:
            self.ssh = self.job.dead_lets_in()
        self.fencing = Fencing(self, bool(self.ssh), too_late=True)
        self.fencing.at_once()
        self.old.opened()
        self.release_address()
        new = cluster.get(opened.key)
        assert new is not None, "the plan is a refusal where it does not answer"
        proof = Drained(opened.key, plan.new_primary_name, plan.target.channel, None, None)
        dead = self.job.dead
        if new.channel_from(dead.hostname, dead.ip, dead.port) or new.rescued_channel:
            # It may have been started again since, and its receiver with it.
            self.run(fence.stop_receivers, self.job, replace(plan, levelings=(plan.target,)))
            proof = self.run(apply_diffs.execute_received, self.job, plan, opened.key, about=new.name)
        places = [x.executed for x in plan.others if x.executed and not x.broken]
        rescue = SavedBinlog(None, "not needed")
        if given_up_before(self.job.past):
            rescue = SavedBinlog(None, "it was saved, but no replica could be given it")
        elif plan.kind is GtidKind.POSITION and places:
            rescue = self.run(
                save_binlog.save_binlog,
                self.job,
                min(places),
                self.directories(),
                self.fencing.ssh,
                opened.key,
                self.whose(cluster),
            )
        self.stands = saved_before(self.job.past) or proof.executed
        rescue = until(rescue, self.stands)
        self.fencing.after_saving()
        end = BinlogPosition.parse(opened.end_of_log) if opened.end_of_log else None
        self.run(fence.hold_old_primary, self.job, plan, self.whose().uuid, about=self.job.dead.name)
        recovered = AppliedBinlog(opened.key, plan.new_primary_name, None, end)
        if not new.writable:
            log.warning(
                "%s took writes and is read-only again: opening it, because no other server has them.", new.name
            )
            self.run(promote.open_again, self.job, plan, proof, recovered, about=new.name)
        self.acquire_address(plan)
        self.found.promoted, self.found.rescue = recovered, rescue
        self.undone += start_those_pointed(self, plan, cluster, recovered)
        return plan, Level(proof, rescue, recovered)

    def phase_1_configuration(self) -> FailoverPlan:
        """Who is there, may we act, and whom would we promote?"""
        log.info("* Phase 1: Configuration Check Phase..")
        self.run(select.check_allowed, self.job)
        cluster = self.chain.planned(self.run(select.observe, self.job))
        if self.job.remembered is not None:
            self.see(self.job.remembered)
        self.see(cluster)
        plan = self.run(select.choose, self.job, cluster, {})
        self.found.plan = plan
        log.info("GTID failover mode = %d", plan.kind is GtidKind.MYSQL)
        self.take_lock(plan)
        new = self.job.config_of(plan.new_primary)
        self.job.events.tell("started", old=self.job.dead, new=new, text=f"fail over to {new.name}", plan=plan.steps)
        log.info("** Phase 1: Configuration Check Phase completed.")
        return plan

    def phase_2_dead_primary(self, plan: FailoverPlan) -> FailoverPlan:
        """Freeze what was received; make sure that the old primary is out of the way; plan again on what is frozen."""
        log.info("* Phase 2: Dead Master Shutdown Phase..")
        if self.ssh is None:
            self.ssh = self.job.dead_lets_in()
        self.fencing = Fencing(self, bool(self.ssh))
        finish_from_here()
        self.chain.begin_to_look(plan)
        self.opening.look_ahead(plan)
        both(lambda: self.stop_receivers(plan), self.fencing.at_once)
        assert self.stopped is not None
        self.old.fenced()
        self.release_address()
        self.fencing.before_saving()
        self.stopped = self.chain.take_along(plan, self.stopped)
        self.see(self.stopped)
        looked: FailoverPlan = self.run(select.choose, self.job, self.stopped, {})
        newer = looked.with_others_of(plan)
        for change in plan.difference(newer):
            log.warning("The plan changed: %s.", change)
        log.info("** Phase 2: Dead Master Shutdown Phase completed.")
        self.frozen = newer
        return newer

    def phase_3_new_primary(self, plan: FailoverPlan) -> tuple[FailoverPlan, Level]:
        """Bring the chosen replica level, or the next best when it fails; move the address; open it for writes."""
        log.info("* Phase 3: Master Recovery Phase..")
        shown = ""
        while True:
            self.found.plan, self.leavable = plan, True
            try:
                plan = self.found.plan = settled = self.old.settled(plan)
                if shown != plan.new_primary:
                    log.info("%s", "\n".join(("", *plan.from_and_to())))
                    shown = plan.new_primary
                level, door = both(partial(self.bring_level, settled), partial(self.opening.look, settled))
            except (RefusalError, AlreadyActing):
                raise
            except TooBusy as error:
                log.warning("%s", error)
                self.waiting.pass_over(plan, error)
                plan = self.opening.choose(self.ways.failed).with_others_of(plan)
                continue
            except MhaError as error:
                log.error("%s could not be brought level: %s", plan.new_primary_name, error)
                following = self.ways.next_best(plan, error, self.opening.choose)
                plan = following.with_others_of(plan)
                continue
            if (better := self.opening.better(plan, door)) is not None:
                plan = better
                continue
            if self.old.came_back():
                continue
            self.found.rescue = level.rescue
            if self.job.salvage_policy == "strict" and (refusal := judge(plan, self.account())):
                raise RefusalError(refusal)
            may_be_left()
            self.leavable = False
            if self.job.address.may_forbid:
                self.acquire_address(plan)
            self.run(fence.hold_old_primary, self.job, plan, self.whose().uuid, about=self.job.dead.name)
            self.lock.verify()
            self.chain.opens(plan, level, self.whose())
            try:
                better = self.opening.opened(plan, level)
            except CameBack as error:
                log.warning("%s", error)
                continue
            if better is None:
                break
            if self.job.address.may_forbid:
                self.run(vip.take_from_candidate, self.job, plan, about=plan.new_primary_name)
            plan = better
        # From here on the opened one stays the primary, whatever becomes of the address.
        self.found.promoted = level.recovered
        if not self.job.address.may_forbid:
            self.acquire_address(plan)
        job = self.job
        self.found.out = outage(job.since, job.unseen, job.waits, job.config.ping_interval, time.time())
        self.job.writes_back()
        new = self.job.config_of(plan.new_primary)
        self.job.events.tell("promoted", old=self.job.dead, new=new, text=f"{new.name} takes writes")
        self.old.opened()
        log.info("** Phase 3: Master Recovery Phase completed.")
        return plan, level

    def chosen(self, excluded: Mapping[str, str], barred: Mapping[str, str] | None = None) -> FailoverPlan:
        """The plan without these servers, for the reasons given; the barred may follow, who is busy comes last.

        Raises RefusalError.
        """
        return self.run(select.choose, self.job, self.stopped, excluded, barred, self.waiting.passed)

    def stop_receivers(self, plan: FailoverPlan) -> None:
        """Kept at once: whatever goes wrong beside it, who was stopped is to receive again."""
        self.stopped = self.run(fence.stop_receivers, self.job, plan)
        self.see(self.stopped)
        self.save_ahead(plan)

    def release_address(self) -> None:
        """The old primary loses the address; what could not be done is told, and does not stop the failover."""
        moved = self.run(vip.release_address, self.job, bool(self.ssh), about=self.job.dead.name)
        self.found.released = moved
        self.fencing.address(bool(moved.halves) and all(half.done for half in moved.halves))

    def acquire_address(self, plan: FailoverPlan) -> None:
        """The new primary gets the address."""
        self.found.acquired = self.run(vip.acquire_address, self.job, plan, about=plan.new_primary_name)

    def phase_4_other_replicas(self, plan: FailoverPlan, level: Level) -> tuple[ReplicaOutcome, ...]:
        """Every other replica, in parallel: execute what it received, level it, point it at the new primary."""
        log.info("* Phase 4: Slaves Recovery Phase..")
        if not plan.repoint:
            log.info("Leaving the other replicas as they are (--skip_change_master).")
            return tuple(ReplicaOutcome(x.key, x.name, True, "left as it is, as asked") for x in plan.others)
        log.info("* Phase 4.1: Starting Slaves in parallel..")
        done = parallel([partial(self.follow, plan, level, x) for x in plan.others], [x.name for x in plan.others])
        outcomes = outcomes_of(plan, done)
        if all(outcome.ok for outcome in outcomes):
            log.info("All new slave servers recovered successfully.")
        log.info("** Phase 4: Slaves Recovery Phase completed.")
        return outcomes

    def follow(self, plan: FailoverPlan, level: Level, other: ReplicaRecovery) -> ReplicaOutcome:
        """Level one replica and point it at the new primary. Raises MhaError when it stays as it is."""
        if other.broken:
            return ReplicaOutcome(other.key, other.name, False, f"left as it is: {other.broken}")
        stopped = self.ways.stopped(other.key)
        proof = self.left(plan, other, stopped) if stopped is not None else self.drained(plan, other)
        if stopped is not None and not self.ways.may_follow(plan, other.key):
            raise CannotLevel(
                f"{other.name}: {stopped}; it has more of it than the new primary, so rebuild it from that"
            )
        return self.level_and_point(plan, level, other, proof)

    def level_and_point(
        self, plan: FailoverPlan, level: Level, other: ReplicaRecovery, proof: Drained
    ) -> ReplicaOutcome:
        """Give a drained replica what the new primary has no more, then point it there."""
        if plan.kind is GtidKind.POSITION:
            proof = self.level_by_position(plan, level, other, proof)
        else:
            proof = give_purged(self, plan, level, other, proof)
        return self.run(repoint.repoint, self.job, plan, other.key, proof, level.recovered, about=other.name)

    def phase_5_clean_up(
        self, plan: FailoverPlan, level: Level, replicas: tuple[ReplicaOutcome, ...]
    ) -> tuple[ReplicaOutcome, ...]:
        """The new primary forgets its old source; everybody is looked at once more."""
        log.info("* Phase 5: New master cleanup phase..")
        self.opening.stays_open(plan, level)
        try:
            self.run(promote.clean_up, self.job, plan, level.proof, about=plan.new_primary_name)
        except (LockLost, ServerGone):
            raise
        except MhaError as error:
            log.error("%s", error)
            self.undone.append(f"{plan.new_primary_name} keeps its old replication settings: {error}")
        if plan.repoint:
            verified = self.run(verify.verify, self.job, plan, level.recovered, replicas)
            replicas = verified.replicas
            self.undone += verified.undone
            self.notes += verified.notes
            self.chain.settle(plan, replicas, saved=level.rescue.copy is not None)
        self.opening.complete(plan, replicas)
        self.found.address = self.run(vip.verify_address, self.job, plan, about=plan.new_primary_name)
        if came_back := self.run(verify.old_primary_stays_away, self.job, about=self.job.dead.name):
            log.warning("%s", came_back)
            self.notes.append(came_back)
        return replicas

    def account(self) -> tuple[LedgerLine, ...]:
        """Which transactions were rescued, which are lost, which cannot be known; nothing before a plan was made."""
        plan = self.found.plan
        if plan is None:
            return ()
        new = None if self.gone else as_it_is(self.job, plan.new_primary)
        # What a run that was interrupted could not save is not known to the one that finishes it.
        rescue = None if self.opened is not None else self.found.rescue
        told = (*self.beyond, *self.old.lines)
        safe = "" if losses(told) else self.proven(plan, rescue)
        return (*account(plan, rescue, self.applied, new, self.whose().uuid, self.furthest, safe), *told)

    def let_receive_again(self) -> None:
        """After a failure before anything was opened: the replicas listen again, should the old primary return."""
        self.leavable = False
        if self.found.promoted is not None:
            return
        with contextlib.suppress(MhaError):
            self.run(comeback.take_back_fencing, self.job, about=self.job.dead.name)
        self.opening.give_back()
        if opened_before(self.job.journal.entries()) is None:
            with contextlib.suppress(MhaError):
                self.old.give_back()
        plan = self.frozen or self.found.plan
        if self.stopped is None or plan is None:
            return
        with contextlib.suppress(MhaError):
            # Those that were tried in vain are in no later plan, and listen again as well.
            self.run(fence.start_receivers, self.job, plan)

    # how a step is run -----------------------------------------------------------------------------------------

    def run(self, work: Step[..., R], *args: Any, about: str = "", **named: Any) -> R:
        """One step, while the lock is ours: what a manager that stood still was about to do is not done."""
        if self.leavable:
            may_be_left()
        self.lock.verify()
        return super().run(work, *args, about=about, **named)

    def take_lock(self, plan: FailoverPlan) -> None:
        """Nobody else acts on these servers from here on. Raises AlreadyActing."""
        self.lock = self.job.lock = FailoverLock([self.job.config_of(x.key) for x in plan.levelings])
        self.lock.take()
