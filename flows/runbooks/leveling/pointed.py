"""Replicas that an interrupted failover had pointed at the new primary, and that do not follow it yet."""

from __future__ import annotations

import logging

from ....replication.actions.drained import Drained
from ....replication.errors import LockLost, MhaError
from ....replication.model.state import ClusterState
from ....replication.planning.plan import FailoverPlan
from ....replication.rescue.saved import AppliedBinlog
from ....tasks import repoint
from ..running import RunningFailover

log = logging.getLogger("mha")


def start_those_pointed(
    run: RunningFailover, plan: FailoverPlan, cluster: ClusterState, recovered: AppliedBinlog
) -> tuple[str, ...]:
    """Start them, one after the other; what is left to do of those that do not follow then, in sentences.

    It died between two statements, or while the source refused one. The plan has only those that still follow the dead
    primary: their places are in its log.
    """
    new, left = run.job.config_of(plan.new_primary), []
    begun = {entry.server for entry in run.job.past if entry.step == repoint.repoint.name}
    for state in cluster.up:
        channel = state.channel_from(new.hostname, new.ip, new.port)
        follows = channel is not None and channel.receiver == "Yes" and channel.applier_running
        if channel is None or follows or state.name not in begun:
            continue
        proof = Drained(state.key, state.name, channel.name, None, None)
        try:
            run.run(repoint.repoint, run.job, plan, state.key, proof, recovered, about=state.name)
        except LockLost:
            raise
        except MhaError as error:
            left.append(f"{state.name} points at {plan.new_primary_name} and does not follow it: {error}")
            log.error("%s", left[-1])
    return tuple(left)
