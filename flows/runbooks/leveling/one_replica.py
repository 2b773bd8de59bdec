"""How a failover brings a replica level: with what it received, what was saved, and what others received.

One part of the runbook, apart from its phases: which of these is to be had, in which order, and what follows.
"""

from __future__ import annotations

import logging
import posixpath
from dataclasses import replace

from ....replication.actions.drained import Drained
from ....replication.errors import CannotLevel, StoppedInTail
from ....replication.model.position import BinlogPosition
from ....replication.model.state import ClusterState, GtidKind
from ....replication.planning.plan import FailoverPlan
from ....replication.planning.role_plan import ReplicaRecovery
from ....replication.planning.selection import Follower, bereaved_of, bytes_behind
from ....replication.reporting.job import FailoverJob
from ....replication.reporting.ledger import LedgerLine
from ....replication.reporting.second_copy import proven
from ....replication.rescue.saved import AppliedBinlog, SavedBinlog
from ....replication.source.identity import ExpectedIdentity, known_of
from ....tasks import apply_diffs, save_binlog
from ...engine.recorder import Recorder
from ..fencing import Fencing
from ..found import Found
from .closed_ways import ClosedWays
from .donors import RelayLogDonors
from .new_primary import Level, reached, until, whole
from .tail_chain import Chain
from .waiting import Waiting

log = logging.getLogger("mha")

#: A replica further behind than this (bytes of the dead primary's log) is leveled after the writes are back.
LEVEL_TOGETHER = 64 << 20
#: With GTIDs, what one may be behind (bytes) for its part to be saved along with the others'.
SAVED_TOGETHER = 4 << 20


