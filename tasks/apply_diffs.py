"""Apply diffs: a replica executes what it received, then what others have, then what was saved."""

from __future__ import annotations

import contextlib
import logging
import posixpath
from collections.abc import Iterator

from prefect import task

from replication import settings
from replication.apply import apply_cut, wait_for_former
from replication.binlog.cutter import Cut
from replication.binlog.reader import LogReader, Transaction
from replication.catch_up import LEVEL_LIMIT, tell_what_was_applied, wait_executed
from replication.drain import drain, execute_all, stop_applier
from replication.errors import CannotLevel, LogError, MhaError, StatementFailed
from replication.gtid import Gtid, MariadbGtid
from replication.job import FailoverJob, Recovered, Rescue
from replication.journal import Lent, still_lent
from replication.plan import FailoverPlan
from replication.positions import BinlogPosition
from replication.promote import keep_closed, open_to_us
from replication.repoint import change_source, start_following
from replication.safety import Drained
from replication.salvage import cut_from, find_logs
from replication.server import Server
from replication.snapshots import GtidKind, ServerState
from tasks.policy import ACTING, STEP

log = logging.getLogger("mha")

#: Seconds for an application whatever its size, and the slowest rate that is still waited for (bytes per second).
APPLY_BASE, APPLY_RATE = 60.0, 50_000.0


@task(name="Execute what was received", **ACTING)
def execute_received(job: FailoverJob, plan: FailoverPlan, key: str) -> Drained:
    """Let one replica execute all it received, be it delayed on purpose; the proof that it did."""
    server = job.sessions.server(key)
    proof = _execute_all(job, plan, key)
    log.info("%s executed all that it received, up to %s.", server, proof.executed)
    return proof


def _execute_all(job: FailoverJob, plan: FailoverPlan, key: str) -> Drained:
    server, channel = job.sessions.server(key), plan.channel_of(key)
    return execute_all(server, channel, job.journal, job.past, stall=job.config.drain_timeout)


@task(name="Catch up from the most advanced replica", **ACTING)
def catch_up(job: FailoverJob, plan: FailoverPlan, key: str, proof: Drained, latest: str) -> Drained:
    """With GTIDs: let the chosen replica fetch from the most advanced one what only that received."""
    server, source = job.sessions.server(key), job.sessions.server(latest)
    channel = plan.channel_of(key)
    _execute_all(job, plan, latest)
    goal = source.observe()
    if plan.kind is GtidKind.MARIADB and any(e.step == "apply" and e.server == key for e in job.journal.entries()):
        tell_what_was_applied(server, channel)
    log.info("%s fetches what only %s received.", server, source)
    change_source(server, proof, job.config_of(latest), plan.kind, None)
    start_following(server, channel, job.config_of(latest))
    return wait_level(job, key, channel, goal)


def wait_level(job: FailoverJob, key: str, channel: str, goal: ServerState) -> Drained:
    """Wait until a replica executed everything that ``goal`` had, then stop its receiver and prove it drained."""
    server = job.sessions.server(key)
    wait_executed(server, goal, stall=job.config.drain_timeout, limit=LEVEL_LIMIT)
    server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
    return drain(server, channel, stall=job.config.drain_timeout)


@task(name="Apply what was saved", **STEP)
def apply_saved(job: FailoverJob, plan: FailoverPlan, key: str, proof: Drained, rescue: Rescue) -> Recovered:
    """Cut from the saved log what this replica lacks and apply it there.

    Safe to enter again after a crash: with GTIDs the server knows what it has; in file/position mode the replica's own
    binary log, read from where it ended before the first try, tells how many transactions of the cut are done.
    """
    server = job.sessions.server(key)
    _wait_for_former(job, key)
    state = keep_closed(server) if key == plan.new_primary else server.observe()
    start = rescue.begin or proof.executed
    if rescue.copy is None or start is None:
        return Recovered(key, server.config.name, None, state.end_of_log, source=rescue.source)
    _check_not_rebooted(job, key)
    name = f"saved_master_binlog_for_{server.config.hostname}_{server.config.port}_{job.stamp}.binlog"
    done = _already_applied(job, state, proof, start)
    cut = cut_from(rescue.copy, start, Lacking(plan.kind, state, done), job.workdir / name)
    reached = cut.last.source_end if cut.last else proof.executed
    if rescue.end is not None and (reached is None or reached < rescue.end):
        raise CannotLevel(f"{server}: the borrowed relay logs reach {reached}, not {rescue.end}: {cut.end_reason}")
    if cut.end_reason.kind != "clean":
        log.warning("The saved log ends with %s", cut.end_reason)
    if not cut.transactions:
        log.info("%s lacks nothing of the saved log.", server)
        return Recovered(key, server.config.name, cut, state.end_of_log, source=rescue.source)
    log.info("Applying %d transactions (%d bytes) of the saved log on %s.", cut.transactions, cut.bytes, server)
    # An applier that holds the torn beginning of a transaction would hold its locks, and its GTID, against us.
    stop_applier(server, proof)
    if done == 0:
        facts = {"end_of_log": str(state.end_of_log), "executed": str(proof.executed), "start": str(start)}
        job.journal.record("apply", "intent", key, **facts, transactions=cut.transactions)
    with open_to_us(server, state), _settings_for(job, server, cut):
        applied = apply_cut(
            job.sessions.host(key),
            server,
            plan.kind,
            job.workdir / name,
            cut,
            timeout=APPLY_BASE + cut.bytes / APPLY_RATE,
            seen=state,
        )
    job.journal.record("apply", "done", key, transactions=cut.transactions)
    return Recovered(key, server.config.name, cut, server.observe().end_of_log, applied.seconds, rescue.source)


