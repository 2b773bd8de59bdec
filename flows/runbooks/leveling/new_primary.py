"""The new primary, brought level, as the later phases of a failover need it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....replication.actions.drained import Drained
from ....replication.cluster.catch_up import ALIVE_WITHIN
from ....replication.errors import LockLost, MhaError, ServerGone
from ....replication.model.position import BinlogPosition
from ....replication.model.state import ServerState
from ....replication.planning.plan import FailoverPlan
from ....replication.reporting.job import FailoverJob
from ....replication.reporting.outcome import ReplicaOutcome
from ....replication.rescue.salvage import shortened
from ....replication.rescue.saved import AppliedBinlog, SavedBinlog
from .donors import RelayLogDonors

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Level:
    """The new primary, brought level: the proof that it was drained, what was saved, what was applied.

    ``differences`` serves the others what replicas received; None when a failover that was interrupted is finished.
    ``end`` is the place in the dead primary's log up to which it has everything, None where that is not known.
    ``state`` is that server when it was level.
    """

    proof: Drained
    rescue: SavedBinlog
    recovered: AppliedBinlog
    differences: RelayLogDonors | None = None
    end: BinlogPosition | None = None
    state: ServerState | None = None


def reached(recovered: AppliedBinlog, proof: Drained) -> BinlogPosition | None:
    """The place in the dead primary's log up to which a replica has everything, after a part of it was applied."""
    cut = recovered.cut
    if cut is None or not cut.transactions + cut.skipped:
        return proof.executed
    if cut.last is not None and cut.last.source_end is not None:
        return cut.last.source_end
    # Of relay logs that held nothing new the end is one in them.
    return proof.executed if recovered.of_relay_logs else cut.end


def until(rescue: SavedBinlog, end: BinlogPosition | None) -> SavedBinlog:
    """The rescue up to there: what the old primary took later the new one lacks, and so must the others."""
    if rescue.copy is None or end is None:
        return rescue
    return replace(rescue, copy=shortened(rescue.copy, end))


def whole(rescue: SavedBinlog, recovered: AppliedBinlog) -> bool:
    """Whether the dead primary's log was read to its end, which says all there is to say."""
    return rescue.copy is not None and recovered.cut is not None and recovered.cut.end_reason.kind == "clean"


def as_it_is(job: FailoverJob, key: str) -> ServerState | None:
    """How the new primary is now; None where it does not answer."""
    server = job.sessions.server(key)
    try:
        server.connect(ALIVE_WITHIN)
        return server.observe()
    except MhaError:
        return None


def outcomes_of(plan: FailoverPlan, done: Sequence[ReplicaOutcome | BaseException]) -> tuple[ReplicaOutcome, ...]:
    """How each of the others came out, in the plan's order; what went wrong with one is told of that one.

    Raises ServerGone when the new primary is: then there is nobody to be pointed at. LockLost, and what is no MhaError.
    """
    outcomes: list[ReplicaOutcome] = []
    gone: ServerGone | None = None
    for other, result in zip(plan.others, done, strict=True):
        if isinstance(result, ReplicaOutcome):
            outcomes.append(result)
            continue
        if not isinstance(result, MhaError) or isinstance(result, LockLost):
            raise result
        log.error("%s was not recovered: %s", other.name, result)
        if isinstance(result, ServerGone) and result.server == plan.new_primary_name:
            gone = result
        delay = f"; its delay of {other.delay} s may be lifted, set it again" if other.delay else ""
        outcomes.append(ReplicaOutcome(other.key, other.name, False, f"{result}{delay}"))
    if gone is not None:
        raise gone
    return tuple(outcomes)
