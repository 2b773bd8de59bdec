"""Follow the new primary: one of the other replicas, after a planned switch."""

from __future__ import annotations

import logging
import time

from ...replication.actions.drain import execute_all, stop_receiver
from ...replication.actions.repoint import LOOK_EVERY, change_source, follows, start_following
from ...replication.errors import CannotLevel, DeadlineExceeded, StatementFailed
from ...replication.memory.journal import lifted_delays
from ...replication.model.state import GtidKind
from ...replication.mysql.server import Server
from ...replication.planning.role_plan import ReplicaRecovery
from ...replication.reporting.outcome import ReplicaOutcome
from ...replication.switchover.job import HandedOver, SwitchJob
from ...replication.switchover.write_lock import EndOfLog
from ..policy import STEP
from ..step import task

log = logging.getLogger("mha")


@task(name="Point a replica at the new primary", task_run_name="Point {replica.name} at the new primary", **STEP)
def follow_new(job: SwitchJob, replica: ReplicaRecovery, handed: HandedOver) -> ReplicaOutcome:
    """Receive the old primary's log to its end, execute it, CHANGE, start, and see both threads run."""
    server, primary = job.sessions.server(replica.key), job.new
    if follows(server.observe(), replica.channel, primary) is None:
        _receive_to(server, replica.channel, handed.end, stall=job.config.drain_timeout)
        stop_receiver(server, replica.channel)
        proof = execute_all(server, replica.channel, job.journal, job.past, stall=job.config.drain_timeout)
        if job.plan.kind is GtidKind.POSITION and proof.executed != handed.end.position:
            raise CannotLevel(
                f"{server}: it executed the old primary's log up to {proof.executed}, not to its end at "
                f"{handed.end.position}; it was left as it is"
            )
        position = handed.target_end if job.plan.kind is GtidKind.POSITION else None
        delay = lifted_delays((*job.past, *job.journal.entries())).get(replica.key)
        change_source(server, proof, primary, job.plan.kind, position, delay=delay)
    start_following(server, replica.channel, primary)
    log.info("%s: OK: Slave started, replicating from %s", server, primary.name)
    return ReplicaOutcome(replica.key, replica.name, True, f"replicates from {primary.name}")


def _receive_to(server: Server, channel: str, end: EndOfLog, *, stall: float) -> None:
    """Wait until the replica received everything; as long as more comes, and ``stall`` seconds without any."""
    moved_at, seen = time.monotonic(), None
    while True:
        now = next((c for c in server.observe().channels if c.name == channel), None)
        if now is None:
            raise StatementFailed(str(server), "receive the old primary's log", f"it has no channel {channel!r}")
        if now.received is not None and now.received >= end.position:
            return
        if now.receiver_stopped:
            raise CannotLevel(
                f"{server}: its receiver does not run ({now.receiver_error or 'stopped'}), and the end of the old "
                f"primary's log, {end.position}, is not received yet"
            )
        if now.received != seen:
            seen, moved_at = now.received, time.monotonic()
        elif time.monotonic() - moved_at > stall:
            raise DeadlineExceeded(f"{server}: receive the old primary's log", stall, f"{now.received} of {end}")
        time.sleep(LOOK_EVERY)
