"""Make a replica the primary: small verbs, each of which checks its own effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..coordination.failover_lock import FailoverLock
from ..errors import StatementFailed
from ..fencing.everyone import end_those_who_may_not_write, lift
from ..model.state import ServerState
from ..mysql.server import Server
from .drained import Drained, discard_relay_logs


@contextlib.contextmanager
def open_to_us(server: Server, state: ServerState) -> Iterator[None]:
    """While it lasts, super_read_only is off and read_only on: our session writes, no application does."""
    if not state.super_read_only:
        yield
        return
    server.query("SET GLOBAL super_read_only=0", action="clear super_read_only")
    try:
        yield
    finally:
        server.query("SET GLOBAL super_read_only=1", action="set super_read_only again")


def keep_closed(server: Server) -> ServerState:
    """Make sure that applications cannot write yet (a replica may have been left writable)."""
    state = server.observe()
    if not state.read_only:
        server.query("SET GLOBAL read_only=1", action="set read_only")
        state = server.observe()
    return state


def open_for_writes(server: Server, lock: FailoverLock | None = None) -> ServerState:
    """Clear read_only (which clears super_read_only with it), on the session that has the ``lock``, and verify.

    So are offline_mode and transaction_read_only, which a server that says read_only=0 may have as well.
    """
    state = server.observe()
    # A primary of before may be closed to everybody, with applications connected that could never write. This comes
    # first: should the manager die in between, the server is not taken for open.
    if state.tx_read_only:
        lift(server)
        end_those_who_may_not_write(server)
    if state.offline_mode:
        server.query("SET GLOBAL offline_mode=OFF", action="clear offline_mode")
    if not state.writable:
        sql, action = "SET GLOBAL read_only=0", "clear read_only"
        if lock is None or not lock.say(server.key, sql, action=action):
            server.query(sql, action=action)
        state = server.observe()
    if state.closed_by:
        left = " and ".join(server.dialect.variable(name) for name in state.closed_by)
        raise StatementFailed(server.config.name, f"clear {left}", "it is still closed to applications")
    return state


def forget_source(server: Server, proof: Drained) -> ServerState:
    """RESET REPLICA ALL on a promoted server: it must not follow the old primary after a restart."""
    state = server.observe()
    if any(c.name == proof.channel for c in state.channels):
        server.query(server.dialect.stop(proof.channel), action="stop replication")
        discard_relay_logs(server, proof, server.dialect.reset_all(proof.channel), (), action="forget its old source")
        state = server.observe()
    if any(c.name == proof.channel and c.source_host for c in state.channels):
        raise StatementFailed(server.config.name, "forget its old source", "the channel is still there")
    return state
