"""The manager's own eye on the primary: one ping each interval, as `ping_type` says."""

from __future__ import annotations

import base64
import os
import re

from ...config import ClusterConfig, ServerConfig
from ..deadline import Deadline
from ..detection.classic_rules import Ping
from ..detection.observation import Finding
from ..errors import ServerError, ServerOdd, StatementFailed
from ..mysql.server import Server
from .kept_place import on_a_kept_place

_DATABASE = "CREATE DATABASE IF NOT EXISTS infra"
_INSERT_PING = (
    _DATABASE,
    "CREATE TABLE IF NOT EXISTS infra.chk_masterha (`key` TINYINT NOT NULL PRIMARY KEY, `val` INT UNSIGNED NOT NULL)",
)
_INSERT = (
    "INSERT INTO infra.chk_masterha (`key`, `val`) VALUES (1, UNIX_TIMESTAMP()) "
    "ON DUPLICATE KEY UPDATE `val` = UNIX_TIMESTAMP()"
)

_LARGE = (
    _DATABASE,
    "CREATE TABLE IF NOT EXISTS infra.chk_masterha_disk "
    "(`key` TINYINT NOT NULL PRIMARY KEY, `val` MEDIUMTEXT NOT NULL)",
)
_INSERT_LARGE = "INSERT INTO infra.chk_masterha_disk (`key`, `val`) VALUES (1, %s) ON DUPLICATE KEY UPDATE `val` = %s"
#: Bytes of a row that needs room on the disk, in the binary log whatever its format: what a full disk still takes are
#: small rows, into blocks that are begun, for half a minute after the application's have been refused.
_ROOM = 48 * 1024

#: What a server says when its disk takes nothing: EE_WRITE, ER_DISK_FULL, ER_ERROR_ON_WRITE, ER_RECORD_FILE_FULL,
#: ER_DISK_FULL_NOWAIT; or another error that says so (MariaDB: HA_ERR_RECORD_FILE_FULL within 1005), or has the
#: operating system's number for it: EIO, ENOSPC, EROFS.
_DISK_ERRORS = frozenset({3, 1021, 1026, 1114, 3675})
DISK_WORDS = re.compile(
    r"(errno|errcode|error)\W+(5|28|30)\b|No space left|No more room|disk is full|Read-only file system",
    re.IGNORECASE,
)


_UNKNOWN_VARIABLE = 1193
_TX_READ_ONLY = frozenset({"transaction_read_only", "tx_read_only"})


class Pinger:
    """Pings one primary; each ping ends within `ping_interval` seconds, whatever the server does.

    SELECT keeps its session, CONNECT makes a new one each time, INSERT writes a row (and so sees a full or hung
    disk). ``closed`` tells of the last answer: the primary takes no writes of applications, which is no fault of it;
    while it is read-only no row is written. ``renewed``: the last answer was the first one of a session. ``of_disk``:
    it was an error of its disk. Whatever it answers, it lives.
    """

    def __init__(self, config: ClusterConfig, primary: ServerConfig) -> None:
        self.primary, self._interval, self._type = primary, float(config.ping_interval), config.ping_type
        self._server = Server(primary)
        self._prepared = self._kept_place = False
        self._asked: tuple[str, ...] | None = None
        self._greeted = True
        self.closed = self.of_disk = self.renewed = False

    def ping(self, limit: float | None = None) -> tuple[Ping, str]:
        """One ping: what it showed, and the error in words. ``limit`` (seconds) takes the place of the interval."""
        timeout = limit or self._interval
        try:
            if self._type == "CONNECT" or not self._server.connected:
                self._reconnect(timeout)
            read_only = _closed(self._server, timeout, *(self._asked or ()))
            self.closed = any(read_only)
            self.renewed, self._greeted = self._greeted, False
            if self.renewed and self._asked is None:
                self._asked = _other_ways(self._server, timeout)
            if self._type == "INSERT" and not read_only[0]:
                self._prepare_insert()
                self._server.query(_INSERT, action="insert ping", timeout=timeout)
        except ServerError as error:
            self._forget()
            if error.errno == _UNKNOWN_VARIABLE:
                # Another version answers there by now.
                self._asked = None
            self.of_disk = error.answered and _of_disk(error)
            return Ping.ALIVE_BUT_REFUSED if error.answered else Ping.MISSED, str(error)
        self.of_disk = False
        if self._kept_place:
            # It is there for whoever has to do something, a DBA too.
            self._forget()
        return Ping.ANSWERED, ""

    @property
    def connected(self) -> bool:
        """Whether a session is kept."""
        return self._server.connected

    def broken_within(self, seconds: float) -> bool:
        """Whether the server ends the session within ``seconds``; the next ping then makes a new one."""
        if not self._server.stirs(seconds):
            return False
        self._forget()
        return True

    def abort(self) -> None:
        """Let a ping that waits for its answer end now; for another thread than the one that pings."""
        self._server.abort()

    def close(self) -> None:
        """End the session."""
        self._forget()

    def _forget(self) -> None:
        self._server.close()

    def _reconnect(self, timeout: float) -> None:
        self._forget()
        self._server.connect(timeout)
        # The server ends an abandoned session by itself.
        self._server.query(
            "SET SESSION wait_timeout=%s",
            (max(10, round(4 * self._interval)),),
            action="prepare",
            timeout=self._interval,
        )
        self._kept_place = on_a_kept_place(self._server, timeout)
        self._prepared, self._greeted = False, True

    def _prepare_insert(self) -> None:
        if not self._prepared:
            for sql in _INSERT_PING:
                self._server.query(sql, action="prepare the insert ping", timeout=self._interval)
            self._prepared = True


