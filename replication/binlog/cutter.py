"""Cut transactions out of logs into one file that ``mysqlbinlog`` reads like any log."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from replication.binlog.events import CHECKSUM, HEADER, IN_USE_FLAG, MAGIC
from replication.binlog.reader import LogEnd, LogReader, Transaction
from replication.errors import LogError
from replication.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from replication.positions import BinlogPosition

COPY = 1 << 20


@dataclass(frozen=True)
class LogFile:
    """A log that can be opened more than once: its name, its size in bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Cut:
    """What a cut holds. ``bytes`` are those of its transactions, ``skipped`` the complete ones that were not wanted.

    ``start`` and ``end`` are places in the logs that were cut; ``gtids`` is None where the logs have none.
    """

    transactions: int
    bytes: int
    skipped: int
    first: Transaction | None
    last: Transaction | None
    start: BinlogPosition
    end: BinlogPosition
    gtids: GtidSet | MariadbGtidPosition | None
    tables: tuple[str, ...]
    end_reason: LogEnd
    sha256: str


def cut(files: Sequence[LogFile], start: BinlogPosition, wanted: Callable[[Transaction], bool], out: BinaryIO) -> Cut:
    """Write every complete wanted transaction from ``start`` on to ``out``, in order.

    The output begins with the format description of the first log; a later log that describes itself otherwise (its
    checksums were switched) brings its own. Reading stops at the first damage: what lies behind it cannot be trusted
    to follow. Raises LogError when a log's head cannot be read or ``start`` is not the beginning of a transaction.
    """
    if not files or files[0].name != start.file:
        raise LogError(f"no log {start.file} to cut from")
    writer = _Writer(out)
    taken = _Taken()
    position, end = start, LogEnd("clean", start.pos)
    for number, log in enumerate(files):
        with log.open() as stream, log.open() as copy_from:
            reader = LogReader(stream, name=log.name, size=log.size)
            writer.describe(reader, copy_from)
            for transaction in reader.transactions(start.pos if number == 0 else reader.format_end):
                position = BinlogPosition(log.name, transaction.end)
                if wanted(transaction):
                    writer.copy(copy_from, transaction.start, transaction.size)
                    taken.add(transaction)
                else:
                    taken.skipped += 1
            end = reader.stop or end
        if end.kind != "clean":
            break
    return Cut(
        transactions=taken.count,
        bytes=taken.bytes,
        skipped=taken.skipped,
        first=taken.first,
        last=taken.last,
        start=start,
        end=position,
        gtids=taken.gtids(),
        tables=tuple(taken.tables),
        end_reason=end,
        sha256=writer.digest.hexdigest(),
    )


class _Writer:
    """Writes and sums. The in-use flag of a crashed server's log is cleared: the cut is complete."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self._described = out, b""
        self.digest = hashlib.sha256()

    def describe(self, reader: LogReader, source: BinaryIO) -> None:
        source.seek(len(MAGIC))
        raw = bytearray(source.read(reader.format_end - len(MAGIC)))
        flags = int.from_bytes(raw[17:19], "little") & ~IN_USE_FLAG
        raw[17:19] = flags.to_bytes(2, "little")
        if reader.format.checksum:
            raw[-CHECKSUM:] = zlib.crc32(raw[:-CHECKSUM]).to_bytes(CHECKSUM, "little")
        # What tells two descriptions apart for a reader is all but the times in them.
        essence = bytes(raw[HEADER + 2 : HEADER + 52] + raw[HEADER + 56 : -CHECKSUM])
        if essence != self._described:
            self._write((MAGIC if not self._described else b"") + bytes(raw))
            self._described = essence

    def copy(self, source: BinaryIO, start: int, size: int) -> None:
        source.seek(start)
        while size:
            piece = source.read(min(COPY, size))
            if not piece:
                raise LogError("a log became shorter while it was cut")
            self._write(piece)
            size -= len(piece)

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self.digest.update(data)


class _Taken:
    """What was cut, counted."""

    def __init__(self) -> None:
        self.count, self.bytes, self.skipped = 0, 0, 0
        self.first: Transaction | None = None
        self.last: Transaction | None = None
        self.tables: dict[str, None] = {}
        self._mysql: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._mariadb = MariadbGtidPosition()

    def add(self, transaction: Transaction) -> None:
        self.count += 1
        self.bytes += transaction.size
        self.first = self.first or transaction
        self.last = transaction
        self.tables.update(dict.fromkeys(transaction.tables))
        gtid = transaction.gtid
        if isinstance(gtid, Gtid):
            ranges = self._mysql.setdefault((gtid.uuid, gtid.tag), [])
            if ranges and ranges[-1][1] == gtid.number:
                ranges[-1] = (ranges[-1][0], gtid.number + 1)
            else:
                ranges.append((gtid.number, gtid.number + 1))
        elif isinstance(gtid, MariadbGtid):
            self._mariadb = self._mariadb.merge(MariadbGtidPosition([gtid]))

    def gtids(self) -> GtidSet | MariadbGtidPosition | None:
        if self._mysql:
            return GtidSet.of_ranges(self._mysql)
        return self._mariadb if self._mariadb else None
