"""The table map that stands before row events: which table, which columns, and what more the log says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .columns import NUMERIC, Column, column_of, metadata_size

#: Fields of the optional metadata (binlog_row_metadata).
_SIGNEDNESS, _COLUMN_NAMES = 1, 4


@dataclass(frozen=True)
class TableMap:
    """``id`` is the table's number in the events that follow; ``name`` is ``database.table``."""

    id: int
    name: str
    columns: tuple[Column, ...]

    @classmethod
    def parse(cls, body: bytes) -> TableMap:
        """From an event's whole body without checksum. Raises ValueError."""
        try:
            return _parsed(body)
        except IndexError:
            raise ValueError("a table map ends too soon") from None


def _parsed(body: bytes) -> TableMap:
    if len(body) < 10:
        raise ValueError("a table map is too short")
    database, at = _named(body, 8)
    table, at = _named(body, at)
    count, at = lenenc(body, at)
    types = body[at : at + count]
    size, at = lenenc(body, at + count)
    if len(types) != count or at + size + (count + 7) // 8 > len(body):
        raise ValueError("a table map is too short for its columns")
    columns, there = [], at
    for kind in types:
        width = metadata_size(kind)
        columns.append(column_of(kind, body[there : there + width]))
        there += width
    if there != at + size:
        raise ValueError("a table map's metadata are not those of its columns")
    told = _more(tuple(columns), body[there + (count + 7) // 8 :])
    return TableMap(int.from_bytes(body[:6], "little"), f"{database}.{table}", told)


def lenenc(data: bytes, at: int) -> tuple[int, int]:
    """A number whose first byte tells its length, and where it ends. Raises ValueError, IndexError."""
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}.get(first)
    if size is None or at + 1 + size > len(data):
        raise ValueError("a number's length is not known")
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def _named(body: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + body[at]
    if end >= len(body):
        raise ValueError("a table map ends within a name")
    return body[at + 1 : end].decode("utf-8", "replace"), end + 1


def _more(columns: tuple[Column, ...], rest: bytes) -> tuple[Column, ...]:
    """Which numbers are unsigned, and what the columns are called, where the server logs that."""
    for field, value in _fields(rest):
        if field == _SIGNEDNESS:
            bits = iter([bool(byte & 0x80 >> bit) for byte in value for bit in range(8)])
            columns = tuple(replace(c, unsigned=next(bits)) if c.type in NUMERIC else c for c in columns)
        elif field == _COLUMN_NAMES:
            columns = tuple(replace(c, name=n) for c, n in zip(columns, _names(value), strict=True))
    return columns


def _fields(rest: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(rest):
        field = rest[at]
        size, at = lenenc(rest, at + 1)
        if at + size > len(rest):
            raise ValueError("a table map ends within its metadata")
        yield field, rest[at : at + size]
        at += size


def _names(value: bytes) -> Iterator[str]:
    at = 0
    while at < len(value):
        size, at = lenenc(value, at)
        yield value[at : at + size].decode("utf-8", "replace")
        at += size
