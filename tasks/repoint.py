"""Repoint: one replica follows the new primary."""

from __future__ import annotations

import logging
from functools import partial

from ..replication.actions.drained import Drained
from ..replication.actions.repoint import change_source, follows, start_following
from ..replication.memory.journal import lifted_delays
from ..replication.model.state import GtidKind
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.reporting.outcome import ReplicaOutcome
from ..replication.rescue.pointing import TURN, channel_named
from ..replication.rescue.saved import AppliedBinlog
from .policy import STEP
from .rescue.lent_settings import lend_settings
from .rescue.turned import former_of
from .step import task

log = logging.getLogger("mha")


@task(name="Point a replica at the new primary", task_run_name="Point {key} at the new primary", **STEP)
def repoint(job: FailoverJob, plan: FailoverPlan, key: str, proof: Drained, promoted: AppliedBinlog) -> ReplicaOutcome:
    """CHANGE … TO host, port and place; then start and see both threads run."""
    server, primary = job.sessions.server(key), job.config_of(plan.new_primary)
    state = server.observe()
    if follows(state, proof.channel, primary) is None:
        position = promoted.end_of_log if plan.kind is GtidKind.POSITION else None
        former = former_of(job, state, channel_named(state, proof.channel))
        delay = lifted_delays((*job.past, *job.journal.entries())).get(key)
        change_source(server, proof, primary, plan.kind, position, delay=delay, former=former)
        if former is not None:
            job.journal.record(TURN, "done", key)
    alive, lend = job.sessions.server(plan.new_primary), partial(lend_settings, job)
    start_following(server, proof.channel, primary, alive=alive, lend=lend)
    log.info("%s: OK: Slave started, replicating from %s", server, primary.name)
    return ReplicaOutcome(key, server.config.name, True, f"replicates from {primary.name}")
