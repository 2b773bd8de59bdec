"""Save binlog: bring what only the dead primary's disk holds to the manager."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect import task

from replication.errors import DeadlineExceeded, HostError, LogError
from replication.job import FailoverJob, Rescue
from replication.positions import BinlogPosition
from replication.salvage import find_logs, mirror
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
