"""A replica with GTIDs lacks what its new primary has purged (error 1236): it is levelled from who still has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ....replication.actions.drained import Drained
from ....replication.errors import CannotLevel, LockLost, MhaError
from ....replication.planning.plan import FailoverPlan
from ....replication.planning.role_plan import ReplicaRecovery
from ....replication.rescue.saved import SavedBinlog
from ....tasks import save_binlog
from ....tasks.rescue import purged
from .new_primary import Level, until

if TYPE_CHECKING:
    from .one_replica import Leveler

log = logging.getLogger("mha")


def give_purged(failover: Leveler, plan: FailoverPlan, level: Level, other: ReplicaRecovery, proof: Drained) -> Drained:
    """Give a replica what the new primary has purged and it lacks, from the first of those that have it.

    Nothing is given that leaves something out: each copy is proven to begin with what the replica lacks. Raises
    CannotLevel when nobody has it any more.
    """

    def lacking() -> str:
        return failover.run(purged.lacks_purged, failover.job, plan.kind, plan.new_primary, other.key, about=other.name)

    why: list[str] = []
    try:
        missing = lacking()
    except LockLost:
        raise
    except MhaError as error:
        # Its receiver will tell.
        log.warning("It is not known what %s has purged: %s", plan.new_primary_name, error)
        return proof
    if not missing:
        return proof
    log.warning("%s lacks %s, which %s has purged; asking others.", other.name, missing, plan.new_primary_name)
    for name, find in _copies(failover, plan, level, other, proof):
        try:
            rescue = find()
            if rescue is None or rescue.copy is None:
                why.append(f"{name}: {rescue.why_not if rescue is not None else 'it has not all of it'}")
                continue
            proof = failover.apply(plan, other, proof, rescue).proof or proof
        except LockLost:
            raise
        except MhaError as error:
            why.append(f"{name}: {error}")
            continue
        if not (missing := lacking()):
            return proof
        why.append(f"{name}: it still lacks {missing}")
    raise CannotLevel(
        f"{other.name}: lacks {missing}, which {plan.new_primary_name} has purged from its binary logs, and nobody has "
        f"all of it any more ({'; '.join(why)}); rebuild it from {plan.new_primary_name}"
    )


def _copies(
    failover: Leveler, plan: FailoverPlan, level: Level, other: ReplicaRecovery, proof: Drained
) -> Iterator[tuple[str, Callable[[], SavedBinlog | None]]]:
    """Who may have it, the nearest first, and how it is copied from there, never beyond what the new primary has."""
    job, run = failover.job, failover.run
    yield "the manager's copies", lambda: _cut(run(purged.copy_here, job, plan.kind, other.key), level)
    if level.end is not None:
        yield plan.dead_name, lambda: until(failover.saved(plan, None, other.key), level.end)
        if job.config.binlog_servers:
            theirs = purged.copy_of_binlog_servers
            yield "the binlog servers", lambda: _cut(run(theirs, job, other.key, failover.whose()), level)
    key = plan.new_primary
    yield (
        f"the relay logs of {plan.new_primary_name}",
        lambda: run(save_binlog.borrow, job, key, other.key, proof.executed, None, about=other.name),
    )
    for lender in plan.others:
        if lender.key != other.key:
            find = partial(run, purged.copy_of_server, job, lender.key, other.key, key, about=other.name)
            yield f"the binary log of {lender.name}", find


def _cut(rescue: SavedBinlog | None, level: Level) -> SavedBinlog | None:
    return until(rescue, level.end) if rescue is not None and level.end is not None else None
