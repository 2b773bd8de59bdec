"""An application: sessions that insert rows one after the other and remember every acknowledged one.

As a program it runs in the manager's seat until it gets SIGTERM or has done its number, and leaves a JSON file:
``python -m tests.lab.writer FILE HOST,HOST,… [SESSIONS [INTERVAL [SECONDS]]]``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from tests.lab.kinds import APP, APP_PASSWORD

if TYPE_CHECKING:
    from tests.lab.cluster import Cluster

TABLE = (
    "CREATE TABLE IF NOT EXISTS app.rows_written (writer INT NOT NULL, id INT NOT NULL, server INT NOT NULL, "
    "payload VARCHAR(200) NOT NULL, PRIMARY KEY (writer, id)) ENGINE=InnoDB"
)
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

    def __init__(self, number: int, hosts: list[str], interval: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._number, self._hosts, self._interval, self._ending = number, hosts, interval, stop
        self.acks: list[Ack] = []
        self._connection: pymysql.Connection[Any] | None = None
        self._host = ""

    def run(self) -> None:
        """Insert until told to stop. A row that was not acknowledged is never tried again under its number."""
        number = 0
        while not self._ending.wait(self._interval):
            number += 1
            try:
                if self._connection is None:
                    self._connect()
                if self._connection is not None:
                    self._insert(number)
            except pymysql.MySQLError:
                self._connection = None

    def _insert(self, number: int) -> None:
        assert self._connection is not None
        with self._connection.cursor() as cursor:
            cursor.execute(INSERT, (self._number, number, f"row {number} of {self._number} " + "x" * 80))
        self.acks.append(Ack(self._number, number, time.time(), self._host))

    def _connect(self) -> None:
        for host in self._hosts:
            if self._ending.is_set():
                return
            try:
                connection = pymysql.connect(
                    host=host, user=APP, password=APP_PASSWORD, autocommit=True, connect_timeout=1, read_timeout=2
                )
                with connection.cursor() as cursor:
                    cursor.execute("SELECT @@global.read_only")
                    closed = cursor.fetchone()
            except pymysql.MySQLError:
                continue
            if closed and not int(closed[0] in (1, "ON")):
                self._connection, self._host = connection, host
                return
            connection.close()


class Writer:
    """The program, started in a cluster's manager seat; `stop` brings its acknowledged rows."""

    def __init__(
        self, cluster: Cluster, *, sessions: int = 1, interval: float = 0.002, seconds: float = 120.0, prefer: int = 1
    ) -> None:
        self._cluster = cluster
        cluster[prefer].sql(TABLE)
        hosts = [h.ip for h in sorted(cluster.hosts, key=lambda h: h.number != prefer)]
        self._file = cluster.directory / f"acks-{time.monotonic_ns()}.json"
        self._process = cluster.run_there(
            sys.executable,
            "-m",
            "tests.lab.writer",
            str(self._file),
            ",".join(hosts),
            str(sessions),
            str(interval),
            str(seconds),
        )
        ends = time.monotonic() + 20
        while not self._file.with_suffix(".started").exists():
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
        if not self._file.exists():
            raise AssertionError(f"the writer left nothing: {output}")
        return sorted((Ack(*row) for row in json.loads(self._file.read_text())), key=lambda ack: ack.at)


def gap(acks: list[Ack], after: float) -> float:
    """Seconds from ``after`` to the first acknowledgement of a host that had none before; infinite if there is none."""
    before = {ack.host for ack in acks if ack.at <= after}
    return next((ack.at - after for ack in acks if ack.at > after and ack.host not in before), float("inf"))


def _main(file: str, hosts: str, sessions: str = "1", interval: str = "0.002", seconds: str = "120") -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [Session(n, hosts.split(","), float(interval), stop) for n in range(1, int(sessions) + 1)]
    for thread in threads:
        thread.start()
    Path(file).with_suffix(".started").touch()
    stop.wait(float(seconds))
    stop.set()
    for thread in threads:
        thread.join(10)
    Path(file).write_text(json.dumps([[a.writer, a.id, a.at, a.host] for t in threads for a in t.acks]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
