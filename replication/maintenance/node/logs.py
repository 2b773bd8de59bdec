"""Cut the logs that lie on this machine, for commands that run on a database host.

The same cutting as in a failover, without SSH: what a server's binary logs hold from a place on, and what one
replica's relay logs hold that another one lacks.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ...binlog.cutter import Cut, LogFile, cut
from ...binlog.events import MAGIC
from ...binlog.reader import LogEnd, LogReader, StartInside, Transaction
from ...binlog.relay_position import beginning, find_source_position, received_up_to
from ...errors import LogError
from ...local.own_files import written
from ...model.position import BinlogPosition, log_index, unbroken_row

#: MHA's numbers for what can be said of a place in relay logs (apply_diff_relay_logs 0.58).
HAS_EVERYTHING, NO_RELAY_LOG, NO_SUCH_POSITION = 2, 10, 12


class PlaceNotFound(LogError):
    """Relay logs cannot give what was asked for. ``code`` is MHA's number for why."""

    def __init__(self, code: int, sentence: str) -> None:
        self.code = code
        super().__init__(f"{sentence} (code {code})")


@dataclass(frozen=True)
class LogRow:
    """Logs of one server, in order; ``beyond_gap`` are those that exist behind a missing one and are not among them."""

    directory: Path
    files: tuple[LogFile, ...]
    beyond_gap: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where they lie."""
        return tuple(self.directory / log.name for log in self.files)


# finding ---------------------------------------------------------------------------------------------------------


def binary_logs(directories: Sequence[Path], first: str) -> LogRow:
    """The binary log ``first`` and all that follow it without a gap, from the first directory that has it.

    Raises LogError naming every directory that was searched.
    """
    wanted, searched = log_index_of(first), []
    for directory in dict.fromkeys(directories):
        try:
            names = [path.name for path in directory.iterdir()]
        except OSError as error:
            searched.append(f"{directory}: {error.strerror}")
            continue
        row = unbroken_row(names, first)
        if not row or first not in row:
            searched.append(f"{directory} has no {first}")
            continue
        following = row[row.index(first) :]
        newest = log_index(following[-1])
        beyond = [n for n in sorted(names) if _is_log_of(first, n) and log_index(n) > max(newest, wanted)]
        return LogRow(directory, tuple(local_log(directory / name) for name in following), tuple(beyond))
    raise LogError(f"no binary log {first}: {'; '.join(searched)}; name the directory with --binlog_dir")


def newest_binary_log(directories: Sequence[Path], base: str) -> str:
    """The name of the newest log called ``base``.NUMBER in the first directory that has one. Raises LogError."""
    for directory in directories:
        with contextlib.suppress(OSError):
            names = [path.name for path in directory.iterdir() if _is_log_of(f"{base}.1", path.name)]
            if names:
                return max(names, key=log_index)
    raise LogError(f"no binary log {base}.NUMBER in {', '.join(map(str, directories))}")


def relay_logs(directory: Path, one: str) -> LogRow:
    """All relay logs of the row that the log ``one`` stands in. Raises PlaceNotFound and OSError."""
    log_index_of(one)
    row = unbroken_row([path.name for path in directory.iterdir()], one)
    if not row:
        raise PlaceNotFound(NO_RELAY_LOG, f"{directory} has no relay log {one}")
    return LogRow(directory, tuple(local_log(directory / name) for name in row))


def relay_logs_by_info(info: Path) -> LogRow:
    """All relay logs of the server whose relay-log.info this is; paths in it are relative to its directory.

    Servers from MySQL 5.6 and MariaDB 10 on write the number of lines first. Raises LogError, OSError.
    """
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    if lines and lines[0].isdigit():
        lines = lines[1:]
    if not lines or not lines[0].rpartition(".")[2].isdigit():
        raise LogError(f"{info} names no relay log; give --relay_dir and --current_relay_log instead")
    named = info.parent / lines[0]
    return relay_logs(named.parent, named.name)


def local_log(path: Path) -> LogFile:
    """A log of this machine that may be read. Raises OSError or LogError."""
    log = LogFile.at(path)
    if not os.access(path, os.R_OK):
        raise LogError(f"{path} may not be read by this user; run this as root or as the server's own user")
    return log


def log_index_of(name: str) -> int:
    """The number of a log. Raises LogError for what is not a log's plain name."""
    try:
        if "/" in name:
            raise ValueError(f"{name!r} is a path; give the log's name, and its directory by itself")
        return log_index(name)
    except ValueError as error:
        raise LogError(str(error)) from None


