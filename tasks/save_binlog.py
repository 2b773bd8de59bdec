"""Save binlog: bring what only the dead primary's disk holds to the manager."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..replication.binlog.events import MAGIC
from ..replication.binlog.relay_position import last_complete
from ..replication.deadline import Deadline, within
from ..replication.errors import (
    DeadlineExceeded,
    HostError,
    LogEncrypted,
    LogError,
    MhaError,
    NoRoom,
    ServerError,
)
from ..replication.local.copy_places import save_in
from ..replication.maintenance.binlog_server.archive import archive_directories
from ..replication.model.errant import errant
from ..replication.model.position import BinlogPosition
from ..replication.model.state import ServerState
from ..replication.planning.selection import lacks_received
from ..replication.reporting.job import FailoverJob
from ..replication.rescue.ahead import CopyAhead
from ..replication.rescue.finding import RemoteLog, find_logs, find_relay_logs, find_start, opened
from ..replication.rescue.kept_copies import kept, remember
from ..replication.rescue.salvage import BinlogCopy, borrow_relay_logs, mirror
from ..replication.rescue.saved import SavedBinlog
from ..replication.source.identity import ExpectedIdentity, Received, last_event_received
from ..replication.ssh.host import SshHost
from .policy import STEP
from .step import task

log = logging.getLogger("mha")

#: Seconds that a replica's host has to tell what was received last; the log proves whose it is without that, too.
PROOF_TIMEOUT = 1.0
#: Bytes that are copied beside the fencing at most: where sshd allows one channel, that waits for it.
AHEAD = 8 << 20


@task(name="Save the dead primary's binary log", **STEP)
def save_binlog(
    job: FailoverJob,
    start: BinlogPosition | None,
    directories: Sequence[str],
    ssh: bool,
    key: str,
    whose: ExpectedIdentity,
) -> SavedBinlog:
    """Copy the dead primary's log from ``start`` to its end; without a place, from what the server ``key`` lacks on.

    What cannot be read is told and does not stop the failover: the replicas go on with what they have. ``directories``
    are searched after the configured ones; what is found has to prove that it is the log of ``whose``.
    """
    if job.options.skip_save_master_binlog:
        return SavedBinlog(None, "not saved: --skip_save_master_binlog was given")
    if not ssh:
        log.warning("SSH is NOT reachable. Skipping saving binlog from the dead master.")
        return _of_a_former_run(job, key, start, f"not saved: {job.dead.hostname} is not reachable over SSH")
    host = job.sessions.host(job.dead.address)
    searched = [*job.dead.master_binlog_dir, *directories]
    log.info("Reading the binary log of %s over SSH, from %s on.", job.dead.name, start or f"what {key} lacks")

    def save() -> BinlogCopy:
        early = job.ahead.taken(start, (searched, whose)) if job.ahead is not None else None
        if early is not None:
            return early
        place = start or find_start(host, searched, job.sessions.server(key).observe(), whose)
        return _copied_from(job, place, searched, key, whose)[0]

    try:
        copy = save() if job.salvage_policy != "availability" else _in_time(job, host, save)
    except (HostError, LogError, NoRoom, DeadlineExceeded) as error:
        log.error("Saving the dead master's binlog failed: %s", error)
        rescue = _of_a_former_run(job, key, start, f"not saved: {error}")
        if rescue.copy is None and isinstance(error, LogEncrypted) and start is not None:
            return replace(rescue, log_end=_end_by_size(host, searched, start, whose, error.head))
        return replace(rescue, no_room=rescue.copy is None and isinstance(error, NoRoom))
    log.info("Saved binlog of %s: %s", job.dead.name, SavedBinlog(copy))
    begin = copy.start if start is None else None
    source = f"the binary log of {job.dead.name}"
    rescue = SavedBinlog(copy, begin=begin, source=source, no_room=copy.no_room)
    remember(job.journal, job.dead.address, key, rescue)
    return rescue


def copy_ahead(
    job: FailoverJob, start: BinlogPosition, directories: Sequence[str], key: str, whose: ExpectedIdentity
) -> None:
    """Begin to copy what `save_binlog` will want, beside the fencing; that takes it where nothing has moved by then."""
    searched = [*job.dead.master_binlog_dir, *directories]
    copying = partial(_copied_from, job, start, searched, key, whose, at_most=AHEAD)
    job.ahead = CopyAhead(job.sessions.host(job.dead.address), (searched, whose), copying)


def _copied_from(
    job: FailoverJob,
    start: BinlogPosition,
    searched: Sequence[str],
    key: str,
    whose: ExpectedIdentity,
    at_most: int | None = None,
) -> tuple[BinlogCopy, tuple[RemoteLog, ...]]:
    host = job.sessions.host(job.dead.address)
    logs = find_logs(host, searched, start.file, replace(whose, received=_received(job, key)), start.pos)
    if at_most is not None and sum(each.size for each in logs) - start.pos > at_most:
        raise NoRoom(f"more than {at_most} bytes are to be copied")
    name = f"saved_master_binlog_from_{job.dead.hostname}_{job.dead.port}_{job.stamp}"
    return copied(job, host, logs, start, name), logs


def _end_by_size(
    host: SshHost, directories: Sequence[str], start: BinlogPosition, whose: ExpectedIdentity, head: int
) -> BinlogPosition | None:
    """Where a log ends that nobody can read: encrypted it is as long as in clear, behind ``head`` bytes.

    None where the host answers no more.
    """
    try:
        last = find_logs(host, directories, start.file, whose, start.pos)[-1]
    except HostError as error:
        log.warning("How long the dead master's binlog is, is not known: %s", error)
        return None
    return BinlogPosition(last.name, max(0, last.size - head))


def _of_a_former_run(job: FailoverJob, key: str, start: BinlogPosition | None, why_not: str) -> SavedBinlog:
    """What a run that was interrupted had saved already, when it cannot be saved again."""
    rescue = kept(job.past, job.dead.address, key, start)
    if rescue is None:
        return SavedBinlog(None, why_not)
    log.warning("%s; what a former run had saved is used: %s", why_not, rescue)
    remember(job.journal, job.dead.address, key, rescue)
    return rescue


def copied(job: FailoverJob, host: SshHost, logs: Sequence[RemoteLog], start: BinlogPosition, name: str) -> BinlogCopy:
    """`mirror`, into a new directory of this name where there is room. Raises what that does, and NoRoom."""
    needed = sum(each.size for each in logs) - start.pos
    return save_in(job.config, name, needed, lambda directory: mirror(host, logs, start, directory))


def _received(job: FailoverJob, key: str) -> Received | None:
    """The last event that a replica has of the dead primary's log, when its host tells soon enough."""
    try:
        state = job.sessions.server(key).observe()
        reading = partial(last_event_received, job.sessions.host(key), state, job.dead)
        return within(reading, Deadline(PROOF_TIMEOUT), "read a replica's relay log")
    except MhaError as error:
        log.debug("What %s received last is not known: %s", key, error)
        return None


