"""Role: what ran on the dead primary runs on the new one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..replication.actions.early_source import wait_no_longer
from ..replication.actions.role_memory import LastRole, Role, read_role, without_memory
from ..replication.actions.scheduled_events import enable_events, events_left, read_events
from ..replication.actions.semi_sync import REQUIRED, read_roles, take_waiting
from ..replication.cluster.pool import ConnectionPool
from ..replication.errors import MhaError
from ..replication.model.words import plain
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.reporting.outcome import ReplicaOutcome
from ..replication.switchover.write_lock import set_event_scheduler
from .policy import STEP
from .semi_sync import take_semi_sync
from .step import task

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Taken:
    """What was taken over, and what is left to do, in sentences. ``stuck``: commits wait, and too few acknowledge."""

    notes: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    stuck: bool = False

    def __str__(self) -> str:
        return "; ".join((*self.notes, *self.undone)) or "nothing had to be taken over"


@task(name="Demand acknowledgements", **STEP)
def demand(job: FailoverJob, plan: FailoverPlan) -> tuple[str, ...]:
    """With ``semi_sync=require``, before it is opened: how its commits are to wait; `promote` lets them begin.

    Where nobody could look at a server whose commits wait, they do once somebody acknowledges (`take_role`).
    Returns what is not as it has to be, in words.
    """
    server = job.sessions.server(plan.new_primary)
    if not plan.open_for_writes or not server.dialect.speaks_while_commits_wait:
        return ()
    if "source" not in read_roles(server):
        said = (
            f"{server}: it has no plugin for a semi-synchronous source: what it acknowledges may lie on one disk alone"
        )
        log.error("%s", said)
        return (said,)
    role = LastRole(job.config).of(plan.dead)
    take_waiting(server, {**(role.semi_sync if role else {}), **REQUIRED})
    return ()


@task(name="Take the demand for acknowledgements back", **STEP)
def take_demand_back(job: FailoverJob, keys: Sequence[str]) -> tuple[str, ...]:
    """These (``ip:port``) were not opened, and their appliers would wait for replicas of theirs. Returns what stays."""
    left = []
    for key in keys:
        try:
            wait_no_longer(job.journal, job.sessions.server(key))
        except MhaError as error:
            left.append(f"{job.config_of(key).name} may wait for acknowledgements though it is a replica: {error}")
            log.error("%s", left[-1])
    return tuple(left)


@task(name="Take over events and semi-synchronous replication", **STEP)
def take_role(job: FailoverJob, plan: FailoverPlan, replicas: Sequence[ReplicaOutcome]) -> Taken:
    """As they were on the dead primary when it was looked at last; now, when there are replicas to acknowledge."""
    server = job.sessions.server(plan.new_primary)
    role = LastRole(job.config).of(plan.dead)
    # Left where they are, they acknowledge nothing of the new primary's.
    ours = [job.sessions.server(replica.key) for replica in replicas if replica.ok and plan.repoint]
    waiting = take_semi_sync(job.config, server, role.semi_sync if role else {}, ours, plan.dead_name)
    notes, undone = list(waiting.notes), list(waiting.undone)
    if role is None:
        if said := plain(without_memory(read_events(server))):
            undone.append(f"{server}: {said}")
    elif waiting.stuck:
        undone += events_left(server, role.events)
    else:
        done, left = _events(server, role)
        notes += done
        undone += left
    for line in notes:
        log.info("%s.", line)
    for line in undone:
        log.error("%s", line)
    return Taken(tuple(notes), tuple(undone), waiting.stuck)


def _events(server: Server, role: Role) -> tuple[list[str], list[str]]:
    before = {str(event) for event in read_events(server) if event.disabled_as_replica}
    undone = [f"{server}: {plain(line)}" for line in enable_events(server, role.events)]
    on = sorted(before & {str(event) for event in read_events(server) if event.enabled})
    notes = (
        [f"{server}: {len(on)} events run now that ran on the old primary: {plain(', '.join(on[:10]))}"] if on else []
    )
    if on and role.scheduler == "ON":
        set_event_scheduler(server, role.scheduler)
    return notes, undone


def remember_role(sessions: ConnectionPool, key: str) -> None:
    """What runs on the primary while it lives; what cannot be read now is read another time."""
    try:
        LastRole(sessions.config).write(read_role(sessions.server(key)))
    except MhaError as error:
        log.debug("%s", error)
