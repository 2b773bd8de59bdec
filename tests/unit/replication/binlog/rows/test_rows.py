"""Rows are read as servers write them, turned round, and no damage is taken for a row."""

from __future__ import annotations

import base64
import random
import struct
from decimal import Decimal

import pytest

from prefect_mha.replication.binlog.events import CHECKSUM, HEADER, EventType
from prefect_mha.replication.binlog.rows.changes import NO_ROWS, changes_of
from prefect_mha.replication.binlog.rows.columns import Column, ColumnType, column_of, decode, value_size
from prefect_mha.replication.binlog.rows.row_events import MISSING, Kind, body_of, inverse, parse
from prefect_mha.replication.binlog.rows.statements import described_first, redone, undone
from prefect_mha.replication.binlog.rows.table_map import TableMap
from tests.unit.replication.binlog.rows.building import (
    DESCRIBED,
    changes,
    event,
    image,
    map_body,
    rows_body,
    statement,
    transaction,
)

#: What MariaDB 10.11 wrote of a table with fourteen types, and of two rows in it.
MAP = "3LMNaxNmAAAASAAAAAAAAAAAABIAAAAAAAEAA2FwcAABdAAOAw/2EhETBfz+EAP+Cg0PFAAMAwMAAggC9wEDAf4K/j8mNN8D"
ROWS = (
    "3LMNaxdmAAAAXwAAAAAAAAAAABIAAAAAAAEADv8/AMABAAAAAmHpf+0pePyEmbjEMQUafGlXNaV/73zTAAAAAAAA+D8CAAD/AgAF+f///wFjItQP"
    "fv7/AgAAADs8mCk="
)


def body(text: str) -> bytes:
    return base64.b64decode(text)[HEADER:-CHECKSUM]


def test_what_a_server_wrote() -> None:
    table = TableMap.parse(body(MAP))
    assert table.name == "app.t"
    rows = parse(EventType.WRITE_ROWS_V1, body(ROWS), table)
    assert rows.kind is Kind.WRITE
    first, second = (after for _, after in rows.rows)
    assert first is not None
    assert second is not None
    said = [decode(c, v) for c, v in zip(table.columns, first.values, strict=True) if isinstance(v, bytes)]
    assert said == [
        1,
        b"a\xe9",
        Decimal("-1234567.891"),
        "2026-01-02 03:04:05.678",
        "2026-01-02 03:04:05",
        "-01:02:03.45",
        1.5,
        b"\x00\xff",
        2,
        5,
        -7,
        "c",
        "2026-01-02",
        2026,
    ]
    assert second.values[1:] == (None,) * 13
    assert parse(EventType.WRITE_ROWS_V1, body_of(rows), table).rows == rows.rows


@pytest.mark.parametrize(
    ("column", "raw", "said"),
    [
        (Column(ColumnType.TINY), b"\xff", -1),
        (Column(ColumnType.TINY, unsigned=True), b"\xff", 255),
        (Column(ColumnType.INT24), b"\x00\x00\x80", -8388608),
        (Column(ColumnType.LONGLONG, unsigned=True), b"\xff" * 8, 2**64 - 1),
        (
            Column(ColumnType.NEWDECIMAL, 10 << 8 | 0),
            bytes.fromhex("81 0DFB38D2".replace(" ", "")),
            Decimal(1234567890),
        ),
        (Column(ColumnType.NEWDECIMAL, 14 << 8 | 4), bytes.fromhex("810DFB38D204D2"), Decimal("1234567890.1234")),
        (Column(ColumnType.NEWDECIMAL, 14 << 8 | 4), bytes.fromhex("7EF204C72DFB2D"), Decimal("-1234567890.1234")),
        (Column(ColumnType.YEAR), b"\x00", 0),
        (Column(ColumnType.DATE), (2026 << 9 | 2 << 5 | 28).to_bytes(3, "little"), "2026-02-28"),
        (Column(ColumnType.TIME), (-12345).to_bytes(3, "little", signed=True), "-01:23:45"),
        (Column(ColumnType.DATETIME), (20260102030405).to_bytes(8, "little"), "2026-01-02 03:04:05"),
        (Column(ColumnType.TIMESTAMP), b"\0\0\0\0", "0000-00-00 00:00:00"),
        (Column(ColumnType.TIME2, 0), bytes.fromhex("800000"), "00:00:00"),
        (Column(ColumnType.TIME2, 0), bytes.fromhex("7fffff"), "-00:00:01"),
        (Column(ColumnType.TIME2, 6), (0x800000000000 - 1).to_bytes(6, "big"), "-00:00:00.000001"),
        (Column(ColumnType.DATETIME2, 0), bytes.fromhex("8000000000"), "0000-00-00 00:00:00"),
        (Column(ColumnType.BIT, 1 << 8 | 3), b"\x05\x01", 1281),
        (Column(ColumnType.VARCHAR, 300), b"\x02\x00hi", "hi"),
        (Column(ColumnType.BLOB, 2), b"\x01\x00\x00", b"\x00"),
        (Column(ColumnType.JSON, 4), b"\x02\x00\x00\x00\x00\x01", b"\x00\x01"),
    ],
)
def test_what_a_value_says(column: Column, raw: bytes, said: object) -> None:
    assert value_size(column, raw, 0) == len(raw)
    assert decode(column, raw) == said


