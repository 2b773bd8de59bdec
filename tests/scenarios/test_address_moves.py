"""The address moves with the primary: a client that knows nothing else, its neighbours, and who has it when."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.bench_switch import switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.observer import AddressObserver
from tests.lab.writer import Writer, outage
from tests.scenarios.failing_over import MODES, assert_survivors_agree, finish
from tests.scenarios.moving import bare, give, mac_of, meets, seen_mac, wait_until
from tests.scenarios.watching import SIGHT, Monitor

KINDS = ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    ("kind", "gtid"), [MODES[5], pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow)]
)
def test_a_client_of_the_address_alone_survives_a_killed_primary(kind: str, gtid: bool) -> None:
    """Neighbours learn it at once, and at no moment two hosts have it."""
    with Cluster(kind, gtid=gtid) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 1, vip)
        default = f"vip_provider=ip\nvip_addresses={vip}\nvip_label=1"
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=default))
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
        assert observer.slowest() < 1.0
        assert seen_mac(cluster, 3, vip) == seen_mac(cluster, 0, vip) == mac_of(cluster, 2)
        assert ":1" in cluster[2].run(f"ip -o addr show to {bare(vip)}")
        log = manager.log()
        assert f"{bare(vip)} taken from" in log
        assert f"{bare(vip)} put on" in log
        assert "is there, and nowhere else" in log


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_host_of_the_address_loses_its_power(kind: str) -> None:
    """It cannot be taken from there, and nobody else answers for it; IPv4 and IPv6 go together."""
    with Cluster(kind, gtid=True) as cluster:
        four, six = cluster.subnet.virtual(1), cluster.subnet.virtual6(1)
        give(cluster, 1, four)
        give(cluster, 1, six)
        default = f"vip_provider=ip\nvip_addresses={four}, {six}"
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default=default))
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


@pytest.mark.parametrize("kind", KINDS)
def test_clients_of_the_address_alone_survive_planned_switches(kind: str) -> None:
    """There and back under eight sessions; each finds the other server at the same address."""
    with Cluster(kind, gtid=True) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 1, vip)
        conf = cluster.write_cnf(default=f"vip_provider=ip\nvip_addresses={vip}")
        with AddressObserver(cluster, vip) as observer:
            writer = Writer(cluster, only=bare(vip), sessions=8, interval=0.15)
            time.sleep(1.0)
            meets(cluster, 3, vip)
            for to in (2, 1):
                began = time.time()
                assert switch(cluster, conf, to) == 0
                done = time.time()
                wait_until(lambda at=done: writer.acks()[-1].at > at, "the clients write again")  # type: ignore[misc]
                pause = outage([ack for ack in writer.acks() if ack.at > began]).seconds
                nowhere = observer.nowhere(began)
                print(f"\n{cluster.name}: to db{to}: no write for {pause:.2f} s, on no host for {nowhere:.2f} s")
                assert pause < 5.0
                assert seen_mac(cluster, 3, vip) == seen_mac(cluster, 0, vip) == mac_of(cluster, to)
            acks = writer.stop()
        assert observer.moves() == [(1,), (), (2,), (), (1,)]
        assert observer.slowest() < 1.0
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0, result
        assert result.equal, result


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_host_comes_back_with_the_address_in_its_own_configuration(kind: str) -> None:
    """Its mysqld is not even started: the address has two hosts until the manager takes it off, and tells everybody."""
    with Cluster(kind, gtid=True) as cluster:
        vip = cluster.subnet.virtual(1)
        give(cluster, 1, vip)
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2, default=f"vip_provider=ip\nvip_addresses={vip}"))
        try:
            with AddressObserver(cluster, vip) as observer:
                writer = Writer(cluster, only=bare(vip))
                time.sleep(1.0)
                cluster[1].power_off()
                monitor.wait_for(SIGHT, 2)
                wait_until(lambda: observer.now() == (2,), "db2 has it")
                cluster[1].power_on()
                give(cluster, 1, vip)
                meets(cluster, 3, vip)
                wait_until(lambda: (1, 2) in observer.moves(), "both have it")
                wait_until(lambda: observer.now() == (2,), "db2 alone has it again")
                done = time.time()
                wait_until(lambda: seen_mac(cluster, 3, vip) == mac_of(cluster, 2), "db3 believes db2", 5)
                wait_until(lambda: writer.acks()[-1].at > done, "the client writes on")
                acks = writer.stop()
            both = [sample.at for sample in observer.samples if len(sample.holders) > 1]
            print(f"\n{cluster.name}: on two hosts for {both[-1] - both[0]:.2f} s")
            assert both[-1] - both[0] < 10.0
            assert observer.moves() == [(1,), (), (2,), (1, 2), (2,)], observer.moves()
            assert {ack.host for ack in acks} == {bare(vip)}
            assert not account(acks, [cluster[2]]).split
        finally:
            monitor.stop()
