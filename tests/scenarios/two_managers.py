"""Two monitors of one cluster, each on a host of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from prefect_mha.replication.coordination.failover_lock import MONITOR_LOCK
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Ack, Writer
from tests.scenarios.failing_over import assert_survivors_agree, promoted
from tests.scenarios.watching import SIGHT, Monitor

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid"),
    pytest.param("mysql56", False, id="5.6-position"),
    pytest.param("mariadb", True, id="mariadb"),
]
#: The managers' hosts, beside those of the database.
ONE, TWO = 8, 9


class Pair:
    """Two monitors of one cluster, each on a host of its own, started together: ``one`` is who was first.

    ``here`` and ``there`` are the numbers of their hosts.
    """

    def __init__(self, cluster: Cluster, default: str = "") -> None:
        self.cluster = cluster
        both = {}
        for number in (ONE, TWO):
            conf = cluster.write_cnf(f"by{number}", default=default)
            both[number] = Monitor(cluster, conf, namespace=cluster.subnet.attach(number), sight=False)
        ends = time.monotonic() + 90.0
        while not any(SIGHT in monitor.log() for monitor in both.values()):
            assert time.monotonic() < ends, [monitor.log() for monitor in both.values()]
            time.sleep(0.05)
        self.here, self.there = (ONE, TWO) if SIGHT in both[ONE].log() else (TWO, ONE)
        self.one, self.two = both[self.here], both[self.there]
        self.first, self.second = cluster.subnet.address(self.here), cluster.subnet.address(self.there)
        self.two.wait_for(f"Standing by: {self.first}")
        # Until the first has seen the second it is alone, and keeps the right whatever it reaches.
        self.one.wait_for("There is another manager of")
        assert SIGHT not in self.two.log()

    def status(self, monitor: Monitor) -> tuple[int, str]:
        done = self.cluster.command("masterha_check_status", f"--conf={monitor.conf}")
        return done.code, done.output.strip()

    def is_(self, monitor: Monitor, code: int, seconds: float = 30.0) -> str:
        """Wait until its status is that, and return the words."""
        ends = time.monotonic() + seconds
        while (seen := self.status(monitor))[0] != code:
            assert time.monotonic() < ends, f"{seen}\n{self.one.log()}\n---\n{self.two.log()}"
        return seen[1]

    def journals(self) -> list[str]:
        """Every failover that anybody began."""
        return [p.name for m in (self.one, self.two) for p in sorted(m.workdir.glob("*.failover-*.journal"))]

    def logs(self) -> str:
        return f"{self.one.log()}\n--- the second ---\n{self.two.log()}"

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()


@contextlib.contextmanager
def two_managers(kind: str, gtid: bool, *, n: int = 3, default: str = "") -> Iterator[Pair]:
    with Cluster(kind, gtid=gtid, n=n) as cluster:
        pair = Pair(cluster, default)
        try:
            yield pair
        finally:
            pair.stop()


def holders(cluster: Cluster, lock: str = MONITOR_LOCK) -> dict[str, str]:
    """From which host each server's lock is held; empty for a free one."""
    found = {}
    for host in cluster.hosts:
        number = host.sql("SELECT IS_USED_LOCK(%s) AS n", (lock,))[0]["n"]
        rows = [r for r in host.sql("SHOW PROCESSLIST") if r["Id"] == number]
        found[host.name] = rows[0]["Host"].rpartition(":")[0] if rows else ""
    return found


def wait_for_holder(cluster: Cluster, address: str, seconds: float = 15.0) -> None:
    """Every server's lock belongs to the manager on that host."""
    ends = time.monotonic() + seconds
    while set(holders(cluster).values()) != {address}:
        assert time.monotonic() < ends, holders(cluster)
        time.sleep(0.1)


def follows(host: Host, primary: Host) -> bool:
    status = host.replica_status()
    return bool(status) and status["Source_Host"] == primary.ip and status["Replica_IO_Running"] == "Yes"


def failed_over(pair: Pair, by: Monitor, writer: Writer, sights: int) -> list[Ack]:
    """That manager watches the new primary; the writer is stopped, and what it wrote is there."""
    by.wait_for(SIGHT, sights)
    time.sleep(1.0)
    acks = writer.stop()
    new = promoted(pair.cluster)
    assert_survivors_agree(pair.cluster, acks, new, (5 - new,))
    assert len(pair.journals()) == 1, pair.logs()
    return acks
