"""Bring what only the dead primary's disk holds to the manager: a byte-true copy of the needed part of its logs.

The copy keeps each log's name and offsets (the part before the beginning is a hole in a sparse file), so positions
mean the same in it as on the dead host, and every replica's part can be cut from it as often as needed.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from ..binlog.cutter import Cut, LogFile, cut, survey
from ..binlog.events import MAGIC
from ..binlog.reader import LogEnd, Transaction
from ..binlog.relay_position import find_source_position
from ..binlog.sequence import LogSequence
from ..errors import DeadlineExceeded, HostError, HostUnreachable, LogError, RemoteFileError
from ..local.own_files import open_own, own_directory
from ..meter import Meter
from ..model.position import BinlogPosition, log_index
from ..ssh.host import SshHost
from ..threads import ThreadPool
from .finding import RemoteLog, opened

logger = logging.getLogger("mha")

#: Enough of a log's head for its format description, whatever comes after it.
HEAD = 64 * 1024
CHUNK = 1 << 20
#: Seconds to wait for the far side's sum whatever there is to sum, and the slowest disk waited for (bytes per second).
PROOF_BASE, PROOF_RATE = 60.0, 10e6
#: What sha256sum says of its input.
_SUM = re.compile(r"([0-9a-f]{64}) [ *]-\n")


@dataclass(frozen=True)
class BinlogCopy:
    """The copied part of a server's logs: every byte from ``start`` to ``end``, in ``directory`` on the manager.

    ``stopped`` tells where copying ended before the logs did: a file that is missing or cannot be read to its end;
    ``no_room`` that there was no room for it.
    """

    directory: Path
    names: tuple[str, ...]
    start: BinlogPosition
    end: BinlogPosition
    bytes: int
    stopped: LogEnd | None = None
    no_room: bool = False

    def logs(self) -> list[LogFile]:
        """The copies as the cutter wants them, none beyond ``end``. Raises OSError when they are not there."""
        logs = [LogFile.at(self.directory / name) for name in self.names]
        return [replace(log, size=min(log.size, self.end.pos)) if log.name == self.end.file else log for log in logs]


def borrow_relay_logs(
    host: SshHost, logs: Sequence[RemoteLog], place: BinlogPosition, directory: Path, server_id: int = 0
) -> tuple[BinlogCopy, BinlogPosition] | None:
    """Find in a replica's relay logs where a place in the dead primary's log is, and copy from there on.

    Returns the copy and the place in it. None when they do not reach back so far, or end there. Raises HostError's
    children and LogError.
    """
    found = find_source_position(opened(host, logs), place, server_id)
    if found is None:
        return None
    begin = BinlogPosition(found[0].name, found[1])
    needed = [log for log in logs if log_index(log.name) >= begin.index]
    # From the first one's beginning: how the source described its events stands behind the relay log's own head.
    return mirror(host, needed, BinlogPosition(needed[0].name, len(MAGIC)), directory), begin


def mirror(host: SshHost, logs: Sequence[RemoteLog], start: BinlogPosition, directory: Path) -> BinlogCopy:
    """Copy the logs from ``start`` to their end; only these bytes and the head of the first log travel.

    Each copy is proven by comparing its SHA-256 with one computed on the dead host. What can be read is copied: a log
    that cannot be ends it, and `BinlogCopy.stopped` tells. Raises HostError's children when that leaves nothing,
    OSError when that is for want of room, and LogError when nobody could read the copy from ``start`` on (it is
    encrypted, or no log).
    """
    own_directory(directory)
    room = shutil.disk_usage(directory).free
    total, stopped, full = 0, None, False
    copied: list[RemoteLog] = []
    pool = ThreadPool(1, thread_name_prefix="digest")
    try:
        for number, log in enumerate(logs):
            begin = start.pos if number == 0 else 0
            trouble: RemoteFileError | None
            full = log.size - begin + total > room
            if full:
                # As long as its inode says, and perhaps nothing but a hole.
                said = f"{log.path} is {log.size} bytes long, and {room - total} are free in {directory.parent}"
                if not copied:
                    raise OSError(errno.ENOSPC, said)
                count, trouble = 0, RemoteFileError(host.name, f"copy {log.path}", said)
            else:
                count, trouble = _copy(host, log, begin, directory / log.name, pool)
            total += count
            if trouble is not None and not (copied or count):
                raise trouble
            if trouble is None or count:
                copied.append(RemoteLog(log.path, log.size if trouble is None else begin + count))
            if trouble is not None:
                stopped = LogEnd("unreadable", begin + count, str(trouble), log.name)
                break
    finally:
        # A sum that nobody wants any more ends at its own deadline.
        pool.shutdown(wait=False)
    end = BinlogPosition(copied[-1].name, copied[-1].size)
    made = BinlogCopy(directory, tuple(log.name for log in copied), start, end, total, stopped, full)
    next(iter(LogSequence(made.logs(), start.pos)), None)
    return made


def shortened(copy: BinlogCopy, end: BinlogPosition) -> BinlogCopy:
    """The copy up to ``end`` and no further; what its files have beyond that stays in them, and is nobody's."""
    if copy.end <= end or end < copy.start:
        return copy
    names = tuple(name for name in copy.names if log_index(name) <= end.index)
    return replace(copy, names=names, end=end, stopped=None)


