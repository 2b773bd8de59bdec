"""Readers of one row, all the while: what each read found, and how late it was."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import pymysql

from tests.lab.cluster import Cluster
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.network import inside
from tests.lab.sessions import ServerSession
from tests.lab.writer import Ack


class Read(NamedTuple):
    """One answer: when it was asked for and there, the number of the host that gave it, and the newest row in it."""

    began: float
    at: float
    number: int
    row: int


class Reader(threading.Thread):
    """Reads through a port, and remembers which server answered and how old its data was: by a session each time, or
    with ``keep`` by one that is opened again when it was ended."""

    def __init__(self, cluster: Cluster, host: str, port: int, *, keep: bool = False) -> None:
        super().__init__(daemon=True)
        self._namespace, self._host, self._port, self._keep = cluster.subnet.manager, host, port, keep
        self._over = threading.Event()
        self._session: ServerSession | None = None
        self.seen: list[Read] = []
        self.failed: list[float] = []

    def run(self) -> None:
        with inside(self._namespace):
            while not self._over.wait(0.02):
                try:
                    self._read()
                except pymysql.MySQLError:
                    self.failed.append(time.time())
                    self._end()
            self._end()

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session._force_close()  # type: ignore[attr-defined]

    def _read(self) -> None:
        if self._session is None:
            self._session = ServerSession(
                host=self._host,
                port=self._port,
                user=APP,
                password=APP_PASSWORD,
                connect_timeout=1,
                read_timeout=2,
                # Within one transaction it would see what there was at its first statement.
                autocommit=True,
            )
        with self._session.cursor() as cursor:
            began = time.time()
            cursor.execute("SELECT @@server_id, (SELECT COALESCE(MAX(id), 0) FROM app.rows_written)")
            server, row = cursor.fetchone()  # type: ignore[misc]
        self.seen.append(Read(began, time.time(), int(server) - 100, int(row)))
        if not self._keep:
            self._end()

    def stop(self) -> None:
        self._over.set()
        self.join(5)

    def servers(self, since: float = 0.0, until: float = float("inf")) -> set[int]:
        """The numbers of the hosts that answered in that time."""
        return {read.number for read in self.seen if since <= read.at <= until}

    def longest_wait(self) -> float:
        """Seconds between two answers at most: what an error lasted, and whatever else kept it waiting."""
        return max((after.at - before.at for before, after in pairwise(self.seen)), default=0.0)

    def latest(self, acks: Sequence[Ack]) -> float:
        """How late a read was at most, in seconds: since when a row was acknowledged that it did not show. One session
        wrote them."""
        ids = [ack.id for ack in acks]

        def age(read: Read) -> float:
            missing = bisect_right(ids, read.row)
            return read.began - acks[missing].at if missing < len(acks) else 0.0

        return max((age(read) for read in self.seen), default=0.0)


@contextmanager
def reading(cluster: Cluster, host: str, port: int, *, keep: bool = False) -> Iterator[Reader]:
    reader = Reader(cluster, host, port, keep=keep)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()