def _is_log_of(one: str, name: str) -> bool:
    base, _, number = name.rpartition(".")
    return base == one.rpartition(".")[0] and number.isdigit()


# saving ----------------------------------------------------------------------------------------------------------


def save_from(logs: LogRow, start: BinlogPosition, out: BinaryIO) -> Cut:
    """Write every complete transaction from ``start`` on.

    A log that a crash cut off ends where it is whole, as the cut tells. Raises LogError when ``start`` is no place
    where a transaction can begin, and when nothing can be read from there on although something is there.
    """
    first = logs.files[0]
    if start.pos > first.size:
        raise LogError(
            f"{logs.paths[0]} has {first.size} bytes, so nothing begins at {start.pos}: the place is of another log, "
            "or this disk lost what a replica had received"
        )
    try:
        done = cut(logs.files, start, lambda _: True, out, received=True)
    except StartInside:
        raise LogError(_where_it_begins(logs.paths[0], first, start.pos)) from None
    # Without checksums any bytes may look like events; with them, a wrong start looks like damage right there.
    suspect = [(end.log, end.offset) for end in (*done.passed, done.end_reason) if end.kind != "clean"]
    if (start.file, start.pos) in suspect or not _has_checksums(first):
        _prove_border(logs.paths[0], first, start.pos)
    if not done.transactions and done.end_reason.kind in ("corrupt", "unreadable", "encrypted"):
        raise LogError(f"{logs.directory}: nothing can be read from {start} on: {done.end_reason}")
    return done


def lost_behind(logs: LogRow, end: LogEnd) -> bool:
    """Whether reading ended before the newest log did, so that more than the tail of a crash is not saved."""
    return end.kind != "clean" and end.log != logs.files[-1].name


def _has_checksums(log: LogFile) -> bool:
    with log.open() as stream:
        return LogReader(stream, name=log.name, size=log.size).format.checksum


def _where_it_begins(path: Path, log: LogFile, pos: int) -> str:
    with log.open() as stream:
        for transaction in LogReader(stream, name=log.name, size=log.size).transactions():
            if transaction.start < pos < transaction.end:
                return (
                    f"{path}: {pos} lies inside a transaction, which begins at {transaction.start}; begin there: a "
                    "replica executes none of a transaction that it received in part"
                )
    return f"{path}: {pos} lies inside a transaction"


def _prove_border(path: Path, log: LogFile, pos: int) -> None:
    """An event must begin or the log must end at the start; read from the log's beginning. Raises LogError."""
    if pos <= len(MAGIC):
        return
    with log.open() as stream:
        reader = LogReader(stream, name=log.name, size=log.size)
        found = any(event.offset == pos for event in reader.events())
    if found or (reader.stop is not None and reader.stop.offset == pos):
        return
    if reader.stop is not None and reader.stop.offset < pos:
        raise LogError(f"{path} cannot be read up to {pos}: {reader.stop}")
    raise LogError(f"{path}: no event begins at {pos}; take the place from SHOW REPLICA STATUS of a replica")


# differences -----------------------------------------------------------------------------------------------------


