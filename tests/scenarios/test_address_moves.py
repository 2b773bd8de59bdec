"""The address moves with the primary: a client that knows nothing else, its neighbours, and who has it when."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.observer import AddressObserver
from tests.lab.writer import Writer, outage
from tests.scenarios.failing_over import MODES, assert_survivors_agree, finish
from tests.scenarios.moving import bare, give, mac_of, meets, seen_mac, wait_until


@pytest.mark.parametrize(
    ("kind", "gtid"), [MODES[5], pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow)]
)
def test_a_client_of_the_address_alone_survives_a_killed_primary(kind: str, gtid: bool) -> None:
    """Neighbours learn it at once, and at no moment two hosts have it."""
    with Cluster(kind, gtid=gtid) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 1, vip)
        default = f"vip_provider=ip\nvip_addresses={vip}\nvip_label=1"
        manager = cluster.start_manager(cluster.write_cnf(default=default))
        with AddressObserver(cluster, vip) as observer:
            writer = Writer(cluster, only=bare(vip))
            time.sleep(1.5)
            meets(cluster, 3, vip)
            killed = time.time()
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            assert_survivors_agree(cluster, acks, 2, (3,))
            pause = outage(acks)
        print(f"\n{cluster.name}: no write for {pause.seconds:.2f} s, on no host for {observer.nowhere():.2f} s")
        assert pause.last.at - 1.0 < killed < pause.first.at < killed + 10.0
        assert observer.moves() == [(1,), (), (2,)], manager.log()
        assert observer.slowest() < 0.2
        assert seen_mac(cluster, 3, vip) == seen_mac(cluster, 0, vip) == mac_of(cluster, 2)
        assert ":1" in cluster[2].run(f"ip -o addr show to {bare(vip)}")
        log = manager.log()
        assert f"{bare(vip)} taken from" in log
        assert f"{bare(vip)} put on" in log
        assert "is there, and nowhere else" in log


@pytest.mark.parametrize("kind", ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)])
def test_the_host_of_the_address_loses_its_power(kind: str) -> None:
    """It cannot be taken from there, and nobody else answers for it; IPv4 and IPv6 go together."""
    with Cluster(kind, gtid=True) as cluster:
        four, six = cluster.subnet.virtual(1), cluster.subnet.virtual6(1)
        give(cluster, 1, four)
        give(cluster, 1, six)
        default = f"vip_provider=ip\nvip_addresses={four}, {six}"
        manager = cluster.start_manager(cluster.write_cnf(default=default))
        with AddressObserver(cluster, four) as observer, AddressObserver(cluster, six) as observer6:
            writer = Writer(cluster, only=bare(four))
            time.sleep(1.0)
            cluster[1].power_off()
            code = manager.wait(60)
            done = time.time()
            assert code == 0, manager.log()
            wait_until(lambda: writer.acks()[-1].at > done, "the client writes again")
            acks = writer.stop()
        assert observer.moves() == observer6.moves() == [(1,), (), (2,)]
        assert not account(acks, [cluster[2]]).split
        log = manager.log()
        assert "could not be taken from" in log
        assert f"{bare(four)} is there, and nowhere else; not asked: {cluster[1].ip}" in log
