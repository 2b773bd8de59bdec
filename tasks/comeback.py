"""Comeback: what is done when the old primary answers while it is being replaced."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from ..replication.actions.promote import open_for_writes
from ..replication.binlog.sequence import LogSequence
from ..replication.cluster.catch_up import tell_what_was_applied
from ..replication.errors import DeadlineExceeded, HostError, MhaError, StatementFailed
from ..replication.fencing.comeback import Apart, apart, lacks
from ..replication.fencing.kill import unfence
from ..replication.fencing.lookout import Closing
from ..replication.fencing.waiting_commits import wait_again
from ..replication.memory.held_servers import HeldServers
from ..replication.memory.last_writable import OLD_PRIMARY, OPENED_AGAIN, waited_by
from ..replication.model.position import BinlogPosition
from ..replication.model.state import GtidKind, ServerState
from ..replication.mysql.log_events import transactions_behind
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.rescue.finding import find_logs, opened
from .fence import start_receiver, traces_of
from .policy import STEP
from .step import task

log = logging.getLogger("mha")

LOOK_EVERY = 0.05


@task(name="Receive what the old primary took", **STEP)
def receive_again(job: FailoverJob, plan: FailoverPlan, closing: Closing) -> tuple[str, ...]:
    """It is closed, and every replica still points at it: let them receive up to its end. Returns who has that.

    Raises StatementFailed when nobody has it within `drain_timeout` seconds without progress.
    """
    goal = closing.state.end_of_log
    assert goal is not None, "a primary writes a binary log"
    told = [e.server for e in job.journal.entries() if e.step == "apply"]

    def receive(key: str) -> bool:
        server, channel = job.sessions.server(key), plan.channel_of(key)
        if plan.kind is GtidKind.MARIADB and key in told:
            tell_what_was_applied(server, channel)
        start_receiver(job, plan, key)
        place, moved_at = None, time.monotonic()
        while True:
            found = next((c for c in server.observe().channels if c.name == channel), None)
            received = found.received if found is not None else None
            if received is not None and received >= goal:
                return True
            if received != place:
                place, moved_at = received, time.monotonic()
            if time.monotonic() - moved_at > job.config.drain_timeout:
                why = found.receiver_error if found is not None and found.receiver_error else f"it stands at {place}"
                raise StatementFailed(str(server), f"receive up to {goal} from {job.dead.name}", why)
            time.sleep(LOOK_EVERY)

    limit = job.config.drain_timeout * 4
    results = job.sessions.each(receive, [x.key for x in plan.levelings if not x.broken], timeout=limit)
    for key, result in results:
        if result is not True:
            log.error("%s", result or f"{key}: did not receive up to {goal} in time")
    level = tuple(job.config_of(key).name for key, result in results if result is True)
    if not level:
        raise StatementFailed(job.dead.name, "send what it took", "no replica received it")
    log.info("%s received what %s took, up to %s.", ", ".join(level), job.dead.name, goal)
    return level


@task(name="Open the old primary again", **STEP)
def reopen(job: FailoverJob, why: str) -> None:
    """It was closed by this failover, which ends without a new primary: it takes writes as before.

    ``why`` in words. Raises ServerError's children.
    """
    server = Server(job.dead)
    try:
        # First, or rows would be acknowledged that lie there alone.
        wait_again(server, waited_by((*job.past, *job.journal.entries()), job.dead.address))
        open_for_writes(server)
    finally:
        server.close()
    job.journal.record(OLD_PRIMARY, OPENED_AGAIN, job.dead.address)
    holds = HeldServers.of(job.config)
    if holds.get(job.dead.address) is not None:
        holds.release(job.dead.address, "failover", why)
    log.warning("%s takes writes again: %s.", job.dead.name, why)


@task(name="Take back what fencing left", **STEP)
def take_back_fencing(job: FailoverJob) -> tuple[str, ...]:
    """The failover ends without a new primary: what starts the old one may do so again. Raises HostError's children."""
    holds = HeldServers.of(job.config)
    traces = traces_of(job)
    if not traces or holds.get(job.dead.address) is not None:
        return ()
    done = unfence(job.sessions.host(job.dead.address), job.dead, traces)
    log.info("%s: %s.", job.dead.name, ", ".join(done))
    return done


@task(name="Count what the old primary took", **STEP)
def count_apart(
    job: FailoverJob,
    plan: FailoverPlan,
    closing: Closing | None,
    place: BinlogPosition | None,
    directories: Sequence[str],
) -> Apart | None:
    """What it has and the new primary lacks, by GTIDs or its log; None for nothing.

    ``closing`` is when it last said what it has, None when it was killed since; ``place`` is where in its log the new
    primary stands, with GTIDs a place before that. What cannot be counted is told so.
    """
    try:
        new = job.sessions.server(plan.new_primary).observe()
        if closing is not None and plan.kind is not GtidKind.POSITION:
            return apart(plan.kind, closing.state, new)
        if place is None:
            raise StatementFailed(job.dead.name, "count", "where the new primary stands in its log is not known")
        by_gtid = None if plan.kind is GtidKind.POSITION else new
        try:
            count, last = _over_ssh(job, by_gtid, place, directories)
        except (HostError, DeadlineExceeded):
            if closing is None:
                raise
            count, last = _over_sql(job, place)
        return Apart(f"{place} to {last}", count) if count else None
    except MhaError as error:
        log.error("What %s took while it was replaced cannot be counted: %s", job.dead.name, error)
        where = f"whatever it took behind {place}" if place else "whatever it took"
        return Apart(where, None, str(error))


def _over_ssh(
    job: FailoverJob, new: ServerState | None, place: BinlogPosition, directories: Sequence[str]
) -> tuple[int, BinlogPosition]:
    host, searched = job.sessions.host(job.dead.address), [*job.dead.master_binlog_dir, *directories]
    logs = opened(host, find_logs(host, searched, place.file))
    last, count = place, 0
    for transaction in LogSequence(logs, place.pos):
        if new is None or lacks(new, transaction.gtid):
            count += 1
            last = BinlogPosition(transaction.log, transaction.end)
    return count, last


def _over_sql(job: FailoverJob, place: BinlogPosition) -> tuple[int, BinlogPosition]:
    server = Server(job.dead)
    try:
        return transactions_behind(server, place)
    finally:
        server.close()
