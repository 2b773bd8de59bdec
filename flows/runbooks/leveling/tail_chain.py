"""A failover in a chain of dead primaries: what earlier ones had and not everybody received yet is given on first.

A server may still stand in the log of the first one, and the one that was put into its place is dead, too. It is
levelled from the first one's tail, then it stands where the second one went on, and the failover is one like any other.
With GTIDs it may follow the second one already, and lack what only that one was given.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ....replication.actions.drained import Drained
from ....replication.errors import LockLost, MhaError, RefusalError
from ....replication.model.gtid import GtidSet
from ....replication.model.refusal import Refusal
from ....replication.model.state import ClusterState, GtidKind, ServerDown, ServerState
from ....replication.planning.plan import FailoverPlan
from ....replication.planning.role_plan import ReplicaRecovery
from ....replication.probes.reaching import Reaching
from ....replication.reporting.ledger import Fate, LedgerLine
from ....replication.reporting.outcome import ReplicaOutcome
from ....replication.rescue.saved import SavedBinlog
from ....replication.rescue.tail_chain import (
    Tail,
    carried,
    chain_of,
    left_behind,
    note_open,
    note_settled,
    remembered,
)
from ....replication.source.identity import ExpectedIdentity
from ....tasks.rescue import former_tails
from .closed_ways import MISSING
from .new_primary import Level

if TYPE_CHECKING:
    from .one_replica import Leveler

log = logging.getLogger("mha")


class Chain:
    """The tails of earlier dead primaries that led to the one that is dead now; empty for nearly every failover."""

    def __init__(self, failover: Leveler) -> None:
        job = failover.job
        self._failover, self._job = failover, job
        self.tails = chain_of(remembered(job.config), job.dead.address)
        self._why: dict[Tail, str] = {}
        #: Somebody stood in an earlier log, or lacked an earlier tail: of what the one that is dead now took after its
        #: opening, that one has nothing.
        self.used = False
        self._reaching: Reaching | None = None

    def __bool__(self) -> bool:
        return bool(self.tails)

    def identity(self, told: ExpectedIdentity) -> ExpectedIdentity:
        """Who the dead primary is: what was seen when it was opened, rather than what its replicas say of their source.

        A channel that was pointed at it and never reached it still has its former source's number (seen on MariaDB).
        """
        if not self.tails or not self.tails[-1].opened_id:
            return told
        return replace(told, server_id=self.tails[-1].opened_id, uuid=self.tails[-1].opened_uuid)

    def planned(self, cluster: ClusterState) -> ClusterState:
        """The cluster as it will be once everybody was taken along: what plans are made on."""
        return carried(self._job.config, cluster, self.tails)

    def take_along(self, plan: FailoverPlan, cluster: ClusterState) -> ClusterState:
        """Bring those who stand in an earlier log to where the next one went on; the cluster as it is then.

        One that cannot be brought there is out, and why. Raises RefusalError when nobody is left.
        """
        if not self.tails:
            return cluster
        up: list[ServerState] = []
        down = list(cluster.down)
        behind = 0
        for state in cluster.up:
            link = left_behind(self._job.config, state, self.tails)
            if link is None:
                up.append(state)
                continue
            behind += 1
            self.used = True
            replica = next(x for x in plan.levelings if x.key == state.key)
            try:
                self._bring(plan, replica, self.tails[link[0] :])
                up.append(self._job.sessions.server(state.key).observe())
            except LockLost:
                raise
            except MhaError as error:
                log.error("%s cannot be taken along: %s", state.name, error)
                down.append(ServerDown(state.key, state.name, state.hostname, str(error), True))
        if behind and not up:
            raise RefusalError(self._nobody(plan, down))
        return replace(cluster, up=tuple(up), down=tuple(down))

    def _bring(self, plan: FailoverPlan, replica: ReplicaRecovery, tails: Sequence[Tail]) -> None:
        job, proof = self._job, self._failover.drained(plan, replica)
        for tail in tails:
            log.warning("%s is still at a place in the log of %s: bringing it along.", replica.name, tail.dead)
            proof = self._give(plan, replica, proof, tail)
            proof = self._failover.run(former_tails.take_along, job, tail, plan.kind, proof, about=replica.name)

    def _give(self, plan: FailoverPlan, replica: ReplicaRecovery, proof: Drained, tail: Tail) -> Drained:
        rescue = self._found(replica, proof, tail)
        if rescue.copy is None:
            log.info("%s: %s.", replica.name, rescue.why_not)
            return proof
        return self._failover.apply(plan, replica, proof, rescue).proof or proof

    def _found(self, replica: ReplicaRecovery, proof: Drained, tail: Tail) -> SavedBinlog:
        directories = self._failover.directories()
        return self._failover.run(former_tails.find_tail, self._job, tail, proof, directories, about=replica.name)

    def give(self, plan: FailoverPlan, proof: Drained) -> tuple[Drained, bool]:
        """With GTIDs: give the replica to be promoted what it lacks of earlier tails; whether it was given anything.

        What is not there is told by `lost`. Its place in the dead primary's log is not known afterwards, its GTIDs are.
        """
        given, target = False, plan.target
        for tail in self.tails if plan.kind is not GtidKind.POSITION else ():
            if not tail.lacking(self._job.sessions.server(target.key).observe()):
                continue
            self.used = True
            try:
                rescue = self._found(target, proof, tail)
            except LockLost:
                raise
            except MhaError as error:
                log.error("What was saved of %s cannot be given to %s: %s", tail.dead, target.name, error)
                self._why[tail] = str(error)
                continue
            proof = self._failover.apply(plan, target, proof, rescue).proof or proof
            given, last = True, self.tails[-1]
            proof = self._failover.run(former_tails.take_along, self._job, last, plan.kind, proof, about=target.name)
        return proof, given

    def lost(self, new: ServerState) -> tuple[LedgerLine, ...]:
        """What successors were opened with and the replica to be promoted lacks in the end."""
        lines = []
        for tail in self.tails:
            lacking = tail.lacking(new)
            if lacking:
                name = self._job.config_of(tail.dead).name
                count = lacking.count() if isinstance(lacking, GtidSet) else None
                why = self._why.get(tail, "they were on the servers that are dead")
                lines.append(LedgerLine(Fate.LOST, str(lacking), name, transactions=count, why=why))
        return tuple(lines)

    # this failover's own ------------------------------------------------------------------------------------------

    def begin_to_look(self, plan: FailoverPlan) -> None:
        """See who reaches the replica that is to be promoted, while their hosts have nothing else to do."""
        job = self._job
        others = [job.config_of(x.key) for x in plan.others]
        self._reaching = Reaching(job.sessions, job.config_of(plan.new_primary), others)

    def opens(self, plan: FailoverPlan, level: Level, whose: ExpectedIdentity) -> None:
        """Remember what the new primary is opened with, before it is."""
        state = level.state or self._job.sessions.server(plan.new_primary).observe()
        gtids = state.gtid_executed if plan.kind is GtidKind.MYSQL else state.mariadb_gtid
        tail = Tail(
            plan.dead,
            plan.new_primary,
            plan.kind,
            level.end,
            level.recovered.end_of_log,
            str(gtids or "") if plan.kind is not GtidKind.POSITION else "",
            whose.server_id,
            whose.uuid,
            whose.named,
            state.server_id,
            state.server_uuid,
            self._reaching.of(plan.new_primary) if self._reaching is not None else (),
            state.relay_log_basename,
        )
        note_open(self._job.journal, tail)

    def settle(self, plan: FailoverPlan, replicas: Sequence[ReplicaOutcome], *, saved: bool) -> None:
        """Who has everything, has all the tails; while somebody configured has not, they are kept.

        ``saved``: there are files, which is told then.
        """
        config, by_gtid = self._job.config, plan.kind is not GtidKind.POSITION
        own = [t for t in remembered(config) if (t.dead, t.opened) == (plan.dead, plan.new_primary)]
        tails = (*self.tails, *own)
        if not tails:
            return
        proven = {r.key for r in replicas if r.ok} | {plan.new_primary} | {tail.dead for tail in tails}
        lacking = [s.name for s in config.servers if s.address not in proven]
        lacking += [
            x.name for x in plan.others if by_gtid and (x.delay or not self._job.options.wait_until_gtid_in_sync)
        ]
        if not lacking:
            note_settled(self._job.journal, tails)
            return
        if not saved and not self.tails:
            return
        dead = ", ".join(self._job.config_of(tail.dead).name for tail in tails)
        names = ", ".join(dict.fromkeys(lacking))
        self._failover.notes.append(
            f"What was saved of {dead} is kept for {names}: do not remove it before it is proven to be there."
        )

    def _nobody(self, plan: FailoverPlan, down: Sequence[ServerDown]) -> Refusal:
        dead = self._job.config_of(self.tails[0].dead).name
        return Refusal(
            MISSING,
            f"{plan.dead_name} was opened with transactions of {dead} that cannot be brought to any server that is "
            "left, so none of them may take its place.",
            f"Bring back SSH to the host of {dead} or the files named below, or bring {plan.dead_name} back, then "
            "start again.",
            tuple(f"{each.name}: {each.reason}" for each in down),
        )
