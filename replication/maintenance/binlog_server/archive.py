"""The directory of a binlog server: where each server's binary logs lie in it, and what may be done to them.

``<first master_binlog_dir of [binlogN]>/``
  ``binlog-server.lock``, ``binlog-server.json``   who works here, and how it is (`health`)
  ``db1.example.com_3306/``                        the logs of the server that the configuration calls so: host_port
    ``mysql-bin.000007``                           byte for byte as on that server (but for one flag, see below)
    ``.incoming/``                                 what mysqlbinlog writes just now
    ``former-20250301T120000/``                    logs of the same names that are not that server's any more

A server of its own each, because a new primary's ``mysql-bin.000007`` is another one than the old primary's. The name
comes from the configuration alone (``hostname`` and ``port``): whoever rescues a dead primary has nothing else.

mysqlbinlog can only write a file from its beginning, so a file that is fetched again is written in ``.incoming`` and
takes the place of the copy that is there once it is at least as long and begins with the same bytes; until then the
copy stays. A file that is fetched for the first time gets its place at once and grows there. In a server's newest file
the flag "in use" of the first event is set (byte 21); servers send it cleared, and so it is here.
"""

from __future__ import annotations

import os
import posixpath
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ....config import ServerConfig
from ...errors import RemoteFileError
from ...local.own_files import synced
from ...model.position import BinlogPosition

INCOMING = ".incoming"
#: No control characters, and no number of a thousand digits, which Python refuses to read: a server may say anything.
_LOG = re.compile(r"[^/\x00-\x1f\x7f]+\.[0-9]{6,18}")
#: Bytes of a file's name.
_LONGEST = 255
_PIECE = 1 << 20


def archive_root(binlog: ServerConfig) -> str:
    """The directory of a ``[binlogN]`` block: the first of its ``master_binlog_dir``; empty when it has none."""
    return next(iter(binlog.master_binlog_dir), "")


def archive_directory(binlog: ServerConfig, source: ServerConfig) -> str:
    """Where the binlog server of that block keeps the logs of that server, on the block's host."""
    return posixpath.join(archive_root(binlog), _own_name(source))


def archive_directories(binlog: ServerConfig, source: ServerConfig) -> tuple[str, ...]:
    """Every directory on the block's host that may hold that server's logs, in the order to look.

    First those of ``mha binlog-server``, one a directory of the block; then these directories themselves, where
    people let mysqlbinlog write by hand.
    """
    own = _own_name(source)
    return (*(posixpath.join(each, own) for each in binlog.master_binlog_dir), *binlog.master_binlog_dir)


def _own_name(source: ServerConfig) -> str:
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', source.hostname)}_{source.port}"


@dataclass(frozen=True)
class ArchivedLog:
    """A binary log, here or on its server. ``size`` in bytes, ``mtime`` in epoch seconds (0: not known)."""

    name: str
    size: int
    mtime: float = 0.0

    @property
    def base(self) -> str:
        """The name without its number."""
        return self.name.rpartition(".")[0]

    @property
    def number(self) -> int:
        """Its place in the sequence; as text it would go wrong where the numbers get a seventh digit."""
        return int(self.name.rpartition(".")[2])

    def reaches(self, other: ArchivedLog) -> bool:
        """Whether all that ``other`` holds was written before its end."""
        return (self.number, self.size) >= (other.number, other.size)


def is_log_name(name: str) -> bool:
    """Whether a file is called as binary logs are: name, dot, at least six digits."""
    return _LOG.fullmatch(name) is not None and len(os.fsencode(name)) <= _LONGEST


def local_logs(directory: Path) -> tuple[ArchivedLog, ...]:
    """The logs in a directory, oldest first; none when there is no such directory. Raises OSError."""
    found = []
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return ()
    for entry in entries:
        if is_log_name(entry.name) and entry.is_file(follow_symlinks=False):
            stat = entry.stat()
            found.append(ArchivedLog(entry.name, stat.st_size, stat.st_mtime))
    return tuple(sorted(found, key=lambda f: (f.number, f.base)))


#: Why a gap is there: behind its name, for people.
PURGED = (
    "was purged on its server before it was copied; a rescue cannot use it from here. Keep logs longer on the server "
    "(binlog_expire_logs_seconds, expire_logs_days)"
)
SKIPPED = "is not copied, for commits of the new primary may wait for this copy; a rescue uses its logs from there on"


