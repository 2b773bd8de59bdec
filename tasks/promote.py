"""Promote: the chosen replica takes writes, and later forgets whom it followed."""

from __future__ import annotations

import logging

from ..replication.actions.drain import stop_applier
from ..replication.actions.drained import Drained
from ..replication.actions.early_source import begin_to_wait, note_early_source
from ..replication.actions.promote import forget_source, open_for_writes
from ..replication.cluster.catch_up import check_alive
from ..replication.errors import CameBack, MhaError
from ..replication.model.state import ServerState
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.rescue.pointing import TURN, turned
from ..replication.rescue.saved import AppliedBinlog
from .policy import STEP
from .step import task

log = logging.getLogger("mha")

#: Seconds that the applier of a drained replica may take to stop: with half a transaction in it, and idle.
TORN, IDLE = 65.0, 10.0


@task(name="Open the new primary for writes", **STEP)
def promote(job: FailoverJob, plan: FailoverPlan, proof: Drained, recovered: AppliedBinlog) -> ServerState:
    """Stop the applier, then read_only=0, verified; from here on the failover only goes forward.

    Raises CameBack, with nothing opened, when the old primary may have taken writes since it was proven dead.
    """
    server = job.sessions.server(plan.new_primary)
    # An idle applier stops at once, and a host that went dark by now is not to be waited for.
    stop_applier(server, proof, timeout=TORN if proof.torn else IDLE)
    if not plan.open_for_writes:
        log.info("Leaving read_only on %s as asked (--skip_disable_read_only).", server)
        return server.observe()
    end = str(recovered.end_of_log or "")
    demanded = job.config.semi_sync == "require" and server.dialect.speaks_while_commits_wait
    early = demanded and note_early_source(job.journal, server)
    job.journal.record("promote", "intent", plan.new_primary, dead=plan.dead, kind=plan.kind.value, end_of_log=end)
    try:
        job.before_opening()
    except CameBack:
        job.journal.record("promote", "not opened", plan.new_primary)
        raise
    if early:
        _begin_to_wait(job, server)
    log.info("Setting read_only=0 on %s..", server)
    state = open_for_writes(server, job.lock)
    log.info(" ok.")
    return state


def _begin_to_wait(job: FailoverJob, server: Server) -> None:
    try:
        begin_to_wait(server)
    except MhaError:
        job.journal.record("promote", "not opened", server.key)
        raise
    log.info("%s waits for acknowledgements from its first commit on (semi_sync=require).", server)


@task(name="Open the new primary again", **STEP)
def open_again(job: FailoverJob, plan: FailoverPlan, proof: Drained, recovered: AppliedBinlog) -> ServerState:
    """It was opened and is read-only since, by its restart or by what was to close it: it stays the only primary."""
    server = job.sessions.server(plan.new_primary)
    if any(channel.name == proof.channel for channel in server.observe().channels):
        stop_applier(server, proof)
    end = str(recovered.end_of_log or "")
    job.journal.record("promote", "intent", plan.new_primary, dead=plan.dead, kind=plan.kind.value, end_of_log=end)
    return open_for_writes(server, job.lock)


@task(name="Forget the old source on the new primary", **STEP)
def clean_up(job: FailoverJob, plan: FailoverPlan, proof: Drained) -> bool:
    """RESET REPLICA ALL, unless `skip_reset_slave` or --skip_change_master is set. Returns whether it was done.

    Raises ServerGone when the new primary is.
    """
    if job.config_of(plan.new_primary).skip_reset_slave:
        log.info("%s: skip_reset_slave is set, so it keeps its old replication settings.", plan.new_primary_name)
        return False
    if not plan.repoint:
        log.info("%s: --skip_change_master leaves its old replication settings, too.", plan.new_primary_name)
        return False
    server = job.sessions.server(plan.new_primary)
    check_alive(server)
    forget_source(server, proof)
    if plan.new_primary in turned((*job.past, *job.journal.entries())):
        job.journal.record(TURN, "done", plan.new_primary)
    log.info("%s: Resetting slave info succeeded.", plan.new_primary_name)
    return True
