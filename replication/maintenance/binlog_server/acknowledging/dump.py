"""A session in which a server sends its binary log, as to a replica, and is told what lies on this disk.

Facts: MySQL Internals Manual, COM_REGISTER_SLAVE and COM_BINLOG_DUMP; MariaDB Knowledge Base, "Replication Protocol"
and "Semisynchronous Replication Protocol"; MySQL's plugin/semisync (what an acknowledgement looks like). The words that
mark a semi-synchronous replica are set under their old and new names; a server knows one of them.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import uuid
from dataclasses import dataclass
from typing import Any

import pymysql

from .....config import ServerConfig
from ....cluster.unknown_replicas import READER_PORT
from ....errors import ServerError, ServerOdd, ServerUnreachable
from ....model.position import BinlogPosition
from ....mysql.session import SqlSession, map_error, new_session
from .packets import Odd, Refusing

#: Seconds for each exchange of the login.
LOGIN = 5.0
#: Seconds between two signs of life that the server is asked for, and without any after which it counts as gone.
HEARTBEAT, SILENCE = 1.0, 10.0
_REGISTER, _DUMP = 0x15, 0x12
#: MariaDB keeps the texts of statements to itself without it, and the copy were another log.
_ANNOTATE = 0x02
_CHUNK = 1 << 18
_ACTION = "read its binary logs"
_PRIVILEGE = "GRANT REPLICATION SLAVE ON *.* to that account (repl_user, or user when that is not set)"
_PURGED = "the log was purged there before it was copied; the copy goes on with the oldest one that is left"


@dataclass(frozen=True)
class Replica:
    """What a reader says of itself: its server id, and the host that the server lists it with."""

    server_id: int
    host: str

    @property
    def uuid(self) -> str:
        """Always the same: a server ends the older session of the same replica."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"binlog server {self.server_id} on {self.host}"))


class LogDump:
    """Reads from ``place`` on. Raises ServerError; `abort` may come from another thread, the rest from one alone."""

    def __init__(self, source: ServerConfig, replica: Replica) -> None:
        self._source, self._replica = source, replica
        self._session: SqlSession | None = None
        self._over = False

    def begin(self, place: BinlogPosition, *, acknowledging: bool) -> None:
        """Log in, say who reads, and ask for the log from there on."""
        try:
            session = self._session = new_session(self._source, LOGIN)
            session.connect()
            if self._over:
                raise OSError("it was asked to end")
            for sql in self._settings(acknowledging=acknowledging):
                session.query(sql)
            self._command(_REGISTER, self._registration())
            session._read_packet()
            head = struct.pack("<IHI", place.pos, _ANNOTATE, self._replica.server_id)
            self._command(_DUMP, head + place.file.encode())
            self._sock.settimeout(SILENCE)
        except ServerError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a server makes of the driver is that server's error
            raise self._mapped(map_error(self._source.name, self._action, error, greeted=True)) from None

    def read(self) -> bytes:
        """What has come; waits for the first byte."""
        try:
            data: bytes = self._sock.recv(_CHUNK)
        except TimeoutError:
            raise ServerUnreachable(self._source.name, _ACTION, f"nothing came for {SILENCE:g} s", 2013) from None
        except (OSError, ValueError) as error:
            raise ServerUnreachable(self._source.name, _ACTION, str(error), 2013) from None
        if self._over:
            # A TLS socket that was shut down hands out what it cannot decrypt any more.
            raise ServerUnreachable(self._source.name, _ACTION, "it was asked to end", 2013)
        if not data:
            raise ServerUnreachable(self._source.name, _ACTION, "it closed the connection", 2013)
        return data

    def acknowledge(self, place: BinlogPosition) -> None:
        """Say that all before ``place`` lies on this disk."""
        payload = b"\xef" + struct.pack("<Q", place.pos) + place.file.encode()
        try:
            self._sock.sendall(struct.pack("<I", len(payload)) + payload)
        except OSError as error:
            raise ServerUnreachable(self._source.name, "acknowledge its log", str(error), 2013) from None

    def explained(self, error: Odd | Refusing) -> ServerError:
        """What the server sent instead of its log, as an error of ours."""
        if isinstance(error, Odd):
            return ServerOdd(self._source.name, _ACTION, str(error), answered=True)
        said = pymysql.OperationalError(error.errno, str(error))
        said.answered = True  # type: ignore[attr-defined]
        return self._mapped(map_error(self._source.name, self._action, said))

    def abort(self) -> None:
        """Whoever waits for something here fails at once."""
        self._over = True
        sock = self._session._sock if self._session is not None else None  # type: ignore[attr-defined]
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the session; the server notices by itself."""
        if self._session is not None:
            self._session._force_close()  # type: ignore[attr-defined]

    @property
    def _action(self) -> str:
        return f"{_ACTION} as '{self._source.user}'"

    @property
    def _sock(self) -> Any:
        assert self._session is not None
        sock = self._session._sock  # type: ignore[attr-defined]
        if sock is None:
            raise OSError("the session has ended")
        return sock

    def _command(self, command: int, payload: bytes) -> None:
        self._session._execute_command(command, payload)  # type: ignore[union-attr]

    def _settings(self, *, acknowledging: bool) -> tuple[str, ...]:
        # With a checksum named here events come as they are written, whatever binlog_checksum is or becomes.
        beat = int(HEARTBEAT * 1e9)
        return (
            "SET @master_binlog_checksum='CRC32', @source_binlog_checksum='CRC32'",
            f"SET @master_heartbeat_period={beat}, @source_heartbeat_period={beat}, @mariadb_slave_capability=4",
            f"SET @slave_uuid='{self._replica.uuid}', @replica_uuid='{self._replica.uuid}'",
            f"SET @rpl_semi_sync_slave={acknowledging:d}, @rpl_semi_sync_replica={acknowledging:d}"
            if acknowledging
            else "SET @rpl_semi_sync_slave=NULL, @rpl_semi_sync_replica=NULL",
        )

    def _registration(self) -> bytes:
        host = self._replica.host.encode("idna" if self._replica.host.isascii() else "utf-8")[:60]
        who = struct.pack("<IB", self._replica.server_id, len(host)) + host
        return who + b"\0\0" + struct.pack("<HII", READER_PORT, 0, 0)

    def _mapped(self, error: ServerError) -> ServerError:
        hint = {1227: _PRIVILEGE, 1045: "check repl_user and repl_password in the configuration"}.get(error.errno, "")
        if error.errno == 1236 and ("first log" in error.cause or "purged" in error.cause):
            hint = _PURGED
        if not hint:
            return error
        return type(error)(error.server, error.action, error.cause, error.errno, hint, answered=error.answered)