@dataclass(frozen=True)
class Resume:
    """Where to go on: ``start`` is a log's name.

    ``reset``: the server has begun its numbers anew, so what is here belongs to another history. ``gap``: the first
    and last log that the server purged before they were copied, or that are passed over; ``why`` for people.
    """

    start: str
    reset: bool = False
    gap: tuple[str, str] | None = None
    why: str = PURGED


def span(directory: Path, gap: tuple[str, str]) -> str:
    """How a gap is named, as `health.known_gaps` reads it."""
    first, last = gap
    return f"{directory.name}/{first}" + (f" to {last}" if first != last else "")


def takes_over(binlog: ServerConfig, servers: Iterable[ServerConfig], directory: Path) -> bool:
    """Whether commits may wait for this copy, and another server's was made until now. Raises OSError."""
    others = {Path(archive_directory(binlog, server)) for server in servers} - {directory}
    return binlog.binlog_ack and any(local_logs(each) for each in others)


def resume_point(
    local: Sequence[ArchivedLog],
    remote: Sequence[ArchivedLog],
    *,
    from_current: bool = False,
    taking_over: bool = False,
) -> Resume:
    """The log to begin with, given what is here and what the server has (not empty, in its order).

    It is the oldest one that the server has and that is not whole here: in the ordinary case the newest one here. A
    copy may be longer than the server's own, when that crashed and lost its end. What is older than the oldest one
    here was removed on purpose and is not fetched again. With nothing here: the server's oldest, or its current one,
    and ``taking_over`` that, too, with what is older as a gap.
    """
    mine = {f.number: f for f in local if f.base == remote[-1].base}
    if not mine and taking_over:
        gap = (remote[0].name, remote[-2].name) if len(remote) > 1 else None
        return Resume(remote[-1].name, gap=gap, why=SKIPPED)
    if not mine:
        return Resume((remote[-1] if from_current else remote[0]).name)
    if max(mine) > remote[-1].number:
        return Resume((remote[-1] if from_current else remote[0]).name, reset=True)
    gap = None
    if max(mine) + 1 < remote[0].number:
        digits = len(remote[0].name.rpartition(".")[2])
        first, last = (f"{remote[0].base}.{n:0{digits}d}" for n in (max(mine) + 1, remote[0].number - 1))
        gap = (first, last)
    for log in remote:
        have = mine.get(log.number)
        if log.number >= min(mine) and (have is None or have.size < log.size):
            return Resume(log.name, gap=gap)
    return Resume(remote[-1].name, gap=gap)


def bytes_behind(newest: ArchivedLog | None, end: BinlogPosition, remote: Sequence[ArchivedLog]) -> int:
    """How many bytes the server has written that are not here; ``end`` is the end of its log."""
    last = ArchivedLog(end.file, end.pos)
    if newest is None or newest.base != last.base:
        return sum(f.size for f in remote if f.number < last.number) + last.size
    if newest.number >= last.number:
        return max(0, last.size - newest.size) if newest.number == last.number else 0
    between = sum(f.size for f in remote if newest.number < f.number < last.number)
    rest = next((max(0, f.size - newest.size) for f in remote if f.number == newest.number), 0)
    return rest + between + last.size


def expired(files: Sequence[ArchivedLog], now: float, *, keep_days: float, keep_bytes: int) -> tuple[ArchivedLog, ...]:
    """The logs to remove, oldest first and never the newest; a limit of 0 is none."""
    ordered = sorted(files, key=lambda f: f.number)
    total, gone = sum(f.size for f in ordered), []
    for file in ordered[:-1]:
        too_old = keep_days > 0 and now - file.mtime > keep_days * 86400
        too_much = keep_bytes > 0 and total > keep_bytes
        if not (too_old or too_much):
            break
        gone.append(file)
        total -= file.size
    return tuple(gone)


class OtherHistoryError(Exception):
    """The server sends another log under a name that is here already: it was set up anew, or its logs were reset."""

    def __init__(self, name: str, offset: int) -> None:
        self.name, self.offset = name, offset
        super().__init__(f"{name} differs from the copy at byte {offset}")


