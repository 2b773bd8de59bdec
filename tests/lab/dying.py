"""A command that kills itself with -9 at an exact place of a failover: STEP POINT COMMAND …

POINT is one of: ``began`` the journal has the beginning, nothing was done; ``inside`` the step's first effect is there,
a statement that changes a server or a command on a host (a step without any dies as it would record its end); a
number: so many statements that change a server were made in it, or the step is over; words: a statement that begins
so was made in it;
``undone`` everything is done, the journal has no word of it; ``done`` the journal has the end. What runs is the
project's own code, up to the instant of its death. With another signal in $DYING_OF it is asked to end there, once.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
from typing import Any

from prefect_mha.replication.memory.journal import Entry, Journal
from prefect_mha.replication.mysql.server import Row, Server
from prefect_mha.replication.ssh.host import CommandResult, SshHost

#: A failover's steps, in order; every one is recorded in the journal. The report comes after its end.
STEPS = [
    "Check that a failover is allowed",
    "Look at every server",
    "Choose the new primary",
    "Stop every receiver",
    "Fence the old primary",
    "Invalidate the old address",
    "Execute what was received",
    "Save the dead primary's binary log",
    "See whether it lets applications in",
    "Apply what was saved",
    "Hold the old primary",
    "Open the new primary for writes",
    "Write a row",
    "Move the address",
    "Point a replica at the new primary",
    "Forget the old source on the new primary",
    "Verify every server",
    "Take over events and semi-synchronous replication",
    "Read the row on the others",
    "Verify the address",
    "See whether the old primary stays away",
]
POINTS = ("began", "inside", "undone", "done")
#: What looks and does not touch.
LOOKS = re.compile(r"\s*(SELECT|SHOW|SET SESSION|EXPLAIN)\b", re.IGNORECASE)


#: Whether it was asked to end.
_asked: list[bool] = []


def die() -> None:
    """As a manager dies whose host runs out of memory: at once, without a word; or as it is asked to end."""
    if not _asked:
        _asked.append(True)
        os.kill(os.getpid(), signal.Signals[os.environ.get("DYING_OF", "SIGKILL")])


def arrange(step: str, point: str) -> None:
    """Have this process die there."""
    record, query, run = Journal.record, Server.query, SshHost.run
    within, left = False, int(point) if point.isdigit() else 0

    def recording(self: Journal, name: str, event: str, /, *server: str, **facts: Any) -> Entry:
        nonlocal within
        if name == step and event == "done" and (point in ("inside", "undone") or (point.isdigit() and left)):
            die()
        entry = record(self, name, event, *server, **facts)
        if name == step:
            within = event == "began"
            if event == point:
                die()
        return entry

    def querying(self: Server, sql: str, *args: Any, **more: Any) -> list[Row]:
        nonlocal left
        rows = query(self, sql, *args, **more)
        if within and not LOOKS.match(sql):
            left -= 1
            if point == "inside" or left == 0 or sql.startswith(point):
                die()
        return rows

    def running(self: SshHost, *args: Any, **more: Any) -> CommandResult:
        result = run(self, *args, **more)
        if within and point == "inside":
            die()
        return result

    # Every caller looks the methods up in their classes.
    Journal.record = recording  # type: ignore[method-assign,assignment]
    Server.query = querying  # type: ignore[method-assign,assignment]
    SshHost.run = running  # type: ignore[method-assign,assignment]


def main() -> int:
    """See the module."""
    step, point, command, *words = sys.argv[1:]
    assert point in POINTS or point.isdigit() or point.startswith(("SET ", "START ", "STOP ", "CHANGE ")), point
    arrange(step, point)
    sys.argv = [command, *words]
    return int(importlib.import_module(f"prefect_mha.commands.{command}").main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
