"""Find a place of the source's log in a replica's relay logs."""

from __future__ import annotations

from collections.abc import Sequence

from replication.binlog import bodies
from replication.binlog.events import CONTROL, RELAY_LOG_FLAG, EventType
from replication.binlog.reader import LogFile, LogReader, Transaction
from replication.binlog.sequence import LogSequence
from replication.errors import LogError
from replication.positions import BinlogPosition


def find_source_position(files: Sequence[LogFile], position: BinlogPosition) -> tuple[LogFile, int] | None:
    """The relay log and the offset in it where the transaction begins that comes first at or after a source position.

    For file/position replication. ``files`` are all relay logs of a channel in order. None when they do not hold
    everything from that position on: it was purged, never received, or nothing comes after it. Raises LogError when the
    position lies inside a transaction, or a relay log cannot be read.
    """
    number = _last_that_begins_before(files, position)
    begin = _beginning(files[number]) if files else None
    before: BinlogPosition | None = None
    for transaction in LogSequence(files[number:]):
        start, end = transaction.source_start, transaction.source_end
        if start is None or end is None or start.base != position.base:
            begin = before = None
            continue
        if not _continues(before, transaction):
            begin = begin if before is None and begin is not None and begin <= start else start
        before = end
        if begin is None or end <= position or begin > position:
            continue
        if start < position:
            raise LogError(f"{position} lies inside a transaction of the source's log, which ends at {end}")
        return next(log for log in files if log.name == transaction.log), transaction.start
    return None


def _continues(before: BinlogPosition | None, transaction: Transaction) -> bool:
    """Whether nothing of the source's log lies between: neighbours, or the first one of the following log."""
    start = transaction.source_start
    if before is None or start is None:
        return False
    return start == before or (start.base == before.base and start.index == before.index + 1)


def _last_that_begins_before(files: Sequence[LogFile], position: BinlogPosition) -> int:
    """The number of the last log that begins at or before the position; 0 when no head tells."""
    for number in range(len(files) - 1, 0, -1):
        begin = _beginning(files[number])
        if begin is not None and begin.base == position.base and begin <= position:
            return number
    return 0


def _beginning(log: LogFile) -> BinlogPosition | None:
    """The source's position at which a relay log begins, from its head; None where the head does not tell."""
    with log.open() as stream:
        source: BinlogPosition | None = None
        for event in LogReader(stream, name=log.name, size=log.size).events():
            if event.type not in CONTROL:
                return source
            if event.type == EventType.ROTATE and not event.flags & RELAY_LOG_FLAG:
                try:
                    source = bodies.rotate(event)
                except ValueError as error:
                    raise LogError(f"{log.name}: {error}") from None
        return source


def last_complete(files: Sequence[LogFile]) -> BinlogPosition | None:
    """The source's position at which the last complete transaction of these relay logs ends; None when there is none.

    Raises LogError when the first of them cannot be read.
    """
    end: BinlogPosition | None = None
    for transaction in LogSequence(files):
        end = transaction.source_end or end
    return end
