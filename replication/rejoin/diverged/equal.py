"""Are the tables that were changed the same as the new primary's? Asked at a point that both servers know.

The new primary's tables are read as they are at one place of its log, while applications go on; the old server executes
up to exactly there, and stops.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ....config import ServerConfig
from ...actions.repoint import follows
from ...cluster.catch_up import check_alive
from ...errors import DeadlineExceeded, ServerError, ServerUnreachable, StatementFailed
from ...fencing.everyone import start_replication_until
from ...model.gtid import GtidSet, MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import GtidKind, ServerState
from ...mysql.dialects import ChannelThread, quote_identifier
from ...mysql.server import Server
from ...threads import Thread
from .comparison.schema import Table, TableColumn, read_tables

log = logging.getLogger("mha")

#: Seconds that applications may have to wait for a table, how often that is tried, and one sum may take.
LOCKED_WITHIN, TRIES, SUMMED_WITHIN = 2, 5, 24 * 3600.0
#: Seconds after which the new primary lets go of them by itself, should this host go dark in between.
VANISHED = 20
#: Seconds without any progress after which the old server does not get there.
STANDS_STILL = 30.0
LOOK_EVERY = 0.05
#: Seconds between two questions whether a server lives that sums a table.
ASKED_EVERY = 1.0

_BYTES = frozenset(
    "char varchar tinytext text mediumtext longtext binary varbinary tinyblob blob mediumblob longblob vector inet6 "
    "inet4 uuid".split()
)
_SHAPES = frozenset(
    "geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection "
    "geomcollection".split()
)
_NUMBERS = frozenset({"bit", "enum", "set"})


@dataclass(frozen=True)
class KnownPoint:
    """What each table is on the new primary where its log was at ``place`` or ``gtids``; None: it is not there.

    ``hashed`` is the function by which they were summed, ``{}`` for the text.
    """

    place: BinlogPosition | None
    gtids: str
    sums: Mapping[str, str | None]
    hashed: str


def sums_of(session: Server, tables: Mapping[str, Table], names: Sequence[str], hashed: str) -> dict[str, str | None]:
    """Rows and sum of each, while its server lives. Raises ServerError's children."""
    with ended_with_its_server(session):
        return {name: _sum(session, tables[name], hashed) if name in tables else None for name in names}


