"""Save binlog: bring what only the dead primary's disk holds to the manager."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect import task

from replication.errors import DeadlineExceeded, HostError, LogError
from replication.job import FailoverJob, Rescue
from replication.positions import BinlogPosition
from replication.safety import Drained
from replication.salvage import borrow_relay_logs, find_logs, find_relay_logs, mirror
from tasks.policy import ACTING

log = logging.getLogger("mha")


@task(name="Save the dead primary's binary log", **ACTING)
def save_binlog(job: FailoverJob, start: BinlogPosition | None, directories: Sequence[str], ssh: bool) -> Rescue:
    """Copy the dead primary's log from ``start`` to its end.

    What cannot be read is told and does not stop the failover: the replicas go on with what they have. ``directories``
    are searched after the configured ones: where the primary said its log is, while it lived.
    """
    if job.options.skip_save_master_binlog:
        return Rescue(None, "not saved: --skip_save_master_binlog was given")
    if not ssh:
        log.warning("SSH is NOT reachable. Skipping saving binlog from the dead master.")
        return Rescue(None, f"not saved: {job.dead.hostname} is not reachable over SSH")
    if start is None:
        return Rescue(None, "not saved: no replica knows its place in the dead primary's log")
    host = job.sessions.host(job.dead.address)
    target = job.workdir / f"saved_master_binlog_from_{job.dead.hostname}_{job.dead.port}_{job.stamp}"
    try:
        logs = find_logs(host, [*job.dead.master_binlog_dir, *directories], start.file)
        copy = mirror(host, logs, start, target)
    except (HostError, LogError, DeadlineExceeded) as error:
        log.error("Saving the dead master's binlog failed: %s", error)
        return Rescue(None, f"not saved: {error}")
    log.info("Saved binlog of %s: %s", job.dead.name, Rescue(copy))
    return Rescue(copy)


@task(name="Borrow the relay logs of the most advanced replica", **ACTING)
def borrow(job: FailoverJob, lender: str, proofs: Sequence[Drained]) -> dict[str, Rescue]:
    """Without GTIDs and without the dead primary's log: what the most advanced replica received, for those behind it.

    Returns what each of them can be given, by ``ip:port``; one that is level or cannot be helped is not in it.
    """
    places = {proof.key: proof.executed for proof in proofs if proof.executed is not None}
    end = places.get(lender)
    behind = {key: place for key, place in places.items() if end is not None and place < end}
    if not behind:
        return {}
    host, state = job.sessions.host(lender), job.sessions.server(lender).observe()
    config = job.config_of(lender)
    target = job.workdir / f"relay_logs_from_{config.hostname}_{config.port}_{job.stamp}"
    try:
        lent = borrow_relay_logs(host, find_relay_logs(host, state.relay_log_basename), behind, target)
    except (HostError, LogError, DeadlineExceeded) as error:
        log.error("The relay logs of %s cannot be used: %s", state.name, error)
        return {}
    if lent is None:
        log.warning("The relay logs of %s do not reach back far enough.", state.name)
        return {}
    log.info("Borrowed %d bytes of the relay logs of %s.", lent.copy.bytes, state.name)
    return {key: Rescue(lent.copy, begin=begin, end=end) for key, begin in lent.begins.items()}
