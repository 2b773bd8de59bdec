"""What a failover found out on its way: kept for its later steps, and for what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...replication.address import AddressMove
from ...replication.fencing.policy import FenceVerdict
from ...replication.model.check import Check
from ...replication.model.refusal import Refusal
from ...replication.planning.plan import FailoverPlan
from ...replication.reporting.outage import Outage
from ...replication.reporting.outcome import Outcome, ReplicaOutcome
from ...replication.rescue.saved import AppliedBinlog, SavedBinlog


@dataclass
class Found:
    """Each as in `Outcome`; None, or empty, as long as the failover has not come to it."""

    plan: FailoverPlan | None = None
    fenced: FenceVerdict | None = None
    rescue: SavedBinlog | None = None
    promoted: AppliedBinlog | None = None
    out: Outage | None = None
    released: AddressMove | None = None
    acquired: AddressMove | None = None
    address: tuple[Check, ...] = ()

    def outcome(
        self,
        exit_code: int,
        summary: str,
        *,
        refusal: Refusal | None = None,
        replicas: tuple[ReplicaOutcome, ...] = (),
        stopped: bool = False,
        only_late: bool = False,
    ) -> Outcome:
        """What came of the failover, with all of this in it."""
        return Outcome(
            exit_code,
            summary,
            refusal=refusal,
            replicas=replicas,
            stopped=stopped,
            only_late=only_late,
            **vars(self),
        )