def find_place(logs: LogRow, target: BinlogPosition, latest: BinlogPosition) -> tuple[LogFile, int]:
    """Where the transactions that a replica lacks begin in these relay logs: the log and the offset in it.

    ``target`` is how far that replica is, ``latest`` how far these logs are, both in the source's log. Raises
    PlaceNotFound, also when nothing is lacking; LogError when the logs cannot be read.
    """
    if target.base != latest.base:
        raise PlaceNotFound(NO_SUCH_POSITION, f"{target} and {latest} are not places in the logs of one source")
    if target >= latest:
        raise PlaceNotFound(HAS_EVERYTHING, f"the target is at {target} and has everything up to {latest}")
    try:
        found = find_source_position(logs.files, target)
    except StartInside as error:
        raise PlaceNotFound(
            NO_SUCH_POSITION,
            f"{error}; give the place up to which the target executed (Exec_Master_Log_Pos): it executes nothing of "
            "a transaction that it received in part",
        ) from None
    if found is not None:
        return found
    begin, end = beginning(logs.files[0]), received_up_to(logs.files)
    span = f"the relay logs {logs.paths[0]} to {logs.files[-1].name}"
    if begin is None or begin.base != target.base or begin > target:
        raise PlaceNotFound(
            NO_RELAY_LOG,
            f"{span} do not reach back to {target}: they begin at {begin or 'a place that they do not tell'}; "
            "set relay_log_purge=0 on replicas, and use another replica now",
        )
    if end is not None and end.base == latest.base and end >= latest:
        raise PlaceNotFound(HAS_EVERYTHING, f"no transaction lies between {target} and {latest}")
    raise PlaceNotFound(
        NO_SUCH_POSITION, f"{span} hold the source's log from {begin} to {end}, and no transaction from {target} on"
    )


def write_difference(logs: LogRow, target: BinlogPosition, latest: BinlogPosition, out: BinaryIO) -> Cut:
    """Write the transactions from ``target`` to ``latest`` that these relay logs hold.

    The beginning of a transaction that ``latest`` lies inside of is not among them. Raises PlaceNotFound and LogError,
    also when the relay logs do not reach ``latest``.
    """
    found, offset = find_place(logs, target, latest)
    number = next(n for n, log in enumerate(logs.files) if log.name == found.name)
    # The head of a relay log need not tell which of the source's logs it goes on with; an earlier one does.
    while number and beginning(logs.files[number]) is None:
        number -= 1
    wanted = _Between((found.name, offset), latest)
    done = cut(logs.files[number:], BinlogPosition(logs.files[number].name, len(MAGIC)), wanted, out, received=True)
    reached = done.last.source_end if done.last else target
    if wanted.unplaced:
        raise LogError(f"{logs.directory / wanted.unplaced} does not tell which of the source's transactions it holds")
    if reached != latest:
        received = received_up_to(logs.files)
        if received is None or received.base != latest.base or received < latest:
            raise LogError(
                f"the relay logs in {logs.directory} hold the source's log up to {received}, not up to {latest} "
                f"(reading them ended {done.end_reason})"
            )
        if done.end_reason.kind in ("corrupt", "unreadable", "encrypted"):
            raise LogError(f"the relay logs in {logs.directory} cannot be read up to {latest}: {done.end_reason}")
    return done


def write_nothing(logs: LogRow, out: BinaryIO) -> None:
    """Write a log without transactions, described as these relay logs are. Raises LogError."""
    newest = logs.files[-1]
    cut([newest], BinlogPosition(newest.name, len(MAGIC)), lambda _: False, out)


class _Between:
    """Wants transactions from one place of the relay logs on that end at or before a place of the source's log."""

    def __init__(self, first: tuple[str, int], latest: BinlogPosition) -> None:
        self._first, self._latest = first, latest
        self._begun = False
        self.unplaced = ""

    def __call__(self, transaction: Transaction) -> bool:
        self._begun = self._begun or (transaction.log, transaction.start) == self._first
        if not self._begun:
            return False
        end = transaction.source_end
        if end is None:
            self.unplaced = self.unplaced or transaction.log
            return False
        return end.base == self._latest.base and end <= self._latest


# writing ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_file(path: Path, sources: Sequence[Path] = ()) -> Iterator[BinaryIO]:
    """A file for its owner and group that has its name once it is whole and on disk; none is left after an error.

    One that is there is replaced. Raises LogError when it is one of ``sources`` or is no file, OSError of the disk.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise LogError(f"{path} is there already and is not a file")
    if path.resolve() in {source.resolve() for source in sources}:
        raise LogError(f"{path} is one of the logs that are read; name another file")
    if not path.parent.is_dir():
        raise LogError(f"{path} cannot be written: there is no directory {path.parent}")
    with written(path, 0o640, binary=True, durable=True) as out:
        yield cast(BinaryIO, out)
