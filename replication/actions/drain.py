"""Let a replica execute everything it received, and prove it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from ..errors import DeadlineExceeded, ServerError, StatementFailed, UnsafeStatement
from ..fencing.everyone import start_replication
from ..memory.journal import Entry, Journal, lifted_delays
from ..meter import OnTheWay
from ..model.state import ReplicaChannel, ServerState
from ..mysql.dialects import ChannelThread
from ..mysql.server import Server
from ..ssh.host import SshHost
from ..workload import applier_threads
from .drained import Drained, prove
from .hanging_stop import DeadHost, freed, stop_within
from .relay_place import unexecuted_from

log = logging.getLogger("mha")

#: Seconds between two looks; the second of two equal looks is what proves that the applier stands still.
LOOK_EVERY = 0.02
#: Seconds between two questions whether a replica that is not drained is to be waited for.
ASK_EVERY = 0.25
NO_SUCH_THREAD = 1094
#: Asked with the channel as it is and the seconds it stood still: whether that is none of the standing still that
#: `drain` gives up for. Raises TooBusy where it is not to be waited for.
Patience = Callable[[ReplicaChannel, float], bool]
#: ER_KILL_DENIED_ERROR: MySQL 8.0.16 and newer let only who has SYSTEM_USER end a thread of the server's own.
NOT_ITS_OWNER = 1095


def stop_receiver(
    server: Server, channel: str, *, timeout: float = 10.0, host: SshHost | None = None, old: DeadHost | None = None
) -> ServerState:
    """Stop receiving, so that what was received no longer changes; the relay logs stay. Returns the state after it.

    ``host`` is the replica's own, where what the stop would wait for can be ended: an attempt to connect to a dark
    host, and a session with who took the port of a dead primary, as ``old`` shows.
    """
    state = server.observe()
    seen = _channel(state, channel)
    if not seen.receiver_stopped:
        sql = server.dialect.stop(channel, ChannelThread.RECEIVER)
        within = stop_within(server, seen, timeout, may_hang=old is not None)
        with _short_kill_conn_timeout(server), freed(server, seen, host, old):
            server.query(sql, action="stop its receiver", timeout=within)
        state = server.observe()
    if not _channel(state, channel).receiver_stopped:
        raise StatementFailed(server.config.name, "stop its receiver", "it still runs after STOP")
    return state


@contextlib.contextmanager
def _short_kill_conn_timeout(server: Server) -> Iterator[None]:
    """While it lasts, a receiver that is stopped does not wait long to kill its session on a dark primary.

    What cannot be set is left; should the manager die within, the replica's next stops wait as briefly, no more.
    """
    name, former = server.dialect.kill_conn_timeout, 0
    if name:
        question = f"SELECT @@GLOBAL.{name} * @@GLOBAL.rpl_semi_sync_slave_enabled"
        former = int(server.scalar(question, action="stop its receiver") or 0)
    if former <= 1:
        yield
        return
    with contextlib.suppress(ServerError):
        server.query(f"SET GLOBAL {name} = 1", action="wait less for the primary")
    try:
        yield
    finally:
        with contextlib.suppress(ServerError):
            server.query(f"SET GLOBAL {name} = {former}", action="wait for a primary as before")


def free_applier(server: Server, channel: str) -> bool:
    """Let what was received be executed now and by itself: without a deliberate delay, from the relay logs as they are.

    The receiver must be stopped. False, and nothing is changed, when GTIDs tell that all of it is executed already.
    Raises StatementFailed when the replica has not the same relay logs afterwards.
    """
    server.query(server.dialect.stop(channel, ChannelThread.APPLIER), action="stop its applier", timeout=65.0)
    before = _channel(server.observe(), channel)
    place = unexecuted_from(server, before) if before.using_gtid != "No" else before.relay_log
    if place is None:
        return False
    sql, args = server.dialect.go_on_in_relay_logs(channel, place, auto_position=before.auto_position)
    server.query(sql, args, action="free its applier")
    state = server.observe()
    after = _channel(state, channel)
    stood = f"{before.received}, in its relay logs at {place}"
    stands = f"{after.received}, in its relay logs at {after.relay_log}"
    if after.delay or stood != stands:
        raise StatementFailed(server.config.name, "free its applier", f"it had {stood} and has {stands}")
    return True


def drain(
    server: Server, channel: str, *, stall: float, freed: bool = False, patience: Patience | None = None
) -> Drained:
    """Run the applier until it executed everything received; ``freed`` is that `free_applier` was called before.

    Waits as long as it makes progress and at most ``stall`` seconds without any, unless ``patience`` says that it
    works. Raises DeadlineExceeded after that, what ``patience`` raises, and UnsafeStatement when the applier has
    stopped with an error (its relay logs are left as they are).
    """
    earlier = server.observe()
    seen = _channel(earlier, channel)
    # That all of it is executed shows in one look; only that an applier stands still takes two.
    proof = prove(earlier, earlier, channel, appliers_wait=False, place_counts=not freed)
    if isinstance(proof, Drained):
        return proof
    if not seen.applier_running and not seen.broken and (freed or seen.executed != seen.received):
        start_replication(server, channel, ChannelThread.APPLIER, action="start its applier")
    moved_at = worked_at = ask_at = time.monotonic()
    with OnTheWay(f"{server}: execute what it received") as way:
        while True:
            time.sleep(LOOK_EVERY)
            # Asked before the state is looked at: what a thread does between the two shows in the state.
            waits = seen.has_read_all and applier_threads.waits(server, earlier, channel)
            now = server.observe()
            proof = prove(earlier, now, channel, appliers_wait=waits, place_counts=not freed)
            if isinstance(proof, Drained):
                return proof
            current = _channel(now, channel)
            way.at(current.executed, current.received)
            if not current.receiver_stopped:
                raise UnsafeStatement(f"{server}: somebody started its receiver while it executed what it had received")
            if current.broken:
                raise UnsafeStatement(f"{server}: {proof}; what it received stays in its relay logs")
            if (current.executed, current.relay_log) != (seen.executed, seen.relay_log):
                moved_at = worked_at = time.monotonic()
            elif time.monotonic() - worked_at > stall:
                raise DeadlineExceeded(f"{server}: execute what it received", stall, proof)
            if patience is not None and time.monotonic() >= ask_at:
                if patience(current, time.monotonic() - moved_at):
                    worked_at = time.monotonic()
                ask_at = time.monotonic() + ASK_EVERY
            if not waits or (current.executed, current.relay_log) != (seen.executed, seen.relay_log):
                earlier = now
            seen = current


def execute_all(
    server: Server,
    channel: str,
    journal: Journal,
    past: tuple[Entry, ...],
    *,
    stall: float,
    patience: Patience | None = None,
) -> Drained:
    """`drain`, also of a replica that executes late on purpose, or would delete relay logs when it is started.

    A delay that is lifted is journaled, so that it is set again when the replica follows another primary.
    """
    seen = next((c for c in server.observe().channels if c.name == channel), None)
    freed = server.key in lifted_delays((*past, *journal.entries()))
    if seen is not None and seen.executed != seen.received and (seen.delay or seen.start_deletes_relay_logs):
        journal.record("delay", "intent", server.key, seconds=seen.delay)
        if seen.delay:
            log.info("%s is delayed by %d s on purpose; lifted until it follows the new primary.", server, seen.delay)
        freed = free_applier(server, channel)
        if not freed:
            seen = _channel(server.observe(), channel)
            return Drained(server.key, server.config.name, channel, seen.received, seen.executed)
    return drain(server, channel, stall=stall, freed=freed, patience=patience)


def stop_applier(server: Server, proof: Drained, *, timeout: float = 65.0) -> None:
    """Stop the applier of a drained replica, so that it holds no locks and no GTID of a torn transaction.

    MySQL's parallel applier, stopped within a transaction, first waits a minute for its rest (sql_slave_killed in
    the server's source), which will not come: the worker that has it is ended, and rolls it back.
    """
    if proof.torn:
        for thread in applier_threads.idle_workers(server, proof.channel):
            if not _end_worker(server, thread):
                break
    sql = server.dialect.stop(proof.channel, ChannelThread.APPLIER)
    server.query(sql, action="stop its applier", timeout=timeout)


def _end_worker(server: Server, thread: int) -> bool:
    """False where the account may not: then the stop takes its minute."""
    try:
        server.query(f"KILL {thread}", action="end a parallel applier")
    except StatementFailed as error:
        if error.errno == NOT_ITS_OWNER:
            log.warning("%s; its stop may take a minute (grant SYSTEM_USER).", error)
            return False
        if error.errno != NO_SUCH_THREAD:  # the first one to end takes the others with it
            raise
    return True


def _channel(state: ServerState, name: str) -> ReplicaChannel:
    for channel in state.channels:
        if channel.name == name:
            return channel
    raise StatementFailed(state.name, "read its replication status", f"it has no channel {name!r} any more")
