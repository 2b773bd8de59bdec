"""Transactions told from the events of a log: where each begins, what ends it, and what it is called.

A log is a row of event groups. A group is opened by a GTID event where the server writes one, else by its first
statement; it ends with XID, COMMIT, ROLLBACK, XA PREPARE, or with its only statement when nothing opened a
transaction (MySQL Internals Manual; MariaDB Knowledge Base, GTID_EVENT). In a relay log other events may stand within a
group, and a group may go on in the next file, because a receiver can be cut off and go on at any event.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import LogError
from ..model.gtid import Gtid, MariadbGtid
from ..model.position import BinlogPosition
from . import event_bodies as bodies
from .events import (
    CONTROL,
    GTIDS,
    IGNORABLE_FLAG,
    RELAY_LOG_FLAG,
    Event,
    EventType,
    FormatDescription,
)

_BEGIN_WITHOUT_GTID = frozenset(
    {
        EventType.QUERY,
        EventType.INTVAR,
        EventType.RAND,
        EventType.USER_VAR,
        EventType.BEGIN_LOAD_QUERY,
        EventType.EXECUTE_LOAD_QUERY,
        EventType.INCIDENT,
    }
)
#: Events that tell something about the transaction they are in; rows and the like only belong to it.
_TELLING = frozenset(
    {
        EventType.XID,
        EventType.TRANSACTION_PAYLOAD,
        EventType.QUERY,
        EventType.TABLE_MAP,
        EventType.XA_PREPARE,
        EventType.MARIADB_QUERY_COMPRESSED,
        EventType.EXECUTE_LOAD_QUERY,
        EventType.INCIDENT,
    }
)
_ENDS = (b"COMMIT", b"ROLLBACK")
#: What a transaction of rows and nothing else is made of; of the queries BEGIN and COMMIT alone.
_PLAIN = frozenset(
    {
        EventType.GTID,
        EventType.ANONYMOUS_GTID,
        EventType.GTID_TAGGED,
        EventType.MARIADB_GTID,
        EventType.QUERY,
        EventType.TABLE_MAP,
        EventType.WRITE_ROWS_V1,
        EventType.UPDATE_ROWS_V1,
        EventType.DELETE_ROWS_V1,
        EventType.WRITE_ROWS,
        EventType.UPDATE_ROWS,
        EventType.DELETE_ROWS,
        EventType.ROWS_QUERY,
        EventType.MARIADB_ANNOTATE_ROWS,
        EventType.XID,
    }
)
_OF_THE_SERVER = ("mysql.", "sys.", "information_schema.", "performance_schema.")
_DML = re.compile(
    rb"\s*(?:/\*.*?\*/\s*)*(?:INSERT|REPLACE|UPDATE|DELETE|LOAD|SELECT|CALL|DO|WITH|SAVEPOINT|ROLLBACK|RELEASE)\b",
    re.IGNORECASE | re.DOTALL,
)


class Part(NamedTuple):
    """Bytes ``start`` to ``end`` of a log."""

    log: str
    start: int
    end: int


class Transaction(NamedTuple):
    """One complete transaction.

    It begins at byte ``start`` of ``log`` and ends at byte ``end`` of the log of its last part; its events are in
    ``parts``, of which there is more than one only in relay logs. ``kind`` is dml, ddl, rollback (of tables without
    transactions), xa_prepare, xa_commit, xa_rollback, half_alter (MariaDB logs an ALTER in two phases; that which
    ends it holds all of it) or incident. ``timestamp`` is its first event's, in seconds.
    ``tables`` are those it is known to change: none can be told of compressed transactions. ``source_start`` and
    ``source_end`` are its place in the primary's log, None where the relay log does not tell. ``server_id`` is that of
    the server which executed it first. ``plain`` are rows of tables that users made and nothing else, between BEGIN and
    COMMIT: what a client session executes as an applier does.
    """

    log: str
    start: int
    end: int
    gtid: Gtid | MariadbGtid | None
    timestamp: int
    kind: str
    tables: tuple[str, ...]
    events: int
    parts: tuple[Part, ...]
    source_start: BinlogPosition | None
    source_end: BinlogPosition | None
    server_id: int = 0
    plain: bool = False

    @property
    def size(self) -> int:
        """Bytes of its events."""
        return sum(part.end - part.start for part in self.parts)

    @property
    def end_position(self) -> BinlogPosition:
        """Where it ends in the logs it was read from."""
        return BinlogPosition(self.parts[-1].log, self.end)


class StartInside(LogError):
    """Reading was to begin at an offset that lies inside a transaction."""


class GroupParser:
    """Takes the events of a log, or of several in order, and gives back transactions.

    ``open_part`` is where the transaction begins that is not complete yet. One that the log itself shows to be undone
    is dropped: the server restarted, or the receiver asked for it again. ``whole`` are the types of events whose bodies
    it wants whole.
    """

    whole: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self._log = ""
        self._relay = self._always_gtids = self._inside_possible = False
        self._first_log = True
        self._source: BinlogPosition | None = None
        self._group: _Group | None = None

    @property
    def open_part(self) -> Part | None:
        """Where the unfinished transaction begins and how far it was read; None between transactions."""
        return self._group.extent if self._group else None

    @property
    def log(self) -> str:
        """The log that is being read."""
        return self._log

    def enter(self, log: str, described: FormatDescription, *, start_known: bool, gtids: bool = False) -> None:
        """Go on in the next log. ``start_known`` says that a transaction begins where reading begins, ``gtids`` that
        the log says itself that all of them are named.

        The first relay log may begin with the rest of a transaction, which is left out. Raises LogError when a binary
        log begins though the one before ends within a transaction that its server did not roll back.
        """
        if self._group is not None:
            self._group.interrupt()
            if not described.relay_log and not self._undone_by(described.created):
                raise LogError(f"{log} begins within a transaction")
        self._log, self._relay = log, described.relay_log
        self._always_gtids = (described.always_gtids or gtids) and not described.relay_log
        self._inside_possible = not start_known or (self._relay and self._first_log)
        self._first_log = False

    def describe(self, described: FormatDescription) -> None:
        """A format description within a log is in force from here on."""
        self._always_gtids = described.always_gtids

    def feed(self, event: Event) -> Transaction | None:
        """The transaction that is complete with this event, or None.

        Raises ValueError for an event that cannot stand where it stands, StartInside when that is the first one.
        """
        if event.type in CONTROL:
            self._control(event)
            return None
        if self._group is None:
            if event.flags & IGNORABLE_FLAG and event.type not in GTIDS:
                return None
            if self._inside_possible and self._relay and not self._fits(event):
                return None
            self._group = self._open(event)
        elif event.type in GTIDS:
            if not self._relay:
                raise ValueError("a transaction begins within another")
            self._group = None
            self._group = self._open(event)
        group = self._group
        kind = group.add(self._log, event)
        if kind is None:
            return None
        if self._inside_possible and group.lone_change:
            if not self._relay:
                raise StartInside(f"{self._log}:{group.first.offset} lies inside a transaction")
            self._group = None
            return None
        self._group, self._inside_possible = None, False
        return group.finish(kind, event, self._place(group.first, 0), self._place(event, event.size))

    def _control(self, event: Event) -> None:
        if self._group is not None:
            self._group.interrupt()
        if event.type == EventType.ROTATE and self._relay and not event.flags & RELAY_LOG_FLAG:
            self._source = bodies.rotate(event)
        # A description that was made up on the way only repeats what is known.
        elif event.type == EventType.FORMAT_DESCRIPTION and event.log_pos and not event.flags & RELAY_LOG_FLAG:
            self._undone_by(struct.unpack_from("<I", event.body, 52)[0])

    def _undone_by(self, created: int) -> bool:
        """A server that started between rolled back what its log left open, as every replica then does."""
        if created:
            self._group = None
        return bool(created)

    def _fits(self, event: Event) -> bool:
        """Whether a transaction can begin with this event."""
        if event.type in GTIDS or event.type == EventType.INCIDENT:
            return True
        if self._always_gtids or event.type not in _BEGIN_WITHOUT_GTID:
            return False
        return event.type != EventType.QUERY or bodies.query(event).text not in _ENDS

    def _open(self, event: Event) -> _Group:
        if self._fits(event):
            return _Group(self._log, event)
        if self._inside_possible:
            raise StartInside(f"{self._log}:{event.offset} lies inside a transaction")
        raise ValueError(f"a {event.type_name} event stands outside of a transaction")

    def _place(self, event: Event, past: int) -> BinlogPosition | None:
        """The source's position ``past`` bytes into an event."""
        if not self._relay:
            return BinlogPosition(self._log, event.offset + past)
        if self._source is None or event.log_pos < event.size:
            return None
        return BinlogPosition(self._source.file, event.log_pos - event.size + past)


