"""What a replica lacks and only another replica received, when nothing reads the dead primary's own log."""

from __future__ import annotations

import logging
from typing import Any, Protocol, TypeVar

from prefect import Task

from replication.errors import CannotLevel, MhaError
from replication.job import FailoverJob, Recovered, Rescue
from replication.plan import FailoverPlan, Leveling
from replication.positions import BinlogPosition
from replication.safety import Drained
from tasks import apply_diffs, save_binlog

log = logging.getLogger("mha")
R = TypeVar("R")


class Failover(Protocol):
    """What is needed of the failover that this is a part of."""

    job: FailoverJob
    notes: list[str]

    def run(self, task: Task[..., R], *args: Any, about: str = "") -> R:
        """Do one step and record it."""

    def drained(self, plan: FailoverPlan, replica: Leveling) -> Drained:
        """A replica's proof that it executed what it received."""

    def apply(self, plan: FailoverPlan, replica: Leveling, proof: Drained, rescue: Rescue) -> Recovered:
        """Apply a replica's part of what was saved."""


class Differences:
    """Who received the most, and what each of the others is given of it.

    Only a replica that can matter is waited for: one that received more than is known to be executed elsewhere. Those
    whose applier stopped with an error are asked too; they keep what they received in their relay logs. ``furthest``
    is the place in the dead primary's log that everybody is brought to, None before anybody was asked.
    """

    def __init__(self, failover: Failover, plan: FailoverPlan) -> None:
        self._failover, self._plan = failover, plan
        self._lender: Leveling | None = None
        self._lent: Rescue | None = None
        self.furthest: BinlogPosition | None = None

    def more_than(self, place: BinlogPosition | None) -> list[Leveling]:
        """The other replicas that received something behind that place, the furthest first."""
        known = [x for x in self._plan.others if x.received is not None and (place is None or place < x.received)]
        return sorted(known, key=lambda x: (x.received.index, x.received.pos) if x.received else (0, 0), reverse=True)

    # file/position -----------------------------------------------------------------------------------------------

    def for_target(self, key: str, place: BinlogPosition | None) -> Rescue | None:
        """What the replica to be promoted, which stands there, is given; None when nobody has more.

        Raises CannotLevel.
        """
        self.furthest = place
        for other in self.more_than(place):
            if self.furthest is not None and other.received is not None and other.received <= self.furthest:
                break
            try:
                self._ask(other, key, place)
            except MhaError as error:
                log.error("%s cannot be asked for what it received: %s", other.name, error)
        return self._lent or self.for_replica(key, place)

    def _ask(self, other: Leveling, key: str, place: BinlogPosition | None) -> None:
        if not other.broken:
            reached, lent = self._failover.drained(self._plan, other).executed, None
        else:
            lent = self._borrow(other, key, place, None)
            reached = lent.end if lent is not None else None
        if reached is not None and (self.furthest is None or self.furthest < reached):
            self._lender, self.furthest, self._lent = other, reached, lent

    @property
    def beyond(self) -> bool:
        """Another replica received more than the promoted one had otherwise."""
        return self._lender is not None

    def for_replica(self, key: str, place: BinlogPosition | None) -> Rescue | None:
        """What a replica that stands there is given; None when it has everything. Raises CannotLevel."""
        if self.furthest is None or (place is not None and self.furthest <= place):
            return None
        lent = self._borrow(self._lender or self._plan.target, key, place, self.furthest)
        if lent is None:
            raise CannotLevel(
                f"{self._failover.job.config_of(key).name}: stands at {place}, the most advanced replica at "
                f"{self.furthest}, and no copy of what lies between was found; rebuild it from the new primary"
            )
        return lent if lent.copy is not None else None

    def _borrow(
        self, lender: Leveling, key: str, place: BinlogPosition | None, end: BinlogPosition | None
    ) -> Rescue | None:
        return self._failover.run(
            save_binlog.borrow, self._failover.job, lender.key, key, place, end, about=lender.name
        )

    # GTIDs -------------------------------------------------------------------------------------------------------

    def by_gtid(self, proof: Drained) -> Drained:
        """Let the replica to be promoted fetch what others executed, then take what broken ones only received."""
        plan, job, target = self._plan, self._failover.job, self._plan.target
        if target.key not in plan.latest:
            proof = self._failover.run(apply_diffs.catch_up, job, plan, target.key, proof, plan.latest[0])
        for other in plan.others:
            if not other.broken:
                continue
            try:
                lent = self._failover.run(save_binlog.borrow_unexecuted, job, other.key, target.key, about=other.name)
                if lent is not None:
                    self._failover.apply(plan, target, proof, lent)
            except MhaError as error:
                log.error("What only %s received cannot be used: %s", other.name, error)
                self._failover.notes.append(f"What only {other.name} received is not applied: {error}")
        return proof
