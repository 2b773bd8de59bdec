"""Transactions of a log with the rows that each changes; or why their rows cannot be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .. import event_bodies as bodies
from ..events import CHECKSUM, GTIDS, HEADER, Event, EventType, FormatDescription
from ..reader import LogEnd, LogFile
from ..sequence import LogSequence
from ..transactions import GroupParser, Transaction, told_by
from .compressed import COMPRESSED, plain
from .row_events import DUMMY_TABLE, ROW_EVENTS, RowEvent, parse, table_id
from .table_map import TableMap

#: Bytes of one transaction's events that are held in memory.
LIMIT = 256 << 20
NO_ROWS = "it holds a statement, of which the log does not tell the rows"
#: What a transaction may hold whose rows cannot be told, and why.
_UNREADABLE = {
    EventType.WRITE_ROWS_V0: "its row events are of a format older than MySQL 5.1.16",
    EventType.UPDATE_ROWS_V0: "its row events are of a format older than MySQL 5.1.16",
    EventType.DELETE_ROWS_V0: "its row events are of a format older than MySQL 5.1.16",
    EventType.PARTIAL_UPDATE_ROWS: "its images have JSON documents in part (binlog_row_value_options)",
    EventType.BEGIN_LOAD_QUERY: "it holds a LOAD DATA as a statement",
    EventType.EXECUTE_LOAD_QUERY: "it holds a LOAD DATA as a statement",
    EventType.INCIDENT: "it is an incident: the server tells that its log lacks something",
    EventType.XA_PREPARE: "it is a half of an XA transaction",
}
#: What of a transaction says what becomes of its rows.
_KEPT = frozenset({*GTIDS, EventType.TABLE_MAP, EventType.QUERY, EventType.XID, *ROW_EVENTS, *_UNREADABLE, *COMPRESSED})


@dataclass(frozen=True)
class Changes:
    """One transaction and the row events of it, in order; ``format`` is what the log said of itself by then.

    ``maps`` are the bodies of the table maps of its events. ``unreadable`` is why its rows cannot be told, empty where
    they are: then ``statement`` is the beginning of the statement that stands in their place, if one does.
    """

    transaction: Transaction
    events: tuple[RowEvent, ...]
    maps: tuple[bytes, ...]
    format: FormatDescription
    unreadable: str = ""
    statement: str = ""

    @property
    def name(self) -> str:
        """Its GTID, or its place without one."""
        where = f"{self.transaction.log}:{self.transaction.start}"
        return str(self.transaction.gtid) if self.transaction.gtid is not None else where

    @property
    def whole(self) -> bool:
        """All its rows are known, with all their columns."""
        return not self.unreadable and all(event.whole for event in self.events)


class ChangesOf:
    """Reads logs in order; ``stop`` is how reading ended, once it is over. Iterating raises LogError."""

    def __init__(self, files: Sequence[LogFile], start: int = 4) -> None:
        self._groups = _Gathering()
        self._sequence = LogSequence(files, start, self._groups)

    @property
    def stop(self) -> LogEnd | None:
        """None while reading goes on."""
        return self._sequence.stop

    def __iter__(self) -> Iterator[Changes]:
        for transaction in self._sequence:
            yield changes_of(transaction, self._groups.taken, self._sequence.described, too_large=self._groups.over)


class _Gathering(GroupParser):
    """Keeps the events that tell of rows until their transaction is complete."""

    whole = frozenset(int(kind) for kind in _KEPT)

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Event] = []
        self._bytes = 0
        self.taken: tuple[Event, ...] = ()
        self.over = False

    def feed(self, event: Event) -> Transaction | None:
        if self.open_part is None:
            self._events, self._bytes = [], 0
        done = super().feed(event)
        if event.type in _KEPT and (self.open_part is not None or done is not None):
            self._bytes += event.size
            if self._bytes <= LIMIT:
                self._events.append(event)
        if done is not None:
            self.taken, self.over = tuple(self._events), self._bytes > LIMIT
        return done


def changes_of(
    transaction: Transaction, events: Sequence[Event], described: FormatDescription, *, too_large: bool = False
) -> Changes:
    """What a transaction does to rows. Pure."""
    found = Changes(transaction, (), (), described)
    if too_large:
        return replace(found, unreadable=f"it has more than {LIMIT >> 20} MiB of events")
    if any(event.type in COMPRESSED for event in events):
        try:
            events = plain(events, LIMIT)
            kind, tables, rows_only = told_by(events)
        except ValueError as error:
            return replace(found, unreadable=str(error))
        transaction = transaction._replace(kind=kind or transaction.kind, tables=tables, plain=rows_only)
        found = replace(found, transaction=transaction)
    maps: dict[int, tuple[TableMap, bytes]] = {}
    rows: list[RowEvent] = []
    raw: list[bytes] = []
    for event in events:
        try:
            why, statement = _not_rows(event)
            if why:
                return replace(found, unreadable=why, statement=statement)
            if event.type == EventType.TABLE_MAP:
                table = TableMap.parse(event.body)
                maps[table.id] = table, event.body
            elif event.type in ROW_EVENTS and table_id(event.body) != DUMMY_TABLE:
                table, body = maps[table_id(event.body)]
                rows.append(parse(EventType(event.type), event.body, table))
                raw.append(body)
        except KeyError:
            return replace(found, unreadable="the log has no table map for its rows")
        except ValueError as error:
            return replace(found, unreadable=str(error))
    if transaction.kind not in ("dml", "rollback"):
        return replace(found, unreadable=f"it is no plain transaction ({transaction.kind})")
    return replace(found, events=tuple(rows), maps=tuple(raw))


def _not_rows(event: Event) -> tuple[str, str]:
    """Why rows cannot be told from an event, and the statement in it; both empty where they can, or need not."""
    if event.type in ROW_EVENTS and event.size - HEADER - len(event.body) > CHECKSUM:
        return f"one row event of it has {event.size} bytes", ""
    if event.type in _UNREADABLE:
        return _UNREADABLE[EventType(event.type)], ""
    if event.type != EventType.QUERY:
        return "", ""
    said = bodies.query(event)
    if said.text in (b"BEGIN", b"COMMIT", b"ROLLBACK") or said.text.startswith((b"SAVEPOINT ", b"RELEASE SAVEPOINT ")):
        return "", ""
    return NO_ROWS, bodies.whole_statement(event).decode("utf-8", "replace")
