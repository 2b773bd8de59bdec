"""Apply cuts of logs on a server over TCP, from where this runs, through ``mysqlbinlog | mysql``."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from replication import settings
from replication.apply import client_options, is_applied, script_words
from replication.binlog.cutter import Cut, LogFile, cut
from replication.binlog.events import MAGIC
from replication.binlog.reader import LogReader, Transaction
from replication.dialects import ChannelThread
from replication.dialects.session import CLIENT
from replication.drain import drain, stop_applier
from replication.errors import DeadlineExceeded, LogError, MhaError, StatementFailed, UnsafeStatement
from replication.gtid import Gtid, MariadbGtid
from replication.node import local_log, whole_file
from replication.own_files import open_own
from replication.positions import BinlogPosition
from replication.programs import Client, last_line
from replication.promote import open_to_us
from replication.scripts import script
from replication.server import Server
from replication.snapshots import GtidKind, ServerState, Vendor

#: Seconds for an application whatever its size, and the slowest rate that is still waited for (bytes per second).
BASE, RATE = 60.0, 50_000.0
#: Seconds without progress after which the applier is given up.
STALL = 60.0
#: apply.sh ends with one of these when the client was not started, or when it was given less than there is.
_NOT_THE_CLIENT = range(90, 98)


class ApplyFailed(MhaError):
    """The client or the server refused what was to be applied; its words are in the file that the text names."""


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
        return cut(named, BinlogPosition(named[0].name, len(MAGIC)), wanted, out)


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


class Lacking:
    """Which transactions a replica lacks, as far as its GTIDs tell; without them it is all."""

    def __init__(self, state: ServerState) -> None:
        self._state, self._kinds = state, {channel.gtid_kind for channel in state.channels}

    def __call__(self, transaction: Transaction) -> bool:
        gtid, state = transaction.gtid, self._state
        # MySQL's GTIDs mean the same however the replica finds its place; MariaDB writes them into every log, and only
        # a replica that follows them keeps to their order.
        if isinstance(gtid, Gtid) and state.gtid_executed is not None:
            return gtid not in state.gtid_executed
        if isinstance(gtid, MariadbGtid) and state.mariadb_gtid is not None and GtidKind.MARIADB in self._kinds:
            return not state.mariadb_gtid.covers(gtid)
        return True


def apply_log(
    server: Server, state: ServerState, log: Path, done: Cut, client: Client, errors: Path, *, disable_log_bin: bool
) -> None:
    """Apply one log on a server and prove it.

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
    if done.loads_file:
        raise LogError(
            f"{log} holds a LOAD DATA, whose file no client of ours gives to a server; nothing was applied: let the "
            "replica receive it from a server that has it in its binary log"
        )
    words = script_words(server, state, done, str(log), here, programs, disable_log_bin=disable_log_bin)
    with open_to_us(server, state), settings.lent(server, done):
        _run(
            ["sh", "-c", script("apply.sh"), "apply", *words],
            client_options(server.config, vendor=state.vendor, plugin=server.plugin).encode(),
            errors,
            BASE + done.bytes / RATE,
            None,
        )
    after = server.observe()
    if named and not is_applied(after, done):
        raise StatementFailed(server.config.name, f"apply {log}", f"{done.gtids} is not executed afterwards")
    if not named and state.log_bin and not disable_log_bin and after.end_of_log == state.end_of_log:
        raise StatementFailed(server.config.name, f"apply {log}", "its own binary log did not grow")


def apply_text(
    server: Server, state: ServerState, text: Path, client: Client, errors: Path, *, disable_log_bin: bool
) -> None:
    """Apply statements, as mysqlbinlog wrote them, on a server. Raises ApplyFailed and DeadlineExceeded."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mha-apply.", dir=errors.parent)))
        options = directory / "client.cnf"
        options.touch(mode=0o600)
        text_of_options = client_options(server.config, vendor=state.vendor, plugin=server.plugin)
        options.write_text(text_of_options, encoding="utf-8")
        words = [client.client(state.vendor.value), f"--defaults-file={options}", "--local-infile=0"]
        words += ["--binary-mode", "--batch"]
        if disable_log_bin:
            words.append(f"--init-command={CLIENT}, SESSION sql_log_bin=0")
        source = stack.enter_context(text.open("rb"))
        stack.enter_context(open_to_us(server, state))
        _run(words, source, errors, BASE + text.stat().st_size / RATE, client.environment())


def _run(
    words: list[str], given: bytes | IO[bytes], errors: Path, seconds: float, environment: dict[str, str] | None
) -> None:
    with _error_file(errors) as err:
        process = subprocess.Popen(  # noqa: S603 - words, no shell
            words,
            stdin=subprocess.PIPE if isinstance(given, bytes) else given,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=environment,
            start_new_session=True,
        )
        try:
            process.communicate(given if isinstance(given, bytes) else None, timeout=seconds)
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
