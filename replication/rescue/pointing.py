"""Turn a replica's channel to a source made of files, and let its own threads execute what that serves.

Each turn is journaled with every option that it changes before it is made, so that whoever points the replica elsewhere
afterwards, be it another manager, gives them back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

from ...config import ServerConfig
from ..actions.applier_gaps import GAPS, fill_gaps
from ..actions.drain import ASK_EVERY, Patience, drain, stop_applier, stop_receiver
from ..actions.drained import Drained, discard_relay_logs, prove_kept
from ..actions.repoint import HOW
from ..binlog.cutter import Cut
from ..errors import (
    CannotLevel,
    DeadlineExceeded,
    StatementFailed,
    TooBusy,
    UnsafeStatement,
    WayClosed,
)
from ..fencing.everyone import start_replication
from ..memory.journal import Entry
from ..meter import OnTheWay
from ..model.one_time_account import is_one_time_user, marks_of
from ..model.position import BinlogPosition
from ..model.state import GtidKind, ReplicaChannel, ServerState
from ..mysql.dialects import channel_name
from ..mysql.dialects.changing import ChannelOptions, Repoint
from ..mysql.server import Server

log = logging.getLogger("mha")

#: The step of a journal that tells of a turn.
TURN = "turn to the saved log"
LOOK_EVERY = 0.01
#: Seconds that a replica has to come in by one way; a session takes a few milliseconds where the way is open.
COME_IN = 3.0
#: Seconds between two starts of a receiver that lost its session: it would wait for MASTER_CONNECT_RETRY itself.
START_AGAIN = 1.0


@dataclass(frozen=True)
class Where:
    """Where a replica finds the source: host and port as it sees them, the one-time user, the way in words."""

    host: str
    port: int
    user: str
    way: str

    def __str__(self) -> str:
        return f"{self.way} ({self.host}:{self.port})"


def turned(entries: Iterable[Entry]) -> dict[str, ChannelOptions]:
    """By ``ip:port``, the replicas that were turned to a saved log and not back yet, with their channels' options."""
    found: dict[str, ChannelOptions] = {}
    for entry in entries:
        if entry.step == TURN and entry.event == "intent":
            options = entry.read(ChannelOptions.parse)
            # What a turn finds that was made before is nobody's.
            if entry.server not in found or not is_one_time_user(options.user):
                found[entry.server] = options
        elif entry.step == TURN:
            found.pop(entry.server, None)
    return found


def former_options(
    state: ServerState,
    channel: ReplicaChannel,
    entries: Iterable[Entry],
    config: ServerConfig,
    heartbeat: Callable[[], float | None],
) -> ChannelOptions | None:
    """What a channel is to have back; None when it was not turned, or is turned back. ``heartbeat`` asks for its own.

    Another manager's journal is not here: then what the configuration tells, and the channel's one-time user. Raises
    CannotLevel when they do not tell its user.
    """
    if not channel.of_a_rescue:
        return None
    if (former := turned(entries).get(state.key)) is not None:
        return former
    if not config.repl_user:
        raise CannotLevel(
            f"{state.name} was turned to a saved log by a manager whose journal is not here, and repl_user is not set: "
            "set it, or point the replica by hand"
        )
    now = ChannelOptions.of(channel, heartbeat(), HOW[channel.gtid_kind])
    return replace(now, user=config.repl_user, **asdict(marks_of(channel.source_user)))


def options_now(server: Server, channel: ReplicaChannel, kind: GtidKind) -> ChannelOptions:
    """A channel's options as they are."""
    return ChannelOptions.of(channel, server.heartbeat_period(), HOW[kind], _compression(server, channel.name))


def execute_served(
    server: Server,
    proof: Drained,
    cut: Cut,
    kind: GtidKind,
    where: Where,
    former: ChannelOptions,
    *,
    stall: float,
    patience: Patience | None = None,
) -> Drained:
    """Turn the replica to the source, wait until it executed all of the tail, stop its receiver; the new proof.

    ``cut`` is what the replica lacks, ``former`` what its channel had, which is kept somewhere already. Waits as long
    as there is progress, at most ``stall`` seconds without any. Raises WayClosed when it does not come in, so that
    another way may be tried; CannotLevel with the replica's own words when its applier stops: what it received stays in
    its relay logs, and nothing is skipped; and what ``patience`` raises.
    """
    turn(server, proof, kind, where, former)
    start_replication(server, proof.channel, action="start replication from the saved log", timeout=65.0)
    _come_in(server, proof.channel, where)
    _execute(server, proof.channel, cut, kind, stall=stall, patience=patience)
    stop_receiver(server, proof.channel)
    return drain(server, proof.channel, stall=stall)


def turn(server: Server, proof: Drained, kind: GtidKind, where: Where, former: ChannelOptions) -> None:
    """Both threads stopped, then CHANGE: only a drained replica's relay logs are given up for it."""
    place = proof.executed if kind is GtidKind.POSITION else None
    to = former.away(where.host, where.port, where.user, place)
    stop_applier(server, proof)
    server.query(server.dialect.stop(proof.channel), action="stop replication", timeout=65.0)
    sql, args = server.dialect.change_source(proof.channel, to)
    discard_relay_logs(server, proof, sql, args, action="turn it to the saved log")


