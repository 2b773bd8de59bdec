"""What the cluster still lacks of earlier dead primaries: found on the manager or on their disks, and given on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from ...replication.actions.drained import Drained
from ...replication.actions.repoint import change_source
from ...replication.binlog.relay_position import last_complete, received_up_to
from ...replication.cluster.pool import reachable
from ...replication.errors import CannotLevel, DeadlineExceeded, HostError, LogError, NoRoom
from ...replication.local.copy_places import save_in
from ...replication.memory.journal import every_entry
from ...replication.model.position import BinlogPosition
from ...replication.model.state import GtidKind
from ...replication.reporting.job import FailoverJob
from ...replication.rescue.finding import find_logs, find_relay_logs, find_start, opened
from ...replication.rescue.kept_copies import copies
from ...replication.rescue.pointing import TURN, channel_named
from ...replication.rescue.salvage import borrow_relay_logs, shortened, up_to
from ...replication.rescue.saved import SavedBinlog
from ...replication.rescue.tail_chain import Tail, begins_in
from ...replication.source.identity import ExpectedIdentity
from ..policy import STEP
from ..save_binlog import copied
from ..step import task
from .turned import former_of

log = logging.getLogger("mha")

#: Seconds that the host of an earlier dead primary has to answer.
ASKED_WITHIN = 3.0


@task(name="Find an earlier dead primary's tail", **STEP)
def find_tail(job: FailoverJob, tail: Tail, drained: Drained, directories: Sequence[str]) -> SavedBinlog:
    """What the drained replica is to be given of it: the copy of that failover, or else what its disk still holds.

    With GTIDs the successor's own log holds all that it was opened with, too. Without them the replica stands in that
    primary's log, which the successor's relay logs hold as well, unless they were purged. Never more than that.
    Raises CannotLevel when none of them reaches back far enough.
    """
    by_gtid = tail.kind is not GtidKind.POSITION
    place = None if by_gtid else drained.executed
    found: SavedBinlog | None = None
    why = []
    if tail.end is None or (not by_gtid and place is None):
        why.append(f"up to where {tail.opened} had the log of {tail.dead} is not known")
    elif place is not None and tail.end <= place:
        return SavedBinlog(None, f"it stands at {place}, and the log of {tail.dead} was needed up to {tail.end}")
    else:
        found, said = _copied(job, tail, drained, place)
        why.append(said)
        if found is None:
            whose = ExpectedIdentity(tail.server_id, tail.uuid, tail.named)
            found, said = _on_disk(job, tail.dead, whose, drained, place, tail.end, directories)
            why.append(said)
    if found is None and by_gtid:
        whose = ExpectedIdentity(tail.opened_id, tail.opened_uuid)
        found, said = _on_disk(job, tail.opened, whose, drained, None, tail.begins, directories)
        why.append(said)
    if found is None and place is not None and tail.end is not None:
        found, said = _in_relay_logs(job, tail, drained, place)
        why.append(said)
    if found is None:
        raise CannotLevel(f"{drained.name}: lacks what {tail.opened} was opened with of {tail.dead}: {'; '.join(why)}")
    log.info("The tail of %s for %s: %s.", tail.dead, drained.name, found)
    return found


def _copied(
    job: FailoverJob, tail: Tail, drained: Drained, place: BinlogPosition | None
) -> tuple[SavedBinlog | None, str]:
    assert tail.end is not None
    state = job.sessions.server(drained.key).observe()
    for _, rescue in copies(every_entry(job.workdir, job.config.name), tail.dead):
        copy = rescue.copy
        assert copy is not None
        copy = shortened(copy, tail.end)
        try:
            begin = begins_in(copy, tail.kind, state) if place is None else None
            if begin is None if place is None else place < copy.start:
                continue
        except (LogError, OSError) as error:
            log.warning("The copy in %s cannot be used: %s", copy.directory, error)
            continue
        source = f"the binary log of {job.config_of(tail.dead).name}, from the copy in {copy.directory}"
        of = ExpectedIdentity(tail.server_id, tail.uuid)
        return SavedBinlog(copy, begin=begin, source=source, of=of, continues=True), ""
    return None, f"no copy in {job.workdir} reaches back far enough"


def _on_disk(
    job: FailoverJob,
    key: str,
    whose: ExpectedIdentity,
    drained: Drained,
    place: BinlogPosition | None,
    end: BinlogPosition | None,
    directories: Sequence[str],
) -> tuple[SavedBinlog | None, str]:
    """The binary log of the dead server ``key`` from where the replica stands, up to ``end`` where that is known."""
    dead, host = job.config_of(key), job.sessions.host(key)
    if not reachable(host, ASKED_WITHIN):
        return None, f"{dead.hostname} is not reachable over SSH"
    searched = [*dead.master_binlog_dir, *directories]
    name = f"saved_master_binlog_from_{dead.hostname}_{dead.port}_{job.stamp}"
    try:
        start = place or find_start(host, searched, job.sessions.server(drained.key).observe(), whose)
        logs = find_logs(host, searched, start.file, whose, start.pos)
        copy = copied(job, host, logs if end is None else up_to(logs, end), start, name)
    except (HostError, LogError, NoRoom, DeadlineExceeded, ValueError) as error:
        return None, str(error)
    begin = copy.start if place is None else None
    return SavedBinlog(copy, begin=begin, source=f"the binary log of {dead.name}", of=whose), ""


def _in_relay_logs(
    job: FailoverJob, tail: Tail, drained: Drained, place: BinlogPosition
) -> tuple[SavedBinlog | None, str]:
    """What the successor had received itself: all that it was opened with, where nobody gave it more."""
    opened_one, host = job.config_of(tail.opened), job.sessions.host(tail.opened)
    if not tail.relay_logs:
        return None, f"where {opened_one.name} kept its relay logs is not known"
    if not reachable(host, ASKED_WITHIN):
        return None, f"{opened_one.hostname} is not reachable over SSH"
    lent_to = job.config_of(drained.key)
    name = f"relay_logs_from_{opened_one.hostname}_{opened_one.port}_for_{lent_to.hostname}_{lent_to.port}_{job.stamp}"
    try:
        logs = find_relay_logs(host, tail.relay_logs)
        there = received_up_to(opened(host, logs))
        if tail.end is None or there is None or there < tail.end:
            return None, f"the relay logs of {opened_one.name} end at {there}, and {tail.end} is needed"
        lent = save_in(
            job.config,
            name,
            sum(each.size for each in logs),
            lambda directory: borrow_relay_logs(host, logs, place, directory, tail.server_id),
        )
        if lent is None:
            if last_complete(opened(host, logs)) == place:
                return SavedBinlog(None, f"no transaction lies between {place} and {tail.end}"), ""
            return (
                None,
                f"the relay logs of {opened_one.name} do not reach back to {place}: relay_log_purge=0 keeps them",
            )
        copy, begin = lent
        end = last_complete(copy.logs())
    except (HostError, LogError, NoRoom, DeadlineExceeded) as error:
        return None, f"the relay logs of {opened_one.name} cannot be used: {error}"
    source, of = f"the relay logs of {opened_one.name}", ExpectedIdentity(tail.server_id, tail.uuid)
    return SavedBinlog(copy, begin=begin, end=end, source=source, of=of, of_relay_logs=True), ""


@task(name="Take a replica along to the next dead primary", **STEP)
def take_along(job: FailoverJob, tail: Tail, kind: GtidKind, drained: Drained) -> Drained:
    """Point it where that tail's successor went on: it stands as if it had followed it. Nothing is started.

    Raises CannotLevel where the place is not known, StatementFailed, UnsafeStatement.
    """
    server, primary = job.sessions.server(drained.key), job.config_of(tail.opened)
    if kind is GtidKind.POSITION and tail.begins is None:
        raise CannotLevel(f"{server}: where the log of {primary.name} began when it was opened is not known")
    state = server.observe()
    former = former_of(job, state, channel_named(state, drained.channel))
    change_source(server, drained, primary, kind, tail.begins if kind is GtidKind.POSITION else None, former=former)
    if former is not None:
        job.journal.record(TURN, "done", drained.key)
    log.info("%s has all that %s was opened with, and follows its log now.", server, primary.name)
    now = channel_named(server.observe(), drained.channel)
    return replace(drained, received=now.received, executed=now.executed)
