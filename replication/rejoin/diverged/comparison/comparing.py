"""What only the old server has against what the new primary changed meanwhile, row by row. Pure.

Three answers, and each with its reason: nothing else touched those rows; both did; it cannot be told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....binlog.rows.changes import Changes
from ....binlog.rows.row_events import Image, Kind
from ....binlog.rows.table_map import TableMap
from .identity import WHOLE_ROW, Identity, identities, key_in_words, row_of
from .schema import Table, changed_of

#: Rows of the old server's own transactions that are held in memory.
MOST_ROWS = 2_000_000
#: Letters of a statement that are shown.
SHOWN = 120
TOUCHED = "the new primary changed a row that it touches"
THERE = "the new primary has it already"
#: Statements by which no row of a user's table changes.
_HARMLESS = re.compile(
    r"\s*(?:/\*.*?\*/\s*)*(?:GRANT|REVOKE|FLUSH|ANALYZE|SET\s+(?:DEFAULT\s+ROLE|PASSWORD)"
    r"|(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:USER|ROLE)|RENAME\s+USER"
    r"|CREATE\s+(?:OR\s+REPLACE\s+)?(?:DATABASE|SCHEMA|VIEW|EVENT|(?:AGGREGATE\s+)?FUNCTION|PROCEDURE)"
    r"|DROP\s+(?:VIEW|EVENT|FUNCTION|PROCEDURE))\b",
    re.IGNORECASE | re.DOTALL,
)
_DROPS = re.compile(r"\s*(?:/\*.*?\*/\s*)*DROP\s+TABLE\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Conflict:
    """A row that both changed: ``key`` in words, ``old`` and ``new`` what it is on each, None where it is not there.

    ``by`` are the old server's transactions that touch it, ``at`` where the new primary's last change of it is.
    """

    table: str
    key: str
    old: Mapping[str, str] | None
    new: Mapping[str, str] | None
    by: tuple[str, ...]
    at: str


@dataclass(frozen=True)
class Unknown:
    """What cannot be compared: a transaction of the old server or of the new one, and why.

    ``tables`` are those about which nothing can be told because of it; empty for all of them.
    """

    what: str
    why: str
    tables: tuple[str, ...] = ()
    theirs: bool = False
    statement: str = ""


@dataclass(frozen=True)
class Comparison:
    """By number, of the tail's transactions: those in ``conflicting`` touch what is a conflict, ``unknown_of`` says why
    one cannot be compared, ``there`` are those that the new primary has already.

    ``rows`` is how many rows the tail changes in each table, ``compared`` how many transactions it was held against.
    """

    conflicts: tuple[Conflict, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    conflicting: frozenset[int] = frozenset()
    unknown_of: Mapping[int, str] = field(default_factory=dict)
    there: frozenset[int] = frozenset()
    rows: Mapping[str, int] = field(default_factory=dict)
    compared: int = 0

    @property
    def clear(self) -> bool:
        """Nothing of it is in doubt."""
        return not self.conflicts and not self.unknown


class Tail:
    """The old server's own transactions, with the rows that they touch, against which others are held."""

    def __init__(self, tail: Sequence[Changes], tables: Mapping[str, Table]) -> None:
        self.tail, self.tables = tail, tables
        self.why: dict[int, str] = {}
        self.touches: dict[Identity, list[int]] = {}
        self.last: dict[Identity, tuple[Image | None, Image, TableMap]] = {}
        self.rows: dict[str, int] = {}
        self._signatures: dict[bytes, list[int]] = {}
        for number, changes in enumerate(tail):
            self._take(number, changes)

    def _take(self, number: int, changes: Changes) -> None:
        if why := not_comparable(changes, self.tables):
            self.why[number] = why
            return
        for event in changes.events:
            table = self.tables[event.table.name]
            self.rows[table.name] = self.rows.get(table.name, 0) + len(event.rows)
            if sum(self.rows.values()) > MOST_ROWS:
                self.why[number] = f"more than {MOST_ROWS} rows were changed by then"
                return
            for identity, image, left in touched(event.rows, event.table, table):
                numbers = self.touches.setdefault(identity, [])
                if not numbers or numbers[-1] != number:
                    numbers.append(number)
                self.last[identity] = left, image, event.table
        self._signatures.setdefault(signature(changes), []).append(number)

    def same_as(self, changes: Changes, taken: Iterable[int]) -> int | None:
        """The first of the tail, not taken yet, that does exactly what this one does."""
        numbers = self._signatures.get(signature(changes), [])
        return next((number for number in numbers if number not in set(taken)), None)

    def certain(self, number: int) -> bool:
        """Every row of it has a key, so that doing it twice is seen."""
        return all(identity[1] != WHOLE_ROW for identity in self._of(number))

    def _of(self, number: int) -> Iterable[Identity]:
        for event in self.tail[number].events:
            for identity, _, _ in touched(event.rows, event.table, self.tables[event.table.name]):
                yield identity


