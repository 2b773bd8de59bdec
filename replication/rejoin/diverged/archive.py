"""What only the old server has, off its host before anything else: its logs byte for byte, and each transaction listed.

The copy is proven by the sum that its host makes, synced, and kept; nothing of it is replayed.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...binlog.reader import Transaction
from ...binlog.sequence import LogSequence
from ...cluster.pool import ConnectionPool
from ...errors import LogEncrypted, RefusalError
from ...local.copy_places import save_in
from ...local.own_files import open_own
from ...model.position import BinlogPosition
from ...model.refusal import Refusal
from ...model.state import GtidKind, ServerState
from ...reporting.ledger import Fate, LedgerLine
from ...rescue.finding import find_logs, find_start
from ...rescue.salvage import BinlogCopy, logs_from, mirror
from ...source.identity import ExpectedIdentity
from ..facts import RejoinFacts
from ..observe import WhoIsBack
from .beyond import common_of, only_here
from .ledger import Reckoning, complete

#: Why nothing is copied: the refusal's code.
ENCRYPTED = "log-encrypted"
#: The list of transactions, and the sums of all files, in the directory of the copy.
LIST, SUMS = "transactions.jsonl", "SHA256SUMS"
CHUNK = 1 << 20
#: Tables that are named in a sentence.
NAMED = 10


@dataclass(frozen=True)
class Archive:
    """``directory`` on the manager has the ``logs`` (``bytes`` of them were copied), the list and the sums.

    ``transactions`` are those that only the old server has, ``tables`` how many of them change each; ``not_whole`` is
    why the copy may not have all of them, empty where it has. ``lines`` are for the account of the failover. ``copy``
    are the logs, ``start`` where in them they were read from.
    """

    directory: Path
    logs: tuple[str, ...]
    bytes: int
    transactions: int
    tables: tuple[tuple[str, int], ...]
    not_whole: str = ""
    lines: tuple[LedgerLine, ...] = ()
    copy: BinlogCopy | None = None
    start: BinlogPosition | None = None

    def __str__(self) -> str:
        tables = ", ".join(f"{table} ({count})" for table, count in self.tables[:NAMED])
        more = f" and {len(self.tables) - NAMED} more" if len(self.tables) > NAMED else ""
        whole = f"; perhaps not all: {self.not_whole}" if self.not_whole else ""
        told = f"tables {tables}{more}" if tables else "no table is told"
        return f"{self.transactions} transactions in {self.directory}, {told}{whole}"


def archive(who: WhoIsBack, sessions: ConnectionPool, facts: RejoinFacts) -> Archive:
    """Copy, prove, list, sync. Raises HostError's children, LogError, NoRoom, OSError, RefusalError where encrypted."""
    try:
        return _archive(who, sessions, facts)
    except LogEncrypted as error:
        server = f"--host={who.old.ip} --port={who.old.port}"
        raise RefusalError(
            Refusal(
                ENCRYPTED,
                f"What only {facts.old.name} has cannot be read where it lies, nor taken back: {error}.",
                f"The server itself tells it in clear: mysqlbinlog --read-from-remote-server {server} --raw LOG. "
                "--how=rebuild makes it a replica, and keeps its old data there.",
                facts.evidence,
            )
        ) from error


def _archive(who: WhoIsBack, sessions: ConnectionPool, facts: RejoinFacts) -> Archive:
    host, old = sessions.host(who.old.address), facts.old
    whose = ExpectedIdentity(old.server_id, old.server_uuid)
    directories = [posixpath.dirname(old.log_bin_basename), *who.old.master_binlog_dir]
    start = _start(facts) or find_start(host, directories, _as_far_as_both(facts), whose)
    logs = find_logs(host, directories, start.file, whose, start.pos)
    name = f"returned_binlog_from_{who.old.hostname}_{who.old.port}_{datetime.now():%Y%m%d%H%M%S}"
    needed = sum(log.size for log in logs)

    def copying(directory: Path) -> BinlogCopy:
        return mirror(host, logs, start, directory)

    kept = _listed(save_in(who.config, name, needed, copying), start, facts)
    tell_account(who, facts, kept.lines, whole=not kept.not_whole)
    return kept


def tell_account(who: WhoIsBack, facts: RejoinFacts, lines: Sequence[LedgerLine], *, whole: bool) -> None:
    """In the account of the failover, where this host has one. With GTIDs of MySQL what was replayed is no tail again.

    Raises OSError.
    """
    if facts.replaced is not None:
        ledger = (who.config.manager_workdir / facts.replaced.journal).with_suffix(".ledger.json")
        complete(ledger, facts.old.name, lines, whole=whole, more=facts.kind is GtidKind.MYSQL)


def _start(facts: RejoinFacts) -> BinlogPosition | None:
    if facts.kind is not GtidKind.POSITION:
        return None
    return facts.replaced.place if facts.replaced is not None else None


def _as_far_as_both(facts: RejoinFacts) -> ServerState:
    """A server that has what both have: which of the old one's logs begins before anything else is asked of it."""
    if facts.kind is GtidKind.MARIADB:
        return replace(facts.new, mariadb_gtid=common_of(facts))
    return facts.new


def _listed(copy: BinlogCopy, start: BinlogPosition, facts: RejoinFacts) -> Archive:
    wanted, tables = only_here(facts), Counter[str]()
    opened = facts.replaced.at if facts.replaced is not None else 0.0
    before, after = Reckoning(Fate.LOST), Reckoning(Fate.APART)
    sequence = LogSequence(logs_from(copy, start), start.pos)
    path = copy.directory / LIST
    with os.fdopen(open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w", encoding="utf-8") as out:
        for transaction in sequence:
            if not wanted(transaction.gtid):
                continue
            (before if transaction.timestamp < opened else after).add(transaction)
            tables.update(set(transaction.tables))
            out.write(json.dumps(_line(transaction), ensure_ascii=False) + "\n")
    end = copy.stopped or sequence.stop
    _summed(copy.directory, (*copy.names, LIST))
    lines = [line for each in (before, after) if (line := each.line(facts.old.name, copy.directory)) is not None]
    return Archive(
        copy.directory,
        copy.names,
        copy.bytes,
        before.count + after.count,
        tuple(tables.most_common()),
        str(end) if end is not None and end.kind != "clean" else "",
        tuple(lines),
        copy,
        start,
    )


def _line(transaction: Transaction) -> dict[str, Any]:
    return {
        "gtid": str(transaction.gtid or ""),
        "start": f"{transaction.log}:{transaction.start}",
        "end": str(transaction.end_position),
        "at": datetime.fromtimestamp(transaction.timestamp, UTC).isoformat(),
        "kind": transaction.kind,
        "tables": list(transaction.tables),
        "bytes": transaction.size,
    }


def _summed(directory: Path, names: tuple[str, ...]) -> None:
    """The sums of the files as they are here, for whoever takes them elsewhere; everything is on the disk then."""
    lines = [f"{_sum(directory / name)}  {name}\n" for name in names]
    with os.fdopen(open_own(directory / SUMS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as out:
        out.writelines(lines)
    for path in (*(directory / name for name in names), directory / SUMS, directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
