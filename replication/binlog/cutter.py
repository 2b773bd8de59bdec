"""Cut transactions out of logs into one file that ``mysqlbinlog`` reads like any log."""

from __future__ import annotations

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import LogError
from ..model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from ..model.position import BinlogPosition
from .events import (
    ARTIFICIAL_FLAG,
    CHECKSUM,
    HEADER,
    IN_USE_FLAG,
    MAGIC,
    RELAY_LOG_FLAG,
    EventType,
    FormatDescription,
    named_log,
)
from .placing import Between, Placing
from .reader import LogEnd, LogFile, Part, Transaction
from .sequence import LogSequence

__all__ = ["Cut", "LogFile", "cut"]

COPY = 1 << 20
#: What stands at a log's head and is not sent to replicas.
_LISTS = (EventType.PREVIOUS_GTIDS, EventType.MARIADB_GTID_LIST)


@dataclass(frozen=True)
class Cut:
    """What a cut holds. ``bytes`` are those of its transactions, ``skipped`` the complete ones that were not wanted.

    ``start`` and ``end`` are places in the logs that were cut, ``end`` that of the last complete transaction; ``gtids``
    is None where the logs have none. ``end_reason`` tells where reading ended; ``passed`` where earlier logs end
    unclean, but the server is known to have started again behind that and rolled back what was not complete.
    ``plain``: every transaction is.
    ``origins`` are the ids of the servers that executed its transactions first.
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
    passed: tuple[LogEnd, ...] = ()
    plain: bool = False
    origins: frozenset[int] = frozenset()


def survey(files: Sequence[LogFile], start: BinlogPosition, wanted: Callable[[Transaction], bool]) -> Cut:
    """What `cut` would write, without writing it. Raises LogError, as `cut` does."""
    return _cut(files, start, wanted, None)


def cut(
    files: Sequence[LogFile],
    start: BinlogPosition,
    wanted: Callable[[Transaction], bool],
    out: BinaryIO,
    *,
    received: bool = False,
) -> Cut:
    """Write every complete wanted transaction from ``start`` on to ``out``, in order; half an ALTER never is one.

    ``files`` are logs without a gap, of which the first is the one that ``start`` lies in. The output begins with a
    format description; transactions of a log that describes itself otherwise (its checksums were switched) come after
    one of their own. ``received``: it is written as a receiver would have written it, a relay log that names the logs
    it is of and holds what stands between their transactions, so that every place is known. Reading stops at the first
    damage: what lies behind it cannot be trusted to follow. Raises LogError when the first log's head cannot be read or
    ``start`` is not where a transaction begins.
    """
    with (_Received if received else _Writer)(out, files) as writer:
        return _cut(files, start, wanted, writer)


def _cut(
    files: Sequence[LogFile], start: BinlogPosition, wanted: Callable[[Transaction], bool], writer: _Writer | None
) -> Cut:
    if not files or files[0].name != start.file:
        raise LogError(f"no log {start.file} to cut from")
    placing = Placing()
    sequence, taken = LogSequence(files, start.pos, placing), _Taken()
    transaction: Transaction | None = None
    for transaction in sequence:
        between, placing.between = placing.between, []
        if transaction.kind == "half_alter" and writer is not None:
            # Only a replica's parallel appliers can hold it open; a session would execute and log it twice.
            continue
        if wanted(transaction) and taken.is_new(transaction.gtid):
            taken.add(transaction)
            if writer is not None:
                writer.keep(between, placing.at_head)
                writer.tell(transaction.source_start, sequence.described, placing.at_head)
                writer.add(sequence.described, transaction.parts)
        else:
            taken.skipped += 1
    if writer is not None:
        writer.finish(sequence.described)
    position = transaction.end_position if transaction else start
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
        end_reason=sequence.stop or LogEnd("clean", position.pos, log=position.file),
        sha256=writer.digest.hexdigest() if writer is not None else "",
        passed=tuple(sequence.passed),
        plain=taken.plain,
        origins=frozenset(taken.origins),
    )


class _Writer:
    """Copies parts of logs, neighbours together, and sums what it writes.

    It reads through streams of its own, so that the one being parsed is never moved.
    """

    def __init__(self, out: BinaryIO, files: Sequence[LogFile]) -> None:
        self._out, self._files = out, {log.name: log for log in files}
        self._essence, self._written = b"", 0
        self._in_force: FormatDescription | None = None
        self._waiting: Part | None = None
        self._opened: tuple[str, BinaryIO] | None = None
        self._streams = ExitStack()
        self.digest = hashlib.sha256()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._streams.close()

    def tell(self, place: BinlogPosition | None, described: FormatDescription, at_head: Set[str]) -> None:
        """What is written next stands there in the source's log; of a log in ``at_head`` nothing before it is left."""

    def keep(self, between: Sequence[Between], at_head: Set[str]) -> None:
        """Write what stands between two transactions, where that is wanted."""

    def add(self, described: FormatDescription, parts: Sequence[Part]) -> None:
        """Write these parts of logs that are described so: a whole transaction."""
        self._describe(described)
        for part in parts:
            waiting = self._waiting
            if waiting is not None and waiting.log == part.log and waiting.end == part.start:
                self._waiting = Part(part.log, waiting.start, part.end)
            else:
                self._copy()
                self._waiting = part

    def finish(self, described: FormatDescription) -> None:
        """Write what is left; an empty cut is a log of its description only."""
        self._copy()
        if not self._essence:
            self._describe(described)

    def _describe(self, described: FormatDescription) -> None:
        if described is self._in_force:
            return
        self._in_force = described
        # Two descriptions are the same for a reader when all but the times in them is.
        essence = described.raw[HEADER : HEADER + 52] + described.raw[HEADER + 56 : -CHECKSUM]
        if essence == self._essence:
            return
        self._copy()
        if not self._essence:
            self._begin(described)
        self._essence = essence
        self._write(self._description(described, 0))

    def _begin(self, described: FormatDescription) -> None:
        self._write(MAGIC)

    def _description(self, described: FormatDescription, flag: int) -> bytes:
        """The cut is a finished log, whoever wrote what it was taken from, and however that ended."""
        raw = bytearray(described.raw)
        raw[13:17] = (self._written + len(raw) & 0xFFFFFFFF).to_bytes(4, "little")
        flags = int.from_bytes(raw[17:19], "little") & ~(IN_USE_FLAG | ARTIFICIAL_FLAG | RELAY_LOG_FLAG)
        raw[17:19] = (flags | flag).to_bytes(2, "little")
        raw[-CHECKSUM:] = zlib.crc32(raw[:-CHECKSUM]).to_bytes(CHECKSUM, "little")
        return bytes(raw)

    def _copy(self) -> None:
        if self._waiting is None:
            return
        log, start, end = self._waiting
        self._waiting = None
        source = self._source(log)
        source.seek(start)
        while start < end:
            piece = source.read(min(COPY, end - start))
            if not piece:
                raise LogError(f"{log} became shorter while it was cut")
            self._write(piece)
            start += len(piece)

    def _source(self, log: str) -> BinaryIO:
        if self._opened is None or self._opened[0] != log:
            self._streams.close()
            self._opened = (log, self._streams.enter_context(self._files[log].open()))
        return self._opened[1]

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)
        self.digest.update(data)