def touched(
    rows: Iterable[tuple[Image | None, Image | None]], table: TableMap, known: Table
) -> Iterable[tuple[Identity, Image, Image | None]]:
    """Each key that these rows touch, a row that has it, and what has it afterwards: None for nothing."""
    for before, after in rows:
        afterwards = set(identities(after, table, known)) if after is not None else set[Identity]()
        if before is not None:
            for identity in identities(before, table, known):
                if identity not in afterwards:
                    yield identity, before, None
        if after is not None:
            for identity in afterwards:
                yield identity, after, after


def signature(changes: Changes) -> bytes:
    """What a transaction does, whoever executes it: each row as it was and as it became."""
    digest = hashlib.sha256()
    for event in changes.events:
        for row in event.rows:
            digest.update(repr((event.table.name, str(event.kind), [i.values if i else None for i in row])).encode())
    return digest.digest()


def not_comparable(changes: Changes, tables: Mapping[str, Table]) -> str:
    """Why the rows of a transaction cannot be held against others; empty where they can."""
    if changes.unreadable:
        return changes.unreadable
    for event in changes.events:
        if not event.whole:
            return f"its images of {event.table.name} do not have all columns (binlog_row_image is not FULL)"
        if why := changed_of(tables, event.table.name, len(event.table.columns)):
            return why
        if event.kind is not Kind.WRITE and tables[event.table.name].cascades:
            return f"foreign keys change rows of other tables along with those of {event.table.name}, and no log tells"
    return ""


def tables_named(changes: Changes) -> tuple[str, ...] | None:
    """The tables whose rows that transaction may change, as far as it tells; None where it may be any."""
    if not changes.statement:
        return tuple(dict.fromkeys(event.table.name for event in changes.events)) or changes.transaction.tables or None
    if _HARMLESS.match(changes.statement):
        return ()
    several = _DROPS.match(changes.statement) and "," in changes.statement
    known = changes.transaction.kind == "ddl" and changes.transaction.tables
    return changes.transaction.tables if known and not several else None