@contextlib.contextmanager
def _settings_for(job: FailoverJob, server: Server, cut: Cut) -> Iterator[None]:
    """While it lasts, the server takes large statements, and many transactions without waiting for the disk."""
    wanted = settings.wanted(cut)
    now = settings.read(server, wanted)
    changed = {k: v for k, v in wanted.items() if v != now[k]}
    former = {name: now[name] for name in changed}
    lent = Lent(server.key, former, _boot_id(job, server.key))
    job.journal.record("settings", "intent", server.key, former=former, boot_id=lent.boot_id)
    try:
        settings.put(server, changed)
        yield
    finally:
        _give_back(job, lent)


@task(name="Give back the settings of a former try", **ACTING)
def give_back_settings(job: FailoverJob) -> list[str]:
    """A manager that died while it applied logs left servers with relaxed settings; returns what stays so, and why."""
    left = []
    for lent in still_lent(job.past):
        try:
            _give_back(job, lent)
            log.info("%s has its own settings again: %s.", job.config_of(lent.key).name, lent)
        except MhaError as error:
            left.append(f"{job.config_of(lent.key).name} keeps settings of the last failover, set {lent}: {error}")
            log.error("%s", left[-1])
    return left


def _give_back(job: FailoverJob, lent: Lent) -> None:
    settings.give_back(job.sessions.server(lent.key), lent.former)
    job.journal.record("settings", "done", lent.key)


def _boot_id(job: FailoverJob, key: str) -> str:
    """Which boot of the host this is; empty where it does not tell."""
    command = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || true"
    return job.sessions.host(key).run(command, action="read its boot id", timeout=5.0).stdout.strip()


def _check_not_rebooted(job: FailoverJob, key: str) -> None:
    """After a crash of the whole host with relaxed settings, its data and its log may disagree. Raises CannotLevel."""
    for lent in still_lent(job.past):
        if lent.key == key and lent.relaxed and lent.boot_id != _boot_id(job, key):
            raise CannotLevel(
                f"{job.config_of(key).name}: its host went down while a former try applied logs with {lent} relaxed; "
                "what it kept is not known, rebuild it from the new primary"
            )


class Lacking:
    """Which transactions of a log a server lacks. ``done`` are the first ones that a former try applied already."""

    def __init__(self, kind: GtidKind, state: ServerState, done: int) -> None:
        self._kind, self._state, self._done = kind, state, done

    def __call__(self, transaction: Transaction) -> bool:
        gtid = transaction.gtid
        if self._kind is GtidKind.MYSQL and isinstance(gtid, Gtid) and self._state.gtid_executed is not None:
            return gtid not in self._state.gtid_executed
        if self._kind is GtidKind.MARIADB and isinstance(gtid, MariadbGtid) and self._state.mariadb_gtid is not None:
            return not self._state.mariadb_gtid.covers(gtid)
        if self._done:
            self._done -= 1
            return False
        return True


def _wait_for_former(job: FailoverJob, key: str) -> None:
    """What a former try left running goes on for a while; what the server has is looked at only when that is over."""
    if any((e.step, e.event, e.server) == ("apply", "intent", key) for e in (*job.past, *job.journal.entries())):
        wait_for_former(job.sessions.host(key), job.config_of(key))


def _already_applied(job: FailoverJob, state: ServerState, proof: Drained, start: BinlogPosition) -> int:
    """How many transactions of the cut a former, interrupted try applied (file/position mode only)."""
    before = _end_before_first_try(job, proof, start)
    if before is None or not state.log_bin_basename:
        return 0
    directory = posixpath.dirname(state.log_bin_basename)
    host, count = job.sessions.host(state.key), 0
    first = BinlogPosition.parse(before)
    try:
        for number, remote in enumerate(find_logs(host, [directory], first.file)):
            with host.open(remote.path) as stream:
                reader = LogReader(stream, name=remote.name, size=remote.size)
                count += sum(1 for _ in reader.transactions(first.pos if number == 0 else 4))
    except (MhaError, LogError) as error:
        raise StatementFailed(
            state.name, "find out how far a former try got", f"{error}; nothing was applied now"
        ) from error
    log.info("%s holds %d transactions of a former try already.", state.name, count)
    return count


def _end_before_first_try(job: FailoverJob, proof: Drained, start: BinlogPosition) -> str | None:
    """Where the replica's own log ended before anything was applied, from this journal or the one cut short.

    A try of a replica that stood elsewhere, or of a cut that began elsewhere, was another one.
    """
    for entry in (*job.past, *job.journal.entries()):
        if (entry.step, entry.event, entry.server) != ("apply", "intent", proof.key):
            continue
        if (entry.facts["executed"], entry.facts["start"]) == (str(proof.executed), str(start)):
            return str(entry.facts["end_of_log"])
    return None
