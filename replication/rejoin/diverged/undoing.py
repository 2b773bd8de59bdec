"""What only the old server has is taken back in its tables, and then in what it says that it has executed.

Its row events are turned round and executed, the last transaction first, with nothing of it in its log. How far that
came stands in a table of ours on the same server, changed in the same transactions: whoever goes on after a death knows
exactly. Then its binary logs are deleted (they are archived), and its GTIDs are those that both servers have.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence

from ....config import ServerConfig
from ...actions.promote import open_to_us
from ...binlog.rows.changes import Changes
from ...binlog.rows.statements import undone
from ...errors import StatementFailed
from ...memory.journal import Journal
from ...model.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import GtidKind, ServerState, Vendor
from ...mysql.dialects import binary_log
from ...mysql.server import Server
from ..facts import RejoinFacts
from ..remembered.rewound import RESET, RESETTING, REWIND, Rewound
from .beyond import furthest_of_both
from .executing import Session

log = logging.getLogger("mha")

#: Where it is remembered on the server itself how many transactions are taken back; gone when all is done.
DATABASE = "mha_rewind"
#: Transactions and bytes that are taken back in one.
AT_ONCE, BYTES_AT_ONCE = 200, 8 << 20
TOLD_EVERY = 5.0


def undo(server: Server, config: ServerConfig, tail: Sequence[Changes]) -> int:
    """Take them back, the last one first, and go on where a former run ended; how many were taken back now.

    Raises ServerError's children: what is done then stays done, and is remembered.
    """
    with open_to_us(server, server.observe()):
        return _Undoing(server, config, tail).go()


class _Undoing:
    def __init__(self, server: Server, config: ServerConfig, tail: Sequence[Changes]) -> None:
        self._session = Session(config, logged=False)
        self._own_id = int(server.scalar("SELECT @@GLOBAL.server_id", action="read its server_id") or 0)
        self._tail, self._name = tail, str(server)
        names = "\n".join(f"{each.name} {each.transaction.end_position}" for each in tail)
        self._id = hashlib.sha256(names.encode()).hexdigest()

    def go(self) -> int:
        run = self._session.execute
        try:
            if self._session.scalar("SELECT GET_LOCK(%s, 1)", (DATABASE,)) != 1:
                said = "another rewind of it is under way, see SHOW PROCESSLIST there"
                raise StatementFailed(self._name, "take back what only it has", said)
            run(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
            run(
                f"CREATE TABLE IF NOT EXISTS {DATABASE}.undone (tail CHAR(64) PRIMARY KEY, transactions INT NOT NULL) "
                "ENGINE=InnoDB"
            )
            if self._session.scalar(_OTHERS, (self._id,)):
                said = "it was being rewound already, and has written more since: its tables are between two states"
                raise StatementFailed(self._name, "take back what only it has", f"{said}. Rebuild it")
            before = int(str(self._session.scalar(_HOW_FAR, (self._id,)) or 0))
            return self._go_on(before) - before
        finally:
            self._session.close()

    def _go_on(self, done: int) -> int:
        told = time.monotonic()
        left = self._tail[: len(self._tail) - done]
        for chunk in chunks(tuple(reversed(left))):
            with self._session.transaction(chunk[0]):
                for changes in chunk:
                    for statement in undone(changes, self._own_id, int(time.time())):
                        self._session.execute(statement)
                done += len(chunk)
                self._session.execute(_SO_FAR, (self._id, done))
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                log.info("%d of %d transactions are taken back.", done, len(self._tail))
        return done


_HOW_FAR = f"SELECT transactions FROM {DATABASE}.undone WHERE tail = %s"  # noqa: S608 - a name of ours
_OTHERS = f"SELECT COUNT(*) FROM {DATABASE}.undone WHERE tail <> %s"  # noqa: S608 - a name of ours
_SO_FAR = f"REPLACE INTO {DATABASE}.undone VALUES (%s, %s)"  # noqa: S608 - a name of ours


def chunks(tail: Sequence[Changes]) -> Iterator[tuple[Changes, ...]]:
    """As many as are taken back in one transaction, all of them written alike. Pure."""
    chunk: list[Changes] = []
    size = 0
    for changes in tail:
        full = len(chunk) >= AT_ONCE or size + changes.transaction.size > BYTES_AT_ONCE
        if chunk and (full or changes.format.raw != chunk[0].format.raw):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(changes)
        size += changes.transaction.size
    if chunk:
        yield tuple(chunk)


def followed_up_to(server: Server) -> MariadbGtidPosition:
    """How far it executed what it replicated, by MariaDB's gtid_slave_pos. Raises ServerError's children."""
    if server.dialect.vendor is not Vendor.MARIADB:
        return MariadbGtidPosition()
    said = server.scalar("SELECT @@GLOBAL.gtid_slave_pos", action="read how far it followed")
    return MariadbGtidPosition.parse(str(said or ""))


def gtids_of_both(facts: RejoinFacts, tail: Sequence[Changes], executed: MariadbGtidPosition) -> str:
    """What it is to have executed once its own are taken back: a set of MySQL's, a position of MariaDB's, or nothing.

    MariaDB's is the furthest that both have in each domain: it may have followed since it was replaced, and
    ``executed`` (its gtid_slave_pos) knows that where its log does not. In a domain of which neither tells, where the
    new primary stood when it was opened; without a journal, what is before the tail.
    """
    old, new, replaced = facts.old, facts.new, facts.replaced
    if old.vendor is Vendor.MYSQL:
        if old.gtid_executed is None or new.gtid_executed is None or facts.kind is not GtidKind.MYSQL:
            return ""
        return str(old.gtid_executed & new.gtid_executed)
    before = {
        gtid.domain: MariadbGtid(gtid.domain, gtid.server_id, gtid.seq - 1)
        for gtid in (changes.transaction.gtid for changes in reversed(tail))
        if isinstance(gtid, MariadbGtid)
    }
    stood = replaced.mariadb if replaced is not None else None
    for known in (stood or (), furthest_of_both(facts, executed)):
        before.update({gtid.domain: gtid for gtid in known})
    return str(MariadbGtidPosition(gtid for gtid in before.values() if gtid.seq))


def forget(server: Server, before: Rewound | None, gtids: str, tables: Sequence[str], journal: Journal) -> None:
    """Delete its logs, and set what it has executed; then where its log begins anew is remembered. Safe to repeat.

    Raises ServerError's children.
    """
    key = server.key
    if before is not None and before.state == RESET:
        _forget_progress(server, server.observe())
        return
    if before is None or before.state != RESETTING:
        journal.record(REWIND, RESETTING, key, gtids=gtids, tables=list(tables))
    else:
        gtids = before.gtids
    with open_to_us(server, server.observe()):
        server.query(server.dialect.reset_logs(), action="delete its binary logs", timeout=60.0)
        if gtids:
            name = "gtid_slave_pos" if server.dialect.vendor is Vendor.MARIADB else "gtid_purged"
            server.query(f"SET GLOBAL {name} = %s", (gtids,), action=f"set {name}")
    state = server.observe()
    if gtids and not _has_executed(state, gtids):
        raise StatementFailed(str(server), "set what it has executed", f"it does not say {gtids} then")
    journal.record(REWIND, RESET, key, place=str(_end(server)))
    _forget_progress(server, state)


def _has_executed(state: ServerState, gtids: str) -> bool:
    if state.vendor is Vendor.MARIADB:
        return state.mariadb_gtid == MariadbGtidPosition.parse(gtids)
    return state.gtid_executed == GtidSet.parse(gtids)


def _end(server: Server) -> BinlogPosition:
    rows = server.query("SHOW BINARY LOGS", action="list its binary logs")
    return BinlogPosition(*binary_log(rows[-1]))


def _forget_progress(server: Server, state: ServerState) -> None:
    """Last of all: without it, the next run would take everything back once more."""
    with open_to_us(server, state):
        session = Server(server.config)
        try:
            session.query("SET SESSION sql_log_bin = 0", action="write nothing to its log")
            words = f"DROP DATABASE IF EXISTS {DATABASE}"
            session.query(words, action="forget how far it was rewound", same_session=True)
        finally:
            session.close()
