"""The canary: one session that writes rows as an application would, and remembers on the disk which were acknowledged.

It knows the addresses that an application knows, keeps to the one that takes its rows, and looks for another when that
fails. A row that was not acknowledged is never tried again under its number. Rate, number of rows and time are bounded.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...config import ClusterConfig, ServerConfig
from ..cluster.row_proof import as_application
from ..deadline import Deadline
from ..errors import DeadlineExceeded, RefusalError, ServerError
from ..local.own_files import PRIVATE, open_own
from ..model.refusal import Refusal
from ..mysql.dialects.privileges import Power
from ..mysql.grants import need, parse_grants
from ..mysql.server import Server
from ..threads import Thread

log = logging.getLogger("mha")

TABLE = "infra.mha_drill"
_MAKE = (
    "CREATE DATABASE IF NOT EXISTS infra",
    f"DROP TABLE IF EXISTS {TABLE}",
    f"CREATE TABLE {TABLE} (`id` BIGINT UNSIGNED NOT NULL PRIMARY KEY, `server` INT UNSIGNED NOT NULL) ENGINE=InnoDB",
)
_INSERT = f"INSERT INTO {TABLE} (`id`, `server`) VALUES (%s, %s)"  # noqa: S608 - a name of ours
#: Seconds between two rows, and between two rounds of looking for a server; rows at most.
EVERY, AGAIN, MOST = 0.02, 0.02, 60_000
#: Seconds for a login, for a row, and in which the first rows have to be acknowledged.
LOGIN, ROW, FIRST = 1.0, 1.0, 15.0
#: Rows that are acknowledged before anything is done to anybody.
ENOUGH = 25


@dataclass(frozen=True)
class Ack:
    """A row that a server said it has: its number, when (seconds since the epoch), its server_id and address."""

    id: int
    at: float
    server_id: int
    address: str


def addresses(config: ClusterConfig, primary: str) -> tuple[ServerConfig, ...]:
    """Where an application would look: the virtual addresses where they are moved, else all servers."""
    servers = sorted(config.servers, key=lambda server: server.address != primary)
    if not config.vip_addresses or not {"ip", "keepalived"} & set(config.vip_provider):
        return tuple(servers)
    vips = (str(ipaddress.ip_interface(text).ip) for text in config.vip_addresses)
    return tuple(servers[0].elsewhere({"hostname": vip, "ip": vip}) for vip in vips)


class Canary:
    """One drill's. ``path`` is its ledger, made for it, mode 0600: a line an Ack, the JSON list of its values."""

    def __init__(self, config: ClusterConfig, primary: str, path: Path, seconds: float) -> None:
        self.path = path
        self._where, self._deadline = addresses(config, primary), Deadline(seconds)
        self._stop, self._changed = threading.Event(), threading.Condition()
        self._acks: list[Ack] = []
        self._thread: Thread | None = None
        self._file, self._read_only, self.trouble = -1, "", ""

    def start(self, ours: Server) -> None:
        """Make the table anew, by ``ours`` on the primary, and write the first rows.

        Raises RefusalError for an account that read_only does not hold; DeadlineExceeded, ServerError, OSError.
        """
        _holds_read_only(ours)
        for sql in _MAKE:
            ours.query(sql, action="make the table for the canary's rows")
        self._read_only = ours.dialect.variable("transaction_read_only")
        self._file = open_own(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, PRIVATE)
        self._thread = Thread(target=self._run, name="canary", daemon=True)
        self._thread.start()
        self.wait(ENOUGH, FIRST)

    def wait(self, rows: int, seconds: float) -> None:
        """Until so many further rows are acknowledged. Raises DeadlineExceeded."""
        with self._changed:
            wanted = len(self._acks) + rows
            if not self._changed.wait_for(lambda: len(self._acks) >= wanted, seconds):
                raise DeadlineExceeded(f"{rows} rows of the canary", seconds, self.trouble)

    @property
    def acks(self) -> tuple[Ack, ...]:
        """Every row so far, in the order of time."""
        with self._changed:
            return tuple(self._acks)

    def stop(self) -> None:
        """No further row; safe to repeat."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOGIN + 2 * ROW + 1.0)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _run(self) -> None:
        session: tuple[Server, int] | None = None
        for number in range(1, MOST + 1):
            while session is None:
                if self._stop.is_set() or self._deadline.over:
                    return
                session = self._session()
            try:
                server, id_ = session
                server.query(_INSERT, (number, id_), action="write a canary's row", timeout=ROW, same_session=True)
                self._remember(Ack(number, time.time(), id_, server.config.address))
            except ServerError as error:
                self.trouble = str(error)
                session[0].close()
                # Who has just failed is asked last.
                failed = session[0].config.address
                self._where = tuple(sorted(self._where, key=lambda each: each.address == failed))
                session = None
                continue
            except OSError as error:
                self.trouble = f"its ledger cannot be written: {error}"
                break
            if self._stop.wait(EVERY) or self._deadline.over:
                break
        if session is not None:
            session[0].close()

    def _session(self) -> tuple[Server, int] | None:
        """With the first who says that it takes rows, and that one's server_id."""
        for where in self._where:
            if self._stop.is_set():
                return None
            server = Server(as_application(where))
            try:
                server.connect(LOGIN)
                # As an application: it asks for no transaction that may write where the server says they may not.
                words = f"SET SESSION {self._read_only} = @@GLOBAL.{self._read_only}"
                server.query(words, action="be as an application's session", timeout=ROW, same_session=True)
                asked = "see whether it takes rows"
                sql = "SELECT @@GLOBAL.read_only AS closed, @@GLOBAL.server_id AS id"
                with server.reading(asked):
                    told = server.query(sql, action=asked, timeout=ROW, same_session=True)[0]
                    if str(told["closed"]) in ("0", "OFF"):
                        return server, int(told["id"])
                self.trouble = f"{where.name} is read-only"
            except ServerError as error:
                self.trouble = str(error)
            server.close()
        self._stop.wait(AGAIN)
        return None

    def _remember(self, ack: Ack) -> None:
        data = (json.dumps([ack.id, ack.at, ack.server_id, ack.address]) + "\n").encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)
        with self._changed:
            self._acks.append(ack)
            self._changed.notify_all()


