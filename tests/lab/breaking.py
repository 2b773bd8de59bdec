"""A command whose session a server ends in the midst of a step, once: STEP COMMAND …

The first statement of the step that changes a server finds its own session killed there (KILL, from a second one), as
an administrator or a load balancer does it. What runs is the project's own code.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from prefect_mha.replication.memory.journal import Entry, Journal
from prefect_mha.replication.mysql.server import Row, Server
from tests.lab.dying import LOOKS
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD
from tests.lab.sessions import ServerSession


def arrange(step: str) -> None:
    """Have the session of that step's first statement killed."""
    record, query = Journal.record, Server.query
    within = done = False

    def recording(self: Journal, name: str, event: str, /, *server: str, **facts: Any) -> Entry:
        nonlocal within
        if name == step:
            within = event == "began"
        return record(self, name, event, *server, **facts)

    def querying(self: Server, sql: str, *args: Any, **more: Any) -> list[Row]:
        nonlocal done
        if within and not done and not LOOKS.match(sql):
            done = True
            (row,) = query(self, "SELECT CONNECTION_ID() AS id", action="ask its own number")
            _kill(self.config.ip, self.config.port, row["id"])
            assert self.stirs(5.0), "the server does not end a killed session"
            # One that was lost at rest is opened again where nothing rests on it; here something does.
            more["same_session"] = True
        return query(self, sql, *args, **more)

    # Every caller looks the methods up in their classes.
    Journal.record = recording  # type: ignore[method-assign,assignment]
    Server.query = querying  # type: ignore[method-assign,assignment]


def _kill(host: str, port: int, session: int) -> None:
    with ServerSession(host=host, port=port, user=ADMIN, password=ADMIN_PASSWORD) as other, other.cursor() as cursor:
        cursor.execute("KILL %s", (session,))


def main() -> int:
    """See the module."""
    step, command, *words = sys.argv[1:]
    arrange(step)
    sys.argv = [command, *words]
    return int(importlib.import_module(f"prefect_mha.commands.{command}").main() or 0)


if __name__ == "__main__":
    raise SystemExit(main())
