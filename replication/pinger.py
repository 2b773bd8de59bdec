"""The manager's own eye on the primary: one ping each interval, as `ping_type` says."""

from __future__ import annotations

from config import ClusterConfig, ServerConfig
from replication.detection import Ping
from replication.errors import AccessDenied, AlreadyActing, ServerBusy, ServerError
from replication.server import Server
from replication.sessions import MONITOR_LOCK

_INSERT_PING = (
    "CREATE DATABASE IF NOT EXISTS infra",
    "CREATE TABLE IF NOT EXISTS infra.chk_masterha (`key` TINYINT NOT NULL PRIMARY KEY, `val` INT UNSIGNED NOT NULL)",
)
_INSERT = (
    "INSERT INTO infra.chk_masterha (`key`, `val`) VALUES (1, UNIX_TIMESTAMP()) "
    "ON DUPLICATE KEY UPDATE `val` = UNIX_TIMESTAMP()"
)


class Pinger:
    """Pings one primary; each ping ends within `ping_interval` seconds, whatever the server does.

    SELECT keeps its session, CONNECT makes a new one each time, INSERT writes a row (and so sees a full or hung
    disk). ``closed`` tells of the last answer: the primary is read-only, which is no fault of it; then no row is
    written. The session holds MHA's monitor lock, taken again after every reconnect: raises AlreadyActing when
    another manager has it.
    """

    def __init__(self, config: ClusterConfig, primary: ServerConfig) -> None:
        self.primary, self._interval, self._type = primary, float(config.ping_interval), config.ping_type
        self._server = Server(primary)
        self._had_lock = False
        self._prepared = False
        self.closed = False

    def ping(self) -> tuple[Ping, str]:
        """One ping: what it showed, and the error in words."""
        try:
            if self._type == "CONNECT" or not self._server.connected:
                self._reconnect()
            closed = self._server.scalar("SELECT @@GLOBAL.read_only", action="select ping", timeout=self._interval)
            self.closed = str(closed).upper() not in ("0", "OFF")
            if self._type == "INSERT" and not self.closed:
                self._prepare_insert()
                self._server.query(_INSERT, action="insert ping", timeout=self._interval)
        except (ServerBusy, AccessDenied) as error:
            self._forget()
            return Ping.ALIVE_BUT_REFUSED, str(error)
        except ServerError as error:
            self._forget()
            return Ping.MISSED, str(error)
        return Ping.ANSWERED, ""

    def close(self) -> None:
        """End the session and give the monitor lock back."""
        self._forget()

    def _forget(self) -> None:
        self._server.close()

    def _reconnect(self) -> None:
        self._forget()
        self._server.connect(self._interval)
        # The server ends an abandoned session, and its lock, by itself: a manager that was cut off is not in the way.
        self._server.query(
            "SET SESSION wait_timeout=%s",
            (max(10, round(4 * self._interval)),),
            action="prepare",
            timeout=self._interval,
        )
        self._take_lock()
        self._prepared = False

    def _prepare_insert(self) -> None:
        if not self._prepared:
            for sql in _INSERT_PING:
                self._server.query(sql, action="prepare the insert ping", timeout=self._interval)
            self._prepared = True

    def _take_lock(self) -> None:
        """Hold MHA's monitor lock. Only the first time is not getting it an error.

        Later it may still belong to our own lost session, which the server ends after its wait_timeout.
        """
        got = self._server.scalar(
            "SELECT GET_LOCK(%s, 1)", (MONITOR_LOCK,), action="take the monitor lock", timeout=self._interval + 1.0
        )
        if got != 1 and not self._had_lock:
            self._forget()
            raise AlreadyActing(
                f"{self.primary.name}: another manager holds the monitor lock; is the same primary watched twice?"
            )
        self._had_lock = self._had_lock or got == 1
