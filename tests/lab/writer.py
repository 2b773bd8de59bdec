"""An application: sessions that insert rows one after the other and remember every acknowledged one.

As a program it runs in the manager's seat until it gets SIGTERM or its time is over, at most MOST rows a session.
Every acknowledged row is a line in its file, a JSON list of an Ack's values, before the next one is sent:
``python -m tests.lab.writer FILE HOST,HOST,… [SESSIONS [INTERVAL [SECONDS [SUPERS [TRANSACTIONS]]]]]``.
SUPERS further sessions are the administrator's, whom no read_only stops; TRANSACTIONS further ones write two rows in a
transaction of 50 ms each. When there are any of these, every session keeps a connection to each host, as a pool does.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pymysql

from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, APP, APP_PASSWORD
from tests.lab.sessions import ServerSession

if TYPE_CHECKING:
    from tests.lab.cluster import Cluster

TABLE = (
    "CREATE TABLE IF NOT EXISTS app.rows_written (writer INT NOT NULL, id INT NOT NULL, server INT NOT NULL, "
    "payload VARCHAR(200) NOT NULL, PRIMARY KEY (writer, id)) ENGINE=InnoDB"
)
MOST = 200_000
AGAIN = (
    0.02  # seconds between two rounds of looking for a host; without a pause the looking itself slows a failover down
)
THINKING = 0.05  # seconds that a transaction stays open
PATIENCE = 2  # seconds that a session waits for an answer
#: RuntimeError is PyMySQL's word for a server that asks for a file.
REFUSED = (pymysql.MySQLError, RuntimeError)
REFILL_AFTER = 0.3  # seconds after which a pool opens its lost connections again
INSERT = "INSERT INTO app.rows_written (writer, id, server, payload) VALUES (%s, %s, @@server_id, %s)"


@dataclass(frozen=True)
class Ack:
    """A row that a server said it has: which, when (seconds since the epoch), and from where."""

    writer: int
    id: int
    at: float
    host: str


class Session(threading.Thread):
    """One session. It tries the hosts in order until one takes a write, as an application without proxy would."""

    def __init__(self, number: int, hosts: list[str], interval: float, stop: threading.Event, file: IO[str]) -> None:
        super().__init__(daemon=True)
        self._number, self._hosts, self._interval, self._ending, self._file = number, hosts, interval, stop, file
        self._connection: pymysql.Connection[Any] | None = None
        self._host = ""

    def run(self) -> None:
        """Insert until told to stop. A row that was not acknowledged is never tried again under its number."""
        for number in range(1, MOST + 1):
            while self._connection is None:
                if self._ending.is_set():
                    return
                self._connect()
                if self._connection is None:
                    self._ending.wait(AGAIN)
            try:
                self._insert(number)
            except REFUSED:
                # Whoever was refused looks for another server at once.
                self._connection = None
                continue
            if self._ending.wait(self._interval):
                return

    def _insert(self, number: int) -> None:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute(INSERT, (self._number, number, f"row {number} of {self._number} " + "x" * 80))
        line = json.dumps([self._number, number, time.time(), self._host])
        self._file.write(line + "\n")

    def _connect(self) -> None:
        for host in self._hosts:
            if self._ending.is_set():
                return
            try:
                name, port = host.rsplit(":", 1) if host.count(":") == 1 else (host, "3306")
                connection = ServerSession(
                    host=name,
                    port=int(port),
                    user=APP,
                    password=APP_PASSWORD,
                    autocommit=True,
                    connect_timeout=1,
                    read_timeout=PATIENCE,
                )
                with connection.cursor() as cursor:
                    cursor.execute("SELECT @@global.read_only")
                    closed = cursor.fetchone()
            except REFUSED:
                continue
            if closed and not int(closed[0] in (1, "ON")):
                self._connection, self._host = connection, host
                return
            connection.close()


class PooledSession(Session):
    """One session that keeps a connection to every host, so that finding the writable one is one question to each.

    ``account`` is user and password; with ``thinking`` (seconds) it writes two rows in a transaction of that length.
    """

    def __init__(
        self,
        number: int,
        hosts: list[str],
        interval: float,
        stop: threading.Event,
        file: IO[str],
        account: tuple[str, str],
        thinking: float = 0.0,
    ) -> None:
        super().__init__(number, hosts, interval, stop, file)
        self._account, self._thinking = account, thinking
        self._pool: dict[str, pymysql.Connection[Any]] = {}
        self._lost_at = 0.0

    def _connect(self) -> None:
        """Those that are open first; a lost one is opened again when none of these is the writable one."""
        for host in sorted(self._hosts, key=lambda h: h not in self._pool):
            if self._ending.is_set():
                return
            try:
                if host not in self._pool:
                    self._open(host)
                with self._pool[host].cursor() as cursor:
                    cursor.execute("SELECT @@global.read_only")
                    closed = cursor.fetchone()
            except pymysql.MySQLError:
                self._lose(host)
                continue
            if closed and closed[0] not in (1, "ON"):
                self._connection, self._host = self._pool[host], host
                return

    def _lose(self, host: str) -> None:
        self._pool.pop(host, None)
        self._lost_at = time.monotonic()

    def fill(self) -> None:
        """Connect to every host that it has no connection to."""
        for host in self._hosts:
            if host not in self._pool:
                self._open(host)

    def _open(self, host: str) -> None:
        user, password = self._account
        self._pool[host] = ServerSession(
            host=host, user=user, password=password, autocommit=True, connect_timeout=5, read_timeout=20
        )

    def _insert(self, number: int) -> None:
        try:
            self._write(number)
        except pymysql.MySQLError:
            self._lose(self._host)
            raise
        if time.monotonic() - self._lost_at > REFILL_AFTER:
            self.fill()

    def _write(self, number: int) -> None:
        if not self._thinking:
            return super()._insert(number)
        assert self._connection is not None
        values = [(self._number, n, f"row {n} of {self._number} " + "x" * 80) for n in (2 * number, 2 * number + 1)]
        self._connection.begin()
        with self._connection.cursor() as cursor:
            for value in values:
                cursor.execute(INSERT, value)
                time.sleep(self._thinking / 2)
        self._connection.commit()
        at = time.time()
        for _, n, _ in values:
            self._file.write(json.dumps([self._number, n, at, self._host]) + "\n")
        return None


class Writer:
    """The program, started in a cluster's manager seat; `stop` brings its acknowledged rows.

    It looks for the primary among the hosts, or knows ``only`` one address, as ``host`` or ``host:port``.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        sessions: int = 1,
        interval: float = 0.002,
        seconds: float = 120.0,
        prefer: int = 1,
        supers: int = 0,
        transactions: int = 0,
        only: str = "",
    ) -> None:
        self._cluster = cluster
        cluster[prefer].sql(TABLE)
        hosts = [only] if only else [h.ip for h in sorted(cluster.hosts, key=lambda h: h.number != prefer)]
        self._file = cluster.directory / f"acks-{time.monotonic_ns()}.jsonl"
        self._read, self._acks = 0, list[Ack]()
        self._process = cluster.run_there(
            sys.executable,
            "-m",
            "tests.lab.writer",
            str(self._file),
            ",".join(hosts),
            str(sessions),
            str(interval),
            str(seconds),
            str(supers),
            str(transactions),
        )
        ends = time.monotonic() + 20
        while not self._file.exists():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise AssertionError(f"the writer did not start: {self._process.communicate(timeout=5)}")
            time.sleep(0.02)

    def stop(self) -> list[Ack]:
        """End it and return every acknowledged row, in the order of time."""
        self._process.send_signal(signal.SIGTERM)
        try:
            output, _ = self._process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("the writer did not stop") from None
        # A session that met something else than an error of the server's ends alone, and the others go on.
        if self._process.returncode or "Traceback" in output:
            raise AssertionError(f"the writer failed: {output}")
        return self.acks()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self._process.kill()
        self._process.wait(10)

    def acks(self) -> list[Ack]:
        """Every row acknowledged so far, in the order of time. Cheap enough to be asked for again and again."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        self._acks += [Ack(*json.loads(line)) for line in whole.splitlines()]
        return sorted(self._acks, key=lambda ack: ack.at)


@dataclass(frozen=True)
class Outage:
    """The longest time without an acknowledgement: the last row before it and the first after it."""

    last: Ack
    first: Ack

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.first.at - self.last.at


def outage(acks: list[Ack]) -> Outage:
    """The longest one; needs two rows."""
    return max((Outage(a, b) for a, b in pairwise(acks)), key=lambda found: found.seconds)


def gap(acks: list[Ack], after: float) -> float:
    """Seconds from ``after`` to the first acknowledgement of a host that had none before; infinite if there is none."""
    before = {ack.host for ack in acks if ack.at <= after}
    return next((ack.at - after for ack in acks if ack.at > after and ack.host not in before), float("inf"))


def _main(
    file: str,
    hosts: str,
    sessions: str = "1",
    interval: str = "0.002",
    seconds: str = "120",
    supers: str = "0",
    transactions: str = "0",
) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # Line buffered: a row is on disk when it counts as acknowledged.
    with Path(file).open("w", buffering=1) as out:
        numbers = iter(range(1, 1000))
        common = (hosts.split(","), float(interval), stop, out)
        app, admin = (APP, APP_PASSWORD), (ADMIN, ADMIN_PASSWORD)
        pooled = int(supers) + int(transactions) > 0
        threads: list[Session] = [
            PooledSession(next(numbers), *common, app) if pooled else Session(next(numbers), *common)
            for _ in range(int(sessions))
        ]
        threads += [PooledSession(next(numbers), *common, admin) for _ in range(int(supers))]
        threads += [PooledSession(next(numbers), *common, app, THINKING) for _ in range(int(transactions))]
        for thread in threads:
            if isinstance(thread, PooledSession):
                thread.fill()
            thread.start()
        stop.wait(float(seconds))
        stop.set()
        for thread in threads:
            thread.join(10)


if __name__ == "__main__":
    _main(*sys.argv[1:])
