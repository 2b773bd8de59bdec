"""Row events: the images of the rows that were written, changed, and deleted; and the event that undoes another one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ..events import EventType
from .columns import value_size
from .table_map import TableMap, lenenc

#: Flags of a row event: it ends its statement; every column of a row is there.
STATEMENT_END = 0x0001
#: The table of an event that only ends a statement.
DUMMY_TABLE = 0xFFFFFF


class Kind(StrEnum):
    """What became of a row."""

    WRITE = "insert"
    UPDATE = "update"
    DELETE = "delete"


_KINDS = {
    EventType.WRITE_ROWS_V1: Kind.WRITE,
    EventType.UPDATE_ROWS_V1: Kind.UPDATE,
    EventType.DELETE_ROWS_V1: Kind.DELETE,
    EventType.WRITE_ROWS: Kind.WRITE,
    EventType.UPDATE_ROWS: Kind.UPDATE,
    EventType.DELETE_ROWS: Kind.DELETE,
}
ROW_EVENTS = frozenset(_KINDS)
#: Version 2 has room for more between the flags and the columns.
_SECOND = frozenset({EventType.WRITE_ROWS, EventType.UPDATE_ROWS, EventType.DELETE_ROWS})
_INVERSE = {
    EventType.WRITE_ROWS_V1: EventType.DELETE_ROWS_V1,
    EventType.UPDATE_ROWS_V1: EventType.UPDATE_ROWS_V1,
    EventType.DELETE_ROWS_V1: EventType.WRITE_ROWS_V1,
    EventType.WRITE_ROWS: EventType.DELETE_ROWS,
    EventType.UPDATE_ROWS: EventType.UPDATE_ROWS,
    EventType.DELETE_ROWS: EventType.WRITE_ROWS,
}


class Missing:
    """A column that an image does not have (binlog_row_image)."""


MISSING = Missing()


@dataclass(frozen=True)
class Image:
    """One row: of each column its bytes, None for NULL, or MISSING; ``raw`` as it stands in the event."""

    values: tuple[bytes | Missing | None, ...]
    raw: bytes

    @property
    def whole(self) -> bool:
        """It has all columns."""
        return not any(isinstance(value, Missing) for value in self.values)


@dataclass(frozen=True)
class RowEvent:
    """``rows`` are before and after, of which only an update has both. ``type`` and ``flags`` are as written."""

    type: EventType
    table: TableMap
    flags: int
    before_bits: bytes
    after_bits: bytes
    rows: tuple[tuple[Image | None, Image | None], ...]

    @property
    def kind(self) -> Kind:
        """What became of its rows."""
        return _KINDS[self.type]

    @property
    def whole(self) -> bool:
        """Every image has every column."""
        return all(image is None or image.whole for row in self.rows for image in row)


def table_id(body: bytes) -> int:
    """The table that a row event is about."""
    return int.from_bytes(body[:6], "little")


def parse(kind: EventType, body: bytes, table: TableMap) -> RowEvent:
    """From an event's whole body without checksum. Raises ValueError."""
    try:
        return _parsed(kind, body, table)
    except (IndexError, struct.error):
        raise ValueError(f"a row event of {table.name} ends too soon") from None


def columns_of(kind: EventType, body: bytes) -> tuple[int, int, bytes, bytes, int]:
    """Flags, how many columns, which of them the images before and after have, and where the first row begins.

    Raises IndexError, ValueError, struct.error.
    """
    (flags,) = struct.unpack_from("<H", body, 6)
    at = 8
    if kind in _SECOND:
        (extra,) = struct.unpack_from("<H", body, 8)
        at += max(2, extra)
    width, at = lenenc(body, at)
    size = (width + 7) // 8
    first, at = body[at : at + size], at + size
    second = first
    if _KINDS[kind] is Kind.UPDATE:
        second, at = body[at : at + size], at + size
    return flags, width, first, second, at


def _parsed(kind: EventType, body: bytes, table: TableMap) -> RowEvent:
    flags, width, first, second, at = columns_of(kind, body)
    if width != len(table.columns):
        raise ValueError(f"a row event has {width} columns, and the table map of {table.name} {len(table.columns)}")
    if at > len(body):
        raise ValueError(f"a row event of {table.name} ends within its columns")
    update = _KINDS[kind] is Kind.UPDATE
    rows: list[tuple[Image | None, Image | None]] = []
    while at < len(body):
        image, at = _image(body, at, table, first)
        if update:
            after, at = _image(body, at, table, second)
            rows.append((image, after))
        else:
            rows.append((None, image) if _KINDS[kind] is Kind.WRITE else (image, None))
    return RowEvent(kind, table, flags, first, second, tuple(rows))


def _image(body: bytes, at: int, table: TableMap, bits: bytes) -> tuple[Image, int]:
    """Only the columns that are there have a bit that tells NULL."""
    begin, there = at, [bool(bits[n >> 3] >> (n & 7) & 1) for n in range(len(table.columns))]
    count = sum(there)
    nulls, at = body[at : at + (count + 7) // 8], at + (count + 7) // 8
    if len(nulls) != (count + 7) // 8 or not count:
        raise ValueError(f"a row of {table.name} ends too soon")
    values: list[bytes | Missing | None] = []
    number = 0
    for column, present in zip(table.columns, there, strict=True):
        if not present:
            values.append(MISSING)
            continue
        if nulls[number >> 3] >> (number & 7) & 1:
            values.append(None)
        else:
            end = at + value_size(column, body, at)
            if end > len(body):
                raise ValueError(f"a row of {table.name} ends within a value")
            values.append(body[at:end])
            at = end
        number += 1
    return Image(tuple(values), body[begin:at]), at


def inverse(event: RowEvent) -> RowEvent:
    """What undoes it: its rows in the other order, before and after changed places. Raises ValueError if not whole."""
    if not event.whole:
        raise ValueError(f"an image of a row of {event.table.name} does not have all columns")
    rows = tuple((after, before) for before, after in reversed(event.rows))
    return RowEvent(_INVERSE[event.type], event.table, event.flags, event.after_bits, event.before_bits, rows)


def body_of(event: RowEvent) -> bytes:
    """The event's body, as one that ends its statement; it carries nothing between its flags and its columns."""
    head = event.table.id.to_bytes(6, "little") + struct.pack("<H", event.flags | STATEMENT_END)
    if event.type in _SECOND:
        head += struct.pack("<H", 2)
    width = len(event.table.columns)
    head += bytes([width]) if width < 251 else b"\xfc" + struct.pack("<H", width)
    bits = event.before_bits + (event.after_bits if event.kind is Kind.UPDATE else b"")
    return head + bits + b"".join(_raw(event.rows))


def _raw(rows: tuple[tuple[Image | None, Image | None], ...]) -> Iterator[bytes]:
    for row in rows:
        yield from (image.raw for image in row if image is not None)