def _holds_read_only(ours: Server) -> None:
    session, state = Server(as_application(ours.config)), ours.observe()
    try:
        rows = session.query("SHOW GRANTS", action="see what the canary's account may do", timeout=ROW)
    finally:
        session.close()
    grants = parse_grants(str(next(iter(row.values()))) for row in rows)
    power = need(grants, Power.PASS_READ_ONLY, state.vendor, state.version)
    if power.granted:
        raise RefusalError(
            Refusal(
                "probe-user-too-mighty",
                f"{session.config.user} may write while read_only is set ({' or '.join(power.any_of)}): its rows would "
                "prove nothing, and do harm.",
                "Give probe_user an account with SELECT and INSERT on infra.*, and nothing more.",
            )
        )


def read_ledger(path: Path) -> Iterator[Ack]:
    """What a ledger holds; a last line that was cut is left out. Raises OSError."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            id_, at, server_id, address = json.loads(line)
            yield Ack(int(id_), float(at), int(server_id), str(address))
        except (ValueError, TypeError):
            return


def rows_on(server: Server) -> frozenset[int]:
    """The numbers of all rows that a server has. Raises ServerError."""
    rows = server.query(f"SELECT `id` FROM {TABLE}", action="read the canary's rows")  # noqa: S608 - a name of ours
    return frozenset(int(row["id"]) for row in rows)


def drop_table(server: Server) -> None:
    """The primary's; the replicas follow. Raises ServerError."""
    server.query(f"DROP TABLE IF EXISTS {TABLE}", action="drop the table of the canary's rows")
