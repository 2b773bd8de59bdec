"""May what only the old server has be undone in its tables, by turning its row events round? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...binlog.rows.changes import Changes
from ...binlog.rows.statements import largest
from .comparison.comparing import SHOWN, not_comparable
from .comparison.schema import Table

#: Engines whose tables take a transaction back when a server dies in it.
TRANSACTIONAL = frozenset({"innodb"})
#: Reasons that are told.
TOLD = 5


def cannot_be_undone(
    tail: Sequence[Changes], tables: Mapping[str, Table], *, strict: bool, stopped: str, server_id: int, packet: int
) -> tuple[str, ...]:
    """Every reason, the first ones by name; empty where it can be.

    ``tables`` are as the old server has them, ``strict``: it takes a row that is not as it was for an error,
    ``stopped`` is why its log could not be read to its end, ``server_id`` its own, ``packet`` its max_allowed_packet.
    """
    if stopped:
        return (f"its log cannot be read to its end: {stopped}",)
    if not strict:
        return ("its slave_exec_mode is not STRICT: a row that is not as its log says would not be noticed",)
    if others := [c.name for c in tail if c.transaction.server_id != server_id]:
        return (f"{others[0]} was written by another server: its log goes on with what it received",)
    if large := [(c.name, size) for c in tail if (size := largest(c)) > packet]:
        name, size = large[0]
        return (f"{name} needs a statement of {size} bytes, and max_allowed_packet is {packet}: set it higher",)
    reasons = list(_reasons(tail, tables))
    more = (f"and {len(reasons) - TOLD} more like these",) if len(reasons) > TOLD else ()
    return (*reasons[:TOLD], *more)


def _reasons(tail: Sequence[Changes], tables: Mapping[str, Table]) -> Iterator[str]:
    for changes in tail:
        if why := _why(changes, tables):
            statement = " ".join(changes.statement.split())[:SHOWN]
            yield f"{changes.name}: {why}" + (f" ({statement})" if statement else "")


def _why(changes: Changes, tables: Mapping[str, Table]) -> str:
    if changes.transaction.kind == "ddl":
        return "it changes a table's definition, which no log tells how to take back"
    for name in dict.fromkeys(event.table.name for event in changes.events):
        table = tables.get(name)
        if table is not None and table.engine.lower() not in TRANSACTIONAL:
            return f"{name} is of {table.engine}, which takes nothing back"
        if table is not None and table.kind != "BASE TABLE":
            return f"{name} is no plain table ({table.kind.lower()})"
    if why := not_comparable(changes, tables):
        return why
    return "" if changes.transaction.plain else "it changes a table of the server itself, or holds what is no row"
