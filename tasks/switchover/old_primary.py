"""The old primary after a planned switch: nobody works there any more; it becomes a replica when asked."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ...replication.actions.repoint import follows, start_following
from ...replication.actions.semi_sync import take_roles
from ...replication.errors import UnsafeStatement
from ...replication.mysql.dialects.for_people import opened_first
from ...replication.reporting.outcome import ReplicaOutcome
from ...replication.reporting.statement import STATEMENT, statement
from ...replication.switchover.demote import become_replica, stray_writes
from ...replication.switchover.job import HandedOver, Preparation, SwitchJob
from ...replication.workload.client_sessions import end_client_sessions, holders_of_locks
from ..policy import STEP
from ..step import task

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Ended:
    """How many sessions of applications were ended on the old primary."""

    sessions: int


@task(name="End sessions on the old primary", **STEP)
def end_sessions(job: SwitchJob) -> Ended:
    """Whoever came here after writes were stopped gets an error too, and connects anew: to the new primary."""
    server = job.sessions.server(job.plan.old)
    ended = end_client_sessions(server, {*job.stop.threads, *holders_of_locks(server)})
    log.info("Ended %d sessions on %s.", ended, server)
    return Ended(ended)


@task(name="Let go of the old primary", **STEP)
def let_go(job: SwitchJob, handed: HandedOver) -> ReplicaOutcome:
    """Release the lock; it stays read-only. What was written all the same is found and told."""
    server = job.sessions.server(job.plan.old)
    job.stop.release()
    # Where a second command finishes the switch it may be a replica already, whose log goes on with what it receives.
    follows_already = follows(server.observe(), job.plan.target.channel, job.new) is not None
    stray = "" if follows_already else stray_writes(server, handed.end)
    if stray:
        raise UnsafeStatement(stray)
    return ReplicaOutcome(job.plan.old, job.plan.old_name, True, "is read-only, a replica of nobody")


def how_to_return(job: SwitchJob, ready: Preparation, handed: HandedOver) -> tuple[str, ...]:
    """The statement that makes it a replica, for a person to type: it has all that the new primary began with."""
    channel, dialect = job.plan.target.channel, job.sessions.server(job.plan.old).dialect
    typed = statement(dialect, channel, job.old, job.new, job.plan.kind, handed.target_end, ready.like)
    if not typed:
        return ()
    log.info(STATEMENT, typed)
    return (f"To make {job.plan.old_name} a replica of {job.plan.new_primary_name}: {opened_first(dialect)}{typed}",)


@task(name="Make the old primary a replica", **STEP)
def make_replica(job: SwitchJob, ready: Preparation, handed: HandedOver) -> ReplicaOutcome:
    """CHANGE … TO the new primary, with the account the other replicas use; then start and see both threads run."""
    server, channel = job.sessions.server(job.plan.old), job.plan.target.channel
    if follows(server.observe(), channel, job.new) is None:
        take_roles(server, ready.target_roles)
        secret = job.old.repl_password
        account = (job.plan.repl_user, secret.get_secret_value() if secret else "")
        become_replica(server, channel, job.new, job.plan.kind, ready.like, handed.target_end, account)
    start_following(server, channel, job.new)
    job.address.let_read(job.old)
    log.info("%s: OK: replicates from %s, read-only.", server, job.plan.new_primary_name)
    return ReplicaOutcome(job.plan.old, job.plan.old_name, True, f"replicates from {job.plan.new_primary_name}")
