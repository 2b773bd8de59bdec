"""Let a replica execute everything it received, and prove it."""

from __future__ import annotations

import time

from replication.dialects import ChannelThread
from replication.errors import DeadlineExceeded, StatementFailed, UnsafeStatement
from replication.safety import Drained, prove
from replication.server import Server
from replication.snapshots import ReplicaChannel, ServerState

#: Seconds between two looks; the second of two equal looks is what proves that the applier stands still.
LOOK_EVERY = 0.02


def stop_receiver(server: Server, channel: str, *, timeout: float = 10.0) -> ServerState:
    """Stop receiving, so that what was received no longer changes; the relay logs stay. Returns the state after it."""
    state = server.observe()
    if not _channel(state, channel).receiver_stopped:
        sql = server.dialect.stop(channel, ChannelThread.RECEIVER)
        server.query(sql, action="stop its receiver", timeout=timeout)
        state = server.observe()
    if not _channel(state, channel).receiver_stopped:
        raise StatementFailed(server.config.name, "stop its receiver", "it still runs after STOP")
    return state


def drain(server: Server, channel: str, *, stall: float) -> Drained:
    """Run the applier until it executed everything received.

    Waits as long as it makes progress and at most ``stall`` seconds without any. Raises DeadlineExceeded after that,
    and UnsafeStatement when the applier has stopped with an error (its relay logs are left as they are).
    """
    earlier = server.observe()
    seen = _channel(earlier, channel)
    if not seen.applier_running and not seen.applier_errno and seen.executed != seen.received:
        server.query(server.dialect.start(channel, ChannelThread.APPLIER), action="start its applier")
    moved_at = time.monotonic()
    while True:
        time.sleep(LOOK_EVERY)
        now = server.observe()
        proof = prove(earlier, now, channel)
        if isinstance(proof, Drained):
            return proof
        current = _channel(now, channel)
        if current.applier_errno:
            raise UnsafeStatement(f"{server}: {proof}; what it received stays in its relay logs")
        if (current.executed, current.relay_log) != (seen.executed, seen.relay_log):
            moved_at = time.monotonic()
        elif time.monotonic() - moved_at > stall:
            raise DeadlineExceeded(f"{server}: execute what it received", stall, proof)
        earlier, seen = now, current


def stop_applier(server: Server, channel: str, *, timeout: float = 65.0) -> None:
    """Stop the applier of a drained replica. The server itself waits up to 60 s for a torn transaction's worker."""
    server.query(server.dialect.stop(channel, ChannelThread.APPLIER), action="stop its applier", timeout=timeout)


def _channel(state: ServerState, name: str) -> ReplicaChannel:
    for channel in state.channels:
        if channel.name == name:
            return channel
    raise StatementFailed(state.name, "read its replication status", f"it has no channel {name!r} any more")
