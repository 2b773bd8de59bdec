"""Verify: look at the whole cluster once more; what is said in the report was seen here."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..replication.actions.repoint import follows
from ..replication.cluster.catch_up import LEVEL_LIMIT, check_alive, wait_executed
from ..replication.cluster.pool import with_writers
from ..replication.errors import MhaError, ServerError
from ..replication.fencing.read_only import close_for_writes
from ..replication.memory.held_servers import HeldServers
from ..replication.mysql.server import Server
from ..replication.mysql.temporary_settings import DURABILITY, left_lent
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.reporting.outcome import ReplicaOutcome
from ..replication.rescue.saved import AppliedBinlog
from .policy import STEP
from .select import UNCONNECTED
from .step import task

log = logging.getLogger("mha")

LENT = (
    f"still has sync_binlog={DURABILITY['sync_binlog']}, which another manager set to apply logs before it died: its "
    "commits do not wait for the disk; set sync_binlog and innodb_flush_log_at_trx_commit to what its my.cnf says"
)


@dataclass(frozen=True)
class Verified:
    """How every replica came out, what is left to do, and what people should know of the others."""

    replicas: tuple[ReplicaOutcome, ...]
    undone: tuple[str, ...]
    notes: tuple[str, ...] = ()


@task(name="Verify every server", **STEP)
def verify(
    job: FailoverJob, plan: FailoverPlan, promoted: AppliedBinlog, replicas: Sequence[ReplicaOutcome]
) -> Verified:
    """Each replica runs, follows the new primary and, when asked, has executed what the new primary began with.

    Nobody keeps the settings that a manager lent which died on another host: its journal is not here. Raises ServerGone
    when the new primary is.
    """
    primary, new = job.config_of(plan.new_primary), job.sessions.server(plan.new_primary)
    check_alive(new)
    goal = new.observe()
    if plan.open_for_writes and not goal.writable:
        log.error("%s is read-only after it was opened.", goal.name)
    undone = (f"{goal.name} {LENT}",) if left_lent(new) else ()
    for each in undone:
        log.error("%s", each)

    late_on_purpose = {x.key for x in plan.levelings if x.delay}

    def look(before: ReplicaOutcome) -> ReplicaOutcome:
        server = job.sessions.server(before.key)
        if job.options.wait_until_gtid_in_sync and before.key not in late_on_purpose:
            wait_executed(server, goal, stall=job.config.drain_timeout, limit=LEVEL_LIMIT)
        state = server.observe()
        channel = follows(state, plan.channel_of(before.key), primary)
        if channel is None or channel.receiver != "Yes" or not channel.applier_running:
            return ReplicaOutcome(before.key, before.name, False, f"does not replicate from {primary.name}")
        if left_lent(server):
            return ReplicaOutcome(before.key, before.name, False, f"{before.detail}; it {LENT}")
        return before

    checked = job.sessions.each(look, [r for r in replicas if r.ok], timeout=LEVEL_LIMIT + 20.0)
    seen = {before.key: _outcome(before, result) for before, result in checked}
    closed, notes = _open_beside(job, plan)
    return Verified(tuple(seen.get(r.key, r) for r in replicas), (*undone, *closed), notes)


def _open_beside(job: FailoverJob, plan: FailoverPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who else can be written: one that took writes of its own is closed and is something left to do; others are told.

    Some sites leave their replicas writable.
    """
    others = [s for s in job.config.servers if s.address not in (plan.new_primary, plan.dead)]
    cluster = with_writers(job.sessions, job.sessions.observe(others, unconnected=UNCONNECTED))
    undone, notes = [], []
    for state in cluster.up:
        if state.key in cluster.writing:
            undone.append(f"{state.name} took writes beside the new primary: {_closed(job, state.key)}")
        elif state.writable:
            notes.append(f"{state.name} can be written (read_only=0), as it could before")
    for line in undone:
        log.error("%s", line)
    return tuple(undone), tuple(notes)


def _closed(job: FailoverJob, key: str) -> str:
    try:
        return str(close_for_writes(job.sessions.server(key)))
    except ServerError as error:
        return f"it could not be closed: {error}"


@task(name="See whether the old primary stays away", **STEP)
def old_primary_stays_away(job: FailoverJob) -> str:
    """If it answers again, it is made read-only at once; the sentence for the report, empty when it is gone."""
    server = Server(job.dead)
    try:
        server.connect(1.0)
        closed = close_for_writes(server)
        if not closed.was_open:
            return f"{job.dead.name} answers again; it is read-only."
        HeldServers.of(job.config).closed(server.key, how=str(closed), seconds=closed.seconds)
        return f"{job.dead.name} answered again and took writes; it was {closed}."
    except ServerError as error:
        return f"{job.dead.name} answers again, and it could not be closed: {error}." if error.answered else ""
    finally:
        server.close()


def _outcome(before: ReplicaOutcome, result: ReplicaOutcome | MhaError | None) -> ReplicaOutcome:
    if isinstance(result, ReplicaOutcome):
        return result
    return ReplicaOutcome(before.key, before.name, False, str(result or "did not catch up in time"))