def _in_time(job: FailoverJob, host: SshHost, save: Callable[[], BinlogCopy]) -> BinlogCopy:
    """Save, but not longer than the policy waits. Raises DeadlineExceeded after that."""
    limit = job.config.salvage_timeout
    ((_, result),) = job.sessions.each(lambda call: call(), [save], timeout=limit)
    if isinstance(result, MhaError):
        raise result
    if result is None:
        host.close()
        raise DeadlineExceeded("save the binary log (salvage_policy=availability)", limit)
    return result


@task(name="Save the binary log from the binlog servers", **STEP)
def save_from_binlog_servers(
    job: FailoverJob, start: BinlogPosition, received: BinlogPosition | None, whose: ExpectedIdentity
) -> SavedBinlog:
    """Copy the dead primary's log from the binlog server that has the most of it, when that is more than ``received``.

    One that has no more than the replicas is of no use here, and one that cannot be asked is told.
    """
    best, why, looked_at = SavedBinlog(None), [], set()
    # What is acknowledged after this look was not looked at.
    withheld = job.withheld.asked()
    for server in job.config.binlog_servers:
        host = job.sessions.binlog_host(server.block)
        name = f"saved_binlog_{server.hostname}_{server.block}_{job.stamp}"
        try:
            kept = replace(whose, named=(), foreign=frozenset())
            logs = find_logs(host, archive_directories(server, job.dead), start.file, kept, start.pos)
            end = BinlogPosition(logs[-1].name, logs[-1].size)
            looked_at.add(server.block)
            if end <= max(x for x in (start, received) if x is not None):
                why.append(f"{server.hostname} [{server.block}] ends at {end}, no replica lacks anything of it")
            elif best.copy is None or best.copy.end < end:
                copy = copied(job, host, logs, start, name)
                best = SavedBinlog(copy, source=f"the binlog server {server.hostname} [{server.block}]")
                log.info("Saved binlog from the binlog server %s [%s]: %s", server.hostname, server.block, best)
        except (HostError, LogError, NoRoom, DeadlineExceeded) as error:
            log.error("The binlog server %s [%s] cannot be used: %s", server.hostname, server.block, error)
            looked_at.discard(server.block)
            why.append(str(error))
    found = best if best.copy is not None else SavedBinlog(None, "; ".join(why))
    # Nor was what is acknowledged while it is copied.
    return replace(found, looked_at=tuple(sorted(looked_at & withheld & job.withheld.unbroken())))