def up_to(logs: Sequence[RemoteLog], end: BinlogPosition) -> tuple[RemoteLog, ...]:
    """The logs up to that place and no further."""
    needed = [log for log in logs if log_index(log.name) <= end.index]
    return tuple(replace(log, size=min(log.size, end.pos)) if log.name == end.file else log for log in needed)


def logs_from(copy: BinlogCopy, start: BinlogPosition) -> list[LogFile]:
    """The copies from the one in which ``start`` lies. Raises LogError when it is not saved."""
    logs = copy.logs()
    names = [log.name for log in logs]
    if start.file not in names or start < copy.start:
        raise LogError(f"the saved logs begin at {copy.start}, but {start} is needed")
    return logs[names.index(start.file) :]


def survey_from(copy: BinlogCopy, start: BinlogPosition, wanted: Callable[[Transaction], bool]) -> Cut:
    """What the wanted complete transactions from ``start`` on are; nothing is written."""
    return _as_stopped(copy, survey(logs_from(copy, start), start, wanted))


def cut_from(copy: BinlogCopy, start: BinlogPosition, wanted: Callable[[Transaction], bool], path: Path) -> Cut:
    """Write the wanted complete transactions from ``start`` on into one log file at ``path`` on the manager."""
    logs = logs_from(copy, start)
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as out:
        result = cut(logs, start, wanted, out)
        out.flush()
    return _as_stopped(copy, result)


def _as_stopped(copy: BinlogCopy, result: Cut) -> Cut:
    """A cut that ends where copying ended, ends for that reason."""
    end, stopped = result.end_reason, copy.stopped
    if stopped is not None and end.kind != "corrupt" and end.log in (copy.end.file, stopped.log):
        return replace(result, end_reason=stopped)
    return result


def _copy(
    host: SshHost, log: RemoteLog, begin: int, target: Path, pool: ThreadPool
) -> tuple[int, RemoteFileError | None]:
    """Copy a log's head and everything from ``begin``: the bytes from ``begin`` on, and why there are no more.

    A session that breaks is opened again, and the copy goes on where it was, as long as each session brings some of it.
    What was copied whole is proven. Raises RemoteFileError when the proof fails.
    """
    copying, length = _Copying(host, log, begin, target), max(0, log.size - begin)
    while True:
        before = copying.copied
        try:
            theirs = copying.go_on(pool)
            break
        except RemoteFileError as error:
            return copying.copied, error
        except HostUnreachable as error:
            if copying.copied == before:
                raise
            logger.warning("The copy of %s goes on after %d bytes: %s", log.path, copying.copied, error)
        finally:
            copying.truncate()
    if copying.copied != length:
        said = f"it ended after {begin + copying.copied} of {log.size} bytes"
        return copying.copied, RemoteFileError(host.name, f"read {log.path}", said)
    if theirs.result() not in (None, copying.digest.hexdigest()):
        raise RemoteFileError(host.name, f"copy {log.path}", "the copy differs from the original")
    return copying.copied, None


class _Copying:
    """One log on its way here: how many bytes from ``begin`` on have come, and their sum."""

    def __init__(self, host: SshHost, log: RemoteLog, begin: int, target: Path) -> None:
        self._host, self._log, self._begin, self._target = host, log, begin, target
        self.copied, self.digest = 0, hashlib.sha256()

    def go_on(self, pool: ThreadPool) -> Future[str | None]:
        """Copy what has not come yet; returns their side's sum, which is on its way."""
        log, length = self._log, max(0, self._log.size - self._begin)
        with (
            self._host.open(log.path, links=False) as remote,
            self._target.open("r+b" if self.copied else "wb") as local,
        ):
            self._target.chmod(0o640)
            if self._begin and not self.copied:
                local.write(remote.read(min(HEAD, self._begin)))
            for stream in (remote, local):
                stream.seek(self._begin + self.copied)
            # Their side sums up meanwhile, while the disk is read anyway. Begun only now, for the file and the command
            # may have to share the only channel that sshd allows: then the command waits until the file is closed.
            theirs = pool.submit(_digest_there, self._host, log, self._begin)
            with Meter(f"save {log.name}", length) as meter:
                while self.copied < length and (chunk := remote.read(min(CHUNK, length - self.copied))):
                    local.write(chunk)
                    self.digest.update(chunk)
                    self.copied += len(chunk)
                    meter.at(self.copied)
        return theirs

    def truncate(self) -> None:
        """Leave nothing behind what has come."""
        if self._target.exists():
            os.truncate(self._target, min(self._log.size, self._begin + self.copied))


def _digest_there(host: SshHost, log: RemoteLog, begin: int) -> str | None:
    """SHA-256 of the same bytes on the far side; None where the host has no such program."""
    length = max(0, log.size - begin)
    summing = f"tail -c +{begin + 1} {shlex.quote(log.path)} | head -c {length} | sha256sum"
    command = f"command -v sha256sum >/dev/null || exit 3; {summing}"
    try:
        result = host.run(command, action="prove the copy", timeout=PROOF_BASE + length / PROOF_RATE, ok=(0, 3))
    except (HostError, DeadlineExceeded):
        return None
    summed = _SUM.fullmatch(result.stdout)
    return summed[1] if result.exit_code == 0 and summed else None
