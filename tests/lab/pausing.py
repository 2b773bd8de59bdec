"""A command whose failover stands still at one place until it is told to go on: STEP POINT DIRECTORY COMMAND …

POINT is ``began`` or ``done``: the journal has that word of the step, and nothing after it was done; or ``sends``: a
statement that begins with STEP is about to be sent, in whichever thread. ``reached`` in the
directory says that the place was reached; when ``go`` is there, or after `MOST` seconds, it goes on. It stands still
once. All its other threads run on, as they do while a replica takes long for what it is asked.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

from prefect_mha.replication.memory.journal import Entry, Journal
from prefect_mha.replication.mysql.server import Row, Server

POINTS = ("began", "done", "sends")
MOST = 60.0


def arrange(step: str, point: str, directory: Path) -> None:
    """Have the failover of this process stand still there."""
    record, query, once = Journal.record, Server.query, threading.Lock()

    def stand_still() -> None:
        if once.acquire(blocking=False):
            (directory / "reached").touch()
            ends = time.monotonic() + MOST
            while not (directory / "go").exists() and time.monotonic() < ends:
                time.sleep(0.02)

    def recording(self: Journal, name: str, event: str, /, *server: str, **facts: Any) -> Entry:
        entry = record(self, name, event, *server, **facts)
        if (name, event) == (step, point):
            stand_still()
        return entry

    def querying(self: Server, sql: str, *args: Any, **more: Any) -> list[Row]:
        if point == "sends" and sql.startswith(step):
            stand_still()
        return query(self, sql, *args, **more)

    # Every caller looks the methods up in their classes.
    Journal.record = recording  # type: ignore[method-assign,assignment]
    Server.query = querying  # type: ignore[method-assign,assignment]


def main() -> int:
    """See the module."""
    step, point, directory, command, *words = sys.argv[1:]
    assert point in POINTS, point
    arrange(step, point, Path(directory))
    sys.argv = [command, *words]
    return int(importlib.import_module(f"prefect_mha.commands.{command}").main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
