"""What a living server's binary log holds, as the server itself tells: for hosts whose files cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..model.position import BinlogPosition, log_index
from .server import Server

#: Events that one question asks for.
SLICE = 10_000
#: What a server writes into its log by itself, as SHOW BINLOG EVENTS calls it: nothing of anybody's data.
OF_THE_LOG = frozenset(
    "Format_desc Previous_gtids Gtid_list Binlog_checkpoint Rotate Stop Start_encryption Heartbeat Ignorable".split()
)


def transactions_behind(server: Server, place: BinlogPosition) -> tuple[int, BinlogPosition]:
    """How many transactions follow ``place`` in its log, and where the last one ends (``place`` for none).

    Needs BINLOG MONITOR or REPLICATION SLAVE. Raises ServerError's children.
    """
    rows = server.query("SHOW BINARY LOGS", action="list its binary logs")
    names = sorted((str(row["Log_name"]) for row in rows), key=log_index)
    count, last = 0, place
    for name in names:
        if log_index(name) < place.index:
            continue
        begin = place.pos if name == place.file else 4
        for end in ends_of_transactions(events_of(server, name, begin)):
            count, last = count + 1, BinlogPosition(name, end)
    return count, last


def events_of(server: Server, name: str, begin: int, *, at_once: int = SLICE) -> Iterator[dict[str, Any]]:
    """The rows of SHOW BINLOG EVENTS from an offset on, ``at_once`` with a question. Raises ServerError's children."""
    while True:
        rows = server.query(
            "SHOW BINLOG EVENTS IN %s FROM %s LIMIT %s", (name, begin, at_once), action=f"read its {name}", timeout=60.0
        )
        if len(rows) < at_once:
            yield from rows
            return
        # MariaDB 11 tells no end of what lies within a transaction: the next question begins behind what has one.
        ended = next((n for n in range(len(rows), 0, -1) if int(rows[n - 1]["End_log_pos"])), 0)
        yield from rows[:ended]
        if ended:
            begin = int(rows[ended - 1]["End_log_pos"])
        else:
            at_once *= 2


def ends_of_transactions(events: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Where transactions end, of rows of SHOW BINLOG EVENTS: an XID, a COMMIT, or a statement that stands alone. Pure.

    MariaDB begins a transaction with a Gtid event that says so, MySQL with a statement.
    """
    within = False
    for event in events:
        kind, info = str(event["Event_type"]), str(event["Info"])
        if kind == "Xid" or (kind == "Query" and within and info.upper().startswith(("COMMIT", "XA "))):
            within = False
            yield int(event["End_log_pos"])
        elif kind == "Query" and info.upper().startswith("ROLLBACK"):
            within = False
        elif (kind == "Query" and info.upper() == "BEGIN") or (kind == "Gtid" and info.upper().startswith("BEGIN")):
            within = True
        elif kind == "Query" and not within:
            yield int(event["End_log_pos"])
