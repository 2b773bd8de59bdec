"""What the journals say of rejoins: which were cut short, which are under way, when each server was last begun with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ...local.processes import alive_since
from ...memory.journal import END, REJOIN, Entry, journals, read_journal
from ...model.ways_back import How

log = logging.getLogger("mha")

#: The steps in which a server is pointed, started, and taken back, as their tasks are called.
POINT, START, TAKE_BACK = "Point it at the new primary", "Start replication", "Take the rejoin back"
#: What the last of these says of a server whose channel is gone, and of one that was proven to have executed nothing.
NOBODY, NOBODY_AGAIN = "it is a replica of nobody, and read-only", "it is a replica of nobody again, and read-only"
#: By whom a rejoin is that nobody asked for; and the event of one that its process left for another to go on with.
MANAGER, LEFT = "manager", "left"
#: A line of how far a copy is.
PROGRESS = "progress"


@dataclass(frozen=True)
class BegunRejoin:
    """One rejoin: of whom (``ip:port``), when (seconds since the epoch), by whom, with which plan as plain data.

    ``ended`` is False for one that was cut short, or that is under way: then ``alive``. ``pointed``: it may have
    pointed the server at the new primary. ``step`` is what it began last, ``percent`` how far its copy was then, None
    where it copies nothing. ``pid`` is the process that began it.
    """

    key: str
    at: float
    by: str
    plan: dict[str, Any]
    ended: bool
    alive: bool
    pointed: bool
    step: str = ""
    percent: float | None = None
    pid: int = 0

    @property
    def cut_short(self) -> bool:
        """Its process is gone, and nobody has ended it."""
        return not self.ended and not self.alive

    @property
    def goes_on(self) -> bool:
        """It was cut short and is to be gone on with: a rescue only copies, and is repeated by whoever wants it."""
        return self.cut_short and self.plan.get("how") == How.FOLLOW.value


def last_of_each(workdir: Path, app: str) -> dict[str, BegunRejoin]:
    """By ``ip:port``, the newest rejoin of every server that one was begun for on this host."""
    found: dict[str, BegunRejoin] = {}
    for each in _all(workdir, app):
        if each.key not in found:
            found[each.key] = each
    return found


def not_proven(workdir: Path, app: str) -> dict[str, str]:
    """By ``ip:port``, the servers of which a rewind or a rebuild is not at its end, and so why they may be no primary.

    Each may follow already, while it is compared: the failover lock is not held then. Nothing where the journals cannot
    be read: a failover must not fail of it.
    """
    try:
        begun = last_of_each(workdir, app)
    except OSError as error:
        log.warning("Which servers are being rewound or rebuilt cannot be read: %s", error)
        return {}
    return {
        key: f"its {each.plan['how']}, begun at {datetime.fromtimestamp(each.at):%H:%M:%S}, is not at its end: nothing "
        "proves yet that its data are the primary's"
        for key, each in begun.items()
        if not each.ended and each.plan.get("how") in (How.REWIND.value, How.REBUILD.value)
    }


def stands_pointed(workdir: Path, app: str, key: str, since: float) -> bool:
    """Whether a rejoin of ``key`` since then (seconds since the epoch) may have pointed it, and none took that back."""
    stands = False
    for path in reversed(journals(workdir, app, REJOIN)):
        entries = tuple(read_journal(path))
        began = _beginning(entries)
        if began is not None and began.server == key and began.at >= since:
            stands = _points(entries, stands)
    return stands


def _points(entries: tuple[Entry, ...], before: bool) -> bool:
    """That a server is nobody's replica proves something only where nothing could have been executed meanwhile."""
    stands, started = before, False
    for each in entries:
        match each.step, each.event:
            case (step, "began") if step == POINT:
                stands = True
            case (step, "began") if step == START:
                started = True
            case (step, "done") if step == TAKE_BACK:
                said = each.facts.get("result")
                if said == NOBODY_AGAIN:
                    stands = False
                elif said == NOBODY and not started:
                    stands = before
    return stands


def _all(workdir: Path, app: str) -> Iterator[BegunRejoin]:
    for path in journals(workdir, app, REJOIN):
        begun = begun_in(path)
        if begun is not None:
            yield begun


def begun_in(path: Path) -> BegunRejoin | None:
    """The rejoin of that journal; None where it had not begun."""
    entries = tuple(read_journal(path))
    began = _beginning(entries)
    return _begun(began, entries) if began is not None else None


def _beginning(entries: tuple[Entry, ...]) -> Entry | None:
    return next((e for e in entries if (e.step, e.event) == (REJOIN, "began")), None)


def _begun(began: Entry, entries: tuple[Entry, ...]) -> BegunRejoin:
    ended = any(e.step == END for e in entries)
    pointed = any((e.step, e.event) == (POINT, "began") for e in entries)
    told = began.facts.get("plan")
    plan = dict(told) if isinstance(told, dict) else {}
    left = any((e.step, e.event) == (REJOIN, LEFT) for e in entries)
    pid = int(began.facts.get("pid", 0))
    alive = not (ended or left) and alive_since(pid, began.at)
    by = str(began.facts.get("by", ""))
    return BegunRejoin(began.server, began.at, by, plan, ended, alive, pointed, *_stands_at(entries), pid)


def _stands_at(entries: tuple[Entry, ...]) -> tuple[str, float | None]:
    step, percent = "", None
    for each in entries:
        if each.event == "began" and each.step != REJOIN:
            step, percent = each.step, None
        elif each.step == PROGRESS:
            percent = float(each.facts.get("percent", 0.0))
    return step, percent
