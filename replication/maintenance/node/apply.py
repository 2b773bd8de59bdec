"""Apply cuts of logs on a server over TCP, from where this runs.

Its own threads receive and execute them; ``mysqlbinlog | mysql`` gives it those of which that is proven to be the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ...actions.drain import drain, stop_applier
from ...actions.promote import open_to_us
from ...binlog.cutter import Cut, LogFile, cut
from ...binlog.events import MAGIC
from ...binlog.reader import LogReader, Transaction
from ...errors import ApplyFailed, DeadlineExceeded, LogError, StatementFailed, UnsafeStatement
from ...local.own_files import open_own
from ...model.gtid import Gtid, MariadbGtid
from ...model.position import BinlogPosition
from ...model.state import GtidKind, ReplicaChannel, ServerState, Vendor
from ...mysql import temporary_settings as settings
from ...mysql.dialects import ChannelThread, channel_name
from ...mysql.server import Server
from ...rescue.apply import client_options, is_applied, script_words
from ...rescue.tails import why_not_replayed
from ...scripts import script
from ...source import facing
from .client_programs import Client, last_line
from .logs import local_log, whole_file
from .serve import serve_log

#: Seconds for an application whatever its size, and the slowest rate that is still waited for (bytes per second).
BASE, RATE = 60.0, 50_000.0
#: Seconds without progress after which the applier is given up.
STALL = 60.0
#: apply.sh ends with one of these when the client was not started, or when it was given less than there is.
_NOT_THE_CLIENT = range(90, 98)


def merge(paths: Sequence[Path], total: Path, wanted: Callable[[Transaction], bool], *, torn_end: bool) -> Cut:
    """Write the wanted complete transactions of several cuts, one after the other, into one log.

    Each of them must be whole, because nothing shows what a file that was cut off on its way has lost; with
    ``torn_end`` the last one may end anywhere. Raises LogError, OSError.
    """
    files = [local_log(path) for path in paths]
    for log, path in zip(files, paths, strict=True):
        with log.open() as stream:
            reader = LogReader(stream, name=str(path), size=log.size)
            for _ in reader.transactions():
                pass
        end = reader.stop
        if end is None or end.kind == "clean" or (torn_end and path is paths[-1]):
            continue
        raise LogError(
            f"nothing was applied: {path} is {end.kind} at {end.offset} ({end.reason}); copy it again, or, if it was "
            "written so, make a file of what is whole in it with --no_apply and apply that"
        )
    # Names of their own: files of two directories may be called the same.
    named = [LogFile(f"part.{number:06d}", log.size, log.open) for number, log in enumerate(files, 1)]
    with whole_file(total, paths) as out:
        return cut(named, BinlogPosition(named[0].name, len(MAGIC)), wanted, out, received=True)


def join_texts(paths: Sequence[Path], total: Path) -> None:
    """Write what mysqlbinlog made of several logs, one after the other, into one file. Raises LogError, OSError."""
    with whole_file(total, paths) as out:
        for path in paths:
            with path.open("rb") as text:
                shutil.copyfileobj(text, out)


def finish_relay_logs(server: Server) -> ServerState:
    """Let a replica execute everything it received; the state after it.

    What is applied comes behind that, so its receiver must be stopped already. Raises UnsafeStatement,
    DeadlineExceeded, ServerError.
    """
    state = server.observe()
    for channel in state.channels:
        if not channel.receiver_stopped:
            stop = server.dialect.stop(channel.name, ChannelThread.RECEIVER)
            raise UnsafeStatement(
                f"{server}: its receiver still runs, so more may come from {channel.source_host}:{channel.source_port} "
                f"between what is applied; nothing was applied; run {stop} first"
            )
    for channel in state.channels:
        proof = drain(server, channel.name, stall=STALL)
        if proof.torn:
            # An applier that holds the torn beginning of a transaction holds its locks, and its GTID, against us.
            stop_applier(server, proof)
    return server.observe()


class MissingPart:
    """Which transactions a replica lacks, as far as GTIDs tell, or its place where they are of ``channel``'s source."""

    def __init__(self, state: ServerState, channel: ReplicaChannel | None = None) -> None:
        self._state, self._kinds = state, {each.gtid_kind for each in state.channels}
        by_place = channel is not None and channel.gtid_kind is GtidKind.POSITION
        self._executed = channel.executed if channel is not None and by_place else None

    def __call__(self, transaction: Transaction) -> bool:
        gtid, state, end, executed = transaction.gtid, self._state, transaction.source_end, self._executed
        if executed is not None and end is not None and end.base == executed.base and end <= executed:
            return False
        # MySQL's GTIDs mean the same however the replica finds its place; MariaDB writes them into every log, and only
        # a replica that follows them keeps to their order.
        if isinstance(gtid, Gtid) and state.gtid_executed is not None:
            return gtid not in state.gtid_executed
        if isinstance(gtid, MariadbGtid) and state.mariadb_gtid is not None and GtidKind.MARIADB in self._kinds:
            return not state.mariadb_gtid.covers(gtid)
        return True


