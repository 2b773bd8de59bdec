"""What this host remembers of the moment when another server took a primary's place: by a failover, or by a switch.

Without GTIDs nothing else tells where the old log and the new one meet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...memory.follow_up import FOLLOW_UP, STANDS
from ...memory.journal import FAILOVER, SWITCH, Entry, journals, opened_before, read_journal
from ...model.gtid import MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import GtidKind


@dataclass(frozen=True)
class Replacement:
    """``new`` (``ip:port``) was opened in the old one's place, ``at`` seconds since the epoch.

    ``place`` is where in the old one's log it stood then: it had everything up to there, and nothing behind it.
    ``begins`` is where its own log ended just before it took writes. ``mariadb`` are MariaDB's GTIDs that it had,
    ``kind`` is how the cluster replicated. Each is None where the journal does not know.
    """

    new: str
    at: float
    place: BinlogPosition | None = None
    begins: BinlogPosition | None = None
    mariadb: MariadbGtidPosition | None = None
    kind: GtidKind | None = None
    journal: str = ""


def replacement_of(workdir: Path, app: str, old: str) -> Replacement | None:
    """The last time that ``old`` (``ip:port``) lost its place, as far as the journals of this host go back."""
    kinds = ((FAILOVER, _by_failover), (SWITCH, _by_switch))
    found = [
        each
        for kind, read in kinds
        for path in journals(workdir, app, kind)
        if (each := read(tuple(read_journal(path)), old)) is not None
    ]
    return max(found, key=lambda each: each.at, default=None)


def _by_failover(entries: Sequence[Entry], old: str) -> Replacement | None:
    opened = opened_before(tuple(entries))
    if opened is None or opened.dead != old:
        return None
    at = next(e.at for e in reversed(entries) if (e.step, e.event) == ("promote", "intent"))
    stands = next(_stands(entries, opened.key), {})
    return Replacement(
        opened.key,
        at,
        _place(stands.get("place", "")),
        _place(opened.end_of_log),
        _mariadb(stands.get("gtids", "")),
        GtidKind(opened.kind),
        entries[0].journal,
    )


def _by_switch(entries: Sequence[Entry], old: str) -> Replacement | None:
    began = next((e for e in entries if (e.step, e.event) == (SWITCH, "began")), None)
    handed = any(e.step == "handed over" for e in entries)
    opened = next((e for e in reversed(entries) if (e.step, e.event) == ("open", "intent")), None)
    if began is None or began.server != old or opened is None or not handed:
        return None
    facts = opened.facts
    place, begins = _place(facts.get("end", "")), _place(facts.get("target_end", ""))
    kind = began.read(lambda facts: GtidKind(facts["kind"]))
    return Replacement(opened.server, opened.at, place, begins, _mariadb(facts.get("gtids", "")), kind, began.journal)


def _stands(entries: Sequence[Entry], new: str) -> Iterator[dict[str, str]]:
    for entry in reversed(entries):
        if (entry.step, entry.event, entry.server) == (FOLLOW_UP, STANDS, new):
            yield entry.facts


def _place(text: object) -> BinlogPosition | None:
    with contextlib.suppress(ValueError):
        return BinlogPosition.parse(str(text))
    return None


def _mariadb(text: object) -> MariadbGtidPosition | None:
    """None for the GTIDs of MySQL, which are not needed: its servers tell them apart themselves."""
    with contextlib.suppress(ValueError):
        return MariadbGtidPosition.parse(str(text)) if text else None
    return None
