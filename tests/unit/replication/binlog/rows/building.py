"""Table maps and row events as a server writes them, of a number and a text."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from prefect_mha.replication.binlog.events import CHECKSUM, HEADER, Event, EventType, FormatDescription
from prefect_mha.replication.binlog.reader import Part, Transaction
from prefect_mha.replication.binlog.rows.changes import Changes, changes_of
from prefect_mha.replication.model.gtid import Gtid, MariadbGtid

Row = tuple[int, str | None]
DESCRIBED = FormatDescription(4, "10.11.6-MariaDB-log", 1, True, False, False, b"\0" * 100)


def map_body(table: str = "app.t", number: int = 7) -> bytes:
    """INT and VARCHAR(40)."""
    database, name = (part.encode() for part in table.split("."))
    names = bytes([len(database)]) + database + b"\0" + bytes([len(name)]) + name + b"\0"
    return struct.pack("<IHH", number, 0, 1) + names + b"\x02\x03\x0f\x02" + struct.pack("<H", 40) + b"\x02"


def image(row: Row) -> bytes:
    number, text = row
    nulls = b"\xfe" if text is None else b"\xfc"
    data = b"" if text is None else bytes([len(text.encode())]) + text.encode()
    return nulls + struct.pack("<i", number) + data


def rows_body(kind: EventType, rows: Sequence[tuple[Row | None, Row | None]], number: int = 7, bits: int = 3) -> bytes:
    update = kind in (EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS)
    second = kind in (EventType.WRITE_ROWS, EventType.UPDATE_ROWS, EventType.DELETE_ROWS)
    head = struct.pack("<IHH", number, 0, 1) + (b"\x02\0" if second else b"") + b"\x02"
    head += bytes([bits]) * (2 if update else 1)
    return head + b"".join(image(each) for row in rows for each in row if each is not None)


def event(kind: EventType, body: bytes, offset: int = 4) -> Event:
    size = HEADER + len(body) + CHECKSUM
    return Event(offset, 1, int(kind), 101, size, offset + size, 0, body, body[-64:])


def changes(
    *rows: tuple[Row | None, Row | None],
    table: str = "app.t",
    gtid: Gtid | MariadbGtid | None = None,
    start: int = 4,
    log: str = "bin.000001",
    plain: bool = True,
) -> Changes:
    """A transaction with an event for each row: inserted, changed, or deleted."""
    events = []
    for before, after in rows:
        kind = EventType.WRITE_ROWS_V1 if before is None else EventType.DELETE_ROWS_V1
        kind = EventType.UPDATE_ROWS_V1 if before is not None and after is not None else kind
        events += [event(EventType.TABLE_MAP, map_body(table)), event(kind, rows_body(kind, [(before, after)]))]
    return changes_of(transaction(start, gtid=gtid, log=log, plain=plain, tables=(table,)), events, DESCRIBED)


def statement(text: str, *, kind: str = "ddl", tables: tuple[str, ...] = (), start: int = 4) -> Changes:
    """A transaction of one statement."""
    body = struct.pack("<IIBHH", 1, 0, 3, 0, 0) + b"app\0" + text.encode()
    return changes_of(transaction(start, kind=kind, tables=tables), [event(EventType.QUERY, body)], DESCRIBED)


def transaction(
    start: int,
    *,
    gtid: Gtid | MariadbGtid | None = None,
    kind: str = "dml",
    log: str = "bin.000001",
    plain: bool = True,
    tables: tuple[str, ...] = (),
) -> Transaction:
    return Transaction(
        log, start, start + 90, gtid, 1, kind, tables, 3, (Part(log, start, start + 90),), None, None, 101, plain
    )