@task(name="Borrow the relay logs of another replica", **STEP)
def borrow(
    job: FailoverJob,
    lender: str,
    taker: str,
    place: BinlogPosition | None,
    end: BinlogPosition | None,
    remembered: ServerState | None = None,
) -> SavedBinlog | None:
    """Without GTIDs and without the dead primary's log: what another replica received behind where the taker stands.

    ``end`` is where the lender stands; None to find out, when its applier is broken, or it answers no more and only its
    disk can be asked: then ``remembered`` is what it said last. Returns None when its relay logs do not reach back far
    enough, and a Rescue without a copy when they show that no transaction lies between.
    """
    if place is None:
        return None
    state = _answers_or(job, lender, remembered)
    try:
        host, logs = job.sessions.host(lender), _relay_logs(job, state)
        channel = state.channel_from(job.dead.hostname, job.dead.ip, job.dead.port) or state.rescued_channel
        server_id = channel.source_server_id if channel is not None else 0
        lent = save_in(
            job.config,
            _copies(job, lender, taker),
            sum(each.size for each in logs),
            lambda directory: borrow_relay_logs(host, logs, place, directory, server_id),
        )
        if lent is None and last_complete(opened(host, logs)) == place:
            return SavedBinlog(None, f"no transaction lies between {place} and {end}")
        if lent is None:
            log.warning("The relay logs of %s do not reach back far enough, to %s.", state.name, place)
            return None
        copy, begin = lent
        reached = end or last_complete(copy.logs())
    except (HostError, LogError, NoRoom, DeadlineExceeded) as error:
        log.error("The relay logs of %s cannot be used: %s", state.name, error)
        return None
    log.info("Borrowed %d bytes of the relay logs of %s.", copy.bytes, state.name)
    return SavedBinlog(copy, begin=begin, end=reached, source=f"the relay logs of {state.name}", of_relay_logs=True)


@task(name="Borrow what a broken replica did not execute", **STEP)
def borrow_unexecuted(
    job: FailoverJob, lender: str, target: str, remembered: ServerState | None = None
) -> SavedBinlog | None:
    """With GTIDs: all relay logs of a replica whose applier is broken, when they hold what the target lacks.

    ``remembered`` is of one that answers no more: its disk is asked in any case. Raises HostError's children, LogError,
    and ServerError.
    """
    ours = job.sessions.server(target).observe()
    theirs = remembered or job.sessions.server(lender).observe()
    if remembered is None and not lacks_received(ours, theirs):
        return None
    logs = _relay_logs(job, theirs)
    if not logs:
        return None
    begin = BinlogPosition(logs[0].name, len(MAGIC))
    copy = copied(job, job.sessions.host(lender), logs, begin, _copies(job, lender, target))
    log.info("Borrowed %d bytes of the relay logs of %s.", copy.bytes, theirs.name)
    return SavedBinlog(copy, begin=begin, source=f"the relay logs of {theirs.name}", of_relay_logs=True)


@task(name="Borrow the binary log of a replica that answers no more", **STEP)
def borrow_own_log(job: FailoverJob, lender: str, target: str, remembered: ServerState) -> SavedBinlog | None:
    """With GTIDs: what it executed of the dead primary's log stands in its own, and its relay logs may be purged.

    None where it logs nothing of it, or has written what no other replica has. Raises HostError's children, LogError,
    and ServerError.
    """
    ours, host = job.sessions.server(target).observe(), job.sessions.host(lender)
    if not remembered.log_bin_basename or not remembered.log_replica_updates:
        return None
    followers = [(state, state.channels[0]) for state in (ours, remembered) if state.channels]
    if lender in errant(followers):
        log.warning("The binary log of %s holds errant transactions, and is not used.", remembered.name)
        return None
    whose = ExpectedIdentity(remembered.server_id, remembered.server_uuid)
    directories = [posixpath.dirname(remembered.log_bin_basename)]
    place = find_start(host, directories, ours, whose)
    logs = find_logs(host, directories, place.file, whose, place.pos)
    copy = copied(job, host, logs, place, _copies(job, lender, target))
    log.info("Borrowed %d bytes of the binary log of %s.", copy.bytes, remembered.name)
    return SavedBinlog(copy, begin=copy.start, source=f"the binary log of {remembered.name}", of=whose)


def _answers_or(job: FailoverJob, key: str, remembered: ServerState | None) -> ServerState:
    """A server as it is now, or as it was seen last. Raises ServerError without either."""
    try:
        return job.sessions.server(key).observe()
    except ServerError:
        if remembered is None:
            raise
        return remembered


def _relay_logs(job: FailoverJob, state: ServerState) -> tuple[RemoteLog, ...]:
    return find_relay_logs(job.sessions.host(state.key), state.relay_log_basename)


def _copies(job: FailoverJob, lender: str, taker: str) -> str:
    lent, for_ = job.config_of(lender), job.config_of(taker)
    return f"relay_logs_from_{lent.hostname}_{lent.port}_for_{for_.hostname}_{for_.port}_{job.stamp}"
