"""Which threads are a channel's appliers, and why one stopped where its status row names only who gave way to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...model.state import WORKERS_STOPPED, Vendor
from .channel_status import channel_name

Row = dict[str, Any]

#: ER_SLAVE_WORKER_STOPPED_PREVIOUS_THD_ERROR: a worker that gave way to one that had failed before it.
GAVE_WAY = 3030
#: What receivers say that they do.
RECEIVES = (
    "Waiting for master",
    "Waiting for source",
    "Waiting to reconnect",
    "Connecting",
    "Reconnecting",
    "Queueing",
)
_CONSEQUENCES = (WORKERS_STOPPED, GAVE_WAY)


def causes_query(vendor: Vendor, version: tuple[int, ...], rows: Iterable[Row]) -> str:
    """A question for the error that each worker met; empty where the status rows tell.

    MySQL's row holds the error of the worker that stopped last, which is as often a consequence (3030, 1756) as the
    cause. The performance schema keeps each worker's own, since 5.7.
    """
    if vendor is Vendor.MARIADB or version < (5, 7) or not any(_is_consequence(row) for row in rows):
        return ""
    return (
        "SELECT CHANNEL_NAME AS channel, LAST_ERROR_NUMBER AS errno, LAST_ERROR_MESSAGE AS message "  # noqa: S608 - no word of others
        "FROM performance_schema.replication_applier_status_by_worker "
        f"WHERE LAST_ERROR_NUMBER NOT IN (0, {', '.join(map(str, _CONSEQUENCES))}) ORDER BY LAST_ERROR_TIMESTAMP"
    )


def is_receiver(command: str, state: str) -> bool:
    """Whether a thread of replication is one that receives: MariaDB's command says so, MySQL's state."""
    return command == "Slave_IO" or state.startswith(RECEIVES)


def threads_query(vendor: Vendor, version: tuple[int, ...]) -> str:
    """A question, with a channel's name twice, for the numbers of the threads that execute for it in the process list.

    Empty where nothing tells. Without the performance schema the answer is, too.
    """
    if vendor is Vendor.MARIADB or version < (5, 7):
        return ""
    threads = " UNION ".join(
        f"SELECT THREAD_ID FROM performance_schema.replication_applier_status_by_{who} WHERE CHANNEL_NAME = %s"  # noqa: S608 - no word of others
        for who in ("worker", "coordinator")
    )
    return f"SELECT PROCESSLIST_ID AS process FROM performance_schema.threads WHERE THREAD_ID IN ({threads})"  # noqa: S608


def with_causes(rows: Sequence[Row], answers: Sequence[Row]) -> list[Row]:
    """The status rows, each with the first error a worker of its channel met; ``answers`` are of `causes_query`."""
    first: dict[str, Row] = {}
    for answer in answers:
        first.setdefault(str(answer["channel"]), answer)
    told = []
    for row in rows:
        cause = first.get(channel_name(row)) if _is_consequence(row) else None
        told.append({**row, "Last_SQL_Errno": cause["errno"], "Last_SQL_Error": cause["message"]} if cause else row)
    return told


def _is_consequence(row: Row) -> bool:
    return int(row.get("Last_SQL_Errno") or 0) in _CONSEQUENCES