class Leveler(Recorder):
    """What brings replicas level, and what it needs to know of the failover that it is a part of.

    ``stopped`` is the cluster once every receiver was stopped, None before; ``seen`` everybody who was seen to follow
    the dead primary, as it was seen last, by ``ip:port``; ``applied`` what was applied, and ``beyond`` what others had
    received and nobody has any more, for the account; ``unread`` those that could not be asked for what they received
    (``ip:port``); ``found`` what was found out, for the report.
    """

    def __init__(self, job: FailoverJob, log_directories: tuple[str, ...]) -> None:
        super().__init__(job.journal)
        self.job, self.log_directories = job, log_directories
        self.notes: list[str] = [f"{job.approval}."] if job.approval is not None else []
        self.found = Found()
        self.stopped: ClusterState | None = None
        self.seen: dict[str, Follower] = {}
        self.beyond: tuple[LedgerLine, ...] = ()
        self.unread: frozenset[str] = frozenset()
        self.applied: list[AppliedBinlog] = []
        self.ways = ClosedWays(job.salvage_policy, job.journal)
        self.fencing = Fencing(self, False)
        self.chain = Chain(self)
        self.waiting = Waiting(self)

    def bring_level(self, plan: FailoverPlan) -> Level:
        """Drain the chosen replica, save what only the dead host has, and apply it."""
        log.info("* Phase 3.1: Getting Latest Slaves Phase..")
        latest = [x for x in plan.levelings if x.key in plan.latest]
        log.info("The latest binary log file/position on all slaves is %s", latest[0].received if latest else "?")
        log.info("Latest slaves: %s", ", ".join(x.name for x in latest))
        target = plan.target
        stopped = self.ways.stopped(target.key)
        left = self.left(plan, target, stopped) if stopped is not None else self.drained(plan, target)
        proof, given = self.chain.give(plan, left)
        log.info("* Phase 3.2: Saving Dead Master's Binlog Phase..")
        start = None if given else self.rescue_from(plan, proof.executed)
        saved = self.saved(plan, start, target.key)
        for_others = plan.kind is not GtidKind.POSITION and start is not None and start != proof.executed
        if saved.copy is None and for_others and self.fencing.ssh:
            # What is saved for the others' sake must not cost the replica to be promoted its own part.
            saved = self.saved(plan, proof.executed, target.key)
        rescue = self.ways.rescue(plan, saved)
        if rescue.copy is not None:
            self.note("rescue", "saved", plan.dead, end=str(rescue.copy.end))
        self.fencing.after_saving()
        log.info("* Phase 3.3: Determining New Master Phase..")
        log.info("New master is %s", target.name)
        log.info("* Phase 3.4: New Master Diff Log Generation Phase..")
        differences = RelayLogDonors(self, plan)
        if rescue.copy is None and plan.kind is not GtidKind.POSITION and stopped is None:
            proof = differences.by_gtid(proof)
        log.info("* Phase 3.5: Master Log Apply Phase..")
        recovered = self.apply(plan, target, proof, rescue)
        place, proof = reached(recovered, proof), recovered.proof or proof
        # Of what came from others, and not out of its log, no place in that is known.
        end = place if rescue.copy is not None or (target.key in plan.latest and not given) else None
        if plan.kind is GtidKind.POSITION:
            lent = differences.for_target(target.key, place, whole=whole(rescue, recovered))
            recovered = self.apply(plan, target, proof, lent) if lent is not None else recovered
            proof = recovered.proof or proof
        elif rescue.copy is not None and differences.more_than(place):
            # What was saved is damaged before the place that others have received up to.
            proof = differences.by_gtid(proof)
        state = self.job.sessions.server(target.key).observe()
        self.beyond = (*self.chain.lost(state), *differences.unreached(reached(recovered, proof), state))
        self.unread = frozenset(differences.failed)
        if plan.kind is GtidKind.POSITION:
            end = reached(recovered, proof)
        return Level(proof, rescue, recovered, differences, end, state)

    def see(self, cluster: ClusterState) -> None:
        """Keep what its followers say of themselves: one that answers no more later has a disk that can be asked."""
        self.seen.update({x.key: x for x in bereaved_of(self.job.dead, self.job.config, cluster)})

    @property
    def furthest(self) -> BinlogPosition | None:
        """The place in the dead primary's log that anybody was ever seen to have received."""
        return max((x.channel.received for x in self.seen.values() if x.channel.received is not None), default=None)

    def saved(self, plan: FailoverPlan, start: BinlogPosition | None, key: str) -> SavedBinlog:
        """What only the dead host has; when it cannot be had there, from a binlog server."""
        job, received = self.job, self.furthest
        if kept := self.fencing.kept_from(start):
            return kept
        whose = self.whose()
        rescue = self.run(save_binlog.save_binlog, job, start, self.directories(), self.fencing.ssh, key, whose)
        if self.chain or job.somebody_else:  # else a replica's channel tells; now it may name a stranger
            rescue = replace(rescue, of=whose)
        self.fencing.keep(rescue)
        if rescue.copy is not None or start is None or not job.config.binlog_servers:
            return rescue
        served = self.run(save_binlog.save_from_binlog_servers, job, start, received, whose)
        return served if served.copy is not None else replace(served, why_not=f"{rescue.why_not}; {served.why_not}")

    def save_ahead(self, plan: FailoverPlan) -> None:
        """Begin to copy the dead primary's log beside its fencing, where little is to be copied and nobody else's.

        Not where a script cuts its power in between, nor where its disk is what it died of. Places of when the plan was
        made are no later than those that will be asked for.
        """
        job, start = self.job, self.rescue_from(plan, plan.target.executed)
        received = plan.target.received
        if start is None or received is None or start.file != received.file:
            return
        apart = bool(self.chain) or job.somebody_else or job.answers_though_dead or job.options.skip_save_master_binlog
        near = received.pos - start.pos < SAVED_TOGETHER
        if near and self.fencing.ssh and not (apart or self.fencing.will_power_off):
            save_binlog.copy_ahead(job, start, self.directories(), plan.new_primary, self.whose())

    def proven(self, plan: FailoverPlan, rescue: SavedBinlog | None) -> str:
        """Why nothing that the dead primary acknowledged is missing, in words; empty where nobody can tell."""
        job = self.job
        if self.chain or job.somebody_else:
            return ""
        held = job.withheld.unbroken()
        return proven(job.config, job.dead, plan, rescue, job.waits, job.since, withheld=held, unread=self.unread)

    def whose(self, cluster: ClusterState | None = None) -> ExpectedIdentity:
        """What is known of the dead primary, whose log is wanted; ``cluster`` is that of its stopped replicas."""
        cluster = cluster or self.stopped
        states, job = cluster.up if cluster is not None else (), self.job
        told = known_of(job.dead, states, self.log_directories, job.places.who, doubted=job.somebody_else)
        return self.chain.identity(told)

    def directories(self) -> tuple[str, ...]:
        """Where the dead primary's log may be: where it said while it lived, and where the others keep theirs."""
        states = self.stopped.up if self.stopped is not None else ()
        theirs = [posixpath.dirname(state.log_bin_basename) for state in states if state.log_bin_basename]
        return (*self.log_directories, *theirs)

    def apply(self, plan: FailoverPlan, replica: ReplicaRecovery, proof: Drained, rescue: SavedBinlog) -> AppliedBinlog:
        """Apply a replica's part of what was saved, and keep it for the account. Raises TooBusy for a lock."""
        given = (plan, replica.key, proof, rescue, self.waiting.of(plan, replica, in_tail=True))
        recovered = self.run(apply_diffs.apply_saved, self.job, *given, about=replica.name)
        self.applied.append(recovered)
        return recovered

    def drained(self, plan: FailoverPlan, replica: ReplicaRecovery) -> Drained:
        """One replica's proof that it executed what it received. Raises TooBusy where that is not waited for."""
        patience = self.waiting.of(plan, replica)
        return self.run(apply_diffs.execute_received, self.job, plan, replica.key, patience, about=replica.name)

    def left(self, plan: FailoverPlan, replica: ReplicaRecovery, stopped: StoppedInTail) -> Drained:
        """The proof of one that stopped within what was saved, and goes on from there without the rest."""
        proof, lacks = self.run(apply_diffs.leave_saved, self.job, plan, replica.key, stopped, about=replica.name)
        self.ways.left(replica.key, lacks)
        return proof

    def rescue_from(self, plan: FailoverPlan, mine: BinlogPosition | None) -> BinlogPosition | None:
        """Where in the dead primary's log the saving begins for a new primary that stands at ``mine``.

        In file/position mode each replica needs its own part, so it begins where the last of them stands, unless that
        one is far behind: it is leveled by itself, later. When the host is powered off afterwards there is no later:
        then it begins where the last of them stands in any case. With GTIDs the others are served by the new primary;
        should that one be lost before, what is saved is for them, too, where that costs next to nothing.
        """
        last_chance = self.fencing.will_power_off
        places = [mine]
        for other in plan.others:
            place = other.executed
            if other.broken or place is None:
                continue
            if plan.kind is GtidKind.POSITION or last_chance:
                near = last_chance or (bytes_behind(place, mine) or 0) < LEVEL_TOGETHER
            else:
                near = mine is not None and place.file == mine.file and mine.pos - place.pos < SAVED_TOGETHER
            places += [place] if near else []
        return min((p for p in places if p is not None), default=None)

    def level_by_position(self, plan: FailoverPlan, level: Level, other: ReplicaRecovery, proof: Drained) -> Drained:
        """Without GTIDs the new primary cannot serve a replica what it lacks: what was saved does, or relay logs."""
        rescue = level.rescue
        if rescue.copy is not None and proof.executed is not None and proof.executed < rescue.copy.start:
            # What it took beside the new primary is nobody else's.
            rescue = until(self.saved(plan, proof.executed, other.key), rescue.copy.end)
        recovered = self.apply(plan, other, proof, rescue)
        place, proof = reached(recovered, proof), recovered.proof or proof
        if level.differences is None:
            if rescue.copy is None:
                raise CannotLevel(
                    f"{other.name}: stands at {place}, and the dead primary's log cannot be read any more "
                    f"({rescue.why_not}); rebuild it from the new primary"
                )
            return proof
        if rescue.copy is not None and not level.differences.beyond:
            return proof
        lent = level.differences.for_replica(other.key, place)
        if lent is not None:
            proof = self.apply(plan, other, proof, lent).proof or proof
        return proof