@contextlib.contextmanager
def ended_with_its_server(session: Server) -> Iterator[None]:
    """A statement may take hours, and a host without power says nothing: the server is asked on another session.

    Once that is not answered any more, the statement fails with ServerUnreachable.
    """
    over = threading.Event()
    watch = Thread(target=_watch, args=(session, over), name="lives it", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(session: Server, over: threading.Event) -> None:
    with contextlib.closing(Server(session.config)) as other:
        while not over.wait(ASKED_EVERY):
            try:
                check_alive(other)
            except ServerUnreachable as gone:
                if not over.is_set():
                    log.warning("%s", gone)
                    session.abort()
                return
            except ServerError as error:
                # An answer all the same.
                log.debug("%s", error)


def _hash_of(session: Server) -> str:
    """A hash that the server has: MD5 and SHA1 are gone from MySQL 9.6, SHA2 is NULL in a 5.6 without TLS libraries."""
    known = session.scalar("SELECT SHA2('mha', 256)", action="see which hash it knows")
    return "SHA2({}, 256)" if known else "MD5({})"


def _sum(session: Server, table: Table, hashed: str) -> str:
    database, _, name = table.name.partition(".")
    nulls = ", ".join(f"ISNULL({quote_identifier(column.name)})" for column in table.columns)
    row = hashed.format(f"CONCAT_WS('#', {', '.join(map(_as_text, table.columns))}, CONCAT({nulls}))")
    halves = (f"BIT_XOR(CAST(CONV(SUBSTRING({row}, {at}, 16), 16, 10) AS UNSIGNED))" for at in (1, 17))
    place = f"{quote_identifier(database)}.{quote_identifier(name)}"
    question = f"SELECT COUNT(*) AS n, {', '.join(halves)} FROM {place}"  # noqa: S608 - all of it is quoted
    (found,) = session.query(question, action=f"sum {table.name}", timeout=SUMMED_WITHIN, same_session=True)
    return "-".join(str(value) for value in found.values())


def _as_text(column: TableColumn) -> str:
    """The same on every version and whatever the character set is."""
    name = quote_identifier(column.name)
    if column.type in _BYTES:
        return f"HEX({name})"
    if column.type == "json":
        return f"HEX(CAST({name} AS CHAR))"
    if column.type in _SHAPES:
        return f"HEX(ST_AsBinary({name}))"
    return f"{name}+0" if column.type in _NUMBERS else name


def known_point(new: ServerConfig, names: Sequence[str], kind: GtidKind) -> KnownPoint:
    """One place in its log, and what the tables are there; applications wait for them for a few milliseconds.

    Raises ServerError's children.
    """
    holder, reader = Server(new), Server(new)
    try:
        reader.query("SELECT 1", action="read the tables of the new primary")
        tables = read_tables(reader, names)
        with _held(holder, [name for name in names if name in tables]):
            begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT"
            reader.query(begin, action="read the tables of the new primary", same_session=True)
            session, state = reader.thread_id, reader.observe()
        if reader.thread_id != session:
            raise ServerUnreachable(str(reader), "read its tables", "the session that this rests on has ended")
        if state.binlog_ignore_db or state.end_of_log is None:
            raise StatementFailed(str(reader), "read the tables at a place of its log", "its log does not have all")
        hashed = _hash_of(reader)
        sums = sums_of(reader, tables, names, hashed)
        return KnownPoint(state.end_of_log, _gtids(state, kind), sums, hashed)
    finally:
        holder.close()
        reader.close()


@contextlib.contextmanager
def _held(holder: Server, names: Sequence[str]) -> Iterator[None]:
    """Nobody writes to these tables while it lasts. Raises ServerError's children."""
    if not names:
        yield
        return
    places = (tuple(map(quote_identifier, name.split(".", 1))) for name in names)
    words = "LOCK TABLES " + ", ".join(f"{'.'.join(place)} READ" for place in places)
    for attempt in range(1, TRIES + 1):
        try:
            wait = (
                f"SET SESSION wait_timeout = {VANISHED}, SESSION lock_wait_timeout = {LOCKED_WITHIN}, "
                f"SESSION innodb_lock_wait_timeout = {LOCKED_WITHIN}"
            )
            action, within = "hold its tables still for a moment", LOCKED_WITHIN + 3.0
            holder.query(wait, action=action)
            holder.query(words, action=action, timeout=within, same_session=True)
            break
        except ServerError:
            if attempt == TRIES:
                raise
    try:
        yield
    finally:
        # A session that is gone has let them go before: then what was read meanwhile is of no one place.
        holder.query("UNLOCK TABLES", action="let its tables go", same_session=True)


def _gtids(state: ServerState, kind: GtidKind) -> str:
    if kind is GtidKind.MYSQL:
        return str(state.gtid_executed or "")
    return str(state.mariadb_gtid or "") if kind is GtidKind.MARIADB else ""


def execute_up_to(server: Server, channel: str, new: ServerConfig, point: KnownPoint, kind: GtidKind) -> None:
    """Start replication, and let its applier stop exactly there. Raises ServerError's children, DeadlineExceeded."""
    before = follows(server.observe(), channel, new)
    if before is not None and before.applier_running:
        server.query(server.dialect.stop(channel, ChannelThread.APPLIER), action="stop its applier", timeout=65.0)
    start_replication_until(server, channel, point.gtids, point.place, action=f"execute up to {_where(point)}")
    seen, moved = None, time.monotonic()
    while True:
        state = server.observe()
        found = follows(state, channel, new)
        if found is None:
            raise StatementFailed(str(server), f"follow {new.name}", "it points elsewhere")
        if found.applier_errno:
            raise StatementFailed(str(server), "execute what it lacks", found.applier_error, found.applier_errno)
        stands = (found.executed, str(state.gtid_executed), str(state.mariadb_gtid), found.received)
        if _is_there(state, found.executed, point, kind):
            break
        if stands != seen:
            seen, moved = stands, time.monotonic()
        if time.monotonic() - moved > STANDS_STILL:
            raise DeadlineExceeded(f"{server}: execute up to {_where(point)}", STANDS_STILL, str(found.executed))
        time.sleep(LOOK_EVERY)
    server.query(server.dialect.stop(channel, ChannelThread.APPLIER), action="stop its applier", timeout=65.0)
    state = server.observe()
    found = follows(state, channel, new)
    if found is None or not _is_there(state, found.executed, point, kind, exactly=True):
        raise StatementFailed(str(server), f"stop at {_where(point)}", "it went on behind it")


def _where(point: KnownPoint) -> str:
    return point.gtids or str(point.place)


def _is_there(
    state: ServerState, executed: BinlogPosition | None, point: KnownPoint, kind: GtidKind, *, exactly: bool = False
) -> bool:
    if kind is GtidKind.MYSQL:
        has, wanted = state.gtid_executed or GtidSet(), GtidSet.parse(point.gtids)
        return wanted <= has and (not exactly or has <= wanted)
    if kind is GtidKind.MARIADB:
        stands, to = state.mariadb_gtid or MariadbGtidPosition(), MariadbGtidPosition.parse(point.gtids)
        return to <= stands and (not exactly or stands <= to)
    if executed is None or point.place is None:
        return False
    return executed == point.place if exactly else executed >= point.place


def differing(here: Mapping[str, str | None], there: Mapping[str, str | None]) -> tuple[str, ...]:
    """The tables that are not the same. Pure."""
    return tuple(name for name in there if here.get(name) != there[name])
