"""A row that an application could have written: what ends a promotion, for read_only=0 alone lets nobody in.

The session is like an application's: it asks for no READ WRITE transactions as ours do otherwise, and with `probe_user`
it is an account without SUPER, which init_connect, max_connections, offline_mode and a missing account keep out. The
row has a new key each time and is never changed, so that no replica can ever be in conflict with it.
"""

from __future__ import annotations

import base64
import logging
import os
import time
from dataclasses import dataclass

from ...config import ServerConfig
from ..deadline import Deadline
from ..errors import ServerError
from ..mysql.server import Server

log = logging.getLogger("mha")

TABLE = "infra.chk_masterha_proof"
_MAKE = (
    "CREATE DATABASE IF NOT EXISTS infra",
    f"CREATE TABLE IF NOT EXISTS {TABLE} (`id` BIGINT UNSIGNED NOT NULL PRIMARY KEY, `val` MEDIUMTEXT NOT NULL)",
)
_INSERT = f"INSERT INTO {TABLE} (`id`, `val`) VALUES (%s, %s)"  # noqa: S608 - a name of ours
#: ER_BAD_DB_ERROR and ER_NO_SUCH_TABLE.
_NOT_THERE = (1049, 1146)
#: What says something of our account's rights and nothing of the server: ER_DBACCESS_DENIED_ERROR,
#: ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR.
_RIGHTS = (1044, 1142, 1143, 1227)
#: Bytes of the row: it needs room on the disk, in the binary log whatever its format.
ROOM = 48 * 1024
#: Seconds for a session, and for all of a proof.
CONNECT, PROOF = 1.0, 3.0


@dataclass(frozen=True)
class RowProof:
    """``error`` is why no row got in, ``unproven`` why that says nothing of the server; both empty when one did.

    ``id`` is the row's; ``seconds`` what it took. ``waits``: none was written, for it would wait for acknowledgements.
    """

    id: int = 0
    error: str = ""
    unproven: str = ""
    seconds: float = 0.0
    waits: bool = False

    def __str__(self) -> str:
        return self.error or self.unproven or f"a row was written within {self.seconds * 1000:.0f} ms"


def as_application(server: ServerConfig) -> ServerConfig:
    """How an application's session is had there: as `probe_user`, else as ourselves."""
    if server.probe_user is None:
        return server
    password = server.probe_password if server.probe_password is not None else server.password
    return server.model_copy(update={"user": server.probe_user, "password": password})


def let_in(server: ServerConfig) -> str:
    """Why an application's account gets no session there in which a statement works; empty when it gets one."""
    session = Server(as_application(server))
    try:
        session.connect(CONNECT)
        session.query("SELECT 1", action="log in as an application", timeout=CONNECT)
    except ServerError as error:
        return str(error)
    finally:
        session.close()
    return ""


def write_row(ours: Server, *, timeout: float = PROOF) -> RowProof:
    """Write a row on a server that is open; ``ours`` is our session there, which makes the table where it is missing.

    Where its semi-synchronous replication waits for replicas that do not follow it yet, nobody's row is acknowledged.
    """
    began, deadline = time.monotonic(), Deadline(timeout)
    id_, row = time.time_ns(), base64.b64encode(os.urandom(ROOM * 3 // 4)).decode()
    session = Server(as_application(ours.config))
    try:
        variable = ours.dialect.variable("transaction_read_only")
        session.connect(CONNECT)
        words = f"SET SESSION {variable} = @@GLOBAL.{variable}"
        session.query(words, action="be as an application's session", timeout=max(0.1, deadline.left))
        try:
            session.query(_INSERT, (id_, row), action="write a row", timeout=max(0.1, deadline.left))
        except ServerError as error:
            if error.errno not in _NOT_THERE:
                raise
            _make_table(ours, session, deadline)
            session.query(_INSERT, (id_, row), action="write a row", timeout=max(0.1, deadline.left))
    except ServerError as error:
        rights = error.errno in _RIGHTS
        return RowProof(error="" if rights else str(error), unproven=str(error) if rights else "")
    finally:
        session.close()
    return RowProof(id_, seconds=time.monotonic() - began)


def _make_table(ours: Server, session: Server, deadline: Deadline) -> None:
    # As an application where it may; ours asks for READ WRITE, which would prove nothing.
    for sql in _MAKE:
        maker = session if session.config.user == ours.config.user else ours
        maker.query(sql, action="make the table for a row", timeout=max(0.1, deadline.left))


def has_row(server: Server, id_: int, *, seconds: float) -> bool:
    """Whether a replica shows that row within so many seconds. Raises ServerError."""
    ends = time.monotonic() + seconds
    question = f"SELECT COUNT(*) FROM {TABLE} WHERE `id` = %s"  # noqa: S608 - a name of ours
    while True:
        try:
            if server.scalar(question, (id_,), action="look for the row", timeout=seconds + 1.0):
                return True
        except ServerError as error:
            if error.errno not in _NOT_THERE:
                raise
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
