"""A command whose failover stands still at one place until it is told to go on: STEP POINT DIRECTORY COMMAND …

POINT is ``began`` or ``done``: the journal has that word of the step, and nothing after it was done. ``reached`` in the
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

POINTS = ("began", "done")
MOST = 60.0


def arrange(step: str, point: str, directory: Path) -> None:
    """Have the failover of this process stand still there."""
    record, once = Journal.record, threading.Lock()

    def recording(self: Journal, name: str, event: str, /, *server: str, **facts: Any) -> Entry:
        entry = record(self, name, event, *server, **facts)
        if (name, event) == (step, point) and once.acquire(blocking=False):
            (directory / "reached").touch()
            ends = time.monotonic() + MOST
            while not (directory / "go").exists() and time.monotonic() < ends:
                time.sleep(0.02)
        return entry

    Journal.record = recording  # type: ignore[method-assign,assignment]


def main() -> int:
    """See the module."""
    import faulthandler

    faulthandler.dump_traceback_later(45, repeat=True)
    step, point, directory, command, *words = sys.argv[1:]
    assert point in POINTS, point
    arrange(step, point, Path(directory))
    sys.argv = [command, *words]
    return int(importlib.import_module(f"prefect_mha.commands.{command}").main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
