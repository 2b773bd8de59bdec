"""What is served: the dead primary's logs in order, each as far as it is proven, and whether more may come.

Only whole groups of events are ever published, so what a follower is sent ends on the boundary of a transaction. The
catalogue may grow while followers are at its end: they wait with heartbeats until it grows or is finished.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..binlog.events import FormatDescription
from ..binlog.reader import LogFile
from ..binlog.transactions import Transaction
from ..errors import LogError
from ..model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from ..model.position import BinlogPosition

#: What was executed before a place in a log.
Before = GtidSet | MariadbGtidPosition


@dataclass(frozen=True)
class Identity:
    """Whom the source stands in for.

    ``version`` is the server's own, as in ``SELECT VERSION()``; ``uuid`` MySQL's server_uuid; ``gtid_mode`` MySQL's, ON
    or OFF; ``domain`` MariaDB's gtid_domain_id.
    """

    version: str
    server_id: int
    uuid: str = ""
    gtid_mode: str = "OFF"
    domain: int = 0

    @property
    def mariadb(self) -> bool:
        """It is MariaDB."""
        return "mariadb" in self.version.lower()

    @property
    def greeting(self) -> str:
        """The version as it greets: MariaDB 10 puts 5.5.5- before its own, or old replicas would not take it."""
        prefixed = self.mariadb and self.version.startswith("10.")
        return f"5.5.5-{self.version}" if prefixed else self.version


class Extent(NamedTuple):
    """Bytes ``start`` to ``end`` of a log, all of them whole events."""

    start: int
    end: int


@dataclass(frozen=True)
class Served:
    """One log: its name as the dead primary named it, and which of its bytes are served.

    ``extents`` are proven whole groups and what stands between them; ``format_end`` is where its own description ends,
    ``at_head`` says that nothing is missing between that and the first extent. ``closed``: the next log follows.
    ``before`` is what was executed before the log, where that is known.
    """

    log: LogFile
    described: FormatDescription
    format_end: int
    extents: tuple[Extent, ...]
    at_head: bool
    closed: bool = False
    before: Before | None = None

    @property
    def name(self) -> str:
        """The dead primary's name of it."""
        return self.log.name

    @property
    def end(self) -> int:
        """The offset after the last proven byte."""
        return self.extents[-1].end if self.extents else self.format_end


class View(NamedTuple):
    """The catalogue at one moment. ``version`` grows with every change, ``failed`` tells why it can serve no more."""

    version: int
    logs: tuple[Served, ...]
    end: BinlogPosition | None
    finished: bool
    failed: str = ""

    def number(self, name: str) -> int | None:
        """Where a log stands in the row; None when it is not there."""
        return next((n for n, log in enumerate(self.logs) if log.name == name), None)


class Catalogue:
    """The logs of one dead primary; one thread publishes, any number of others read.

    ``start`` is where the first log's served bytes begin.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._changed = threading.Condition()
        self._view = View(0, (), None, False)
        self._found = _Found()

    def view(self) -> View:
        """What is there now."""
        return self._view

    def wait(self, version: int, seconds: float) -> View:
        """What is there once it is another version than this, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._view.version != version, seconds)
            return self._view

    def wake(self) -> None:
        """Let everybody who waits look again, though nothing was published."""
        self._put(self._view.logs)

    # what the tail holds ---------------------------------------------------------------------------------------

    @property
    def end(self) -> BinlogPosition | None:
        """Where the last proven group ends: a replica that executed all of it by position stands there, or behind."""
        return self._view.end

    @property
    def gtids(self) -> Before | None:
        """The GTIDs of all published groups: what a replica has executed when it is level. None without GTIDs."""
        with self._changed:
            return self._found.gtids()

    @property
    def groups(self) -> int:
        """How many groups were published."""
        return self._found.groups

    @property
    def origins(self) -> frozenset[int]:
        """The server ids that wrote them. A replica skips what it wrote itself, so it must have that already."""
        with self._changed:
            return frozenset(self._found.origins)

    # publishing ------------------------------------------------------------------------------------------------

    def open(self, served: Served) -> None:
        """A further log, behind all others; the one before is closed by it. Raises LogError when it is there."""
        logs = self._view.logs
        if self._view.number(served.name) is not None:
            raise LogError(f"{served.name} is served already")
        end = self._view.end or BinlogPosition(served.name, served.extents[0].start if served.extents else 4)
        self._put((*(replace(log, closed=True) for log in logs), served), end=end)

    def extend(self, name: str, end: int, groups: tuple[Transaction, ...] = (), *, size: LogFile | None = None) -> None:
        """The last log is proven up to ``end``, with these groups. What was published is never taken back."""
        *before, last = self._view.logs
        if last.name != name:
            raise LogError(f"{name} is not the log that is being published, {last.name} is")
        self.note(groups)
        *extents, extent = last.extents
        extents.append(Extent(extent.start, max(end, extent.end)))
        grown = replace(last, extents=tuple(extents), log=size or last.log)
        place = BinlogPosition(name, groups[-1].end) if groups else self._view.end
        self._put((*before, grown), end=place)

    def note(self, groups: tuple[Transaction, ...]) -> None:
        """These groups are in what will be published next."""
        with self._changed:
            for group in groups:
                self._found.add(group)

    def publish(self, served: Served, end: BinlogPosition | None) -> None:
        """A whole log at once; ``end`` is where the last group in it ends, None when there is none."""
        self.open(served)
        if end is not None:
            self._put(self._view.logs, end=end)

    def finish(self) -> None:
        """Nothing more comes."""
        self._put(self._view.logs, finished=True)

    def fail(self, why: str) -> None:
        """What was published must not be served any further: followers are told so."""
        self._put(self._view.logs, finished=True, failed=why)

    def _put(
        self,
        logs: tuple[Served, ...],
        *,
        end: BinlogPosition | None = None,
        finished: bool = False,
        failed: str = "",
    ) -> None:
        with self._changed:
            now = self._view
            self._view = View(now.version + 1, logs, end or now.end, finished or now.finished, failed or now.failed)
            self._changed.notify_all()


class _Found:
    """What the groups are called, gathered in little memory."""

    def __init__(self) -> None:
        self.groups = 0
        self.origins: set[int] = set()
        self._mysql: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._mariadb: dict[int, MariadbGtid] = {}

    def add(self, group: Transaction) -> None:
        self.groups += 1
        self.origins.add(group.server_id)
        gtid = group.gtid
        if isinstance(gtid, Gtid):
            ranges = self._mysql.setdefault((gtid.uuid, gtid.tag), [])
            if ranges and ranges[-1][1] == gtid.number:
                ranges[-1] = (ranges[-1][0], gtid.number + 1)
            else:
                ranges.append((gtid.number, gtid.number + 1))
        elif isinstance(gtid, MariadbGtid):
            self._mariadb[gtid.domain] = gtid

    def gtids(self) -> Before | None:
        if self._mysql:
            return GtidSet.of_ranges(self._mysql)
        return MariadbGtidPosition(self._mariadb.values()) if self._mariadb else None
