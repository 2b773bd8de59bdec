"""A session of its own in which row events are executed: BINLOG statements, in transactions, as an applier would."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from ....config import ServerConfig
from ...binlog.rows.changes import Changes
from ...binlog.rows.statements import described_first
from ...errors import ServerError
from ...model.gtid import Gtid
from ...model.state import Vendor
from ...mysql.server import Server
from .comparison.schema import longest_statement
from .equal import ended_with_its_server

#: Seconds that a row which an application holds is waited for, and that one statement may take.
LOCKED, STATEMENT = 10, 60.0
#: Seconds after which the server lets go of rows that it holds for a host that went dark.
VANISHED = 60


class Session:
    """Not ``logged``: nothing that it does is in the server's log. A session that broke is not opened again.

    Every method raises ServerError's children.
    """

    def __init__(self, config: ServerConfig, *, logged: bool = True) -> None:
        self._server = Server(config)
        self._described = ""
        self._mysql = self._server.dialect.vendor is Vendor.MYSQL
        settings = [f"wait_timeout={VANISHED}", f"innodb_lock_wait_timeout={LOCKED}", f"sql_log_bin={int(logged)}"]
        if not self._mysql:
            # Else the log would carry each statement of ours once more.
            settings.append("binlog_annotate_row_events=0")
        self.execute(f"SET SESSION {', SESSION '.join(settings)}")
        #: Bytes of the longest statement that it takes.
        self.packet = longest_statement(self._server)

    def execute(self, sql: str, args: tuple[object, ...] = ()) -> None:
        """One statement, on this session or not at all."""
        self._server.query(sql, args, action="execute row events", timeout=STATEMENT, same_session=True)

    def scalar(self, sql: str, args: tuple[object, ...] = ()) -> object:
        """The only value of an answer; None without a row."""
        return self._server.scalar(sql, args, action="see how far it got", timeout=STATEMENT)

    @contextmanager
    def transaction(self, changes: Changes, *, named: bool = False) -> Iterator[None]:
        """Row events written as those of ``changes`` are; committed at the end, rolled back after an error.

        ``named``: under its own GTID, where it has one of MySQL.
        """
        self._describe(changes)
        gtid = changes.transaction.gtid if named else None
        try:
            if isinstance(gtid, Gtid):
                self.execute(f"SET gtid_next = '{gtid}'")
            self.execute("BEGIN")
            yield
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(ServerError):
                self.execute("ROLLBACK")
            raise
        finally:
            if isinstance(gtid, Gtid):
                with contextlib.suppress(ServerError):
                    self.execute("SET gtid_next = 'AUTOMATIC'")

    def _describe(self, changes: Changes) -> None:
        """Once for all events that are written alike; what is described is nobody's transaction."""
        statement = described_first(changes.format)
        if statement == self._described:
            return
        self.execute(statement)
        if self._mysql:
            # Else a server with GTIDs takes what comes next for one without.
            self.execute("SET gtid_next = 'AUTOMATIC'")
        self._described = statement

    def while_it_lives(self) -> AbstractContextManager[None]:
        """Within, a statement fails soon after the server is gone, a host without power included."""
        return ended_with_its_server(self._server)

    def close(self) -> None:
        """What is not committed is gone."""
        self._server.close()
