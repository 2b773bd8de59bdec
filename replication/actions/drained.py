"""No unapplied relay log is destroyed (design rule 4): the proof, and the only door to statements that delete them.

Relay logs are deleted by RESET REPLICA, and by CHANGE REPLICATION SOURCE TO while both threads are stopped, even with
unchanged values (MySQL Reference Manual; seen on 5.6, 8.0 and 9.7). `discard_relay_logs` issues such a statement only
with a `Drained` proof that is still true at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import StatementFailed, UnsafeStatement
from ..model.position import BinlogPosition
from ..model.state import ReplicaChannel, ServerState
from ..mysql.server import Server
from .applier_gaps import GAPS, fill_gaps


@dataclass(frozen=True)
class Drained:
    """Proof that a replica executed every complete transaction it received on one channel, made by `prove`.

    ``received`` beyond ``executed`` is the torn beginning of a transaction whose rest never arrived; with auto-position
    it may also be a place that parallel appliers have yet to bring up to date.
    """

    key: str
    name: str
    channel: str
    received: BinlogPosition | None
    executed: BinlogPosition | None

    @property
    def torn(self) -> bool:
        """The last transaction may have been received in part."""
        return self.received != self.executed


def prove(
    earlier: ServerState, now: ServerState, channel_name: str, *, appliers_wait: bool, place_counts: bool = True
) -> Drained | str:
    """The proof, or why there is none yet. Pure; the two states are of one server, a while apart.

    Drained is: the receiver is stopped, so nothing is added; and either nothing was received since the channel was set
    up, or executed and received are one place, or all retrieved GTIDs are executed, or only a torn transaction is left:
    the applier says in both states that it has read everything, no thread of it does anything (``appliers_wait``), and
    its place did not move between them. That place may be stale with parallel appliers, which bring it up to date once
    in a checkpoint period only (Reference Manual, replica_checkpoint_period), so the states must be two of these apart.
    After `free_applier` MariaDB calls executed what is only received, until its applier gets there: then one place says
    nothing (``place_counts``).
    """
    before, after = _channel(earlier, channel_name), _channel(now, channel_name)
    if after is None or before is None:
        return "the replication channel is gone"
    if after.broken:
        return f"the applier stopped with error {after.applier_errno}: {after.applier_error}"
    if not after.receiver_stopped:
        return "the receiver is still running"
    level = place_counts and after.executed == after.received and after.executed is not None
    # Without auto-position the place is what a repoint or a cut goes by, so it has to come up to date.
    retrieved, executed = after.retrieved if after.auto_position else None, now.gtid_executed
    all_gtids = retrieved is not None and executed is not None and bool(retrieved) and retrieved <= executed
    apart = now.observed_at - earlier.observed_at >= 2 * now.checkpoint_period
    stands = before.has_read_all and after.has_read_all and _place(before) == _place(after)
    idle = stands and apart and appliers_wait
    nothing = after.received is None and after.executed is None and not retrieved
    if level or all_gtids or idle or nothing:
        return Drained(now.key, now.name, channel_name, after.received, after.executed)
    return f"executed up to {after.executed}, received up to {after.received}"


def prove_kept(now: ServerState, channel_name: str) -> Drained | str:
    """The proof for a channel that was turned to a saved log and cannot execute all of it, or why there is none. Pure.

    It was drained before it was turned, so what it received and did not execute is a part of the copy that the manager
    keeps: nothing is lost with its relay logs. Both its halves are stopped.
    """
    channel = _channel(now, channel_name)
    if channel is None or not channel.of_a_rescue:
        return "it does not follow a saved log"
    if not channel.receiver_stopped or channel.applier_running:
        return "its threads run"
    return Drained(now.key, now.name, channel_name, channel.received, channel.executed)


def discard_relay_logs(
    server: Server, proof: Drained, sql: str, args: Sequence[Any], *, action: str, drained: bool = True
) -> None:
    """Issue a statement that deletes the relay logs of a channel; without ``drained`` the proof is one of `prove_kept`.

    Raises UnsafeStatement when the proof is of another server, or when the replica's state is no longer what it was.
    """
    if proof.key != server.key:
        raise UnsafeStatement(f"{server}: {action}: the proof is one of {proof.name}")
    channel = _channel(server.observe(), proof.channel)
    if channel is not None and not _still_true(proof, channel):
        raise UnsafeStatement(
            f"{server}: {action}: it moved since it was drained (received {channel.received}, executed "
            f"{channel.executed}; then {proof.received}, {proof.executed}), so its relay logs are kept"
        )
    try:
        server.query(sql, args, action=action)
    except StatementFailed as error:
        # A replica that is drained lacks nothing that could fill them; one that is not may stand elsewhere afterwards.
        if error.errno != GAPS or not drained:
            raise
        fill_gaps(server, proof.channel)
        server.query(sql, args, action=action)


def _still_true(proof: Drained, channel: ReplicaChannel) -> bool:
    """Nothing was received since; ``executed`` may have come up to date meanwhile."""
    if channel.received != proof.received:
        return False
    if proof.executed is None or channel.executed is None:
        return proof.executed == channel.executed
    return proof.executed <= channel.executed


def _channel(state: ServerState, name: str) -> ReplicaChannel | None:
    return next((c for c in state.channels if c.name == name), None)


def _place(channel: ReplicaChannel) -> tuple[BinlogPosition | None, BinlogPosition | None, BinlogPosition | None]:
    return channel.received, channel.executed, channel.relay_log


def forget_with_old_data(server: Server, channel: str, kept_in: str) -> None:
    """Forget a source on a server whose data is another server's by now: nothing of its relay logs belongs to that.

    ``kept_in`` is where they lie with the old data, the proof that nothing is lost by it. Raises ServerError.
    """
    if not kept_in:
        raise UnsafeStatement(f"{server}: its relay logs were not kept with its old data, so they are not deleted")
    server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
    server.query(server.dialect.reset_all(channel), action="forget the source of its old data", timeout=65.0)