def _of_disk(error: ServerError) -> bool:
    return error.errno in _DISK_ERRORS or bool(DISK_WORDS.search(error.cause))


def _closed(server: Server, timeout: float, *others: str) -> tuple[bool, ...]:
    """Whether it is read-only, and whether these ``others`` of its variables are on."""
    words = ", ".join(f"@@GLOBAL.{name}" for name in ("read_only", *others))
    rows = server.query(f"SELECT {words}", action="select ping", timeout=timeout)
    answers = tuple(rows[0].values()) if rows else ()
    if len(answers) != 1 + len(others) or answers[0] is None:
        raise ServerOdd(server.config.name, "select ping", "it has no read_only", answered=True)
    return tuple(str(answer).upper() not in ("0", "OFF") for answer in answers)


def _other_ways(server: Server, timeout: float) -> tuple[str, ...]:
    """Which variables it has that keep applications out while read_only is off; it may be of any version."""
    try:
        rows = server.query(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('offline_mode', 'transaction_read_only', 'tx_read_only')",
            action="prepare",
            timeout=timeout,
        )
    except StatementFailed:
        return ()
    known = {str(row["Variable_name"]).lower() for row in rows} & {"offline_mode", *_TX_READ_ONLY}
    # MariaDB 11.1 and MySQL 5.7 know both names, and the older one warns.
    return tuple(sorted(known - ({"tx_read_only"} if known >= _TX_READ_ONLY else set())))


def write_a_row(primary: ServerConfig, *, timeout: float) -> tuple[Finding, str]:
    """Whether the primary acknowledges a row within ``timeout`` seconds: what decides whether a bad disk stops it.

    The row is 64 KiB large, and different each time: it cannot be compressed either.
    REFUSED is an error of the disk; NO_VIEW what says nothing of it: no session, a missing privilege, a primary that is
    read-only, where an account with SUPER would leave a row that nobody else has.
    """
    server, deadline = Server(primary), Deadline(timeout)
    try:
        server.connect(timeout / 3)
        server.query("SET SESSION wait_timeout=10", action="prepare", timeout=timeout / 3)
        closed = _closed(server, timeout / 3)[0]
    except ServerError as error:
        server.close()
        return Finding.NO_VIEW, str(error)
    if closed:
        server.close()
        return Finding.NO_VIEW, f"{primary.name} is read-only"
    try:
        row = base64.b64encode(os.urandom(_ROOM)).decode()
        for sql, args in (*((sql, ()) for sql in _LARGE), (_INSERT_LARGE, (row, row))):
            server.query(sql, args, action="write a row", timeout=max(0.1, deadline.left))
    except ServerError as error:
        if not error.answered:
            return Finding.UNANSWERED, str(error)
        return (Finding.REFUSED if _of_disk(error) else Finding.NO_VIEW), str(error)
    finally:
        server.close()
    return Finding.ANSWERED, ""
