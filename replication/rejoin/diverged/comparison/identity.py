"""What tells one row from another: the values of each unique key of its table, or all of them where there is none.

Two values may be the same to a server though their bytes differ: a collation takes upper and lower case, accents and
blanks at the end for nothing. They are folded here further than most do, so that two keys may pass for one; where a
collation goes further still, what is written twice fails in its unique key.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TypeAlias

from ....binlog.rows.columns import TEXT, Column, Value, decode, payload
from ....binlog.rows.row_events import Image, Missing
from ....binlog.rows.table_map import TableMap
from .schema import Table, TableColumn, UniqueKey

#: Table, key, and the values that it has there.
Identity: TypeAlias = tuple[str, str, tuple[bytes | None, ...]]
#: The key of a row that has no key.
WHOLE_ROW = "the whole row"
#: How servers call the encodings that Python knows by other names; latin1 is cp1252 to them.
_ENCODINGS = {"latin1": "cp1252", "utf8mb3": "utf-8", "utf8mb4": "utf-8", "utf8": "utf-8", "ucs2": "utf-16-be"}


def identities(image: Image, table: TableMap, known: Table) -> Iterator[Identity]:
    """Every key by which that row can be met. One with a NULL in it meets nobody."""
    met = False
    for key in known.keys:
        values = tuple(_folded(image.values[n], table.columns[n], known.columns[n], part) for n, part in key.columns)
        if all(value is not None for value in values):
            met = met or key.certain
            yield table.name, key.name, values
    if not met:
        pairs = zip(image.values, table.columns, known.columns, strict=True)
        yield table.name, WHOLE_ROW, tuple(_folded(value, column, told, 0) for value, column, told in pairs)


def _folded(value: bytes | Missing | None, column: Column, told: TableColumn, part: int) -> bytes | None:
    if value is None or isinstance(value, Missing):
        return None
    if column.type not in TEXT:
        return value
    data = payload(column, value)
    if not told.charset or told.charset == "binary":
        return data[:part] if part else data
    text = in_letters(data, told.charset)
    plain = unicodedata.normalize("NFKD", text[:part] if part else text).casefold()
    return "".join(c for c in plain if not unicodedata.combining(c)).rstrip().encode("utf-8", "surrogateescape")


def in_letters(data: bytes, charset: str) -> str:
    """Text in that character set of the server; a byte that means nothing in it stays one."""
    try:
        return data.decode(_ENCODINGS.get(charset, charset), "surrogateescape")
    except (LookupError, UnicodeError):
        return data.decode("latin-1")


def value_of(value: bytes | Missing | None, column: Column, told: TableColumn) -> Value | Missing:
    """What a column of a row says, with the help of what the table is now."""
    if value is None or isinstance(value, Missing):
        return value
    if column.type in TEXT and told.charset and told.charset != "binary":
        text = in_letters(payload(column, value), told.charset)
        return (
            text if text.isprintable() or not any("\ud800" <= c <= "\udfff" for c in text) else payload(column, value)
        )
    found = decode(column, value, unsigned=told.unsigned)
    return payload(column, value) if isinstance(found, str) and column.type in TEXT else found


def shown(value: Value | Missing) -> str:
    """A value in words for a person; bytes as hexadecimal digits."""
    if isinstance(value, Missing):
        return "not in the log"
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"0x{value.hex()}" if value else "''"
    if isinstance(value, str):
        return repr(value)
    return str(value)


def row_of(image: Image, table: TableMap, known: Table) -> dict[str, str]:
    """Each column with its value, in words. What the log calls a column goes before what the table calls it now."""
    pairs = zip(image.values, table.columns, known.columns, strict=True)
    return {column.name or told.name: shown(value_of(value, column, told)) for value, column, told in pairs}


def key_in_words(key: UniqueKey | None, image: Image, table: TableMap, known: Table) -> str:
    """The row's name for a person: ``id=5``; the whole row where there is no key."""
    row = list(row_of(image, table, known).items())
    numbers = [number for number, _ in key.columns] if key is not None else range(len(row))
    return ", ".join(f"{row[n][0]}={row[n][1]}" for n in numbers)