def told_by(events: Sequence[Event]) -> tuple[str, tuple[str, ...], bool]:
    """Of all events of one transaction its kind, its tables, and whether it is plain; no kind where nothing ends it.

    Raises ValueError.
    """
    group, kind = _Group("", events[0]), ""
    for event in events:
        kind = group.add("", event) or kind
    return kind, group.tables, group.plain


class _Group:
    """A transaction while it is being read: what ends it depends on how it began."""

    __slots__ = (
        "_begun_in",
        "_events",
        "_from",
        "_gtid",
        "_half_alter",
        "_kind",
        "_log",
        "_open",
        "_parts",
        "_tables",
        "_to",
        "first",
        "lone_change",
        "plain",
    )

    def __init__(self, log: str, event: Event) -> None:
        self._begun_in, self.first = log, event
        self._gtid = bodies.gtid(event) if event.type in GTIDS else None
        # MariaDB's GTID event stands for BEGIN, unless it announces a single statement.
        self._open = event.type == EventType.MARIADB_GTID and not bodies.is_standalone(event)
        self._kind = "dml"
        self.plain = True
        self._half_alter = event.type == EventType.MARIADB_GTID and bodies.is_half_alter(event)
        self._tables: dict[str, None] = {}
        self._events = 0
        #: Complete parts, then the log, beginning and end of the one that is being read.
        self._parts: list[Part] = []
        self._log, self._from, self._to = log, event.offset, event.offset
        self.lone_change = False

    @property
    def tables(self) -> tuple[str, ...]:
        """Those it is known to change."""
        return tuple(self._tables)

    @property
    def extent(self) -> Part:
        """Where it begins, and how far it was read in the last log."""
        return Part(self._begun_in, self.first.offset, self._to)

    def interrupt(self) -> None:
        """What comes next does not belong to it; it goes on in a part of its own."""
        if self._from != self._to:
            self._parts.append(Part(self._log, self._from, self._to))
        self._from = self._to

    def add(self, log: str, event: Event) -> str | None:
        """Take one more event; what kind of transaction it was when it is complete with it."""
        offset = event.offset
        if self._from == self._to:
            self._log, self._from = log, offset
        self._to = offset + event.size
        self._events += 1
        if event.type not in _PLAIN:
            self.plain = False
        return self._ended_by(event) if event.type in _TELLING else None

    def finish(
        self, kind: str, event: Event, source_start: BinlogPosition | None, source_end: BinlogPosition | None
    ) -> Transaction:
        """The complete transaction."""
        return Transaction(
            log=self._begun_in,
            start=self.first.offset,
            end=event.end_offset,
            gtid=self._gtid,
            timestamp=self.first.timestamp,
            kind="half_alter" if self._half_alter else kind,
            tables=self.tables,
            events=self._events,
            parts=(*self._parts, Part(self._log, self._from, self._to)),
            source_start=source_start,
            source_end=source_end,
            server_id=self.first.server_id,
            plain=self.plain,
        )

    def _ended_by(self, event: Event) -> str | None:
        match event.type:
            case EventType.XID | EventType.TRANSACTION_PAYLOAD:
                return self._kind
            case EventType.QUERY:
                return self._ended_by_query(event)
            case EventType.TABLE_MAP:
                table = bodies.table_map(event)
                self._tables[table] = None
                # A line break in a name would end the comment in which mysqlbinlog writes it.
                odd = not table.isprintable()
                if odd or table.startswith(_OF_THE_SERVER) or bodies.may_be_sequence(event):
                    self.plain = False
            case EventType.XA_PREPARE:
                return "dml" if bodies.is_one_phase(event) else "xa_prepare"
            case EventType.MARIADB_QUERY_COMPRESSED:
                return None if self._open else "ddl"
            case EventType.EXECUTE_LOAD_QUERY:
                return None if self._open else "dml"
            case EventType.INCIDENT:
                return "incident"
        return None

    def _ended_by_query(self, event: Event) -> str | None:
        statement = bodies.query(event)
        text = statement.text
        if text not in (b"BEGIN", b"COMMIT"):
            self.plain = False
        if self._open:
            if text in _ENDS:
                return "rollback" if text == b"ROLLBACK" else self._kind
            # MySQL 8.0.21 writes CREATE TABLE … SELECT as a transaction: this, then its rows.
            if text.startswith(b"CREATE TABLE") and statement.tail.endswith(b" START TRANSACTION"):
                self._kind = "ddl"
            self._name_table(statement)
            return None
        if text == b"BEGIN" or text.startswith(b"XA START"):
            self._open = True
            return None
        self._name_table(statement)
        if text.startswith(b"XA "):
            return "xa_rollback" if text.startswith(b"XA ROLLBACK") else "xa_commit"
        if _DML.match(text):
            self.lone_change = self._gtid is None and self.first.type not in GTIDS
            return "dml"
        return "ddl"

    def _name_table(self, statement: bodies.Query) -> None:
        if table := bodies.table_of(statement):
            self._tables[table] = None
