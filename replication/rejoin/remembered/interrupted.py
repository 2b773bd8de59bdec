"""What the journals say of rejoins: which were cut short, which are under way, when each server was last begun with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...local.processes import process_alive
from ...memory.journal import END, Entry, journals, read_journal
from ..job import REJOIN

#: The step in which a server is pointed, as its task is called.
POINT = "Point it at the new primary"


@dataclass(frozen=True)
class BegunRejoin:
    """One rejoin: of whom (``ip:port``), when (seconds since the epoch), by whom, with which plan as plain data.

    ``ended`` is False for one that was cut short, or that is under way: then ``alive``. ``pointed``: it may have
    pointed the server at the new primary.
    """

    key: str
    at: float
    by: str
    plan: dict[str, Any]
    ended: bool
    alive: bool
    pointed: bool

    @property
    def cut_short(self) -> bool:
        """Its process is gone, and nobody has ended it."""
        return not self.ended and not self.alive


def last_of_each(workdir: Path, app: str) -> dict[str, BegunRejoin]:
    """By ``ip:port``, the newest rejoin of every server that one was begun for on this host."""
    found: dict[str, BegunRejoin] = {}
    for each in _all(workdir, app):
        if each.key not in found:
            found[each.key] = each
    return found


def _all(workdir: Path, app: str) -> Iterator[BegunRejoin]:
    for path in journals(workdir, app, REJOIN):
        entries = tuple(read_journal(path))
        began = next((e for e in entries if (e.step, e.event) == (REJOIN, "began")), None)
        if began is not None:
            yield _begun(began, entries)


def _begun(began: Entry, entries: tuple[Entry, ...]) -> BegunRejoin:
    ended = any(e.step == END for e in entries)
    pointed = any((e.step, e.event) == (POINT, "began") for e in entries)
    plan = dict(began.facts.get("plan", {}))
    alive = not ended and process_alive(int(began.facts.get("pid", 0)))
    return BegunRejoin(began.server, began.at, str(began.facts.get("by", "")), plan, ended, alive, pointed)
