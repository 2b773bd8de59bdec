"""One database server: a kept session, statements with deadlines, and its state as a frozen snapshot."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.cursors import DictCursor

from config import ServerConfig
from replication.addresses import address_of
from replication.dialects import Dialect, parse_version
from replication.errors import (
    AccessDenied,
    PrivilegeMissing,
    ServerBusy,
    ServerError,
    ServerUnreachable,
    StatementFailed,
)
from replication.gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from replication.positions import BinlogPosition
from replication.snapshots import SemiSync, ServerState, Vendor

Row = dict[str, Any]

#: A server that answers with one of these is alive; it is never counted as dead (MHA's list).
BUSY_ERRORS = frozenset({1040, 1203, 1226})
DENIED_ERRORS = frozenset({1042, 1043, 1044, 1045, 1129, 1130, 1251, 1275, 1698, 3118, 3159, 4151})
PRIVILEGE_ERRORS = frozenset({1142, 1143, 1227, 1370, 3530})
SYNTAX_ERRORS = frozenset({1064})

_HINTS = {
    1040: "every connection is taken; raise max_connections or keep one free for a user with SUPER",
    1045: "check user and password in the configuration, and that the account may connect from this host",
    1129: "run FLUSH HOSTS on that server: it has blocked this host after failed connections",
    1130: "create the account for this host, e.g. 'user'@'this host'",
    1227: "grant the missing privilege to the configured user",
    2003: "is mysqld running there, and does the port let this host through?",
    3159: "the server demands TLS; set ssl_ca in the configuration",
}

_VARIABLES = (
    "version version_comment server_id server_uuid read_only super_read_only log_bin log_slave_updates "
    "log_replica_updates binlog_format gtid_mode gtid_purged gtid_binlog_pos gtid_slave_pos gtid_binlog_state "
    "log_bin_basename log_bin_index datadir pid_file max_binlog_size relay_log_basename relay_log_purge "
    "relay_log_recovery relay_log_info_repository event_scheduler rpl_semi_sync_master_enabled "
    "rpl_semi_sync_slave_enabled rpl_semi_sync_source_enabled rpl_semi_sync_replica_enabled "
    "slave_checkpoint_period replica_checkpoint_period"
).split()


class Server:
    """A session with one server, opened when first used, kept, and opened again when it broke between uses.

    Statements are serialised by a lock, so threads may share it. Errors are ServerError's children; none of them
    carries a password. ``read_timeout`` defaults to `Server.TIMEOUT` seconds.
    """

    TIMEOUT = 10.0

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._connection: pymysql.Connection[Any] | None = None
        self._dialect: Dialect | None = None
        self._lock = threading.RLock()

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
                with self._mapped("connect"):
                    self._connection = open_session(self.config, timeout)

    def close(self) -> None:
        """End the session; the next statement opens a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._dialect = None
            if connection is not None:
                with contextlib.suppress(pymysql.Error, OSError):
                    connection.close()

    def abort(self) -> None:
        """Break the session from another thread, so that a statement that waits for its answer fails at once."""
        connection = self._connection
        sock = connection._sock if connection is not None else None  # type: ignore[attr-defined]
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def connected(self) -> bool:
        """There is a session; whether the server still answers on it only a statement can tell."""
        return self._connection is not None

    @property
    def thread_id(self) -> int | None:
        """The number of this session on the server, None without one."""
        connection = self._connection
        return None if connection is None else int(connection.thread_id())  # type: ignore[no-untyped-call]

    def query(self, sql: str, args: Sequence[Any] = (), *, action: str, timeout: float | None = None) -> list[Row]:
        """Run one statement and return its rows, waiting at most ``timeout`` seconds for each answer packet.

        A session that was lost while nothing ran is opened again once; a statement that was sent is never sent
        twice, because it may have been executed.
        """
        with self._lock:
            if self._connection is not None and not self._at_rest():
                self.close()
            self.connect()
            connection = self._connection
            assert connection is not None
            connection._read_timeout = timeout or self.TIMEOUT  # type: ignore[attr-defined]  # PyMySQL has no setter
            with self._mapped(action), connection.cursor(DictCursor) as cursor:
                cursor.execute(sql, tuple(args) or None)
                return list(cursor.fetchall())

    def stirs(self, seconds: float) -> bool:
        """Whether the server closes the session, or says anything unasked, within ``seconds``; True without one."""
        connection = self._connection
        sock = connection._sock if connection is not None else None  # type: ignore[attr-defined]
        if sock is None:
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
        try:
            yield
        except ServerError:
            self.close()
            raise
        except (pymysql.Error, OSError) as error:
            mapped = map_error(self.config.name, action, error)
            if isinstance(mapped, ServerUnreachable):
                self.close()
            raise mapped from None

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
        dialect = self.dialect
        rows = self.query(
            f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({', '.join(['%s'] * len(_VARIABLES))})",
            _VARIABLES,
            action="read its variables",
        )
        variables = {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}
        channels = self.query(dialect.show_channels(), action="read its replication status")
        log = self.query(dialect.show_log_status(), action="read the end of its binary log")
        heartbeat = None
        if channels:
            heartbeat = self._heartbeat_period()
        return _state(self.config, dialect, variables, channels, log[0] if log else {}, heartbeat)

    def _heartbeat_period(self) -> float | None:
        """Seconds; a status variable up to 5.7 and in MariaDB, a performance schema column from 8.0."""
        rows = self.query("SHOW GLOBAL STATUS LIKE 'Slave_heartbeat_period'", action="read its heartbeat period")
        if rows:
            return float(rows[0]["Value"])
        value = self.scalar(
            "SELECT MAX(HEARTBEAT_INTERVAL) FROM performance_schema.replication_connection_configuration",
            action="read its heartbeat period",
        )
        return float(value) if value is not None else None

    def appliers_wait(self) -> bool:
        """Whether no replication thread does anything but wait for more to execute."""
        threads = self.query("SHOW PROCESSLIST", action="see whether its appliers are idle")
        states = [str(thread["State"] or "") for thread in threads if thread["User"] == "system user"]
        return all(self.dialect.is_waiting_applier(state) for state in states)

    def show_channels(self) -> list[Row]:
        """The raw status rows, one a channel."""
        return self.query(self.dialect.show_channels(), action="read its replication status")


