"""Tables as a server has them now: the columns, what tells one row from another, and what else hangs on a row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ....errors import StatementFailed
from ....mysql.server import Row, Server

#: What a foreign key does by itself to rows of another table, which no log of rows tells.
_CASCADES = ("CASCADE", "SET NULL", "SET DEFAULT")


@dataclass(frozen=True)
class TableColumn:
    """``charset`` is empty for what is no text; ``type`` is DATA_TYPE of information_schema."""

    name: str
    unsigned: bool = False
    charset: str = ""
    type: str = ""


@dataclass(frozen=True)
class UniqueKey:
    """Numbers of its columns, each with how many letters of it count (0: all); ``certain``: none may be NULL."""

    name: str
    columns: tuple[tuple[int, int], ...]
    certain: bool


@dataclass(frozen=True)
class Table:
    """``keys`` are its unique ones, the primary first; ``cascades``: a foreign key changes rows of another table
    along with its own, ``parents`` are the tables along with which its rows are changed so.

    ``kind`` is what information_schema calls it: BASE TABLE is a plain one.
    """

    name: str
    columns: tuple[TableColumn, ...]
    keys: tuple[UniqueKey, ...] = ()
    engine: str = "InnoDB"
    kind: str = "BASE TABLE"
    cascades: bool = False
    parents: tuple[str, ...] = ()

    @property
    def key(self) -> UniqueKey | None:
        """What names a row to a person: the primary key, or else the first by which every row is told from others."""
        return next((key for key in self.keys if key.certain), None)


def read_tables(server: Server, names: Collection[str]) -> dict[str, Table]:
    """Those of these (``database.table``) that are there. Raises ServerError's children."""
    found = {}
    for name in sorted(names):
        database, _, table = name.partition(".")
        if (read := _read(server, database, table)) is not None:
            found[name] = read
    return found


_TABLE = "SELECT ENGINE, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
_COLUMNS = (
    "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, CHARACTER_SET_NAME, IS_NULLABLE FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"
)
_INDEXES = (
    "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS "
    "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND NON_UNIQUE = 0 "
    "ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX"
)
_CHILDREN = (
    "SELECT UPDATE_RULE, DELETE_RULE, '' AS PARENT FROM information_schema.REFERENTIAL_CONSTRAINTS "
    "WHERE UNIQUE_CONSTRAINT_SCHEMA = %s AND REFERENCED_TABLE_NAME = %s"
)
_PARENTS = (
    "SELECT UPDATE_RULE, DELETE_RULE, CONCAT(UNIQUE_CONSTRAINT_SCHEMA, '.', REFERENCED_TABLE_NAME) AS PARENT "
    "FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s"
)


def _read(server: Server, database: str, table: str) -> Table | None:
    def ask(sql: str) -> list[Row]:
        return server.query(sql, (database, table), action=f"read what {database}.{table} is")

    told = ask(_TABLE)
    if not told:
        return None
    columns = ask(_COLUMNS)
    return Table(
        f"{database}.{table}",
        tuple(_column(row) for row in columns),
        tuple(_keys(ask(_INDEXES), columns)),
        str(told[0]["ENGINE"] or ""),
        str(told[0]["TABLE_TYPE"] or ""),
        any(map(_by_itself, ask(_CHILDREN))),
        tuple(dict.fromkeys(str(row["PARENT"]) for row in ask(_PARENTS) if _by_itself(row))),
    )


def _by_itself(row: Row) -> bool:
    return str(row["UPDATE_RULE"]) in _CASCADES or str(row["DELETE_RULE"]) in _CASCADES


def _column(row: Row) -> TableColumn:
    unsigned = "unsigned" in str(row["COLUMN_TYPE"]).lower()
    return TableColumn(
        str(row["COLUMN_NAME"]), unsigned, str(row["CHARACTER_SET_NAME"] or ""), str(row["DATA_TYPE"]).lower()
    )


def _keys(indexes: Iterable[Row], columns: Iterable[Row]) -> list[UniqueKey]:
    """A key over an expression names no column, and counts for nothing: what is written twice fails in it."""
    numbers = {str(row["COLUMN_NAME"]): number for number, row in enumerate(columns)}
    nullable = {str(row["COLUMN_NAME"]) for row in columns if str(row["IS_NULLABLE"]).upper() == "YES"}
    parts: dict[str, list[Row]] = {}
    for row in indexes:
        parts.setdefault(str(row["INDEX_NAME"]), []).append(row)
    return [
        UniqueKey(
            name,
            tuple((numbers[str(row["COLUMN_NAME"])], int(row["SUB_PART"] or 0)) for row in rows),
            all(str(row["COLUMN_NAME"]) not in nullable for row in rows),
        )
        for name, rows in parts.items()
        if all(str(row["COLUMN_NAME"]) in numbers for row in rows)
    ]


def executes_strictly(server: Server) -> bool:
    """Whether a row that is not there as it was is an error to it (slave_exec_mode). Raises ServerError's children."""
    for name in ("replica_exec_mode", "slave_exec_mode"):
        try:
            mode = server.scalar(f"SELECT @@GLOBAL.{name}", action=f"read {name}")
        except StatementFailed:
            continue
        return str(mode).upper() == "STRICT"
    return True


def longest_statement(server: Server) -> int:
    """Bytes of the longest statement that it takes (max_allowed_packet). Raises ServerError's children."""
    return int(server.scalar("SELECT @@GLOBAL.max_allowed_packet", action="read max_allowed_packet") or 0)


def changed_of(tables: Mapping[str, Table], name: str, width: int) -> str:
    """Why rows of so many columns are none of that table as it is now; empty where they may be."""
    table = tables.get(name)
    if table is None:
        return f"{name} is not there"
    if len(table.columns) != width:
        return f"{name} has {len(table.columns)} columns now, and had {width}"
    return ""