def give(
    server: Server,
    state: ServerState,
    channel: ReplicaChannel | None,
    log: Path,
    lacks: Cut,
    client: Client,
    errors: Path,
    *,
    ports: Sequence[int],
    disable_log_bin: bool,
) -> str:
    """Give a server a log that `merge` made, and prove that it has it; how, in words.

    Its own threads receive and execute it; where they cannot, a session replays it if that is proven to do the same.
    ``channel`` is the one whose source wrote it. Raises LogError when neither can be, ApplyFailed, DeadlineExceeded.
    """
    why = _why_not_served(state, channel, lacks, disable_log_bin=disable_log_bin)
    if not why and channel is not None:
        notes = log.with_name(f"apply_diff_relay_logs_on_{server.config.hostname}_{server.config.port}.journal")
        why = serve_log(server, channel, log, lacks, ports=ports, notes=notes)
        if not why:
            return f"received from {facing(server.config.ip)}"
    name = channel.name if channel is not None else ""
    status = next((row for row in server.show_channels() if channel_name(row) == name), {})
    if not_same := why_not_replayed(lacks, status):
        raise LogError(
            f"nothing was applied: {log} cannot be served to {server} ({why}), nor replayed by a session, which may do "
            f"something else than its applier: {not_same}"
        )
    logging.getLogger("mha").warning("It is replayed on %s by a session, for it cannot be served: %s.", server, why)
    apply_log(server, server.observe(), log, lacks, client, errors, disable_log_bin=disable_log_bin)
    return "replayed by a session"


def _why_not_served(state: ServerState, channel: ReplicaChannel | None, lacks: Cut, *, disable_log_bin: bool) -> str:
    if channel is None:
        return "none of its channels has the source that wrote it"
    if disable_log_bin and channel.gtid_kind is GtidKind.POSITION:
        return "--disable_log_bin: what a replica's own threads execute is logged"
    if state.server_id in lacks.origins:
        return "the replica itself executed some of it first, and its receiver leaves that out"
    return ""


def apply_log(
    server: Server, state: ServerState, log: Path, done: Cut, client: Client, errors: Path, *, disable_log_bin: bool
) -> None:
    """Replay a log of rows on a server and prove it.

    ``state`` is the server's, just before; ``errors`` the file for what the client says. Raises ApplyFailed,
    DeadlineExceeded, and StatementFailed when all ended well and yet the transactions are not there.
    """
    follows_gtids = state.vendor is Vendor.MYSQL or any(c.gtid_kind is GtidKind.MARIADB for c in state.channels)
    named = follows_gtids and bool(done.gtids)
    if named and disable_log_bin:
        logging.getLogger("mha").warning(
            "--disable_log_bin is ignored: with GTIDs others would never ask %s for what it has.", server
        )
        disable_log_bin = False
    programs, here = (client.bindir, client.libdir), str(errors.parent)
    words = script_words(server, state, done, str(log), here, programs, disable_log_bin=disable_log_bin)
    with open_to_us(server, state), settings.lent(server, settings.wanted(done)):
        _run(
            ["sh", "-c", script("apply.sh"), "apply", *words],
            client_options(server.config, vendor=state.vendor, plugin=server.plugin).encode(),
            errors,
            BASE + done.bytes / RATE,
        )
    after = server.observe()
    if named and not is_applied(after, done):
        raise StatementFailed(server.config.name, f"apply {log}", f"{done.gtids} is not executed afterwards")
    if not named and state.log_bin and not disable_log_bin and after.end_of_log == state.end_of_log:
        raise StatementFailed(server.config.name, f"apply {log}", "its own binary log did not grow")


def _run(words: list[str], given: bytes, errors: Path, seconds: float) -> None:
    with _error_file(errors) as err:
        process = subprocess.Popen(  # noqa: S603 - words, no shell
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
        try:
            process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise DeadlineExceeded(f"apply it (see {errors})", seconds) from None
        finally:
            _end(process)
    if process.returncode:
        said = last_line(errors.read_text(encoding="utf-8", errors="replace"))
        sentence = f"the client ended with {process.returncode}: {said} (all it said is in {errors})"
        raise LogError(sentence) if process.returncode in _NOT_THE_CLIENT else ApplyFailed(sentence)


@contextlib.contextmanager
def _error_file(path: Path) -> Iterator[IO[bytes]]:
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as out:
        yield out


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole pipeline: a client that goes on by itself would apply what nobody waits for."""
    if process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                return