def open_session(config: ServerConfig, timeout: float) -> pymysql.Connection[Any]:
    """A new PyMySQL connection; TLS when the server offers it, verified when ``ssl_ca`` is configured.

    Raises PyMySQL's and the operating system's errors as they are; `map_error` makes them ours.
    """
    options: dict[str, Any] = {}
    if config.ssl_ca or config.ssl_cert:
        options = {
            "ssl_ca": config.ssl_ca,
            "ssl_cert": config.ssl_cert,
            "ssl_key": config.ssl_key,
            "ssl_verify_cert": bool(config.ssl_ca),
            "ssl_verify_identity": config.ssl_verify,
        }
    return _Session(
        host=address_of(config),
        port=config.port,
        unix_socket=config.unix_socket,
        user=config.user,
        # Bytes, because PyMySQL encodes text as latin-1 and a password may hold anything.
        password=config.password.get_secret_value().encode(),
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=timeout,
        read_timeout=timeout,
        write_timeout=timeout,
        program_name="prefect-mha",
        **options,
    )


if TYPE_CHECKING:
    _Connection = pymysql.Connection[Any]
else:
    _Connection = pymysql.Connection  # generic to type checkers alone


class _Session(_Connection):
    """PyMySQL's, but all sessions for which no TLS is configured share what they need to have it where it is offered.

    PyMySQL makes it anew for each and reads the system's certificate authorities for it: 0.9 MB and some 20 ms of
    processor time a session, for a check that is not made.
    """

    _shared: Any = None

    def _create_ssl_ctx(self, sslp: dict[str, Any]) -> Any:
        if sslp:
            return super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        if _Session._shared is None:
            _Session._shared = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return _Session._shared


