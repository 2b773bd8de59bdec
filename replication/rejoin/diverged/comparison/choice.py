"""What of the old server's own transactions is replayed on the new primary, and why the others are not. Pure.

What a person chose is done only where nothing is in doubt. A transaction that builds upon one which is not replayed is
not replayed either: it touches a row of that one, or a table of which that one leaves nobody knows what.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ....binlog.rows.changes import Changes
from .comparing import TOUCHED, Comparison, Tail, tables_named, touched
from .identity import Identity


@dataclass(frozen=True)
class Choice:
    """``all`` of them, or those of ``tables`` (``database.table``); neither: none."""

    all: bool = False
    tables: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Choice:
        """``all``, ``none``, or tables with commas between them. Raises ValueError."""
        words = [word.strip() for word in text.split(",") if word.strip()]
        if words in (["all"], ["none"]):
            return cls(all=words == ["all"])
        if not words or any("." not in word for word in words):
            raise ValueError(f"{text!r} is neither all, none, nor tables as DATABASE.TABLE,DATABASE.TABLE")
        return cls(tables=tuple(words))

    def __bool__(self) -> bool:
        return self.all or bool(self.tables)

    def __str__(self) -> str:
        return "all" if self.all else ",".join(self.tables) or "none"

    def takes(self, changes: Changes) -> bool:
        """Whether all that it changes was chosen."""
        return self.all or all(event.table.name in self.tables for event in changes.events)


@dataclass(frozen=True)
class Chosen:
    """``replay`` are numbers of transactions of the tail, in order; ``left`` says of each other one why."""

    replay: tuple[int, ...]
    left: dict[int, str]


class Rest:
    """What is not replayed, and what therefore must not be either."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._rows: dict[Identity, str] = {}
        self._tables: dict[str, str] = {}
        self._everything = ""

    def builds_upon(self, changes: Changes) -> str:
        """Which earlier one, that is not replayed, this one needs; empty for none."""
        if self._everything:
            return self._everything
        for event in changes.events:
            if name := self._tables.get(event.table.name):
                return name
        return next((name for i in self._identities(changes) if (name := self._rows.get(i))), "")

    def add(self, changes: Changes, *, readable: bool) -> None:
        """One more that is not replayed; of one that is not ``readable`` at most the tables are known."""
        if readable:
            for identity in self._identities(changes):
                self._rows.setdefault(identity, changes.name)
            return
        tables = tables_named(changes)
        if tables is None:
            self._everything = self._everything or changes.name
        else:
            for table in tables:
                self._tables.setdefault(table, changes.name)

    def _identities(self, changes: Changes) -> Collection[Identity]:
        tables = self._tail.tables
        return {
            identity
            for event in changes.events
            for identity, _, _ in touched(event.rows, event.table, tables[event.table.name])
        }


def choose(tail: Tail, comparison: Comparison, choice: Choice) -> Chosen:
    """By a person's choice, and the comparison. What the new primary has already is in neither."""
    replay: list[int] = []
    left: dict[int, str] = {}
    rest = Rest(tail)
    for number, changes in enumerate(tail.tail):
        if number in comparison.there:
            continue
        readable = number not in tail.why
        why = _why_not(number, changes, comparison, choice)
        if not why and (needs := rest.builds_upon(changes)):
            why = f"it builds upon {needs}, which is not replayed"
        if why:
            left[number] = why
            rest.add(changes, readable=readable)
        else:
            replay.append(number)
    return Chosen(tuple(replay), left)


def _why_not(number: int, changes: Changes, comparison: Comparison, choice: Choice) -> str:
    if number in comparison.unknown_of:
        return comparison.unknown_of[number]
    if number in comparison.conflicting:
        return TOUCHED
    if not changes.transaction.plain:
        return "it changes a table of the server itself, or holds what is no row of a table"
    return "" if choice.takes(changes) else "it was not chosen"
