"""Two servers, a manager beside the replica, and a third host that only looks: darkness is never guessed."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.lab.acknowledging import only_a_disk
from tests.lab.cluster import Cluster
from tests.lab.local_writer import Observers, two_writable
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.test_acknowledging_binlog_server import started
from tests.scenarios.watching import Monitor

pytestmark = pytest.mark.slow

KINDS = [pytest.param("mariadb", True, id="mariadb-gtid"), pytest.param("mysql97", True, id="9.7-gtid")]
DARK_FOR = 15.0


def configured(cluster: Cluster, *, witness: bool = True, more: str = "") -> Path:
    """The manager's word and the replica's host's are one: they go dark together."""
    only_a_disk(cluster, cluster[3])
    lines = f"witness={cluster[3].ip}\n{more}" if witness else more
    servers = {2: "candidate_master=1\nbeside_manager=1"}
    return cluster.write_cnf(apart=[3], default=f"{lines}\nstart_checks=warn", servers=servers)


@pytest.mark.parametrize("witness", ["there", "none", "dead"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_primary_goes_dark(kind: str, gtid: bool, witness: str) -> None:
    """With a witness it is replaced; without one nobody can tell a dead host from a cut cable."""
    with started(kind, gtid=gtid, n=3) as cluster:
        manager = cluster.start_manager(configured(cluster, witness=witness != "none"))
        try:
            if witness != "none":
                until(lambda: f"The witness {cluster[3].ip} reaches" in manager.log(), "its first look")
            if witness == "dead":
                cluster[3].power_off()
            cluster[1].power_off()
            if witness == "there":
                assert manager.wait() in (0, 10), manager.log()
                assert cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"] == 0
                assert f"{cluster[3].ip}:22 cannot reach it either" in manager.log()
            else:
                time.sleep(DARK_FOR)
                assert manager.process.poll() is None, manager.log()
                assert cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"] == 1
        finally:
            manager.stop()


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_server_is_killed_while_the_witness_is_dead(kind: str, gtid: bool) -> None:
    """Its own host says that the process is gone: that is evidence enough."""
    with started(kind, gtid=gtid, n=3) as cluster:
        manager = cluster.start_manager(configured(cluster))
        cluster[3].power_off()
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait() in (0, 10), manager.log()
        assert cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"] == 0


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_only_the_link_between_the_two_is_cut_and_the_witness_sees_both(kind: str, gtid: bool) -> None:
    with started(kind, gtid=gtid, n=3) as cluster:
        manager = cluster.start_manager(configured(cluster))
        writer = Writer(cluster, only=cluster[1].ip)
        try:
            until(lambda: f"The witness {cluster[3].ip} reaches" in manager.log(), "its first look")
            for address in (cluster[2].ip, f"{cluster.subnet.prefix}.1"):
                cluster[1].blackhole(address)
            time.sleep(DARK_FOR)
            assert manager.process.poll() is None, manager.log()
            assert cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"] == 1
            assert "It looks like" in manager.log(), "the cut was not noticed at all"
        finally:
            writer.stop()
            manager.stop()


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_isolated_primary_acknowledges_nothing_to_the_clients_on_its_side(kind: str, gtid: bool) -> None:
    """Nobody can fence it. What it cannot have acknowledged it does not acknowledge, and it returns closed."""
    with started(kind, gtid=gtid, n=3) as cluster:
        conf = configured(cluster, more="semi_sync=require")
        cluster.make_semi_synchronous(cluster[1], [cluster[2]])
        observers = Observers(cluster)
        monitor = Monitor(cluster, conf)
        try:
            monitor.wait_for(f"The witness {cluster[3].ip} reaches")
            until(lambda: len(observers.taken()) > 20, "rows")
            cut = time.time()
            cluster[1].cut_cable()
            until(lambda: cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"] == 0, "a new primary")
            time.sleep(20.0)
            on_its_side = [t for t in observers.taken() if t.host == cluster[1].ip and t.sent > cut + 0.5]
            assert on_its_side == [], on_its_side[:5]
            cluster[1].mend_cable()
            until(lambda: cluster[1].sql("SELECT @@global.read_only AS r")[0]["r"] == 1, "the old one is closed")
            taken = observers.stop()
            assert not two_writable(taken)
            assert not [t for t in taken if t.host == cluster[1].ip and t.sent > cut + 0.5]
        finally:
            observers.stop()
            monitor.stop()
