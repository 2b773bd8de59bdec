"""What a replica lacks and its new primary has purged: whether there is any, and who has a copy of it."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Sequence
from dataclasses import replace

from ...replication.cluster.catch_up import check_alive
from ...replication.errors import DeadlineExceeded, HostError, LogError, NoRoom
from ...replication.maintenance.binlog_server.archive import archive_directories
from ...replication.memory.journal import every_entry
from ...replication.model.state import GtidKind
from ...replication.reporting.job import FailoverJob
from ...replication.rescue.finding import find_logs, find_start
from ...replication.rescue.kept_copies import copies
from ...replication.rescue.purged import has_more, purged_by, still_lacks
from ...replication.rescue.saved import SavedBinlog
from ...replication.rescue.tail_chain import begins_in
from ...replication.source.identity import ExpectedIdentity
from ...replication.ssh.host import SshHost
from ..policy import STEP
from ..save_binlog import copied
from ..step import task

log = logging.getLogger("mha")


@task(name="See what the new primary has purged", **STEP)
def lacks_purged(job: FailoverJob, kind: GtidKind, holder: str, key: str) -> str:
    """What the server ``holder`` executed, has in none of its binary logs, and ``key`` lacks; empty for nothing.

    Raises ServerGone when ``holder`` is.
    """
    source = job.sessions.server(holder)
    check_alive(source)
    return still_lacks(job.sessions.server(key).observe(), purged_by(source, kind))


@task(name="Look for a copy on the manager", **STEP)
def copy_here(job: FailoverJob, kind: GtidKind, key: str) -> SavedBinlog | None:
    """A copy of the dead primary's log that a failover saved on this machine and that reaches back far enough."""
    state = job.sessions.server(key).observe()
    for _, rescue in copies((*every_entry(job.workdir, job.config.name), *job.journal.entries()), job.dead.address):
        assert rescue.copy is not None
        try:
            begin = begins_in(rescue.copy, kind, state)
        except (LogError, OSError) as error:
            log.warning("The copy in %s cannot be used: %s", rescue.copy.directory, error)
            continue
        if begin is not None:
            source = f"the binary log of {job.dead.name}, from the copy in {rescue.copy.directory}"
            return SavedBinlog(rescue.copy, begin=begin, source=source, continues=True)
    return None


@task(name="Look for a copy on the binlog servers", **STEP)
def copy_of_binlog_servers(job: FailoverJob, key: str, whose: ExpectedIdentity) -> SavedBinlog | None:
    """What a binlog server kept of the dead primary's log, from what the replica lacks on."""
    kept = replace(whose, named=(), foreign=frozenset())
    for server in job.config.binlog_servers:
        name = f"saved_binlog_{server.hostname}_{server.block}_{job.stamp}"
        source = f"the binlog server {server.hostname} [{server.block}]"
        host, directories = job.sessions.binlog_host(server.block), archive_directories(server, job.dead)
        try:
            return _copy(job, host, directories, key, kept, name, source)
        except (HostError, LogError, NoRoom, DeadlineExceeded) as error:
            log.warning("%s does not have what is missing: %s", source, error)
    return None


@task(name="Copy another server's binary log", **STEP)
def copy_of_server(job: FailoverJob, lender: str, key: str, holder: str) -> SavedBinlog:
    """The binary log of a server that logs what it executes, from what the replica lacks on.

    None of one that has what the new primary ``holder`` has not. Raises HostError's children, LogError, ServerError.
    """
    state = job.sessions.server(lender).observe()
    if not state.log_bin_basename or not state.log_replica_updates:
        return SavedBinlog(None, "it does not log what it executes")
    if has_more(state, job.sessions.server(holder).observe()):
        return SavedBinlog(None, "it has errant transactions")
    whose = ExpectedIdentity(state.server_id, state.server_uuid)
    name = f"binary_log_of_{state.hostname}_{job.stamp}"
    directories = [posixpath.dirname(state.log_bin_basename)]
    found = _copy(job, job.sessions.host(lender), directories, key, whose, name, f"the binary log of {state.name}")
    return replace(found, of=whose)


def _copy(
    job: FailoverJob,
    host: SshHost,
    directories: Sequence[str],
    key: str,
    whose: ExpectedIdentity,
    name: str,
    source: str,
) -> SavedBinlog:
    place = find_start(host, directories, job.sessions.server(key).observe(), whose)
    copy = copied(job, host, find_logs(host, directories, place.file, whose, place.pos), place, name)
    log.info("Saved %d bytes of %s.", copy.bytes, source)
    return SavedBinlog(copy, begin=copy.start, source=source)
