"""One database server: a kept session, statements with deadlines, and its state as a frozen snapshot."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from ...config import ServerConfig
from ..errors import (
    MhaError,
    PrivilegeMissing,
    ServerError,
    ServerOdd,
    ServerUnreachable,
    StatementFailed,
)
from ..model.source_names import SourceNames
from ..model.state import ServerState, Vendor
from .admin_port import VARIABLES, AdminPort, enter, learn
from .dialects import Dialect, channel_name, parse_version
from .dialects.appliers import causes_query, with_causes
from .dialects.connecting import more_of_channels
from .dialects.server_state import ALWAYS, STATE_VARIABLES, read_state
from .session import SqlSession, map_error, new_session

Row = dict[str, Any]


class ResultRow(Row):
    """A row of an answer. A column that is not in it is the server's error."""

    def __init__(self, row: Row, *, server: str, action: str) -> None:
        super().__init__(row)
        self._server, self._action = server, action

    def __missing__(self, column: str) -> Any:
        raise ServerOdd(self._server, self._action, f"its answer has no column {column}", answered=True)


_VARIABLES = (*VARIABLES, *STATE_VARIABLES)
SYNTAX_ERRORS = frozenset({1064})


class Server:
    """A session with one server, opened when first used, kept, and opened again when it broke between uses.

    Statements are serialised by a lock, so threads may share it. Errors are ServerError's children; none of them
    carries a password. ``read_timeout`` defaults to `Server.TIMEOUT` seconds.
    """

    TIMEOUT = 10.0
    #: How the configuration calls the sources that it may name, where that is known.
    names: SourceNames | None = None

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._connection: SqlSession | None = None
        self._opening: SqlSession | None = None
        #: The session came by the port for administrators.
        self.by_kept_port = False
        self._dialect: Dialect | None = None
        self._lock = threading.RLock()
        self._ended = False
        #: Since when an answer is waited for (monotonic clock), 0 for none.
        self._asked = 0.0

    def __repr__(self) -> str:
        return f"Server({self.config.name})"

    def __str__(self) -> str:
        return self.config.name

    @property
    def key(self) -> str:
        """``ip:port``, the server's name in snapshots, plans and journals."""
        return self.config.address

    # session ---------------------------------------------------------------------------------------------------

    def connect(self, timeout: float = 4.0) -> None:
        """Open the session if there is none. ``timeout`` (seconds) bounds each exchange of the handshake."""
        with self._lock:
            if self._connection is None:
                with self._asking(), self._mapped("connect"):
                    entered = enter(self.config, lambda way: self._entered(timeout, way))
                    self._connection, self.by_kept_port = entered
                    if self._ended:
                        raise ServerUnreachable(self.config.name, "connect", "its session was ended meanwhile")

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        former, self._asked = self._asked, self._asked or time.monotonic()
        try:
            yield
        finally:
            self._asked = former

    def _entered(self, timeout: float, way: AdminPort | None) -> SqlSession:
        session = self._opening = new_session(self.config, timeout, way)
        try:
            session.connect()
        finally:
            self._opening = None
        return session

    def close(self) -> None:
        """End the session; the next statement opens a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._dialect = None
            if connection is not None:
                with contextlib.suppress(pymysql.Error, OSError):
                    connection.close()

    def end(self) -> None:
        """End it for good, from any thread: nobody waits for an answer, or for a session that is being opened."""
        self._ended = True
        self.abort()
        if self._lock.acquire(blocking=False):
            try:
                self.close()
            finally:
                self._lock.release()

    def abort(self) -> None:
        """Break the session from another thread, so that whoever waits for an answer on it fails at once."""
        connection = self._connection or self._opening
        sock = connection._sock if connection is not None else None  # type: ignore[attr-defined]
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def connected(self) -> bool:
        """There is a session; whether the server still answers on it only a statement can tell."""
        return self._connection is not None

    @property
    def silent_for(self) -> float | None:
        """Seconds that it has been asked for its first word on this session, or a new one; None where it has answered.

        A session that the server has closed is none.
        """
        if self._connection is not None and self._dialect is not None and self._at_rest():
            return None
        return time.monotonic() - self._asked if self._asked else 0.0

    @property
    def plugin(self) -> str:
        """What the account logs in with there; empty without a session."""
        return "" if self._connection is None else self._connection.plugin

    @property
    def unproven(self) -> str:
        """Why nothing proves who is at the other end, in words; empty where its certificate was verified."""
        return "" if self._connection is None else str(self._connection.proof)

    @property
    def thread_id(self) -> int | None:
        """The number of this session on the server, None without one."""
        connection = self._connection
        return None if connection is None else int(connection.thread_id())  # type: ignore[no-untyped-call]

    def query(
        self,
        sql: str,
        args: Sequence[Any] = (),
        *,
        action: str,
        timeout: float | None = None,
        same_session: bool = False,
    ) -> list[Row]:
        """Run one statement and return its rows, waiting at most ``timeout`` seconds for each answer packet.

        All of the answer may take twice as long, and is bounded (`session`).

        A session that was lost while nothing ran is opened again once, unless it has to be the ``same_session``; a
        statement that was sent is never sent twice, because it may have been executed.
        """
        with self._lock:
            if self._connection is not None and not self._at_rest():
                self.close()
            if same_session and self._connection is None:
                raise ServerUnreachable(self.config.name, action, "the session that this rests on has ended")
            with self._asking():
                self.connect()
                connection = self._connection
                assert connection is not None
                with self._mapped(action), connection.cursor(DictCursor) as cursor:
                    connection.allow(timeout or self.TIMEOUT)
                    cursor.execute(sql, tuple(args) or None)
                    return [ResultRow(row, server=self.config.name, action=action) for row in cursor.fetchall()]

    def stirs(self, seconds: float) -> bool:
        """Whether the server closes the session, or says anything unasked, within ``seconds``; True without one."""
        connection = self._connection
        sock = connection._sock if connection is not None else None  # type: ignore[attr-defined]
        if connection is None or sock is None or connection.unread:
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(seconds * 1000))

    def _at_rest(self) -> bool:
        """Nothing to read means that the peer has neither closed the session nor said goodbye (4031)."""
        return not self.stirs(0.0)

    def scalar(self, sql: str, args: Sequence[Any] = (), *, action: str, timeout: float | None = None) -> Any:
        """The first column of the first row, or None."""
        rows = self.query(sql, args, action=action, timeout=timeout)
        return next(iter(rows[0].values())) if rows else None

    @contextlib.contextmanager
    def _mapped(self, action: str) -> Iterator[None]:
        greeted = self._connection is not None
        try:
            yield
        except ServerError:
            self.close()
            raise
        except Exception as error:  # noqa: BLE001  # whatever a server makes of the driver is that server's error
            mapped = map_error(self.config.name, action, error, greeted=greeted)
            if isinstance(mapped, ServerUnreachable | ServerOdd):
                self.close()
            raise mapped from None

    @contextlib.contextmanager
    def reading(self, action: str) -> Iterator[None]:
        """What it answered is read: a value that nobody can make sense of is that server's error, a ServerOdd."""
        try:
            yield
        except MhaError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise map_error(self.config.name, action, error, greeted=True) from error

    # what it is ------------------------------------------------------------------------------------------------

    @property
    def dialect(self) -> Dialect:
        """How to speak to this server, probed once a session."""
        with self._lock:
            if self._dialect is None:
                self._dialect = self._probe()
            return self._dialect

    def _probe(self) -> Dialect:
        text = str(self.scalar("SELECT VERSION()", action="read the version"))
        comment = str(self.scalar("SELECT @@version_comment", action="read the version"))
        vendor = Vendor.MARIADB if "mariadb" in f"{text} {comment}".lower() else Vendor.MYSQL
        mysql = vendor is Vendor.MYSQL
        return Dialect(
            vendor=vendor,
            version=parse_version(text),
            replica_words=mysql and self._understands("SHOW REPLICA STATUS"),
            binary_log_status=mysql and self._understands("SHOW BINARY LOG STATUS"),
            multi_channel=mysql and self._understands("SHOW SLAVE STATUS FOR CHANNEL ''", "SHOW REPLICA STATUS"),
        )

    def _understands(self, *statements: str) -> bool:
        """Whether the server's parser accepts any of the statements; privileges are another matter."""
        for sql in statements:
            try:
                self.query(sql, action="find out what the server understands")
            except PrivilegeMissing:
                return True
            except StatementFailed as error:
                if error.errno in SYNTAX_ERRORS:
                    continue
                raise
            return True
        return False

    def observe(self) -> ServerState:
        """The server's state now: three statements, a few milliseconds."""
        with self.reading("read its state"):
            return self._observe()

    def _observe(self) -> ServerState:
        dialect = self.dialect
        variables = {
            name.lower(): value for name, value in shown(self, _VARIABLES, action="read its variables").items()
        }
        if lacks := [name for name in ALWAYS if name not in variables]:
            # Without them it would pass for a primary that takes writes.
            raise ServerOdd(self.config.name, "read its variables", f"it has no {', '.join(lacks)}", answered=True)
        learn(self.config, variables)
        channels = self.query(dialect.show_channels(), action="read its replication status")
        if causes := causes_query(dialect.vendor, dialect.version, channels):
            with contextlib.suppress(PrivilegeMissing):
                channels = with_causes(channels, self.query(causes, action="see which error stopped its applier"))
        log = self.query(dialect.show_log_status(), action="read the end of its binary log")
        state = read_state(self.config, dialect, variables, channels, log[0] if log else {})
        return state if self.names is None else self.names.in_ours(state)

    def heartbeat_period(self) -> float | None:
        """Of its channels (seconds): a status variable up to 5.7 and in MariaDB, a performance schema column from 8.0.

        No part of its state, which is read a dozen times in a failover: only who changes a channel has to know it.
        """
        rows = self.query("SHOW GLOBAL STATUS LIKE 'Slave_heartbeat_period'", action="read its heartbeat period")
        if rows:
            return float(rows[0]["Value"])
        try:
            value = self.scalar(
                "SELECT MAX(HEARTBEAT_INTERVAL) FROM performance_schema.replication_connection_configuration",
                action="read its heartbeat period",
            )
        except PrivilegeMissing:
            # A check tells of it; a channel that is turned has the server's default then.
            return None
        return float(value) if value is not None else None

    def show_channels(self) -> list[Row]:
        """The raw status rows, one a channel, with all that tells how it connects (`dialects.connecting`)."""
        rows = self.query(self.dialect.show_channels(), action="read its replication status")
        question = more_of_channels(self.dialect.vendor, self.dialect.version)
        if rows and question:
            try:
                found = self.query(question, action="read how its channels connect")
            except PrivilegeMissing:
                found = []
            more = {str(row["CHANNEL_NAME"]): row for row in found}
            return [{**row, **more.get(channel_name(row), {})} for row in rows]
        if rows and "Slave_heartbeat_period" not in rows[0]:
            heartbeat = self.heartbeat_period()
            return [{**row, "Slave_heartbeat_period": heartbeat} for row in rows]
        return rows


def shown(server: Server, names: Sequence[str], *, action: str) -> dict[str, str]:
    """Those of these global variables that the server knows, as text. Raises ServerError."""
    which = ", ".join(["%s"] * len(names))
    rows = server.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({which})", names, action=action)
    return {str(row["Variable_name"]): str(row["Value"]) for row in rows}
