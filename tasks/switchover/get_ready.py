"""Get ready: everything that a planned switch can do while writes still flow."""

from __future__ import annotations

import logging
import time

from ...replication.actions import checkpoint_period as checkpoint
from ...replication.actions.scheduled_events import read_events
from ...replication.actions.semi_sync import read_roles
from ...replication.deadline import Deadline
from ...replication.errors import DeadlineExceeded
from ...replication.model.state import GtidKind
from ...replication.mysql.dialects import channel_name
from ...replication.switchover.handover import wait_until_executed
from ...replication.switchover.job import Preparation, SwitchJob
from ...replication.switchover.write_lock import read_former
from ..policy import STEP
from ..step import task

log = logging.getLogger("mha")

#: Seconds for the flush of tables that makes the lock cheap.
FLUSH_WITHIN = 2.0
#: A new primary that is so near (seconds) is not waited for to get nearer, and at most so long.
NEAR, NEAR_WITHIN = 0.02, 3.0


@task(name="Get ready while writes flow", **STEP)
def get_ready(job: SwitchJob) -> Preparation:
    """Sessions are opened, former values read, tables flushed if asked, and the new primary is seen to be level.

    The only things changed are the flush, and how often the new primary notes its place, which is journaled.
    """
    target = job.sessions.server(job.plan.new_primary)
    old = job.sessions.server(job.plan.old)
    former = job.stop.prepare()
    seen = target.observe()
    channel = job.plan.target.channel
    ready = Preparation(
        former=former,
        target_former=read_former(target),
        target_gtids=seen.mariadb_gtid,
        events=read_events(old),
        old_roles=read_roles(old),
        target_roles=read_roles(target),
        like=next(row for row in target.show_channels() if channel_name(row) == channel),
    )
    if job.options.flush_tables and job.stop.flush_tables(seconds=FLUSH_WITHIN):
        log.info("Executed FLUSH NO_WRITE_TO_BINLOG TABLES on %s.", old)
    if job.plan.kind is GtidKind.POSITION:
        _shorten_checkpoints(job)
    _see_level(job, ready)
    return ready


def _shorten_checkpoints(job: SwitchJob) -> None:
    target = job.sessions.server(job.plan.new_primary)
    lent = checkpoint.shorten(target)
    if lent is not None:
        job.journal.record("checkpoint", "intent", target.key, variable=lent[0], milliseconds=lent[1])
        checkpoint.set_period(target, lent[0], checkpoint.SHORT)


def _see_level(job: SwitchJob, ready: Preparation) -> None:
    """It executes what the old primary's log holds now within a moment, twice. Raises DeadlineExceeded."""
    target = job.sessions.server(job.plan.new_primary)
    for allowed in (float(max(1, job.options.seconds_behind_master)), job.options.deadline / 2):
        began = time.monotonic()
        wait_until_executed(
            target, job.plan.target.channel, job.plan.kind, job.stop.look(), ready, Deadline(allowed + 1.0)
        )
        took = time.monotonic() - began
    if took > allowed:
        raise DeadlineExceeded(f"{target}: keep level with the old primary", allowed, f"{took:.1f} s behind")
    patience = Deadline(NEAR_WITHIN)
    while took > NEAR and not patience.over:
        began = time.monotonic()
        wait_until_executed(target, job.plan.target.channel, job.plan.kind, job.stop.look(), ready, Deadline(allowed))
        took = time.monotonic() - began
    log.info("%s is level: %.0f ms behind.", target, took * 1000)


@task(name="Give lent settings back", **STEP)
def give_back_lent(job: SwitchJob) -> None:
    """The new primary notes its place as often as before."""
    for key, variable, milliseconds in still_short(job):
        checkpoint.set_period(job.sessions.server(key), variable, milliseconds)
        job.journal.record("checkpoint", "done", key)


def still_short(job: SwitchJob) -> list[tuple[str, str, int]]:
    """Servers whose checkpoint period this switch shortened: which variable, and what it was."""
    lent: dict[str, tuple[str, str, int]] = {}
    for entry in (*job.past, *job.journal.entries()):
        if (entry.step, entry.event) == ("checkpoint", "intent"):
            lent[entry.server] = (entry.server, *entry.read(lambda f: (str(f["variable"]), int(f["milliseconds"]))))
        elif entry.step == "checkpoint":
            lent.pop(entry.server, None)
    return list(lent.values())