class Intake:
    """Takes over what mysqlbinlog writes into ``incoming``, so that no byte that is here is ever given up for less.

    To be used by one thread. Methods raise OSError (full disk), and OtherHistoryError, upon which nothing was lost.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self.incoming = directory, directory / INCOMING
        self.newest = ""  # the log that was taken over last
        self._equal: dict[str, int] = {}
        self._length: dict[str, int] = {}
        self._synced = 0

    def make_ready(self) -> None:
        """Take over what an interrupted run left, and have an empty ``incoming``."""
        self.incoming.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.take(ended=True)
        self.newest = ""
        self._equal.clear()
        self._length.clear()

    def take(self, *, ended: bool = False) -> None:
        """Give every incoming log its place as soon as it may have it; ``ended``: nobody writes any more.

        One that stays shorter than the copy is dropped: its server lost the end that is here.
        """
        fresh = local_logs(self.incoming)
        for file in fresh:
            whole = ended or file is not fresh[-1]
            if self._may_replace(file):
                self._publish(file.name)
            elif whole:
                (self.incoming / file.name).unlink()
                self._equal.pop(file.name, None)

    def sync(self) -> None:
        """Have on disk what the newest log holds."""
        path = self.directory / self.newest
        if not self.newest or not path.exists():
            return
        size = path.stat().st_size
        if size != self._synced:
            synced(path)
            self._synced = size

    def _may_replace(self, fresh: ArchivedLog) -> bool:
        kept = self.directory / fresh.name
        if not fresh.size:
            return False
        if not kept.exists():
            return True
        length = self._length.setdefault(fresh.name, kept.stat().st_size)
        compared = self._equal.get(fresh.name, 0)
        until = min(fresh.size, length)
        with kept.open("rb") as old, (self.incoming / fresh.name).open("rb") as new:
            differs = _first_difference(old, new, compared, until)
            if differs is not None:
                # Zeros at the end are no log: space that was allocated when this host lost its power.
                if not _only_zeros(old, differs):
                    raise OtherHistoryError(fresh.name, differs)
                self._length[fresh.name] = until = differs
        self._equal[fresh.name] = until
        return fresh.size >= self._length[fresh.name]

    def _publish(self, name: str) -> None:
        path = self.incoming / name
        # The copy that is replaced was on disk, so the new one has to be before it goes.
        synced(path)
        if self.newest and self.newest != name and (self.directory / self.newest).exists():
            synced(self.directory / self.newest)
        path.replace(self.directory / name)
        # What was known of the copy that is gone says nothing about this one, should the name come once more.
        self._equal.pop(name, None)
        self._length.pop(name, None)
        synced(self.directory)
        self.newest, self._synced = name, 0


def set_aside(directory: Path, now: float | None = None) -> Path:
    """Move all logs of another history to a ``former-…`` directory; returns that. What is incoming stays."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    target = directory / f"former-{stamp}"
    for number in range(2, 1000):
        if not target.exists():
            break
        target = directory / f"former-{stamp}-{number}"
    target.mkdir(mode=0o750)
    for file in local_logs(directory):
        (directory / file.name).rename(target / file.name)
    synced(directory)
    return target


def remove(directory: Path, files: Iterable[ArchivedLog]) -> None:
    """Delete these logs of a directory, in their order. Raises OSError."""
    for file in files:
        (directory / file.name).unlink(missing_ok=True)
    synced(directory)


def _first_difference(old: BinaryIO, new: BinaryIO, start: int, until: int) -> int | None:
    """The first offset in [start, until) where two files differ."""
    old.seek(start)
    new.seek(start)
    while start < until:
        size = min(_PIECE, until - start)
        a, b = old.read(size), new.read(size)
        if a != b:
            return start + next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        start += size
    return None


def _only_zeros(file: BinaryIO, offset: int) -> bool:
    file.seek(offset)
    while piece := file.read(_PIECE):
        if piece.strip(b"\0"):
            return False
    return True


def disk_error(root: Path, error: OSError) -> RemoteFileError:
    """What the disk below ``root`` said, for people."""
    hint = "free space there, or set binlog_keep_bytes or binlog_keep_days" if error.errno == 28 else ""
    where = error.filename or root
    return RemoteFileError("this host", f"write into {where}", error.strerror or str(error), hint)
