"""Give a replica a log that was cut by hand through its own threads, from a source made of files on this machine.

What its channel is to have back is kept beside the log before it is turned, so that a run which was killed is gone on
with by the next one in the same directory.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from ...actions.drain import drain
from ...binlog.cutter import Cut, LogFile
from ...binlog.events import MAGIC
from ...binlog.sequence import LogSequence
from ...errors import (
    ApplyFailed,
    CannotLevel,
    DeadlineExceeded,
    LogError,
    PrivilegeMissing,
    UnsafeStatement,
    WayClosed,
)
from ...fencing.everyone import start_replication
from ...local.own_files import ours
from ...memory.journal import Journal, read_journal
from ...model.position import BinlogPosition
from ...model.state import GtidKind, ReplicaChannel, ServerState
from ...mysql import temporary_settings as settings
from ...mysql.dialects import ChannelThread
from ...mysql.dialects.changing import ChannelOptions
from ...mysql.server import Server
from ...rescue.pointing import (
    TURN,
    execute_served,
    leave_saved_log,
    options_now,
    turn_back,
    turned,
)
from ...rescue.serving import asks_from, identity_of, rebuilt_of, served
from ...source import Catalogue
from ...source.catalogue import View

#: Seconds without progress whatever is executed, and the slowest rate of one statement that is waited for (bytes/s).
STALL_BASE, STALL_RATE = 60.0, 50_000.0


def taker(state: ServerState, files: Sequence[LogFile]) -> ReplicaChannel | None:
    """The channel whose source wrote what is in these files; None where no channel is known to have that source.

    Raises LogError when the first of them cannot be read.
    """
    sequence = LogSequence(files)
    first = next(iter(sequence), None)
    wrote = sequence.described.server_id if first is not None else 0
    known = [channel for channel in state.channels if wrote and channel.source_server_id == wrote]
    # One that never reached its source does not know its number.
    unknown = [channel for channel in state.channels if not channel.source_server_id]
    return next(iter(known or (unknown if len(state.channels) == 1 else [])), None)


def missing(view: View, place: BinlogPosition) -> str:
    """What lies between a place and the end of what is served, and is not there; empty when nothing is. Pure."""
    first = view.logs[0]
    head = first.at_head and place.pos == len(MAGIC)
    if first.name != place.file or not (head or first.extents[0].start <= place.pos):
        return f"from {place} to {BinlogPosition(first.name, first.extents[0].start)}"
    for number, log in enumerate(view.logs):
        if number and not log.at_head:
            return f"up to {BinlogPosition(log.name, log.extents[0].start)}"
        if len(log.extents) > 1:
            return f"from {BinlogPosition(log.name, log.extents[0].end)} to {log.extents[1].start}"
    return ""


def serve_log(
    server: Server, channel: ReplicaChannel, path: Path, lacks: Cut, *, ports: Iterable[int], notes: Path
) -> str:
    """Serve a log that was cut as a receiver would have written it; why that cannot be, empty when all is executed.

    ``lacks`` is what it holds, ``notes`` the file for what the channel had. Afterwards the channel names whom it named
    before, with its place behind what was executed, and its receiver is stopped. Raises ApplyFailed with the replica's
    words when its applier stops; before anything is done LogError, when something is missing between them, and
    UnsafeStatement, when a run turned it of which ``notes`` know nothing.
    """
    state, kind = server.observe(), channel.gtid_kind
    log, proof = LogFile.at(path), drain(server, channel.name, stall=STALL_BASE)
    catalogue = Catalogue(identity_of(state, channel, lacks, [log]))
    before = asks_from(server, state, channel, kind)
    with tempfile.TemporaryDirectory(prefix="mha-served.", dir=path.parent) as directory:
        try:
            rebuilt_of(catalogue, [log], Path(directory), proof.executed, kind, before)
        except LogError as error:
            return str(error)
        gap = missing(catalogue.view(), proof.executed) if kind is GtidKind.POSITION and proof.executed else ""
        if gap:
            raise LogError(f"nothing was applied: of what {server} lacks, {gap} is not in the files; generate it, too")
        former: ChannelOptions | None = None
        stall = STALL_BASE + lacks.bytes / STALL_RATE
        with settings.lent(server, settings.wanted_by_applier(lacks)):
            try:
                with served(server, None, catalogue, lambda _: None, ports) as ways:
                    where = next(ways, None)
                    if where is None:
                        return "this machine cannot listen for it"
                    former = _noted(server, channel, kind, notes)
                    execute_served(server, proof, lacks, kind, where, former, stall=stall)
            except PrivilegeMissing as error:
                if not channel.of_a_rescue:
                    notes.unlink(missing_ok=True)
                return str(error)
            except WayClosed as error:
                if former is None:
                    return str(error)
                turn_back(server, kind, former, channel.name, stall=STALL_BASE)
                notes.unlink(missing_ok=True)
                return str(error)
            except (CannotLevel, DeadlineExceeded) as error:
                if former is not None:
                    leave_saved_log(server, kind, former, channel.name)
                    notes.unlink(missing_ok=True)
                raise ApplyFailed(f"{error}. Its channel is as it was before; apply the same files again") from error
        turn_back(server, kind, former, channel.name, stall=STALL_BASE)
        notes.unlink(missing_ok=True)
    if channel.applier_running:
        start_replication(server, channel.name, ChannelThread.APPLIER, action="start its applier again")
    return ""


def _noted(server: Server, channel: ReplicaChannel, kind: GtidKind, notes: Path) -> ChannelOptions:
    """What the channel is to have back: kept before it is turned, or by the run that turned it."""
    if not channel.of_a_rescue:
        options = options_now(server, channel, kind)
        with contextlib.closing(Journal(notes)) as journal:
            journal.record(TURN, "intent", server.key, **asdict(options))
        return options
    former = turned(read_journal(notes)).get(server.key) if ours(notes) else None
    if former is None:
        raise UnsafeStatement(
            f"{server}: its channel names the source of a rescue that is gone, and {notes} does not tell whom it named "
            "before: name the --workdir of the run that turned it, or point it by hand"
        )
    return former
