"""What belongs to the primary's role and stays behind when it dies: events that run, and semi-synchronous replication.

``<app>.role.json`` in manager_workdir: as the primary had it while it lived. A planned switch asks the old primary
itself; after its death only this remembers.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...config import ClusterConfig
from ..local.own_files import make_directory, read_json, written
from ..mysql.server import Server
from .scheduled_events import ScheduledEvent, read_events
from .semi_sync import Roles, read_roles

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Role:
    """The primary's (``ip:port``) at a time (seconds since the epoch): what ran on it.

    ``scheduler`` is its event_scheduler, ``semi_sync`` as `semi_sync.read_roles` has it.
    """

    key: str
    at: float
    events: tuple[ScheduledEvent, ...] = ()
    scheduler: str = ""
    semi_sync: Roles = field(default_factory=dict)


class LastRole:
    """The memory of one application. What cannot be written is told, and is not remembered."""

    def __init__(self, config: ClusterConfig) -> None:
        self.path: Path = config.manager_workdir / f"{config.name}.role.json"

    def of(self, key: str) -> Role | None:
        """What is known of that primary; None when nothing is."""
        try:
            told = read_json(self.path)
            events = tuple(
                ScheduledEvent(**{name: str(event[name]) for name in ScheduledEvent.__annotations__})
                for event in told["events"]
            )
            semi_sync = {str(name): _told(value) for name, value in told["semi_sync"].items()}
            role = Role(str(told["key"]), float(told["at"]), events, str(told["scheduler"]), semi_sync)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            return None
        return role if role.key == key else None

    def write(self, role: Role) -> None:
        """Keep it, replacing the file in one step."""
        try:
            make_directory(self.path.parent)
            with written(self.path, 0o640) as file:
                file.write(json.dumps(asdict(role), ensure_ascii=False) + "\n")
        except OSError as error:
            log.error("The primary's events and semi-synchronous role cannot be written down: %s", error)


def read_role(server: Server) -> Role:
    """What a living primary has. Raises ServerError."""
    with server.reading("see what runs on it"):
        scheduler = server.scalar("SELECT @@GLOBAL.event_scheduler", action="see whether events run")
        return Role(server.key, time.time(), read_events(server), str(scheduler), read_roles(server))


def _told(value: object) -> int | str:
    if not isinstance(value, int | str):
        raise TypeError(f"{value!r} is no setting")
    return value


def waits_in_vain(roles: Roles, wanted: int, acknowledging: int) -> str:
    """Why the semi-synchronous ``roles`` are not taken over; empty where they may be. Pure.

    ``wanted`` have to acknowledge, and so many of those that follow do.
    """
    if not roles.get("source") or acknowledging >= max(1, wanted):
        return ""
    return (
        f"semi-synchronous replication stays off: {acknowledging} of the replicas that follow acknowledge, "
        f"{wanted} have to, and no row would be acknowledged"
    )


def without_memory(events: tuple[ScheduledEvent, ...]) -> str:
    """What there is to say of events that a replica has, where nothing tells which of them ran; or nothing. Pure."""
    off = [str(event) for event in events if event.disabled_as_replica]
    if not off:
        return ""
    named = ", ".join(off[:10]) + (f" and {len(off) - 10} more" if len(off) > 10 else "")
    return f"it is not known which events ran on the old primary: they are off ({named}); enable those that are to run"
