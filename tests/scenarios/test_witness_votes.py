"""Two servers, two managers: a witness votes for one of them, so every single host may go dark and the other acts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.lab.acknowledging import only_a_disk
from tests.lab.cluster import Cluster
from tests.lab.two_servers import closed
from tests.lab.waiting import until
from tests.scenarios.watching import SIGHT, Monitor

pytestmark = pytest.mark.slow

KINDS = [pytest.param("mariadb", True, id="mariadb-gtid"), pytest.param("mysql97", True, id="9.7-gtid")]
#: A host that is none of the database's.
APART = 8


@contextlib.contextmanager
def two_managers(kind: str, gtid: bool, first: int, second: int, *, failovers: int) -> Iterator[Cluster]:
    """The first one watches, the second stands by; each has the network of the host of that number."""
    with Cluster(kind, gtid=gtid, n=3) as cluster:
        only_a_disk(cluster, cluster[3])
        monitors = []
        try:
            for number in (first, second):
                space = cluster.subnet.attach(number) if number == APART else cluster.subnet.host(number)
                default = f"witness={cluster[3].ip}\nmanagers=2\nstart_checks=warn"
                conf = cluster.write_cnf(f"by{number}", apart=[3], candidate=2, default=default)
                monitor = Monitor(cluster, conf, namespace=space, sight=False)
                monitors.append(monitor)
                monitor.wait_for(SIGHT if number == first else "Standing by: ")
            yield cluster
            journals = [path for monitor in monitors for path in monitor.workdir.glob("*.failover-*.journal")]
            assert len(journals) == failovers, [monitor.log() for monitor in monitors]
        finally:
            for monitor in monitors:
                monitor.stop()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(2, APART, id="who-acts-lives-beside-the-replica"),
        pytest.param(1, APART, id="who-acts-goes-dark-with-the-primary"),
        pytest.param(APART, 2, id="who-stands-by-lives-beside-the-replica"),
    ],
)
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_primarys_host_goes_dark_and_one_of_them_acts(kind: str, gtid: bool, first: int, second: int) -> None:
    with two_managers(kind, gtid, first, second, failovers=1) as cluster:
        cluster.subnet.link(1, up=False)
        until(lambda: not closed(cluster[2]), "db2 is opened", 60.0)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_replicas_host_goes_dark_with_who_acts_and_nothing_happens(kind: str, gtid: bool) -> None:
    """The other one takes over with the primary and the witness, and finds it well."""
    with two_managers(kind, gtid, 2, APART, failovers=0) as cluster:
        cluster.subnet.link(2, up=False)
        conf = cluster.seat / "by8.cnf"
        until(lambda: cluster.command("masterha_check_status", f"--conf={conf}").code != 40, "it takes over", 60.0)
        assert not closed(cluster[1])
        cluster.subnet.link(2, up=True)