def map_error(server: str, action: str, error: BaseException) -> ServerError:
    """PyMySQL's and the socket's errors as ours, once, at the edge."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__
    hint = _HINTS.get(code, "")
    if code in BUSY_ERRORS:
        return ServerBusy(server, action, text, code, hint)
    if code in DENIED_ERRORS:
        return AccessDenied(server, action, text, code, hint)
    if code in PRIVILEGE_ERRORS:
        return PrivilegeMissing(server, action, text, code, hint or _HINTS[1227])
    if isinstance(error, OSError | pymysql.OperationalError | pymysql.InterfaceError) and (
        code == 0 or 2000 <= code < 2100 or code in {1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 4031}
    ):
        return ServerUnreachable(server, action, text, code, hint)
    return StatementFailed(server, action, text, code, hint)


def _state(
    config: ServerConfig,
    dialect: Dialect,
    v: dict[str, str],
    channels: Sequence[Row],
    log: Row,
    heartbeat: float | None,
) -> ServerState:
    def flag(*names: str) -> bool | None:
        value = next((v[name] for name in names if name in v), None)
        return None if value is None else value.upper() in ("ON", "1", "YES", "TRUE")

    mysql = dialect.vendor is Vendor.MYSQL
    has_gtid = mysql and "gtid_mode" in v
    executed = GtidSet.parse(str(log.get("Executed_Gtid_Set") or "")) if has_gtid else None
    mariadb = None
    written = v.get("gtid_binlog_state", "").replace(" ", "").split(",")
    if not mysql:
        mariadb = MariadbGtidPosition.parse(v.get("gtid_slave_pos", "")).merge(
            MariadbGtidPosition.parse(v.get("gtid_binlog_pos", ""))
        )
    file = str(log.get("File") or "")
    return ServerState(
        key=config.address,
        name=config.name,
        hostname=config.hostname,
        vendor=dialect.vendor,
        version=dialect.version,
        version_text=v.get("version", ""),
        server_id=int(v.get("server_id", "0")),
        server_uuid=v.get("server_uuid", ""),
        read_only=v.get("read_only", "OFF").upper() not in ("OFF", "0", "NO"),
        super_read_only=flag("super_read_only"),
        log_bin=bool(flag("log_bin")),
        log_replica_updates=bool(flag("log_replica_updates", "log_slave_updates")),
        binlog_format=v.get("binlog_format", "ROW"),
        gtid_mode=v.get("gtid_mode") if mysql else None,
        gtid_executed=executed,
        gtid_purged=GtidSet.parse(v.get("gtid_purged", "")) if has_gtid else None,
        mariadb_gtid=mariadb,
        gtid_binlog_state=tuple(MariadbGtid.parse(part) for part in written if part),
        end_of_log=BinlogPosition(file, int(log["Position"])) if file else None,
        binlog_do_db=str(log.get("Binlog_Do_DB") or ""),
        binlog_ignore_db=str(log.get("Binlog_Ignore_DB") or ""),
        log_bin_basename=v.get("log_bin_basename", ""),
        log_bin_index=v.get("log_bin_index", ""),
        datadir=v.get("datadir", ""),
        pid_file=v.get("pid_file", ""),
        max_binlog_size=int(v.get("max_binlog_size", "1073741824")),
        relay_log_basename=v.get("relay_log_basename", ""),
        relay_log_purge=bool(flag("relay_log_purge")),
        relay_log_recovery=bool(flag("relay_log_recovery")),
        relay_log_info_repository=v.get("relay_log_info_repository", ""),
        event_scheduler=v.get("event_scheduler", "OFF"),
        heartbeat_period=heartbeat,
        semi_sync=SemiSync(
            source_enabled=flag("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled"),
            replica_enabled=flag("rpl_semi_sync_replica_enabled", "rpl_semi_sync_slave_enabled"),
        ),
        checkpoint_period=int(v.get("replica_checkpoint_period") or v.get("slave_checkpoint_period") or 0) / 1000,
        channels=tuple(dialect.channel(row) for row in channels),
        observed_at=time.time(),
    )