def test_a_long_char_keeps_a_part_of_its_length_in_its_type() -> None:
    assert column_of(ColumnType.STRING, bytes([0xFE ^ 0x30, 0xFC])).meta == 0x3FC
    assert column_of(ColumnType.STRING, bytes([0xF7, 1])) == Column(ColumnType.ENUM, 1)


def test_names_and_signs_where_the_log_has_them() -> None:
    optional = b"\x01\x01\x80" + b"\x04\x07\x02id\x03wds"
    told = TableMap.parse(map_body() + optional)
    assert [(c.name, c.unsigned) for c in told.columns] == [("id", True), ("wds", None)]


@pytest.mark.parametrize(
    "kind",
    [
        EventType.WRITE_ROWS_V1,
        EventType.UPDATE_ROWS_V1,
        EventType.DELETE_ROWS_V1,
        EventType.WRITE_ROWS,
        EventType.UPDATE_ROWS,
        EventType.DELETE_ROWS,
    ],
)
def test_the_inverse_of_the_inverse_is_the_event(kind: EventType) -> None:
    update = kind in (EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS)
    deletes = kind in (EventType.DELETE_ROWS_V1, EventType.DELETE_ROWS)
    rows = [((n, "a"), (n, "b") if update else None) if update or deletes else (None, (n, "b")) for n in range(3)]
    found = parse(kind, rows_body(kind, rows), TableMap.parse(map_body()))
    turned = inverse(found)
    assert [row[0] for row in turned.rows] == [row[1] for row in reversed(found.rows)]
    again = parse(turned.type, body_of(turned), found.table)
    assert inverse(again).rows == found.rows
    assert inverse(again).type == kind


def test_an_image_without_all_columns_is_told_and_not_turned() -> None:
    short = rows_body(EventType.DELETE_ROWS_V1, [], bits=1) + b"\xfe" + struct.pack("<i", 5)
    found = parse(EventType.DELETE_ROWS_V1, short, TableMap.parse(map_body()))
    ((before, _),) = found.rows
    assert before is not None
    assert before.values[1] is MISSING
    assert not found.whole
    with pytest.raises(ValueError, match="does not have all columns"):
        inverse(found)


def test_statements_are_undone_from_the_end() -> None:
    both = changes((None, (1, "a")), ((1, "a"), (1, "b")))
    done, undo = tuple(redone(both, 102, 7)), tuple(undone(both, 102, 7))
    assert len(done) == len(undo) == 2
    events = [base64.b64decode(line) for line in undo[0].splitlines()[1:-1]]
    assert [each[4] for each in events] == [EventType.TABLE_MAP, EventType.UPDATE_ROWS_V1]
    assert all(int.from_bytes(each[5:9], "little") == 102 for each in events)
    assert image((1, "b")) + image((1, "a")) in events[1]
    assert described_first(DESCRIBED).startswith("BINLOG '")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (EventType.PARTIAL_UPDATE_ROWS, "binlog_row_value_options"),
        (EventType.INCIDENT, "incident"),
        (EventType.WRITE_ROWS_V1, "no table map"),
    ],
)
def test_why_rows_cannot_be_told(kind: EventType, why: str) -> None:
    found = changes_of(transaction(4), [event(kind, rows_body(EventType.WRITE_ROWS_V1, [(None, (1, "a"))]))], DESCRIBED)
    assert why in found.unreadable
    assert not found.whole


def test_a_statement_is_no_row_and_kept_whole() -> None:
    text = "UPDATE t SET v = '" + "x" * 500 + "'"
    found = statement(text, kind="dml")
    assert (found.unreadable, found.statement) == (NO_ROWS, text)
    assert not changes((None, (1, "a"))).unreadable


def test_no_damage_is_anything_but_an_error() -> None:
    """Bytes are turned, cut and added; each is read as rows that fill the event, or refused as a ValueError."""
    generator = random.Random(16)
    table, rows = body(MAP), body(ROWS)
    for _ in range(4000):
        broken = [bytearray(table), bytearray(rows)]
        for _ in range(generator.randint(1, 3)):
            target = generator.choice(broken)
            match generator.randint(0, 2):
                case 0:
                    target[generator.randrange(len(target))] = generator.randrange(256)
                case 1:
                    del target[generator.randint(1, len(target)) :]
                case _:
                    target += generator.randbytes(generator.randint(1, 9))
        try:
            told = TableMap.parse(bytes(broken[0]))
            found = parse(EventType.WRITE_ROWS_V1, bytes(broken[1]), told)
        except ValueError:
            continue
        for _, after in found.rows:
            assert after is not None
            for column, value in zip(told.columns, after.values, strict=True):
                if isinstance(value, bytes):
                    decode(column, value)
