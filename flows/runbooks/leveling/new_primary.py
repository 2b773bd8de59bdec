"""The new primary, brought level, as the later phases of a failover need it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prefect_mha.flows.runbooks.leveling.donors import Differences
from prefect_mha.replication.actions.drained import Drained
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import ServerState
from prefect_mha.replication.rescue.salvage import shortened
from prefect_mha.replication.rescue.saved import Recovered, Rescue


@dataclass(frozen=True)
class Level:
    """The new primary, brought level: the proof that it was drained, what was saved, what was applied.

    ``differences`` serves the others what replicas received; None when a failover that was cut short is finished.
    ``end`` is the place in the dead primary's log up to which it has everything, None where that is not known.
    ``state`` is that server when it was level.
    """

    proof: Drained
    rescue: Rescue
    recovered: Recovered
    differences: Differences | None = None
    end: BinlogPosition | None = None
    state: ServerState | None = None


def reached(recovered: Recovered, proof: Drained) -> BinlogPosition | None:
    """The place in the dead primary's log up to which a replica has everything, after a part of it was applied."""
    cut = recovered.cut
    if cut is None or not cut.transactions + cut.skipped:
        return proof.executed
    if cut.last is not None and cut.last.source_end is not None:
        return cut.last.source_end
    # Of relay logs that held nothing new the end is one in them.
    return proof.executed if recovered.of_relay_logs else cut.end


def until(rescue: Rescue, end: BinlogPosition | None) -> Rescue:
    """The rescue up to there: what the old primary took later the new one lacks, and so must the others."""
    if rescue.copy is None or end is None:
        return rescue
    return replace(rescue, copy=shortened(rescue.copy, end))


def whole(rescue: Rescue, recovered: Recovered) -> bool:
    """Whether the dead primary's log was read to its end, which says all there is to say."""
    return rescue.copy is not None and recovered.cut is not None and recovered.cut.end_reason.kind == "clean"
