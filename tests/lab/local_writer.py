"""An application on a database host itself: every 10 ms it tries a write on its own server, whatever the network does.

As a program: ``python -m tests.lab.local_writer FILE HOST INTERVAL``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.sessions import ServerSession

if TYPE_CHECKING:
    from tests.lab.cluster import Cluster

TABLE = "CREATE TABLE IF NOT EXISTS app.observed (host VARCHAR(20), at DOUBLE, KEY (host, at)) ENGINE=InnoDB"


@dataclass(frozen=True)
class Taken:
    """A write that a server took: sent and acknowledged (seconds since the epoch), by the server of that address."""

    sent: float
    at: float
    host: str


class Observers:
    """One on each host, until `stop`."""

    def __init__(self, cluster: Cluster, *, interval: float = 0.01, primary: int = 1) -> None:
        cluster[primary].sql(TABLE)
        self._files, self._processes = [], []
        for host in cluster.hosts:
            file = cluster.directory / f"observed-{host.name}-{time.monotonic_ns()}.jsonl"
            words = ["-m", "tests.lab.local_writer", str(file), host.ip, str(interval)]
            place = cluster.subnet.host(host.number)
            self._processes.append(cluster.run_there(sys.executable, *words, namespace=place))
            self._files.append(file)
        ends = time.monotonic() + 20
        while not all(file.exists() for file in self._files):
            if time.monotonic() > ends:
                raise AssertionError("the observers did not start")
            time.sleep(0.02)

    def taken(self) -> list[Taken]:
        """Every write that any server took, in the order of time."""
        lines = [line for file in self._files for line in file.read_text().splitlines() if line.endswith("]")]
        return sorted((Taken(*json.loads(line)) for line in lines), key=lambda t: t.at)

    def stop(self) -> list[Taken]:
        """End them, and everything that was taken."""
        for process in self._processes:
            process.kill()
            process.wait(10)
        return self.taken()


def two_writable(taken: Sequence[Taken]) -> list[Taken]:
    """Writes that were sent to a server, and taken by it, after another had begun to take writes in its place."""
    order: list[str] = []
    since: dict[str, float] = {}
    for each in sorted(taken, key=lambda t: t.at):
        if each.host not in since:
            order.append(each.host)
            since[each.host] = each.at
    ends = {host: since[after] for host, after in pairwise(order)}
    return [t for t in taken if t.sent > ends.get(t.host, float("inf"))]


def _main(file: str, host: str, interval: str) -> None:
    connection: pymysql.Connection[Any] | None = None
    with Path(file).open("w", buffering=1) as out:
        while True:
            began = time.time()
            try:
                connection = connection or ServerSession(
                    host=host, user=APP, password=APP_PASSWORD, autocommit=True, connect_timeout=1, read_timeout=1
                )
                with connection.cursor() as cursor:
                    cursor.execute("INSERT INTO app.observed VALUES (%s, %s)", (host, began))
                out.write(json.dumps([began, time.time(), host]) + "\n")
            except pymysql.MySQLError as error:
                # 1290: read-only; the session is good for the next try.
                if error.args[0] != 1290:
                    connection = None
            time.sleep(max(0.0, float(interval) - (time.time() - began)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