class _Received(_Writer):
    """Writes as a receiver does: names the source's logs, and keeps what stands between their transactions."""

    def __init__(self, out: BinaryIO, files: Sequence[LogFile]) -> None:
        super().__init__(out, files)
        self._file = ""

    def tell(self, place: BinlogPosition | None, described: FormatDescription, at_head: Set[str]) -> None:
        if place is None or place.file == self._file:
            return
        self._describe(described)
        self._copy()
        begin = len(MAGIC) if place.file in at_head else place.pos
        self._write(named_log(place.file, begin, described.server_id, checksum=described.checksum))
        self._file = place.file

    def keep(self, between: Sequence[Between], at_head: Set[str]) -> None:
        for each in between:
            if each.type not in _LISTS:
                self.tell(each.place, each.described, at_head)
                self.add(each.described, (each.part,))

    def _begin(self, described: FormatDescription) -> None:
        super()._begin(described)
        self._write(self._description(described, RELAY_LOG_FLAG))


class _Taken:
    """What was cut, counted."""

    def __init__(self) -> None:
        self.count, self.bytes, self.skipped = 0, 0, 0
        self.plain, self.origins = True, set[int]()
        self.first: Transaction | None = None
        self.last: Transaction | None = None
        self.tables: dict[str, None] = {}
        self._last_tables: tuple[str, ...] = ()
        self._mysql: dict[tuple[str, str], list[int]] = {}
        self._mariadb: dict[int, MariadbGtid] = {}

    def add(self, transaction: Transaction) -> None:
        self.count += 1
        self.bytes += transaction.size
        self.first = self.first or transaction
        self.last = transaction
        self.plain &= transaction.plain
        self.origins.add(transaction.server_id)
        if transaction.tables != self._last_tables:
            self._last_tables = transaction.tables
            self.tables.update(dict.fromkeys(transaction.tables))
        gtid = transaction.gtid
        if isinstance(gtid, Gtid):
            _include(self._mysql.setdefault((gtid.uuid, gtid.tag), []), gtid.number)
        elif isinstance(gtid, MariadbGtid):
            known = self._mariadb.get(gtid.domain)
            if known is None or known.seq < gtid.seq:
                self._mariadb[gtid.domain] = gtid

    def is_new(self, gtid: Gtid | MariadbGtid | None) -> bool:
        """False for what was taken before: a receiver that comes back may be sent its last transaction again."""
        if isinstance(gtid, Gtid):
            return not bisect_right(self._mysql.get((gtid.uuid, gtid.tag), ()), gtid.number) % 2
        return True

    def gtids(self) -> GtidSet | MariadbGtidPosition | None:
        if self._mysql:
            return GtidSet.of_ranges(
                {source: zip(bounds[::2], bounds[1::2], strict=True) for source, bounds in self._mysql.items()}
            )
        return MariadbGtidPosition(self._mariadb.values()) if self._mariadb else None


def _include(bounds: list[int], number: int) -> None:
    """Add a number that is not in it to half-open ranges, kept as one sorted list: start, end, start, end, …"""
    if bounds and bounds[-1] == number:
        bounds[-1] += 1
        return
    at = bisect_right(bounds, number)
    joins_before = at > 0 and bounds[at - 1] == number
    joins_after = at < len(bounds) and bounds[at] == number + 1
    bounds[at - joins_before : at + joins_after] = [
        *(() if joins_before else (number,)),
        *(() if joins_after else (number + 1,)),
    ]
