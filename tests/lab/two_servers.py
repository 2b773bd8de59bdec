"""Two servers, a log, and a manager: db1 and db2 replicate, db3 is only a disk, whose binlog server acknowledges."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.lab.acknowledging import clients, demand, only_a_disk, plugins
from tests.lab.cluster import Cluster
from tests.lab.copying import Copier
from tests.lab.host import Host
from tests.lab.local_writer import Observers, Taken
from tests.lab.network import sh
from tests.lab.restoring import works
from tests.lab.waiting import until
from tests.scenarios.watching import Monitor

#: Where the manager lives: on the replica's host, or on one of its own.
BESIDE, APART = 2, 4


def closed(host: Host) -> bool:
    """Whether it refuses an application's writes."""
    return bool(int(host.sql("SELECT @@global.read_only AS r")[0]["r"]))


@dataclass
class TwoServers:
    """The cluster as `two_servers` made it. ``seat`` is the number of the host whose network the manager has."""

    cluster: Cluster
    copier: Copier
    monitor: Monitor
    observers: Observers
    seat: int

    @property
    def log(self) -> Host:
        """The third host."""
        return self.cluster[3]

    def address(self, number: int) -> str:
        """Of a host, or of the manager's seat."""
        return self.cluster.subnet.address(number)

    def cut(self, one: int, other: int) -> None:
        """The two reach each other no more, whoever else they reach."""
        self._route("add", one, other)

    def fix(self, one: int, other: int) -> None:
        """Take `cut` back."""
        self._route("del", one, other)

    def _route(self, verb: str, one: int, other: int) -> None:
        for here, there in ((one, other), (other, one)):
            sh(f"ip -n {self.cluster.subnet.host(here)} route {verb} blackhole {self.address(there)}/32")

    def cable(self, number: int, *, up: bool) -> None:
        """That host, or the seat, reaches everybody, or nobody."""
        self.cluster.subnet.link(number, up=up)

    def no_new_connections(self, one: int, other: int) -> None:
        """Who has a connection from ``other`` to ``one`` keeps it, and nobody gets one: a firewall's table is full."""
        ip = f"ip -n {self.cluster.subnet.host(one)} rule add to {self.address(other)}"
        there = f"ip netns exec {self.cluster.subnet.host(other)}"
        for line in sh(f"{there} ss -Htn state established dst {self.address(one)}").splitlines():
            port = line.split()[2].rsplit(":", 1)[1]
            sh(f"{ip} ipproto tcp dport {port} pref 9 lookup main")
        sh(f"{ip} pref 10 blackhole")

    def taken_by(self, host: Host, since: float) -> list[Taken]:
        """What an application on that very host was told is written, sent later than that (seconds since the epoch)."""
        return [t for t in self.observers.taken() if t.host == host.ip and t.sent > since]

    def in_order(self) -> None:
        """db1 takes writes and both others acknowledge them; db2 is a replica that works."""
        db1, db2 = self.cluster[1], self.cluster[2]
        began = time.time()
        until(lambda: not closed(db1) and works(db2, db1), "db1 the primary, db2 its replica")
        until(lambda: clients(db1) == 2, "both acknowledge")
        until(lambda: self.taken_by(db1, began), "db1 takes writes")


@contextlib.contextmanager
def two_servers(
    kind: str, *, gtid: bool, seat: int, default: str = "semi_sync=require", replica_acknowledges: bool = True
) -> Iterator[TwoServers]:
    """All of it at work: the application writes on each host, the witness was seen to reach db1."""
    with Cluster(kind, gtid=gtid, n=3, extra={0: plugins(kind)}) as cluster:
        db1, db2, log = cluster.hosts
        if seat == APART:
            cluster.subnet.attach(seat)
        only_a_disk(cluster, log)
        copier = Copier(cluster, block="binlog_ack=1", default=f"witness={log.ip}\n{default}", on=log).start()
        with contextlib.ExitStack() as ending:
            ending.callback(copier.stop)
            copier.wait(lambda: copier.health().get("behind") == 0, "level", 60.0)
            demand(db1)
            if replica_acknowledges:
                db2.sql(f"SET GLOBAL rpl_semi_sync_{db2.kind.word('replica', 'slave')}_enabled=1")
                cluster.stop_receiver(db2)
                cluster.start_receiver(db2)
            until(lambda: clients(db1) == 1 + replica_acknowledges, "acknowledgements")
            monitor = Monitor(cluster, copier.manager_conf, namespace=cluster.subnet.host(seat))
            ending.callback(monitor.stop)
            monitor.wait_for(f"The witness {log.ip} reaches")
            observers = Observers(cluster)
            ending.callback(observers.stop)
            made = TwoServers(cluster, copier, monitor, observers, seat)
            until(lambda: len(observers.taken()) > 20, "rows")
            yield made