class Comparing:
    """Takes the new primary's transactions since the two went apart, one after the other; then `result`."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self._there: set[int] = set()
        self._theirs: dict[Identity, tuple[Image | None, Image, TableMap, str]] = {}
        self._unknown: list[Unknown] = []
        self._doubted: dict[str, str] = {}
        self._all_doubted = ""
        self._hit: set[int] = set()
        self._count = 0

    def against(self, number: int) -> str:
        """What of theirs, taken by now, forbids to replay that transaction of the tail; empty for nothing."""
        if self.has(number):
            return THERE
        if why := self._doubt_of(number):
            return why
        return TOUCHED if number in self._hit else ""

    def has(self, number: int) -> bool:
        """Whether the new primary has that transaction of the tail: somebody did just the same there."""
        return number in self._there

    def take(self, changes: Changes, *, ours_since: bool = False) -> None:
        """One of theirs. ``ours_since``: it may be one that was replayed before, also where rows have no key."""
        self._count += 1
        if why := self._why(changes):
            self._doubt(changes, why)
            return
        self._along(changes)
        found = [
            (identity, left, image, event.table)
            for event in changes.events
            if event.table.name in self.tail.rows
            for identity, image, left in touched(event.rows, event.table, self.tail.tables[event.table.name])
            if identity in self.tail.touches
        ]
        if not found:
            return
        same = self.tail.same_as(changes, self._there)
        if same is not None and (ours_since or self.tail.certain(same)):
            self._there.add(same)
            return
        for identity, left, image, table in found:
            self._theirs[identity] = left, image, table, changes.name
            self._hit.update(self.tail.touches[identity])

    def _why(self, changes: Changes) -> str:
        """Only what is about a table of the tail, or may be, is in doubt."""
        if changes.unreadable:
            return changes.unreadable
        for event in changes.events:
            if event.table.name in self.tail.rows:
                if not event.whole:
                    return f"its images of {event.table.name} do not have all columns (binlog_row_image is not FULL)"
                if why := changed_of(self.tail.tables, event.table.name, len(event.table.columns)):
                    return why
        return ""

    def _along(self, changes: Changes) -> None:
        """A foreign key may have changed rows of the tail's tables along with those of another one."""
        parents = {event.table.name for event in changes.events if event.kind is not Kind.WRITE}
        for name in self.tail.rows:
            if found := parents.intersection(self.tail.tables[name].parents):
                why = f"a foreign key changes rows of {name} along with those of {', '.join(sorted(found))}"
                if name not in self._doubted:
                    self._unknown.append(Unknown(changes.name, why, (name,), theirs=True))
                self._doubted[name] = f"{changes.name} on the new primary: {why}"

    def _doubt(self, changes: Changes, why: str) -> None:
        named = tables_named(changes)
        if named is None:
            self._all_doubted = self._all_doubted or f"{changes.name} on the new primary: {why}"
        elif not (named := tuple(table for table in named if table in self.tail.rows)):
            return
        else:
            self._doubted.update(dict.fromkeys(named, f"{changes.name} on the new primary: {why}"))
        shown = " ".join(changes.statement.split())[:SHOWN]
        self._unknown.append(Unknown(changes.name, why, named or (), theirs=True, statement=shown))

    def stopped(self, why: str) -> None:
        """The new primary's log could not be read to its end, or not at all."""
        self._all_doubted = self._all_doubted or why
        self._unknown.append(Unknown("the log of the new primary", why, theirs=True))

    def result(self) -> Comparison:
        """What came of it so far."""
        tail = self.tail
        both = {identity: found for identity, found in self._theirs.items() if self._still(identity)}
        unknown = [
            Unknown(
                tail.tail[number].name,
                why,
                tables_named(tail.tail[number]) or (),
                statement=" ".join(tail.tail[number].statement.split())[:SHOWN],
            )
            for number, why in tail.why.items()
        ]
        return Comparison(
            tuple(self._conflicts(both)),
            (*unknown, *self._unknown),
            frozenset(self._hit - self._there),
            {n: why for n in range(len(tail.tail)) if n not in self._there and (why := self._doubt_of(n))},
            frozenset(self._there),
            dict(tail.rows),
            self._count,
        )

    def _still(self, identity: Identity) -> bool:
        return any(number not in self._there for number in self.tail.touches[identity])

    def _doubt_of(self, number: int) -> str:
        if number in self.tail.why:
            return self.tail.why[number]
        if self._all_doubted:
            return self._all_doubted
        names = {event.table.name for event in self.tail.tail[number].events}
        return next((why for table, why in self._doubted.items() if table in names), "")

    def _conflicts(self, both: Mapping[Identity, tuple[Image | None, Image, TableMap, str]]) -> Iterable[Conflict]:
        """One a row: what meets in the primary key is not told once more by another."""
        for identity, (left, image, table, where) in sorted(both.items(), key=lambda each: _order(each[0])):
            known = self.tail.tables[identity[0]]
            ours, met, our_map = self.tail.last[identity]
            named = next((key for key in known.keys if key.name == identity[1]), None)
            here, there = key_in_words(known.key, met, our_map, known), key_in_words(known.key, image, table, known)
            if known.key not in (named, None):
                if here == there:
                    continue
                there = f"{key_in_words(named, image, table, known)} (of {here} on the old one, {there} on the new one)"
            yield Conflict(
                known.name,
                there,
                row_of(ours, our_map, known) if ours is not None else None,
                row_of(left, table, known) if left is not None else None,
                tuple(self.tail.tail[n].name for n in self.tail.touches[identity] if n not in self._there),
                where,
            )


def _order(identity: Identity) -> tuple[str, bool, str, str]:
    return identity[0], identity[1] != "PRIMARY", identity[1], repr(identity[2])
