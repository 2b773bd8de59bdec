"""Scheduled events go with the primary's role: those that ran on the old one are switched on at the new one.

A replica has every event of its source as SLAVESIDE_DISABLED (REPLICA_SIDE_DISABLED from MySQL 8.4 on), and nothing in
the server changes that when it is promoted (Reference Manual, "Replication of Invoked Features").
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import StatementFailed
from ..model.words import plain
from ..mysql.dialects import quote_identifier
from ..mysql.server import Server

log = logging.getLogger("mha")

_DISABLED_HERE = frozenset({"SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED"})


@dataclass(frozen=True)
class ScheduledEvent:
    """One event: where it is, whose rights it has (``user@host``), ENABLED or not."""

    schema: str
    name: str
    definer: str
    status: str

    @property
    def enabled(self) -> bool:
        """It runs when the scheduler does."""
        return self.status == "ENABLED"

    @property
    def disabled_as_replica(self) -> bool:
        """It does not run because it came from a source."""
        return self.status in _DISABLED_HERE

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def read_events(server: Server) -> tuple[ScheduledEvent, ...]:
    """Every event of a server. Raises ServerError."""
    rows = server.query(
        "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS n, DEFINER AS d, STATUS AS st FROM information_schema.EVENTS",
        action="read its events",
    )
    return tuple(ScheduledEvent(str(r["s"]), str(r["n"]), str(r["d"]), str(r["st"])) for r in rows)


def events_left(server: Server, wanted: Iterable[ScheduledEvent]) -> tuple[str, ...]:
    """Which events of the old primary stay off where commits wait for nobody: to enable one is a commit, too."""
    ran = {str(event) for event in wanted if event.enabled}
    off = sorted(str(event) for event in read_events(server) if event.disabled_as_replica and str(event) in ran)
    if not off:
        return ()
    named = plain(", ".join(off[:10])) + (f" and {len(off) - 10} more" if len(off) > 10 else "")
    return (
        f"{server}: {len(off)} events that ran on the old primary are off, as its commits wait for acknowledgements: "
        f"{named}; enable them once somebody acknowledges",
    )


def enable_events(server: Server, wanted: tuple[ScheduledEvent, ...]) -> tuple[str, ...]:
    """Switch those on that ran on the old primary; each keeps its definer. Returns what could not be done, in words."""
    ran = {str(event) for event in wanted if event.enabled}
    if not ran:
        return ()
    trouble = []
    for event in read_events(server):
        if str(event) not in ran or not event.disabled_as_replica:
            continue
        user, _, host = event.definer.rpartition("@")
        definer = f"{quote_identifier(user)}@{quote_identifier(host)}"
        sql = f"ALTER DEFINER = {definer} EVENT {quote_identifier(event.schema)}.{quote_identifier(event.name)} ENABLE"
        try:
            server.query(sql, action=f"enable the event {event}")
        except StatementFailed as error:
            trouble.append(f"the event {event} is not enabled on {server}: {error.cause}")
    return tuple(trouble)
