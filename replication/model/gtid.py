"""Sets of transactions: MySQL's GTID sets, with the tags of 8.3 and newer, and MariaDB's GTID positions. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

#: Half-open ranges of transaction numbers, sorted, disjoint and not adjacent.
Intervals = tuple[tuple[int, int], ...]
#: Where numbers are counted: a server's UUID and a tag, empty for none.
Source = tuple[str, str]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


@dataclass(frozen=True)
class Gtid:
    """One transaction of MySQL."""

    uuid: str
    number: int
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.uuid}:{self.tag}:{self.number}" if self.tag else f"{self.uuid}:{self.number}"


class GtidSet:
    """An immutable set of MySQL transactions, as ``uuid:1-5:7,uuid2:1:tag:2-3``."""

    __slots__ = ("_hash", "_sets")

    def __init__(self, sets: Mapping[Source, Intervals] | None = None) -> None:
        given = sets or {}
        self._sets = {source: given[source] for source in sorted(given) if given[source]}
        self._hash = hash(tuple(self._sets.items()))

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """From a server's notation; white space and case do not matter. Raises ValueError naming the bad part."""
        collected: dict[Source, list[tuple[int, int]]] = {}
        for part in re.sub(r"\s+", "", text).lower().split(","):
            if not part:
                continue
            uuid, *rest = part.split(":")
            if not _UUID.fullmatch(uuid):
                raise ValueError(f"{uuid!r} is not a server's UUID in the GTID set {text!r}")
            if not any(rest):
                raise ValueError(f"{uuid} stands without transactions in the GTID set {text!r}")
            tag = ""
            for piece in rest:
                if number := _RANGE.fullmatch(piece):
                    first = int(number[1])
                    last = int(number[2]) if number[2] else first
                    if first < 1:
                        raise ValueError(f"{piece!r} is not a range of transactions in the GTID set {text!r}")
                    collected.setdefault((uuid, tag), []).append((first, last + 1))
                elif _TAG.fullmatch(piece):
                    tag = piece
                else:
                    raise ValueError(f"{piece!r} is neither a range nor a tag in the GTID set {text!r}")
        return cls({source: _normal(ranges) for source, ranges in collected.items()})

    @classmethod
    def of(cls, gtids: Iterable[Gtid]) -> GtidSet:
        """The set of some transactions."""
        collected: dict[Source, list[tuple[int, int]]] = {}
        for gtid in gtids:
            collected.setdefault((gtid.uuid.lower(), gtid.tag), []).append((gtid.number, gtid.number + 1))
        return cls({source: _normal(ranges) for source, ranges in collected.items()})

    @classmethod
    def of_ranges(cls, ranges: Mapping[Source, Iterable[tuple[int, int]]]) -> GtidSet:
        """The set of half-open ranges by source, in any order."""
        return cls({source: _normal(each) for source, each in ranges.items()})

    def intervals(self, uuid: str, tag: str = "") -> Intervals:
        """The half-open ranges of one source."""
        return self._sets.get((uuid.lower(), tag), ())

    def without(self, uuids: Collection[str]) -> GtidSet:
        """Those of other servers."""
        return GtidSet({source: ranges for source, ranges in self._sets.items() if source[0] not in uuids})

    def gaps(self, uuid: str) -> GtidSet:
        """What is missing between the transactions of one server that are there, tag by tag."""
        own = {source: ranges for source, ranges in self._sets.items() if source[0] == uuid.lower()}
        between = {s: [(a[1], b[0]) for a, b in pairwise(ranges)] for s, ranges in own.items()}
        return GtidSet.of_ranges(between)

    def sources(self) -> tuple[str, ...]:
        """The UUIDs that occur."""
        return tuple(dict.fromkeys(uuid for uuid, _ in self._sets))

    def count(self) -> int:
        """How many transactions it holds."""
        return sum(end - start for ranges in self._sets.values() for start, end in ranges)

    def __iter__(self) -> Iterator[Gtid]:
        """Each of them, server by server, in order."""
        for (uuid, tag), ranges in self._sets.items():
            for start, end in ranges:
                yield from (Gtid(uuid, number, tag) for number in range(start, end))

    def __or__(self, other: GtidSet) -> GtidSet:
        sources = {*self._sets, *other._sets}
        return GtidSet({s: _normal([*self._sets.get(s, ()), *other._sets.get(s, ())]) for s in sources})

    def __sub__(self, other: GtidSet) -> GtidSet:
        return GtidSet({s: _without(ranges, other._sets.get(s, ())) for s, ranges in self._sets.items()})

    def __and__(self, other: GtidSet) -> GtidSet:
        return self - (self - other)

    def __le__(self, other: GtidSet) -> bool:
        return not self - other

    def __lt__(self, other: GtidSet) -> bool:
        return self <= other and self != other

    def __contains__(self, gtid: object) -> bool:
        if isinstance(gtid, str):
            return GtidSet.parse(gtid) <= self
        if not isinstance(gtid, Gtid):
            return False
        ranges = self.intervals(gtid.uuid, gtid.tag)
        at = bisect_right(ranges, gtid.number, key=itemgetter(0))
        return at > 0 and gtid.number < ranges[at - 1][1]

    def __bool__(self) -> bool:
        return bool(self._sets)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._sets == other._sets

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        by_uuid: dict[str, list[str]] = {}
        for (uuid, tag), ranges in self._sets.items():
            parts = by_uuid.setdefault(uuid, [uuid])
            parts += [tag] if tag else []
            parts += [f"{start}" if end == start + 1 else f"{start}-{end - 1}" for start, end in ranges]
        return ",".join(":".join(parts) for parts in by_uuid.values())

    def __repr__(self) -> str:
        return f"GtidSet({str(self)!r})"


