"""Which files of a host are the dead primary's logs, or a replica's relay logs, and where the saving begins."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

from ..binlog.cutter import LogFile
from ..binlog.events import MAGIC
from ..binlog.reader import LogReader
from ..errors import LogEncrypted, LogError, RemoteFileError
from ..model.position import BinlogPosition, log_index, numbered, unbroken_row
from ..model.state import ServerState
from ..source.identity import ExpectedIdentity, continues, look, refuted
from ..ssh.host import SshHost
from ..ssh.sftp_reader import RemoteStat

#: The longest index of logs that is read (bytes).
INDEX_LIMIT = 16 << 20
#: Nothing is known of the server, and nothing is asked.
ANYBODY = ExpectedIdentity()


@dataclass(frozen=True)
class RemoteLog:
    """One binary log on a host: its path and size in bytes."""

    path: str
    size: int

    @property
    def name(self) -> str:
        """The log's own name, as positions use it."""
        return posixpath.basename(self.path)


def find_logs(
    host: SshHost, directories: Sequence[str], first: str, whose: ExpectedIdentity = ANYBODY, pos: int | None = None
) -> tuple[RemoteLog, ...]:
    """The log called ``first`` and all that follow it, from the directory where it proves to be that server's.

    ``pos`` is where the replicas stand in it. Of several, the one where an event begins at that place is taken, then
    the one that the server named while it lived, then the one that was written to last: another directory may hold a
    log of that name from before the logs were moved, or a copy. What follows is what
    their index lists: a server gives its next log the number after the highest that lies in the directory, whatever
    that file is. One that is listed is returned even if it is not there; reading it tells. Without an index the numbers
    say what follows. Raises RemoteFileError naming every directory that was searched.
    """
    searched, found = [], []
    named = [each.rstrip("/") for each in whose.named]
    for directory in dict.fromkeys(each.rstrip("/") or "/" for each in (*whose.named, *directories)):
        if not whose.owns(directory, first):
            searched.append(f"{directory} is where another server of this host keeps its logs")
            continue
        try:
            names = host.listdir(directory)
        except RemoteFileError as error:
            searched.append(str(error))
            continue
        if first not in names:
            searched.append(f"{directory} has no {first}")
            continue
        paths = _listed(host, directory, names, first) or _numbered(directory, names, first)
        seen = [(path, _look(host, path)) for path in paths]
        logs = tuple(RemoteLog(path, stat.size if stat else 0) for path, stat in seen)
        proof, why = _proof(host, logs[0], whose, pos)
        if why:
            searched.append(f"{logs[0].path} is not the log of that server: {why}")
            continue
        written = max(stat.mtime if stat else 0 for _, stat in seen)
        found.append(((proof, directory in named, written), logs))
    if not found:
        hint = "set master_binlog_dir to where the binary logs are"
        raise RemoteFileError(host.name, f"find {first}", "; ".join(searched), hint)
    return max(found, key=itemgetter(0))[1]


def _proof(host: SshHost, log: RemoteLog, whose: ExpectedIdentity, pos: int | None) -> tuple[int, str]:
    """How much speaks for a log, or why it is not the one.

    3: it holds what a replica received last; 2: an event begins at the place; 1: its head; 0: nothing.
    """
    if whose == ANYBODY:
        return 0, ""
    try:
        with host.open(log.path, links=False) as stream:
            seen = look(stream, log.name, log.size, pos)
        why, same = refuted(seen, whose), None
        if not why and whose.received is not None:
            same = continues(LogFile(log.name, log.size, partial(host.open, log.path, links=False)), whose.received)
    except (LogError, RemoteFileError):
        # Whoever reads it will say so; a log of that server with a broken disk is still its log.
        return 0, ""
    if same is False:
        why = f"what the replicas received last, up to {whose.received.end}, is another event there"  # type: ignore[union-attr]
    return (3 if same else 2 if seen.place == "begins" else 1), why


