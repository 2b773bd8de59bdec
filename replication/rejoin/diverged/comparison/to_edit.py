"""What is not replayed as SQL that a person may edit and run: one statement a row, each with its reason above."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from ....binlog.rows.changes import Changes
from ....binlog.rows.columns import ColumnType, Value
from ....binlog.rows.row_events import Image, Missing, RowEvent
from ....mysql.dialects import quote_identifier
from .comparing import not_comparable
from .identity import value_of
from .schema import Table

#: What is kept in a form of its own, which no statement can write.
_NO_LITERAL = frozenset({ColumnType.JSON, ColumnType.MARIADB_BLOB_COMPRESSED, ColumnType.MARIADB_VARCHAR_COMPRESSED})


def sql_to_edit(
    tail: Sequence[Changes], tables: Mapping[str, Table], left: Mapping[int, str], new: str
) -> Iterator[str]:
    """Line by line; nothing of it runs by itself."""
    yield f"-- What was not replayed on {_comment(new)}. Edit it, then run it there."
    yield "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION';"
    for number, why in sorted(left.items()):
        changes = tail[number]
        yield ""
        yield f"-- {changes.name}: {_comment(why)}"
        if changes.statement:
            yield from (f"-- {_comment(line)}" for line in changes.statement.splitlines())
        elif not_comparable(changes, tables):
            yield "-- its rows are not told here: see mysqlbinlog"
        else:
            for event in changes.events:
                yield from _of(event, tables[event.table.name])


def _of(event: RowEvent, table: Table) -> Iterator[str]:
    database, _, name = table.name.partition(".")
    place = f"{quote_identifier(database)}.{quote_identifier(name)}"
    for before, after in event.rows:
        if before is None and after is not None:
            values = [_literal(value, event, n) for n, value in _values(after, event, table)]
            names = [_name(table, n) for n, _ in _values(after, event, table)]
            columns, row = ", ".join(names), ", ".join(values)
            yield f"INSERT INTO {place} ({columns}) VALUES ({row});"  # noqa: S608 - a person runs it
        elif before is not None and after is None:
            yield f"DELETE FROM {place} WHERE {_where(before, event, table)} LIMIT 1;"  # noqa: S608 - a person runs it
        elif before is not None and after is not None:
            old = dict(_values(before, event, table))
            changed = [(n, value) for n, value in _values(after, event, table) if old[n] != value]
            sets = ", ".join(f"{_name(table, n)} = {_literal(value, event, n)}" for n, value in changed)
            if sets:
                where = _where(before, event, table)
                yield f"UPDATE {place} SET {sets} WHERE {where} LIMIT 1;"  # noqa: S608 - a person runs it


def _values(image: Image, event: RowEvent, table: Table) -> Iterator[tuple[int, Value | Missing]]:
    for number, (value, column) in enumerate(zip(image.values, event.table.columns, strict=True)):
        yield number, value_of(value, column, table.columns[number])


def _where(image: Image, event: RowEvent, table: Table) -> str:
    values = dict(_values(image, event, table))
    numbers = [number for number, _ in table.key.columns] if table.key is not None else list(values)
    return " AND ".join(f"{_name(table, n)} <=> {_literal(values[n], event, n)}" for n in numbers)


def _name(table: Table, number: int) -> str:
    return quote_identifier(table.columns[number].name)


def _literal(value: Value | Missing, event: RowEvent, number: int) -> str:
    if value is None or isinstance(value, Missing):
        return "NULL"
    if event.table.columns[number].type in _NO_LITERAL:
        return "/* see mysqlbinlog for this value */ NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, int | float | Decimal):
        return repr(value) if isinstance(value, float) else str(value)
    if value.isprintable() and "\\" not in value:
        return "'" + value.replace("'", "''") + "'"
    return f"CONVERT(x'{value.encode('utf-8', 'surrogateescape').hex()}' USING utf8)"


def _comment(text: str) -> str:
    """On one line, so that nothing in it is a statement."""
    return "".join(c if c.isprintable() else " " for c in text)
