"""What a replica lacks and only another replica received, when nothing reads the dead primary's own log."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ....replication.actions.drained import Drained
from ....replication.cluster.pool import reachable
from ....replication.errors import CannotLevel, MhaError, ServerError
from ....replication.model.position import BinlogPosition
from ....replication.model.state import GtidKind, ServerState
from ....replication.planning.plan import FailoverPlan
from ....replication.planning.role_plan import ReplicaRecovery
from ....replication.planning.selection import lacks_received
from ....replication.reporting.ledger import LedgerLine, never_reached
from ....replication.rescue.saved import SavedBinlog
from ....replication.source.identity import ExpectedIdentity
from ....tasks import apply_diffs, save_binlog

if TYPE_CHECKING:
    from .one_replica import Leveler

log = logging.getLogger("mha")

#: Seconds that the host of a server has to answer which did so some time ago, and of which nothing is known since.
ASKED_WITHIN = 1.5


class RelayLogDonors:
    """Who received the most, and what each of the others is given of it.

    Only a replica that can matter is waited for: one that received more than is known to be executed elsewhere. Those
    whose applier stopped with an error are asked too; they keep what they received in their relay logs. So does the
    disk of one that answers no more, or was tried in vain: it is asked over SSH. ``furthest`` is the place in the dead
    primary's log that everybody is brought to, None before anybody was asked; ``failed`` tells by ``ip:port`` why what
    a replica had received could not be used.
    """

    def __init__(self, failover: Leveler, plan: FailoverPlan) -> None:
        self._failover, self._plan = failover, plan
        self._lender: ReplicaRecovery | None = None
        self._lent: SavedBinlog | None = None
        self.furthest: BinlogPosition | None = None
        self.failed: dict[str, str] = {}
        #: The replica to be promoted was pointed at another one: its place is one in that one's log.
        self._elsewhere = False

    @property
    def _silent(self) -> list[ReplicaRecovery]:
        """Those who followed and are in the plan no more, the furthest first; ``broken`` says so.

        ``received`` is None of those who may have received more than when they were looked at.
        """
        planned = {x.key for x in self._plan.levelings}
        return _furthest_first(
            [
                ReplicaRecovery(
                    key,
                    x.state.name,
                    x.channel.name,
                    self._plan.kind,
                    None,
                    x.channel.received if self._exact(key) else None,
                    "it answers no more, or was tried in vain",
                )
                for key, x in self._failover.seen.items()
                if key not in planned
            ]
        )

    def _exact(self, key: str) -> bool:
        """It was looked at once nothing more could be received."""
        stopped = self._failover.stopped
        return stopped is not None and stopped.get(key) is not None

    def more_than(self, place: BinlogPosition | None) -> list[ReplicaRecovery]:
        """The other replicas that received something behind that place, the furthest first."""
        known = [x for x in (*self._plan.others, *self._silent) if x.received is not None]
        return _furthest_first([x for x in known if place is None or (x.received is not None and place < x.received)])

    def unreached(self, place: BinlogPosition | None, state: ServerState) -> tuple[LedgerLine, ...]:
        """What others were seen to have received and the replica to be promoted has not, as it stands now."""
        others = {x.key: x.broken for x in (*self._silent, *(x for x in self._plan.others if x.broken))}
        others.update(self.failed)
        followers = [(self._failover.seen[key], why) for key, why in others.items() if key in self._failover.seen]
        return never_reached(self._plan, place, state, followers)

    # file/position -----------------------------------------------------------------------------------------------

    def for_target(self, key: str, place: BinlogPosition | None, *, whole: bool = False) -> SavedBinlog | None:
        """What the replica to be promoted, which stands there, is given; None when nobody has more.

        ``whole``: the dead primary's own log was read to its end. Raises CannotLevel.
        """
        self.furthest = place
        for other in (*self.more_than(place), *self._unknown(whole)):
            reached = self.furthest is not None and other.received is not None and other.received <= self.furthest
            if reached or other.key in self.failed:
                continue
            try:
                self._ask(other, key, place)
            except MhaError as error:
                log.error("%s cannot be asked for what it received: %s", other.name, error)
                self.failed[other.key] = str(error)
        try:
            return self._lent or self.for_replica(key, place)
        except CannotLevel as error:
            lender = self._lender
            if lender is None or self._answers(lender.key):
                raise
            # It died since it was asked, and its disk with it: the others are asked for what they have.
            log.error("%s is lost with what it had received: %s", lender.name, error)
            self.failed[lender.key] = str(error)
            self._lender = self._lent = None
            return self.for_target(key, place, whole=whole)

    def _unknown(self, whole: bool) -> list[ReplicaRecovery]:
        """Of those who may have received more than when they were looked at, the ones whose disks can be asked."""
        if whole:
            return []
        sessions = self._failover.job.sessions
        return [x for x in self._silent if x.received is None and reachable(sessions.host(x.key), ASKED_WITHIN)]

    def _ask(self, other: ReplicaRecovery, key: str, place: BinlogPosition | None) -> None:
        reached, lent = None, None
        if not other.broken:
            try:
                reached = self._failover.drained(self._plan, other).executed
            except MhaError as error:
                log.error("%s cannot execute what it received; reading its disk: %s", other.name, error)
                other = replace(other, broken=str(error))
        if other.broken:
            lent = self._borrow(other, key, place, None)
            reached = lent.end if lent is not None else None
            if reached is None:
                self.failed[other.key] = "its relay logs could not be read" if lent is None else lent.why_not
        if reached is not None and (self.furthest is None or self.furthest < reached):
            self._lender, self.furthest, self._lent = other, reached, lent

    @property
    def beyond(self) -> bool:
        """Another replica received more than the promoted one had otherwise."""
        return self._lender is not None

    def for_replica(self, key: str, place: BinlogPosition | None) -> SavedBinlog | None:
        """What a replica that stands there is given; None when it has everything. Raises CannotLevel."""
        if self.furthest is None or (place is not None and self.furthest <= place):
            return None
        target = self._plan.target
        lenders = {lender.key: lender for lender in (self._lender or target, target)}
        for lender in lenders.values():
            if lender.key != key and (lent := self._borrow(lender, key, place, self.furthest)) is not None:
                return lent if lent.copy is not None else None
        raise CannotLevel(
            f"{self._failover.job.config_of(key).name}: stands at {place}, the most advanced replica at "
            f"{self.furthest}, and no copy of what lies between was found; rebuild it from the new primary"
        )

    def _borrow(
        self, lender: ReplicaRecovery, key: str, place: BinlogPosition | None, end: BinlogPosition | None
    ) -> SavedBinlog | None:
        seen = self._failover.seen.get(lender.key)
        remembered = seen.state if seen is not None else None
        return self._failover.run(
            save_binlog.borrow, self._failover.job, lender.key, key, place, end, remembered, about=lender.name
        )

    # GTIDs -------------------------------------------------------------------------------------------------------

    def by_gtid(self, proof: Drained) -> Drained:
        """Let the replica to be promoted fetch what others executed, then take what broken ones only received.

        Last come those that answer no more: their relay logs, then their own binary logs.
        """
        plan, target = self._plan, self._plan.target
        gone = [x for x in self._silent if x.received is not None] + self._unknown(False)
        fetched = ""
        for donor in self._donors():
            try:
                patience = self._failover.waiting.for_other(donor)
                job = self._failover.job
                proof = self._failover.run(apply_diffs.catch_up, job, plan, target.key, proof, donor.key, patience)
                self._elsewhere, fetched = True, donor.key
                break
            except MhaError as error:
                if self._answers(donor.key):
                    raise
                log.error("%s no longer answers; reading its disk: %s", donor.name, error)
                gone.append(donor)
                self._elsewhere = True
                proof = self._failover.drained(plan, target)
        for other in plan.others:
            unlogged = other.key == fetched and plan.kind is GtidKind.MARIADB
            if other.broken or other.key in self._failover.waiting.busy or unlogged:
                proof = self._unexecuted(other, proof, alive=True)
        for other in gone:
            proof = self._unexecuted(other, proof, alive=False)
        return proof

    def _donors(self) -> list[ReplicaRecovery]:
        """Those who received more than the replica to be promoted and can give it, the furthest first."""
        plan = self._plan
        if plan.target.key in plan.latest:
            return []
        by_key = {x.key: x for x in plan.others}
        others = [x for x in self.more_than(plan.target.received) if x.key in by_key and not x.broken]
        return list({key: by_key[key] for key in (*plan.latest, *(x.key for x in others)) if key in by_key}.values())

    def _answers(self, key: str) -> bool:
        try:
            self._failover.job.sessions.server(key).observe()
        except ServerError as error:
            return error.answered
        return True

    def _unexecuted(self, other: ReplicaRecovery, proof: Drained, *, alive: bool) -> Drained:
        """What only that one has: out of its relay logs, and out of its own log when it answers no more."""
        plan, job, target = self._plan, self._failover.job, self._plan.target
        seen = self._failover.seen.get(other.key)
        remembered = seen.state if seen is not None and not alive else None
        if remembered is not None and self._exact(other.key) and not self._lacks(remembered):
            return proof
        limit = float(job.config_of(other.key).ssh_connection_timeout)
        if not alive and not reachable(job.sessions.host(other.key), limit):
            # Each way to it would be tried three times.
            self.failed[other.key] = f"neither it nor its host answers (SSH, {limit:g} s)"
            log.error("What only %s received cannot be used: %s", other.name, self.failed[other.key])
            return proof
        for borrow in (save_binlog.borrow_unexecuted, save_binlog.borrow_own_log):
            if borrow is save_binlog.borrow_own_log and (remembered is None or not self._lacks(remembered)):
                break
            try:
                lent = self._failover.run(borrow, job, other.key, target.key, remembered, about=other.name)
                if lent is not None:
                    lent = replace(lent, by_gtid=self._elsewhere)
                    if self._elsewhere and lent.of is None and seen is not None:
                        # Its own channel names the one that it was pointed at: the relay logs are the dead primary's.
                        lent = replace(
                            lent, of=ExpectedIdentity(seen.channel.source_server_id, seen.channel.source_uuid)
                        )
                    proof = self._failover.apply(plan, target, proof, lent).proof or proof
            except MhaError as error:
                log.error("What only %s received cannot be used: %s", other.name, error)
                self.failed[other.key] = str(error)
                with contextlib.suppress(MhaError):
                    proof = self._failover.drained(plan, target)
                if alive:
                    self._failover.notes.append(f"What only {other.name} received is not applied: {error}")
        return proof

    def _lacks(self, theirs: ServerState) -> bool:
        """Whether the replica to be promoted lacks some of what that one had received."""
        ours = self._failover.job.sessions.server(self._plan.target.key).observe()
        return lacks_received(ours, theirs)


def _furthest_first(replicas: list[ReplicaRecovery]) -> list[ReplicaRecovery]:
    return sorted(replicas, key=lambda x: (x.received.index, x.received.pos) if x.received else (0, 0), reverse=True)
