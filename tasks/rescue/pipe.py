"""A client session replays a saved log on the replica's host: only what is proven to be the same as replication."""

from __future__ import annotations

import logging
import posixpath

from ...replication.actions.drained import Drained
from ...replication.actions.promote import open_to_us
from ...replication.binlog.reader import LogReader
from ...replication.errors import HostError, LogError, MhaError, StatementFailed, WayClosed
from ...replication.model.position import BinlogPosition
from ...replication.model.state import ServerState
from ...replication.mysql.server import Server
from ...replication.reporting.job import FailoverJob
from ...replication.rescue.apply import apply_cut
from ...replication.rescue.apply import wait_for_former as wait_on_host
from ...replication.rescue.finding import find_logs
from ...replication.rescue.salvage import cut_from
from ...replication.rescue.tails import Lacking, MissingTail, why_not_replayed

log = logging.getLogger("mha")

#: Seconds for an application whatever its size, and the slowest rate that is still waited for (bytes per second).
APPLY_BASE, APPLY_RATE = 60.0, 50_000.0


def check_same(server: Server, proof: Drained, case: MissingTail, why: str) -> None:
    """Raise WayClosed where a session may do something else than the replica's applier.

    ``why`` is why its own threads could not be given it.
    """
    row = next((r for r in server.show_channels() if server.dialect.channel(r).name == proof.channel), {})
    if not_same := why_not_replayed(case.lacks, row):
        raise _closed(server, case, f"served to it ({why}), nor replayed: {not_same}")


def _closed(server: Server, case: MissingTail, sentence: str) -> WayClosed:
    copy, source = case.rescue.copy, case.rescue.source
    directory = str(copy.directory) if copy is not None else ""
    text = f"{server}: what was saved cannot be {sentence}"
    return WayClosed(text, kept=case.lacks, directory=directory, source=source)


def replay(job: FailoverJob, server: Server, proof: Drained, case: MissingTail, start: BinlogPosition, why: str) -> str:
    """Cut what the replica lacks, send it to its host and run it there; how it was done, in words.

    Raises WayClosed without SSH to its host, before anything is done there; HostError's children, StatementFailed.
    """
    key, rescue = server.key, case.rescue
    assert rescue.copy is not None
    try:
        job.sessions.host(key).connect()
    except HostError as error:
        raise _closed(server, case, f"served to it ({why}), nor replayed: {error}") from error
    log.warning("A session replays on %s what was saved, because it cannot be served: %s.", server, why)
    name = f"saved_master_binlog_for_{server.config.hostname}_{server.config.port}_{job.stamp}.binlog"
    # Where the copy has found room.
    directory = rescue.copy.directory if rescue.copy.directory.parent != job.workdir else job.workdir
    try:
        cut = cut_from(rescue.copy, start, Lacking(case.kind, case.state, case.done), directory / name)
    except OSError as error:
        raise _closed(server, case, f"served to it ({why}), nor cut for a session: {error}") from error
    if case.done == 0:
        facts = {"end_of_log": str(case.state.end_of_log), "executed": str(proof.executed), "start": str(start)}
        job.journal.record("apply", "intent", key, **facts, transactions=cut.transactions)
    with open_to_us(server, case.state):
        apply_cut(
            job.sessions.host(key),
            server,
            case.kind,
            directory / name,
            cut,
            timeout=APPLY_BASE + cut.bytes / APPLY_RATE,
            seen=case.state,
        )
    job.journal.record("apply", "done", key, transactions=cut.transactions)
    return "replayed by a session on its host"


def wait_for_former(job: FailoverJob, key: str) -> None:
    """What a former try left running goes on for a while; what the server has is looked at only when that is over."""
    if any((e.step, e.event, e.server) == ("apply", "intent", key) for e in (*job.past, *job.journal.entries())):
        wait_on_host(job.sessions.host(key), job.config_of(key))


def already_applied(job: FailoverJob, state: ServerState, proof: Drained, start: BinlogPosition) -> int:
    """How many transactions of the cut a former, interrupted try applied (file/position mode only)."""
    before = _end_before_first_try(job, proof, start)
    if before is None or not state.log_bin_basename:
        return 0
    directory = posixpath.dirname(state.log_bin_basename)
    host, count = job.sessions.host(state.key), 0
    first = BinlogPosition.parse(before)
    try:
        for number, remote in enumerate(find_logs(host, [directory], first.file)):
            with host.open(remote.path, links=False) as stream:
                reader = LogReader(stream, name=remote.name, size=remote.size)
                count += sum(1 for _ in reader.transactions(first.pos if number == 0 else 4))
    except (MhaError, LogError) as error:
        raise StatementFailed(
            state.name, "find out how far a former try got", f"{error}; nothing was applied now"
        ) from error
    log.info("%s already has %d transactions of an earlier try.", state.name, count)
    return count


def _end_before_first_try(job: FailoverJob, proof: Drained, start: BinlogPosition) -> str | None:
    """Where the replica's own log ended before anything was applied, from this journal or the one interrupted.

    A try of a replica that stood elsewhere, or of a cut that began elsewhere, was another one.
    """
    for entry in (*job.past, *job.journal.entries()):
        if (entry.step, entry.event, entry.server) != ("apply", "intent", proof.key):
            continue
        executed, began, end = entry.read(lambda facts: (facts["executed"], facts["start"], facts["end_of_log"]))
        if (executed, began) == (str(proof.executed), str(start)):
            return str(end)
    return None
