"""Take over: what the new primary still has to become after it was opened."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from ...replication.actions.drain import execute_all, stop_receiver
from ...replication.actions.promote import forget_source
from ...replication.actions.scheduled_events import enable_events, events_left, read_events
from ...replication.actions.semi_sync import REQUIRED, take_roles
from ...replication.model.state import ServerState
from ...replication.reporting.outcome import ReplicaOutcome
from ...replication.switchover.demote import written_here
from ...replication.switchover.job import HandedOver, Preparation, SwitchJob
from ...replication.switchover.write_lock import set_event_scheduler
from ..policy import STEP
from ..semi_sync import Waiting, take_semi_sync
from ..step import task

log = logging.getLogger("mha")

#: Seconds for which the old primary is looked at in the end where no super_read_only closes it, and between two looks.
LOOKED_AT, LOOK_EVERY = 0.5, 0.05


@task(name="Forget the old source on the new primary", **STEP)
def forget_old_source(job: SwitchJob) -> bool:
    """RESET REPLICA ALL with the proof that nothing is unexecuted, unless `skip_reset_slave` is set."""
    server, channel = job.sessions.server(job.plan.new_primary), job.plan.target.channel
    if not any(c.name == channel for c in server.observe().channels):
        return True
    stop_receiver(server, channel)
    proof = execute_all(server, channel, job.journal, job.past, stall=job.config.drain_timeout)
    if job.new.skip_reset_slave:
        server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
        log.info("%s: skip_reset_slave is set, so it keeps its old replication settings.", server)
        return False
    forget_source(server, proof)
    log.info("%s: Resetting slave info succeeded.", server)
    return True


@task(name="Move events and the event scheduler", **STEP)
def move_events(job: SwitchJob, ready: Preparation, waiting: Waiting) -> tuple[str, ...]:
    """What ran on the old primary runs on the new one, and nothing runs on both; returns what is left, in words.

    Where commits of the new one are stuck no event is enabled, for that is one.
    """
    new, old = job.sessions.server(job.plan.new_primary), job.sessions.server(job.plan.old)
    # First what cannot wait for anybody.
    set_event_scheduler(old, "OFF")
    set_event_scheduler(new, ready.former.event_scheduler)
    left = list(events_left(new, ready.events) if waiting.stuck else enable_events(new, ready.events))
    if ready.target_former.event_scheduler == "ON" and not any(event.enabled for event in read_events(old)):
        set_event_scheduler(old, "ON")
    elif ready.former.event_scheduler == "ON":
        left.append(f"{old}: its event scheduler stays off")
    return tuple(left)


@task(name="Demand acknowledgements on the new primary", **STEP)
def demand(job: SwitchJob, ready: Preparation) -> bool:
    """With ``semi_sync=require``, at once: its commits wait until the others follow, who acknowledge them.

    Not where nobody could look at it meanwhile; there it waits from `move_semi_sync` on.
    """
    server = job.sessions.server(job.plan.new_primary)
    if not server.dialect.speaks_while_commits_wait:
        return False
    return take_roles(server, {**ready.old_roles, **REQUIRED})


@task(name="Move semi-synchronous roles", **STEP)
def move_semi_sync(job: SwitchJob, ready: Preparation, replicas: Sequence[ReplicaOutcome]) -> Waiting:
    """The new primary waits for replicas as the old one did: when enough of those that follow it answer."""
    server = job.sessions.server(job.plan.new_primary)
    following = {x.key for x in job.plan.others} | ({job.plan.old} if job.plan.orig_is_new_replica else set())
    ours = [job.sessions.server(x.key) for x in replicas if x.ok and x.key in following]
    waiting = take_semi_sync(job.config, server, ready.old_roles, ours, job.plan.old_name)
    for line in waiting.notes:
        log.info("%s.", line)
    for line in waiting.undone:
        log.error("%s", line)
    return waiting


@task(name="Verify every server", **STEP)
def verify_switch(job: SwitchJob, handed: HandedOver) -> tuple[str, ...]:
    """Look at everybody once more; returns what is not as it should be, in words.

    A session with SUPER that asked for READ WRITE, or found a moment, may have written to the old primary since.
    """
    cluster = job.sessions.observe()
    wrong = [f"{down.name} cannot be seen: {down.reason}" for down in cluster.down]
    followers = {x.key: x.channel for x in job.plan.others}
    if job.plan.orig_is_new_replica:
        followers[job.plan.old] = job.plan.target.channel
    for state in cluster.up:
        wrong += _wrong_with(job, state, followers)
        if state.key == job.plan.old and (foreign := _written_to_the_old_one(job, state, handed)):
            wrong.append(foreign)
    for line in wrong:
        log.error("%s", line)
    return tuple(wrong)


def _written_to_the_old_one(job: SwitchJob, state: ServerState, handed: HandedOver) -> str:
    """Writes of somebody since the switch, in words. Who connects for ever is back within `LOOKED_AT` seconds."""
    server = job.sessions.server(state.key)
    ends = time.monotonic() + (LOOKED_AT if state.super_read_only is None else 0.0)
    while not (found := written_here(server, handed.end.position)) and time.monotonic() < ends:
        time.sleep(LOOK_EVERY)
    return found


def _wrong_with(job: SwitchJob, state: ServerState, followers: dict[str, str]) -> list[str]:
    if state.key == job.plan.new_primary:
        return [] if state.writable else [f"{state.name} is read-only"]
    wrong = [f"{state.name} is not read-only"] if state.key == job.plan.old and not state.read_only else []
    if state.key in followers:
        channel = state.channel_from(job.new.hostname, job.new.ip, job.new.port)
        if channel is None or channel.receiver != "Yes" or not channel.applier_running:
            wrong.append(f"{state.name} does not replicate from {job.plan.new_primary_name}")
    return wrong
