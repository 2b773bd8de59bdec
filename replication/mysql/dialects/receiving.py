"""How a server tells what its receiver has heard of its source, in every vendor's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...model.state import Vendor

Row = Mapping[str, Any]

_PLACE = (
    ("Source_Log_File", "Master_Log_File"),
    ("Read_Source_Log_Pos", "Read_Master_Log_Pos"),
    ("Retrieved_Gtid_Set",),
    ("Gtid_IO_Pos",),
)


def place(row: Row) -> tuple[str, ...]:
    """How far a receiver is, by a row of its status: log, position and GTIDs as the server writes them."""
    return tuple(str(next((row[name] for name in names if row.get(name) is not None), "")) for names in _PLACE)


def heartbeats_query(vendor: Vendor, version: tuple[int, ...]) -> str:
    """A question for the heartbeats of all channels; empty where the status rows tell (MariaDB).

    MySQL counts them in the performance schema since 5.7, before that in a status variable.
    """
    if vendor is Vendor.MARIADB:
        return ""
    if version < (5, 7):
        return "SHOW GLOBAL STATUS WHERE Variable_name IN ('Slave_received_heartbeats', 'Slave_heartbeat_period')"
    return (
        "SELECT s.CHANNEL_NAME AS channel, s.COUNT_RECEIVED_HEARTBEATS AS heartbeats, c.HEARTBEAT_INTERVAL AS period "
        "FROM performance_schema.replication_connection_status s "
        "JOIN performance_schema.replication_connection_configuration c USING (CHANNEL_NAME)"
    )


def heartbeats(row: Row, answers: Iterable[Row], channel: str) -> tuple[str, float | None]:
    """What a channel's count of heartbeats is, as text, and their period (seconds, None where it is not told).

    ``row`` is its status row, ``answers`` what `heartbeats_query` gave.
    """
    found = {str(name).lower().removeprefix("slave_"): value for name, value in row.items()}
    for answer in answers:
        if "Variable_name" in answer:
            found[str(answer["Variable_name"]).lower().removeprefix("slave_")] = answer["Value"]
        elif str(answer["channel"]) == channel:
            found |= {"received_heartbeats": answer["heartbeats"], "heartbeat_period": answer["period"]}
    period = found.get("heartbeat_period")
    return str(found.get("received_heartbeats", "")), float(period) if period else None