def _compression(server: Server, name: str) -> str:
    """What a channel may be sent as; empty where the server does not tell."""
    row = next((row for row in server.show_channels() if channel_name(row) == name), {})
    return str(row.get("COMPRESSION_ALGORITHM") or "")


def _come_in(server: Server, channel: str, where: Where) -> None:
    """Wait until the receiver has its session. Raises WayClosed."""
    ends = time.monotonic() + COME_IN
    while True:
        seen = channel_named(server.observe(), channel)
        if seen.receiver == "Yes":
            return
        if seen.receiver_errno or time.monotonic() > ends:
            said = f"{seen.receiver_errno}: {seen.receiver_error}" if seen.receiver_errno else "no session in time"
            stop_receiver(server, channel, timeout=65.0)
            server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
            raise WayClosed(f"{server}: it does not reach the saved log {where}: {said}")
        time.sleep(LOOK_EVERY)


def _execute(
    server: Server, name: str, cut: Cut, kind: GtidKind, *, stall: float, patience: Patience | None = None
) -> None:
    moved_at = worked_at = started_at = ask_at = time.monotonic()
    seen: ReplicaChannel | None = None
    with OnTheWay(f"{server}: execute the saved log") as way:
        while True:
            state = server.observe()
            now = channel_named(state, name)
            way.at(now.executed, _end(cut))
            if has_reached(state, now, cut, kind):
                return
            if now.broken or (not now.applier_running and now.applier_errno):
                stop_receiver(server, name)
                raise CannotLevel(
                    f"{server} stopped while it executed the saved log: error {now.applier_errno}: {now.applier_error}."
                    " Nothing is skipped: fix the cause, then start its applier, it goes on from its relay logs"
                )
            if seen is None or (now.executed, now.received, now.relay_log) != (
                seen.executed,
                seen.received,
                seen.relay_log,
            ):
                moved_at = worked_at = time.monotonic()
            elif time.monotonic() - worked_at > stall:
                said = now.receiver_error or now.applier_state
                raise DeadlineExceeded(f"{server}: execute the saved log, up to {_end(cut)}", stall, said)
            if patience is not None and time.monotonic() >= ask_at:
                try:
                    if patience(now, time.monotonic() - moved_at):
                        worked_at = time.monotonic()
                except TooBusy:
                    stop_receiver(server, name)
                    raise
                ask_at = time.monotonic() + ASK_EVERY
            if now.receiver != "Yes" and time.monotonic() - started_at > START_AGAIN:
                log.warning("%s lost the saved log (%s): its receiver is started again.", server, now.receiver_error)
                started_at = time.monotonic()
                stop_receiver(server, name)
                start_replication(server, name, action="start its receiver again", timeout=65.0)
            seen = now
            time.sleep(LOOK_EVERY)


def has_reached(state: ServerState, channel: ReplicaChannel, cut: Cut, kind: GtidKind) -> bool:
    """Whether a replica executed the last transaction of the tail, by GTIDs or by its place in the primary's log."""
    if kind is not GtidKind.POSITION and cut.gtids:
        return state.executed_all(cut.gtids)
    end = _end(cut)
    return channel.executed is not None and end is not None and end <= channel.executed


def _end(cut: Cut) -> BinlogPosition | None:
    return cut.last.source_end if cut.last is not None else cut.end


def turn_back(server: Server, kind: GtidKind, former: ChannelOptions, name: str, *, stall: float) -> None:
    """Point a replica at whom it followed before, with every option as it was; nothing is started.

    Raises UnsafeStatement when it holds what it cannot execute, DeadlineExceeded.
    """
    proof = drain(server, name, stall=stall)
    place = proof.executed if kind is GtidKind.POSITION else None
    to = former.back(Repoint(former.host, former.port, HOW[kind], place, former.using_gtid))
    stop_applier(server, proof)
    sql, args = server.dialect.change_source(name, to)
    discard_relay_logs(server, proof, sql, args, action="point it back")


def leave_saved_log(server: Server, kind: GtidKind, former: ChannelOptions, name: str) -> Drained:
    """Take a replica that stopped within a saved log away from it: it stands where it executed up to, nothing follows.

    The rest of what it received lies on the manager. Raises UnsafeStatement when it is not such a replica.
    """

    def change() -> None:
        server.query(server.dialect.stop(name), action="stop replication", timeout=65.0)
        proof = prove_kept(server.observe(), name)
        if isinstance(proof, str):
            raise UnsafeStatement(f"{server}: leave the saved log: {proof}")
        place = proof.executed if kind is GtidKind.POSITION else None
        to = former.back(Repoint(former.host, former.port, HOW[kind], place, former.using_gtid))
        sql, args = server.dialect.change_source(name, to)
        discard_relay_logs(server, proof, sql, args, action="leave the saved log", drained=False)

    try:
        change()
    except StatementFailed as error:
        if error.errno != GAPS:
            raise
        # Of parallel appliers one stopped: the place is that of the last of them, and MySQL wants no gaps before it.
        fill_gaps(server, name)
        change()
    now = channel_named(server.observe(), name)
    return Drained(server.key, server.config.name, name, now.received, now.executed)


def channel_named(state: ServerState, name: str) -> ReplicaChannel:
    """Raises CannotLevel when it is gone."""
    for channel in state.channels:
        if channel.name == name:
            return channel
    raise CannotLevel(f"{state.name}: its channel {name!r} is gone")
