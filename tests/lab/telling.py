"""A command that writes down how long it is held up by telling people what happens: FILE COMMAND …

FILE gets a line an event, a JSON list: its name and the seconds until the path went on. What runs is the project's own
code.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from prefect_mha.replication.notify.events import EventHooks


def time_it(file: Path) -> None:
    """From now on every event leaves its line in the file."""
    tell = EventHooks.tell

    def timed(self: EventHooks, event: str, **facts: Any) -> None:
        began = time.monotonic()
        try:
            tell(self, event, **facts)
        finally:
            took = time.monotonic() - began
            with file.open("a") as lines:
                lines.write(json.dumps([event, took]) + "\n")

    # Every caller looks the method up in its class.
    EventHooks.tell = timed  # type: ignore[method-assign]


def main() -> int:
    """See the module."""
    file, command, *words = sys.argv[1:]
    time_it(Path(file))
    sys.argv = [command, *words]
    return int(importlib.import_module(f"prefect_mha.commands.{command}").main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
