"""Bring what only the dead primary's disk holds to the manager: a byte-true copy of the needed part of its logs.

The copy keeps each log's name and offsets (the part before the beginning is a hole in a sparse file), so positions
mean the same in it as on the dead host, and every replica's part can be cut from it as often as needed.
"""

from __future__ import annotations

import hashlib
import posixpath
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from replication.binlog.cutter import Cut, LogFile, cut
from replication.binlog.events import MAGIC
from replication.binlog.reader import Transaction
from replication.binlog.relay import find_source_position
from replication.errors import DeadlineExceeded, HostError, LogError, RemoteFileError
from replication.positions import BinlogPosition, log_index
from replication.ssh import SshHost

#: Enough of a log's head for its format description, whatever comes after it.
HEAD = 64 * 1024
CHUNK = 1 << 20
#: Seconds to wait for the far side's sum whatever there is to sum, and the slowest disk waited for (bytes per second).
PROOF_BASE, PROOF_RATE = 60.0, 10e6


@dataclass(frozen=True)
class RemoteLog:
    """One binary log on a host: its path and size in bytes."""

    path: str
    size: int

    @property
    def name(self) -> str:
        """The log's own name, as positions use it."""
        return posixpath.basename(self.path)


@dataclass(frozen=True)
class Mirror:
    """The copied part of a server's logs: every byte from ``start`` to ``end``, in ``directory`` on the manager."""

    directory: Path
    names: tuple[str, ...]
    start: BinlogPosition
    end: BinlogPosition
    bytes: int

    def logs(self) -> list[LogFile]:
        """The copies as the cutter wants them."""
        return [_local(self.directory / name) for name in self.names]


def find_logs(host: SshHost, directories: Sequence[str], first: str) -> tuple[RemoteLog, ...]:
    """The log called ``first`` and all that follow it without a gap, from the first directory that has it.

    Raises RemoteFileError naming every directory that was searched.
    """
    searched = []
    for directory in dict.fromkeys(directories):
        try:
            names = host.listdir(directory)
        except RemoteFileError as error:
            searched.append(str(error))
            continue
        if first not in names:
            searched.append(f"{directory} has no {first}")
            continue
        base = first.rsplit(".", 1)[0]
        present = {log_index(n): n for n in names if n.rsplit(".", 1)[0] == base and n.rsplit(".", 1)[-1].isdigit()}
        logs, index = [], log_index(first)
        while index in present:
            path = posixpath.join(directory, present[index])
            logs.append(RemoteLog(path, host.stat(path).size))
            index += 1
        return tuple(logs)
    raise RemoteFileError(
        host.name, f"find {first}", "; ".join(searched), "set master_binlog_dir to where the binary logs are"
    )


def find_relay_logs(host: SshHost, basename: str) -> tuple[RemoteLog, ...]:
    """Every relay log of a server, oldest first; ``basename`` is its variable relay_log_basename."""
    directory, base = posixpath.split(basename)
    names = [n for n in host.listdir(directory) if n.rpartition(".")[0] == base and n.rpartition(".")[2].isdigit()]
    paths = [posixpath.join(directory, name) for name in sorted(names, key=log_index)]
    return tuple(RemoteLog(path, host.stat(path).size) for path in paths)


@dataclass(frozen=True)
class Borrowed:
    """What one replica's relay logs hold for others: a copy, and for each of them where its part begins in it.

    ``begins`` maps ``ip:port`` to a place in the relay logs. A replica that is not in it lacks what was purged.
    """

    copy: Mirror
    begins: dict[str, BinlogPosition]