@dataclass(frozen=True)
class MariadbGtid:
    """One transaction of MariaDB: ``domain-server_id-sequence``."""

    domain: int
    server_id: int
    seq: int

    @classmethod
    def parse(cls, text: str) -> MariadbGtid:
        """From ``0-1-100``. Raises ValueError."""
        parts = text.strip().split("-")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise ValueError(f"{text!r} is not a MariaDB GTID DOMAIN-SERVER-SEQUENCE")
        return cls(*(int(part) for part in parts))

    def __str__(self) -> str:
        return f"{self.domain}-{self.server_id}-{self.seq}"


class MariadbGtidPosition:
    """How far MariaDB's domains are: the last transaction of each. Immutable.

    Within a domain everything up to the position's sequence number is done (MariaDB Knowledge Base, GTID).
    """

    __slots__ = ("_domains",)

    def __init__(self, gtids: Iterable[MariadbGtid] = ()) -> None:
        domains: dict[int, MariadbGtid] = {}
        for gtid in gtids:
            if gtid.domain not in domains or domains[gtid.domain].seq < gtid.seq:
                domains[gtid.domain] = gtid
        self._domains = dict(sorted(domains.items()))

    @classmethod
    def parse(cls, text: str) -> MariadbGtidPosition:
        """From ``0-1-5,1-2-9``; of several of one domain the furthest counts."""
        return cls(MariadbGtid.parse(part) for part in text.replace(" ", "").split(",") if part)

    def covers(self, gtid: MariadbGtid) -> bool:
        """Whether that transaction is at or before the position of its domain."""
        mine = self._domains.get(gtid.domain)
        return mine is not None and gtid.seq <= mine.seq

    def merge(self, other: MariadbGtidPosition) -> MariadbGtidPosition:
        """The further of both in every domain."""
        return MariadbGtidPosition([*self, *other])

    def behind(self, other: MariadbGtidPosition) -> tuple[int, ...]:
        """The domains in which the other is further."""
        return tuple(gtid.domain for gtid in other if not self.covers(gtid))

    def __le__(self, other: MariadbGtidPosition) -> bool:
        return not other.behind(self)

    def __iter__(self) -> Iterator[MariadbGtid]:
        return iter(self._domains.values())

    def __bool__(self) -> bool:
        return bool(self._domains)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MariadbGtidPosition) and self._domains == other._domains

    def __hash__(self) -> int:
        return hash(tuple(self._domains.values()))

    def __str__(self) -> str:
        return ",".join(str(gtid) for gtid in self)

    def __repr__(self) -> str:
        return f"MariadbGtidPosition({str(self)!r})"


def _normal(ranges: Iterable[tuple[int, int]]) -> Intervals:
    """Sorted and merged, empty ones left out."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(r for r in ranges if r[0] < r[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _without(ranges: Intervals, taken: Intervals) -> Intervals:
    left: list[tuple[int, int]] = []
    at = 0
    for start, end in ranges:
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        # The last range that reaches in may reach into the next one too.
        last = at
        while last < len(taken) and taken[last][0] < end:
            if start < taken[last][0]:
                left.append((start, taken[last][0]))
            start = max(start, taken[last][1])
            last += 1
        if start < end:
            left.append((start, end))
    return tuple(left)
