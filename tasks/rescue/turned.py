"""A replica's channel while it is turned to a saved log: what it is to have back, by the journals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from ...replication.memory.journal import Entry, every_entry
from ...replication.model.state import GtidKind, ReplicaChannel, ServerState
from ...replication.mysql.dialects.changing import ChannelOptions
from ...replication.mysql.server import Server
from ...replication.reporting.job import FailoverJob
from ...replication.rescue.pointing import TURN, channel_named, former_options, options_now, turned


def former_of(job: FailoverJob, state: ServerState, channel: ReplicaChannel) -> ChannelOptions | None:
    """`former_options` with all that this manager's journals tell, of failovers that ended as well."""
    if not channel.of_a_rescue:
        return None
    entries: Iterable[Entry] = (*job.past, *job.journal.entries())
    if state.key not in turned(entries):
        entries = every_entry(job.workdir, job.config.name)
    heartbeat = job.sessions.server(state.key).heartbeat_period
    return former_options(state, channel, entries, job.config_of(state.key), heartbeat)


def noted(job: FailoverJob, server: Server, name: str, kind: GtidKind) -> ChannelOptions:
    """What the replica's channel is to have back: in the journal before it is turned. Raises CannotLevel."""
    state = server.observe()
    channel = channel_named(state, name)
    if (former := former_of(job, state, channel)) is not None:
        return former
    former = options_now(server, channel, kind)
    job.journal.record(TURN, "intent", server.key, **asdict(former))
    if former.delay:
        job.journal.record("delay", "intent", server.key, seconds=former.delay)
    return former
