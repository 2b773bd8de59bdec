"""Find a place of the source's log in a replica's relay logs."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import LogError
from ..model.position import BinlogPosition
from . import event_bodies as bodies
from .events import CONTROL, RELAY_LOG_FLAG, Event, EventType
from .reader import LogFile, LogReader, StartInside, Transaction
from .sequence import LogSequence


def find_source_position(
    files: Sequence[LogFile], position: BinlogPosition, server_id: int = 0
) -> tuple[LogFile, int] | None:
    """The relay log and the offset in it where the transaction begins that comes first at or after a source position.

    For file/position replication. ``files`` are all relay logs of a channel in order, ``server_id`` is the source's, 0
    for any: they may hold the log of a former source, which is called alike. None when they do not hold everything from
    that position on: it was purged, never received, or nothing comes after it. Raises StartInside when the position is
    inside a transaction, LogError when a relay log cannot be read.
    """
    number = _last_that_begins_before(files, position)
    begin = beginning(files[number]) if files else None
    before: Transaction | None = None
    sequence = LogSequence(files[number:])
    for transaction in sequence:
        start, end = transaction.source_start, transaction.source_end
        another = server_id and not sequence.described.relay_log and sequence.described.server_id != server_id
        if start is None or end is None or start.base != position.base or another:
            begin = before = None
            continue
        if before is None:
            begin = begin if begin is not None and begin <= start else start
        elif start <= position or not _continues(files, before, transaction):
            begin = start
        before = transaction
        if begin is None or end <= position or begin > position:
            continue
        if start < position:
            raise StartInside(f"{position} lies inside a transaction of the source's log, from {start} to {end}")
        return next(log for log in files if log.name == transaction.log), transaction.start
    return None


def _continues(files: Sequence[LogFile], before: Transaction, transaction: Transaction) -> bool:
    """Whether no transaction of the source's log lies between: neighbours, or the first one of the following log."""
    end, start = before.source_end, transaction.source_start
    if end is None or start is None:
        return False
    if start == end or (start.base == end.base and start.index == end.index + 1):
        return True
    return start.file == end.file and _reach_without_transaction(files, before, transaction, end) == start


def _reach_without_transaction(
    files: Sequence[LogFile], before: Transaction, transaction: Transaction, end: BinlogPosition
) -> BinlogPosition:
    """How far events that belong to none go on behind a transaction: MariaDB writes checkpoints of its logs there."""
    names = [log.name for log in files]
    for log in files[names.index(before.end_position.file) : names.index(transaction.log) + 1]:
        with log.open() as stream:
            for event in LogReader(stream, name=log.name, size=log.size).events():
                if log.name == before.end_position.file and event.offset < before.end:
                    continue
                if log.name == transaction.log and event.offset >= transaction.start:
                    break
                if event.type in CONTROL and event.log_pos == end.pos + event.size:
                    end = BinlogPosition(end.file, event.log_pos)
    return end


def _last_that_begins_before(files: Sequence[LogFile], position: BinlogPosition) -> int:
    """The number of the last log that begins at or before the position; 0 when no head tells."""
    for number in range(len(files) - 1, 0, -1):
        begin = beginning(files[number])
        if begin is not None and begin.base == position.base and begin <= position:
            return number
    return 0


def beginning(log: LogFile) -> BinlogPosition | None:
    """The source's position at which a relay log begins, from its head; None where the head does not tell."""
    with log.open() as stream:
        source: BinlogPosition | None = None
        for event in LogReader(stream, name=log.name, size=log.size).events():
            if event.type not in CONTROL:
                return source
            if event.type == EventType.ROTATE and not event.flags & RELAY_LOG_FLAG:
                source = _rotate(log, event)
        return source


def last_complete(files: Sequence[LogFile]) -> BinlogPosition | None:
    """The source's position at which the last complete transaction of these relay logs ends; None when there is none.

    Raises LogError when the first of them cannot be read.
    """
    end: BinlogPosition | None = None
    for transaction in LogSequence(files):
        end = transaction.source_end or end
    return end


def received_up_to(files: Sequence[LogFile]) -> BinlogPosition | None:
    """The source's position behind the last whole event that relay logs hold; None where they do not tell.

    Unlike the end of their last transaction it covers what belongs to none: a log of the source that ended, the head
    of the next one, the received beginning of a transaction. Raises LogError when a relay log cannot be read.
    """
    first = next((n for n in range(len(files) - 1, 0, -1) if beginning(files[n]) is not None), 0)
    source: BinlogPosition | None = None
    for log in files[first:]:
        with log.open() as stream:
            for event in LogReader(stream, name=log.name, size=log.size).events():
                # The replica's own; its STOP has no flag to tell, and the source's is not sent.
                if event.flags & RELAY_LOG_FLAG or event.type == EventType.STOP:
                    continue
                if event.type == EventType.ROTATE:
                    source = _rotate(log, event)
                elif source is not None and event.log_pos:
                    source = BinlogPosition(source.file, event.log_pos)
    return source


def _rotate(log: LogFile, event: Event) -> BinlogPosition:
    try:
        return bodies.rotate(event)
    except ValueError as error:
        raise LogError(f"{log.name}: {error}") from None