def find_start(
    host: SshHost, directories: Sequence[str], state: ServerState, whose: ExpectedIdentity = ANYBODY
) -> BinlogPosition:
    """Where the saving begins for a replica that knows no place in the dead primary's log, only what it executed.

    Every log says at its beginning which GTIDs are in those before it: the newest of which the replica has all of them
    is the one. Raises RemoteFileError when there is none, LogEncrypted where nobody can tell because of that.
    """
    searched: list[str] = []
    locked: LogEncrypted | None = None
    for directory in dict.fromkeys((*whose.named, *directories)):
        try:
            names = [n for n in host.listdir(directory) if numbered(n)]
        except RemoteFileError as error:
            searched.append(str(error))
            continue
        for base in sorted({name.rpartition(".")[0] for name in names}):
            if not whose.owns(directory, f"{base}.1"):
                continue
            logs = sorted((n for n in names if n.rpartition(".")[0] == base), key=log_index, reverse=True)
            for name in logs:
                try:
                    known = _knows(host, posixpath.join(directory, name), state, whose)
                except LogEncrypted as error:
                    known, locked = None, error
                if known is None:
                    break
                if known:
                    return BinlogPosition(name, len(MAGIC))
        searched.append(f"{directory} has no log that reaches back to what {state.name} executed")
    if locked is not None:
        raise locked
    hint = "set master_binlog_dir to where the binary logs are"
    raise RemoteFileError(host.name, "find where to begin", "; ".join(searched), hint)


def _knows(host: SshHost, path: str, state: ServerState, whose: ExpectedIdentity) -> bool | None:
    """Whether a server executed all that was written before this log; None for what is none with GTIDs, or not its.

    Raises LogEncrypted.
    """
    log = RemoteLog(path, host.stat(path, links=False).size)
    try:
        with host.open(path, links=False) as stream:
            if refuted(look(stream, log.name, log.size), whose):
                return None
            reader = LogReader(stream, name=log.name, size=log.size)
            mysql, mariadb = reader.previous_gtids, reader.gtid_list
    except LogEncrypted:
        raise
    except LogError:
        return None
    if mysql is not None and state.gtid_executed is not None:
        return mysql <= state.gtid_executed
    return mariadb <= state.mariadb_gtid if mariadb is not None and state.mariadb_gtid is not None else None


def _listed(host: SshHost, directory: str, names: Sequence[str], first: str) -> list[str]:
    """The paths of ``first`` and all after it as the log's index has them; none when it is not there or another's."""
    index = first.rpartition(".")[0] + ".index"
    if index not in names:
        return []
    try:
        text = host.read_file(posixpath.join(directory, index), INDEX_LIMIT, links=False).decode(
            "utf-8", "surrogateescape"
        )
    except RemoteFileError:
        return []
    entries = [line.strip() for line in text.splitlines() if line.strip()]
    logs = [posixpath.basename(entry) for entry in entries]
    if first not in logs:
        return []
    here = set(names)
    # Relative entries are so to the data directory, which is not known here; the logs lie beside their index.
    return [
        entry if entry.startswith("/") and log not in here and numbered(log) else posixpath.join(directory, log)
        for entry, log in zip(entries, logs, strict=True)
    ][logs.index(first) :]


def _numbered(directory: str, names: Sequence[str], first: str) -> list[str]:
    """The paths of ``first`` and all that follow it by number; of a gap only the first one, which is not there."""
    row = unbroken_row(names, first)
    logs = row[row.index(first) :]
    base, _, digits = first.rpartition(".")
    after = log_index(logs[-1]) + 1
    if any(n.rpartition(".")[0] == base and numbered(n) and log_index(n) > after for n in names):
        logs = [*logs, f"{base}.{after:0{len(digits)}d}"]
    return [posixpath.join(directory, log) for log in logs]


def _look(host: SshHost, path: str) -> RemoteStat | None:
    try:
        return host.stat(path, links=False)
    except RemoteFileError:
        return None


def find_relay_logs(host: SshHost, basename: str) -> tuple[RemoteLog, ...]:
    """Every relay log of a server, oldest first; ``basename`` is its variable relay_log_basename."""
    directory, base = posixpath.split(basename)
    names = [n for n in host.listdir(directory) if n.rpartition(".")[0] == base and numbered(n)]
    paths = [posixpath.join(directory, name) for name in sorted(names, key=log_index)]
    return tuple(RemoteLog(path, host.stat(path, links=False).size) for path in paths)


def opened(host: SshHost, logs: Sequence[RemoteLog]) -> list[LogFile]:
    """Logs that are read where they lie."""
    return [LogFile(log.name, log.size, partial(host.open, log.path, links=False)) for log in logs]
