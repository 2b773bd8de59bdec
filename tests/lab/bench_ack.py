"""``make bench-ack``: what a commit costs that waits for a second disk, in one run and in turns.

``python -m tests.lab.bench_ack [--kinds WORDS] [--rounds N] [--seconds S] [--sessions N]``. The same sessions insert
rows while nobody acknowledges (semi-synchronous replication is off), a replica does, our binlog server does, or both.
A replica acknowledges what its operating system has, our binlog server what its disk has. Nothing passes or fails.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator

import pymysql
from rich.console import Console
from rich.table import Table

from tests.lab.acknowledging import plugins
from tests.lab.cluster import Cluster
from tests.lab.copying import Copier
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import INSERT, TABLE

WAYS = ("nobody", "a replica", "our binlog server", "both")
#: Seconds between two commits of a session.
_PAUSE = 0.002


def commits(host: Host, sessions: int, seconds: float, first: int) -> list[float]:
    """Seconds that each commit took, of sessions that insert at the same time."""
    took: list[float] = []
    ends = time.monotonic() + seconds

    def insert(writer: int) -> None:
        session = pymysql.connect(host=host.ip, user=APP, password=APP_PASSWORD, autocommit=True, read_timeout=20)
        with contextlib.closing(session), session.cursor() as cursor:
            number = 0
            while time.monotonic() < ends:
                number += 1
                began = time.monotonic()
                cursor.execute(INSERT, (writer, number, "x" * 100))
                took.append(time.monotonic() - began)
                time.sleep(_PAUSE)

    threads = [threading.Thread(target=insert, args=(first + number,)) for number in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


@contextlib.contextmanager
def acknowledged_by(cluster: Cluster, way: str) -> Iterator[None]:
    """Have exactly these acknowledge."""
    primary, replica = cluster[1], cluster[2]
    source, other = cluster.kind.word("source", "master"), cluster.kind.word("replica", "slave")
    primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_enabled=0")
    replica.sql(f"SET GLOBAL rpl_semi_sync_{other}_enabled={int(way in ('a replica', 'both'))}")
    cluster.stop_receiver(replica)
    cluster.start_receiver(replica)
    copier = Copier(cluster, block="binlog_ack=1") if way in ("our binlog server", "both") else None
    try:
        if copier is not None:
            copier.start()
            copier.wait(lambda: copier.acknowledges, "it acknowledges", 60.0)
        if way != "nobody":
            primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_timeout=60000")
            primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_wait_point=AFTER_SYNC")
            primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_enabled=1")
        yield
    finally:
        primary.sql(f"SET GLOBAL rpl_semi_sync_{source}_enabled=0")
        if copier is not None:
            copier.stop()


def measure(kind: str, rounds: int, seconds: float, sessions: int) -> dict[str, list[float]]:
    """Every way in every round, on one cluster."""
    took: dict[str, list[float]] = defaultdict(list)
    extra = {0: plugins(kind)}
    with Cluster(kind, gtid=True, n=2, extra=extra) as cluster, cluster.in_manager_net():
        cluster[1].sql(TABLE)
        first = 1
        for _ in range(rounds):
            for way in WAYS:
                with acknowledged_by(cluster, way):
                    took[way] += commits(cluster[1], sessions, seconds, first)
                first += sessions
    return took


def main() -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_ack", description=__doc__)
    parser.add_argument("--kinds", default="mysql97 mariadb mariadb118")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--sessions", type=int, default=8)
    given = parser.parse_args()
    table = Table(title=f"commits of {given.sessions} sessions, {_PAUSE * 1000:g} ms apart; {given.rounds} rounds")
    for heading in ("servers", "who acknowledges", "commits/s", "p50 ms", "p99 ms", "most ms", "p50 to a replica's"):
        table.add_column(heading, justify="left" if heading in ("servers", "who acknowledges") else "right")
    for kind in given.kinds.split():
        took = measure(kind, given.rounds, given.seconds, given.sessions)
        like = statistics.median(took["a replica"])
        for way in WAYS:
            half, most = statistics.median(took[way]) * 1000, statistics.quantiles(took[way], n=100)[98] * 1000
            rate = len(took[way]) / (given.rounds * given.seconds)
            worst = max(took[way]) * 1000
            cells = (f"{rate:.0f}", f"{half:.1f}", f"{most:.1f}", f"{worst:.0f}", f"{half / like / 1000:.2f}")
            table.add_row(kind, way, *cells)
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
