"""The new primary, brought level, as the later phases of a failover need it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....replication.actions.drained import Drained
from ....replication.model.position import BinlogPosition
from ....replication.model.state import ServerState
from ....replication.rescue.salvage import shortened
from ....replication.rescue.saved import AppliedBinlog, SavedBinlog
from .donors import RelayLogDonors


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
