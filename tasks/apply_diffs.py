"""Apply diffs: a replica executes what it received, then what others have, then what was saved."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial

from ..replication.actions.drain import Patience, drain, execute_all, stop_applier, stop_receiver
from ..replication.actions.drained import Drained
from ..replication.actions.promote import keep_closed
from ..replication.actions.repoint import change_source, start_following
from ..replication.binlog.cutter import Cut
from ..replication.binlog.filtered import CountingLeftOut, in_words
from ..replication.cluster.catch_up import LEVEL_LIMIT, as_logged, tell_what_was_applied, wait_executed
from ..replication.errors import (
    CannotLevel,
    DeadlineExceeded,
    MhaError,
    StoppedInTail,
    TooBusy,
)
from ..replication.model.position import BinlogPosition
from ..replication.model.state import GtidKind, ServerState
from ..replication.mysql import temporary_settings as settings
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.rescue.pointing import TURN, channel_named, leave_saved_log
from ..replication.rescue.salvage import BinlogCopy, survey_from
from ..replication.rescue.saved import AppliedBinlog, SavedBinlog
from ..replication.rescue.tails import Lacking, MissingTail, why_not_served
from .policy import STEP, once
from .rescue import pipe, serve
from .rescue.lent_settings import check_not_rebooted, lend_settings
from .rescue.turned import former_of
from .step import task

log = logging.getLogger("mha")


@task(name="Execute what was received", **STEP)
def execute_received(job: FailoverJob, plan: FailoverPlan, key: str, patience: Patience | None = None) -> Drained:
    """Let one replica execute all it received, be it delayed on purpose; the proof that it did. Raises TooBusy."""
    server = job.sessions.server(key)
    proof = _execute_all(job, plan, key, patience)
    log.info("%s executed all that it received, up to %s.", server, proof.executed)
    return proof


def _execute_all(job: FailoverJob, plan: FailoverPlan, key: str, patience: Patience | None = None) -> Drained:
    server, channel, stall = job.sessions.server(key), plan.channel_of(key), job.config.drain_timeout
    return execute_all(server, channel, job.journal, job.past, stall=stall, patience=patience)


@task(name="Catch up from the most advanced replica", **STEP)
def catch_up(
    job: FailoverJob, plan: FailoverPlan, key: str, proof: Drained, latest: str, patience: Patience
) -> Drained:
    """With GTIDs: let the chosen replica fetch from the most advanced one what only that received.

    Of one that is busy it fetches what that has executed so far, and of nobody what that executed and did not log.
    """
    server, source = job.sessions.server(key), job.sessions.server(latest)
    channel = plan.channel_of(key)
    try:
        _execute_all(job, plan, latest, patience)
    except TooBusy as error:
        log.warning("%s; what it has executed is fetched from it, the rest is in its relay logs.", error)
    goal = as_logged(source.observe())
    if plan.kind is GtidKind.MARIADB and any(e.step == "apply" and e.server == key for e in job.journal.entries()):
        tell_what_was_applied(server, channel)
    log.info("%s fetches what only %s received.", server, source)
    state = server.observe()
    former = former_of(job, state, channel_named(state, channel))
    change_source(server, proof, job.config_of(latest), plan.kind, None, former=former)
    if former is not None:
        job.journal.record(TURN, "done", key)
    try:
        start_following(server, channel, job.config_of(latest), alive=source, lend=partial(lend_settings, job))
        return wait_level(job, key, channel, goal, source)
    except MhaError:
        # What it has received stays, and can be executed without the other one, which may be dark by now.
        stop_receiver(server, channel, host=job.sessions.host(key))
        raise


def wait_level(job: FailoverJob, key: str, channel: str, goal: ServerState, source: Server | None = None) -> Drained:
    """Wait until a replica executed everything that ``goal`` had, then stop its receiver and prove it drained.

    ``source`` is whom it fetches that from: nothing is waited for that cannot come. Raises ServerError then.
    """
    server = job.sessions.server(key)
    wait_executed(server, goal, stall=job.config.drain_timeout, limit=LEVEL_LIMIT, alive=source)
    stop_receiver(server, channel, host=job.sessions.host(key))
    server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
    return drain(server, channel, stall=job.config.drain_timeout)


@task(
    name="Apply what was saved",
    **once("a failover that is resumed goes on from where the replica stands"),
)
def apply_saved(
    job: FailoverJob,
    plan: FailoverPlan,
    key: str,
    proof: Drained,
    rescue: SavedBinlog,
    patience: Patience | None = None,
) -> AppliedBinlog:
    """Give this replica what it lacks of the saved log: its own threads receive and execute it.

    A client session replays it instead only where that is proven to be the same. Safe to enter again after a crash: the
    server knows what it has, by GTIDs or by its place. Raises WayClosed when nothing that is safe leads there, and
    StoppedInTail with the replica's own words when its applier stops in it, and what ``patience`` raises.
    """
    server = job.sessions.server(key)
    pipe.wait_for_former(job, key)
    state = keep_closed(server) if key == plan.new_primary else server.observe()
    start = rescue.begin or proof.executed
    if rescue.copy is None or start is None:
        return AppliedBinlog(key, server.config.name, None, state.end_of_log, source=rescue.source)
    check_not_rebooted(job, key)
    done = pipe.already_applied(job, state, proof, start)
    filters = channel_named(state, proof.channel).filters
    wanted = CountingLeftOut(Lacking(plan.kind, state, done), filters)
    lacks = survey_from(rescue.copy, start, wanted)
    reached = lacks.last.source_end if lacks.last else proof.executed
    if rescue.end is not None and (reached is None or reached < rescue.end):
        raise CannotLevel(f"{server}: the borrowed relay logs reach {reached}, not {rescue.end}: {lacks.end_reason}")
    if lacks.end_reason.kind != "clean":
        log.warning("The saved log ends with %s", lacks.end_reason)
    if not lacks.transactions:
        log.info("%s lacks nothing of the saved log.", server)
        lent = rescue.of_relay_logs
        return AppliedBinlog(key, server.config.name, lacks, state.end_of_log, source=rescue.source, of_relay_logs=lent)
    log.info("Applying %d transactions (%d bytes) of the saved log on %s.", lacks.transactions, lacks.bytes, server)
    # An applier that holds the torn beginning of a transaction would hold its locks, and its GTID, against us.
    stop_applier(server, proof)
    case = MissingTail(plan.kind, state, channel_named(state, proof.channel), lacks, rescue, done)
    began, means, why = time.monotonic(), "", why_not_served(case)
    if not why:
        with lend_settings(job, server, settings.wanted_by_applier(lacks)):
            try:
                proof, means, why = serve.serve(job, server, proof, case, patience)
            except (CannotLevel, DeadlineExceeded) as error:
                raise _stopped(server, proof, case, error) from error
    if not means:
        pipe.check_same(server, proof, case, why)
        with lend_settings(job, server, settings.wanted(lacks)):
            means = pipe.replay(job, server, proof, case, start, why)
    seconds = time.monotonic() - began
    log.info("%s executed %d transactions of the saved log in %.2f s: %s.", server, lacks.transactions, seconds, means)
    end_of_log = server.observe().end_of_log
    if wanted.count:
        log.info("%s leaves %d of them out (%s), as it always does.", server, wanted.count, in_words(filters))
    done_so = AppliedBinlog(key, server.config.name, lacks, end_of_log, rescue.source, proof, means)
    done_so = replace(done_so, of_relay_logs=rescue.of_relay_logs)
    return replace(done_so, left_out=wanted.count, filters=in_words(filters)) if wanted.count else done_so


def _stopped(server: Server, proof: Drained, case: MissingTail, error: MhaError) -> MhaError:
    """The same error with what the replica still lacks, if that can be told."""
    copy, channel = case.rescue.copy, channel_named(server.observe(), proof.channel)
    place = channel.executed if case.kind is GtidKind.POSITION else case.lacks.start
    if copy is None or place is None:
        return error
    return StoppedInTail(str(error), kept=_lacks(server, case.kind, copy, place), copy=copy, source=case.rescue.source)


def _lacks(server: Server, kind: GtidKind, copy: BinlogCopy, place: BinlogPosition) -> Cut:
    return survey_from(copy, place, Lacking(kind, server.observe(), 0))


@task(name="Leave what was saved", **STEP)
def leave_saved(job: FailoverJob, plan: FailoverPlan, key: str, stopped: StoppedInTail) -> tuple[Drained, Cut]:
    """A replica that stopped within the saved log goes on without the rest of it, which lies on the manager.

    Returns the proof, and what it lacks: parallel appliers bring their place up to date only now.
    """
    server, channel = job.sessions.server(key), plan.channel_of(key)
    assert stopped.kept is not None
    state = server.observe()
    former = former_of(job, state, channel_named(state, channel))
    if former is None:
        return _execute_all(job, plan, key), stopped.kept
    proof = leave_saved_log(server, plan.kind, former, channel)
    job.journal.record(TURN, "done", key)
    log.warning("%s goes on without the rest of the saved log, from %s on.", server, proof.executed)
    place = proof.executed if plan.kind is GtidKind.POSITION else stopped.kept.start
    return proof, _lacks(server, plan.kind, stopped.copy, place or stopped.kept.start)
