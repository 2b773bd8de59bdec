"""What the journals of this host say of drills: how the last ones were, which was cut short, what may stand open."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..local.processes import alive_since
from ..memory.journal import DRILL, END, Entry, Journal, journals, read_journal
from .kinds import FROZEN, WITHOUT_SSH, DrillKind

#: Seconds: what is said to be longer is no time.
_LONGEST = 1e9
#: Their entries of what was done to the primary: announced, and done.
HURT, ABOUT_TO, WAS = "hurt", "intent", "done"


@dataclass(frozen=True)
class PastDrill:
    """One drill: when it began (seconds since the epoch), which, on whom (``ip:port`` and name), by which process.

    ``card`` is its scorecard as plain data, None where it came to none. ``hurt``: something may have been done to the
    primary. ``step`` is what it began last.
    """

    path: Path
    at: float
    kind: str
    key: str
    name: str
    pid: int
    ended: bool
    hurt: bool
    step: str
    card: dict[str, Any] | None

    @property
    def ledger(self) -> Path:
        """Where its acknowledged rows are."""
        return ledger_of(self.path)

    @property
    def alive(self) -> bool:
        """It goes on, in another process of this host."""
        return not self.ended and self.pid != os.getpid() and alive_since(self.pid, self.at)

    @property
    def cut_short(self) -> bool:
        """Its process is gone, and nobody has ended it."""
        return not self.ended and not alive_since(self.pid, self.at)

    def __str__(self) -> str:
        """A sentence without its end, of one that was cut short."""
        clock = datetime.fromtimestamp(self.at).strftime("%Y-%m-%d %H:%M:%S")
        said = f"the drill {self.kind} of {clock} on {self.name} was cut short"
        if not self.hurt:
            return f"{said} before anything was done to it; only its table may be left"
        after = {
            DrillKind.FREEZE.value: f"; its mysqld was frozen, and woken by itself {FROZEN} s later, if it was there",
            DrillKind.SSH_LOSS.value: f"; its host let SSH in again by itself {WITHOUT_SSH} s later",
            DrillKind.POWER.value: "; its host was switched off, and may have to be switched on",
            DrillKind.KILL.value: "; its mysqld was killed",
        }.get(self.kind, "")
        step = f" in the step '{self.step}'" if self.step else ""
        return f"{said}{step}{after}"


def ledger_of(journal: Path) -> Path:
    """The ledger that lies beside the journal of a drill."""
    return journal.with_suffix(".acks.jsonl")


def past_drills(workdir: Path, app: str) -> Iterator[PastDrill]:
    """Every drill of an application on this host, the newest first. Raises OSError, JournalOdd."""
    for path in journals(workdir, app, DRILL):
        entries = tuple(read_journal(path))
        began = next((e for e in entries if (e.step, e.event) == (DRILL, "began")), None)
        if began is not None:
            yield began.read(partial(_drill, path, began, entries))


def _drill(path: Path, began: Entry, entries: tuple[Entry, ...], facts: Mapping[str, Any]) -> PastDrill:
    datetime.fromtimestamp(began.at)  # or it is no time
    end = next((e for e in entries if e.step == END), None)
    card = end.facts.get("scorecard") if end is not None else None
    steps = [e.step for e in entries if e.event == "began" and e.step != DRILL]
    return PastDrill(
        path,
        began.at,
        str(facts.get("kind", "")),
        began.server,
        str(facts.get("old_name", began.server)),
        int(facts.get("pid", 0)),
        end is not None,
        any(e.step == HURT for e in entries),
        steps[-1] if steps else "",
        card if isinstance(card, dict) else None,
    )


def last_of_each_kind(workdir: Path, app: str) -> dict[str, PastDrill]:
    """By kind, the newest that came to a scorecard. Raises OSError."""
    found: dict[str, PastDrill] = {}
    for each in past_drills(workdir, app):
        if each.card is not None:
            found.setdefault(each.kind, each)
    return found


def in_words(last: PastDrill | None) -> str:
    """``2026-11-01 10:00:12 passed, writes were out for 1.42 s``; empty for none."""
    if last is None or last.card is None:
        return ""
    out, passed = last.card.get("out"), "passed" if last.card.get("passed") else "failed"
    clock = datetime.fromtimestamp(last.at).strftime("%Y-%m-%d %H:%M:%S")
    return f"{clock} {passed}" + (
        f", writes were out for {out:.2f} s" if isinstance(out, int | float) and abs(out) < _LONGEST else ""
    )


def open_drill(workdir: Path, app: str) -> PastDrill | None:
    """The newest that was cut short, if none has begun since. Raises OSError."""
    newest = next(past_drills(workdir, app), None)
    return newest if newest is not None and newest.cut_short else None


def close_drill(drill: PastDrill, why: str) -> None:
    """What it left is settled; by whom, and why it is known to be. Raises CannotRemember."""
    with contextlib.closing(Journal(drill.path)) as journal:
        journal.record(END, "ended", drill.key, summary=why)
