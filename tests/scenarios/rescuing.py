"""What scenarios of a rescue that meets trouble share."""

from __future__ import annotations

import json
from typing import Any

from tests.lab.cluster import Manager
from tests.lab.host import Host
from tests.scenarios.failing_over import MODES

SOME_MODES = [MODES[1], MODES[2], MODES[5]]


def rows(host: Host) -> int:
    return int(host.sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"])


def ledger(manager: Manager) -> list[dict[str, Any]]:
    (path,) = manager.workdir.glob("*.ledger.json")
    lines: list[dict[str, Any]] = json.loads(path.read_text())
    return lines


def words(host: Host) -> tuple[str, str, str]:
    """How CHANGE, the source's options and a replica are called there."""
    return (
        ("CHANGE REPLICATION SOURCE TO", "SOURCE", "REPLICA")
        if host.kind.name == "mysql97"
        else (
            "CHANGE MASTER TO",
            "MASTER",
            "SLAVE",
        )
    )


def by_hand(host: Host, setting: str, statement: str) -> None:
    """As somebody does who works on a replica: one session, one setting of it, one statement."""
    session = host.connect()
    with session.cursor() as cursor:
        cursor.execute(f"SET SESSION {setting}")
        cursor.execute(statement)
    session.close()


def put_a_row_in_the_way(host: Host) -> None:
    """Without a trace in its log."""
    by_hand(host, "sql_log_bin=0", "INSERT INTO app.conflict VALUES (1)")