def borrow_relay_logs(
    host: SshHost, logs: Sequence[RemoteLog], places: dict[str, BinlogPosition], directory: Path
) -> Borrowed | None:
    """Find in a replica's relay logs where each of ``places`` (in the dead primary's log) is, and copy from there on.

    None when they reach back to none of them. Raises HostError's children and LogError.
    """
    files = [LogFile(log.name, log.size, partial(host.open, log.path)) for log in logs]
    begins: dict[str, BinlogPosition] = {}
    for key, place in places.items():
        found = find_source_position(files, place)
        if found is not None:
            begins[key] = BinlogPosition(found[0].name, found[1])
    if not begins:
        return None
    first = min(place.index for place in begins.values())
    needed = [log for log in logs if log_index(log.name) >= first]
    # From the first one's beginning: how the source described its events stands behind the relay log's own head.
    return Borrowed(mirror(host, needed, BinlogPosition(needed[0].name, len(MAGIC)), directory), begins)


def mirror(host: SshHost, logs: Sequence[RemoteLog], start: BinlogPosition, directory: Path) -> Mirror:
    """Copy the logs from ``start`` to their end; only these bytes and the head of the first log travel.

    Each copy is proven by comparing its SHA-256 with one computed on the dead host. Raises HostError's children.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    total = 0
    pool = ThreadPoolExecutor(1, thread_name_prefix="digest")
    try:
        for number, log in enumerate(logs):
            total += _copy(host, log, start.pos if number == 0 else 0, directory / log.name, pool)
    finally:
        # A sum that nobody wants any more ends at its own deadline.
        pool.shutdown(wait=False)
    end = BinlogPosition(logs[-1].name, logs[-1].size)
    return Mirror(directory, tuple(log.name for log in logs), start, end, total)


def cut_from(copy: Mirror, start: BinlogPosition, wanted: Callable[[Transaction], bool], path: Path) -> Cut:
    """Write the wanted complete transactions from ``start`` on into one log file at ``path`` on the manager."""
    logs = copy.logs()
    names = [log.name for log in logs]
    if start.file not in names or start < copy.start:
        raise LogError(f"the saved logs begin at {copy.start}, but {start} is needed")
    with path.open("wb") as out:
        path.chmod(0o640)
        result = cut(logs[names.index(start.file) :], start, wanted, out)
        out.flush()
    return result


def _copy(host: SshHost, log: RemoteLog, begin: int, target: Path, pool: ThreadPoolExecutor) -> int:
    """Copy a log's head and everything from ``begin``, and prove the latter; returns its bytes."""
    copied, length, digest = 0, max(0, log.size - begin), hashlib.sha256()
    with host.open(log.path) as remote, target.open("wb") as local:
        target.chmod(0o640)
        if begin:
            local.write(remote.read(min(HEAD, begin)))
            remote.seek(begin)
            local.seek(begin)
        # Their side sums up meanwhile, while the disk is read anyway. Begun only now, for the file and the command may
        # have to share the only channel that sshd allows: then the command waits until the file is closed.
        theirs = pool.submit(_digest_there, host, log, begin)
        while copied < length and (chunk := remote.read(min(CHUNK, length - copied))):
            local.write(chunk)
            digest.update(chunk)
            copied += len(chunk)
        local.truncate(log.size)
    if copied != length:
        raise RemoteFileError(host.name, f"read {log.path}", f"it ended after {begin + copied} of {log.size} bytes")
    if theirs.result() not in (None, digest.hexdigest()):
        raise RemoteFileError(host.name, f"copy {log.path}", "the copy differs from the original")
    return copied


def _digest_there(host: SshHost, log: RemoteLog, begin: int) -> str | None:
    """SHA-256 of the same bytes on the far side; None where the host has no such program."""
    length = max(0, log.size - begin)
    summing = f"tail -c +{begin + 1} {shlex.quote(log.path)} | head -c {length} | sha256sum"
    command = f"command -v sha256sum >/dev/null || exit 3; {summing}"
    try:
        result = host.run(command, action="prove the copy", timeout=PROOF_BASE + length / PROOF_RATE, ok=(0, 3))
    except (HostError, DeadlineExceeded):
        return None
    return result.stdout.split()[0] if result.exit_code == 0 and result.stdout else None


def _local(path: Path) -> LogFile:
    def open_it() -> BinaryIO:
        return path.open("rb")

    return LogFile(path.name, path.stat().st_size, open_it)
