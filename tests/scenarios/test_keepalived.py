"""The real keepalived through a failover and a switch."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.bench_switch import switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.observer import AddressObserver
from tests.lab.writer import Writer, outage
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.moving import bare, mac_of, meets, seen_mac, wait_until


def with_keepalived(cluster: Cluster, vip: str, option: str, observer: AddressObserver) -> str:
    """Start it on every host with what the command writes, the address on db1; what the configuration needs for it."""
    default = f"vip_provider=keepalived\nvip_addresses={vip}\nvip_interface=eth0"
    conf = cluster.write_cnf(default=default)
    written = cluster.command("mha", "keepalived-config", "--conf", str(conf), "--to", str(cluster.seat), option)
    assert written.code == 0, written
    for host in cluster.hosts:
        folder = cluster.seat / host.ip / "etc/keepalived"
        text = (folder / "keepalived.conf").read_text()
        if host.number == 3:
            text = text.replace("priority 130", "priority 145")
        host.run("mkdir -p /etc/keepalived; cat >/etc/keepalived/keepalived.conf", data=text)
        if option == "--check-script":
            script = (folder / "check_mysql.sh").read_text()
            host.run("cat >/etc/keepalived/check_mysql.sh; chmod 755 /etc/keepalived/check_mysql.sh", data=script)
        host.run("keepalived --config-test -f /etc/keepalived/keepalived.conf")
    for host in cluster.hosts:
        host.start("keepalived -f /etc/keepalived/keepalived.conf -p /run/keepalived.pid")
        if host.number == 1:
            wait_until(lambda: observer.now() == (1,), "db1 has the address", 15)
    return default


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("mariadb", "--no-check-script"),
        pytest.param("mariadb", "--check-script", marks=pytest.mark.slow),
        pytest.param("mysql97", "--check-script", marks=pytest.mark.slow),
    ],
)
def test_the_address_follows_with_keepalived(kind: str, option: str) -> None:
    """As its users run it: BACKUP and nopreempt everywhere, and db3 would win the election that db2 must."""
    with Cluster(kind, gtid=True) as cluster:
        vip = cluster.subnet.virtual(2)
        with AddressObserver(cluster, vip) as observer:
            default = with_keepalived(cluster, vip, option, observer)
            manager = cluster.start_manager(cluster.write_cnf(default=default, candidate=2))
            writer = Writer(cluster, only=bare(vip))
            time.sleep(1.5)
            meets(cluster, 3, vip)
            killed = time.time()
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer)
            assert code == 0, manager.log()
            moves = observer.moves()
        assert_survivors_agree(cluster, acks, 2, (3,))
        pause = outage(acks)
        print(f"\nno write for {pause.seconds:.2f} s, on no host for {observer.nowhere(killed):.2f} s: {moves}")
        assert pause.last.at - 1.0 < killed < pause.first.at < killed + 15.0
        assert moves[-1] == (2,)
        assert all(len(holders) <= 1 for holders in moves), moves
        wait_until(lambda: seen_mac(cluster, 3, vip) == mac_of(cluster, 2), "db3's neighbour table", 5)
        assert cluster[3].run("pgrep -x keepalived"), "db3's was started again"
        assert not cluster[1].run("pgrep -x keepalived", check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_the_address_is_switched_with_keepalived(kind: str) -> None:
    """Under load, to db2, although db3 would win the election; nobody has it twice."""
    with Cluster(kind, gtid=True) as cluster:
        vip = cluster.subnet.virtual(2)
        with AddressObserver(cluster, vip) as observer:
            default = with_keepalived(cluster, vip, "--check-script", observer)
            conf = cluster.write_cnf(default=default)
            writer = Writer(cluster, only=bare(vip), sessions=4, interval=0.1)
            time.sleep(1.0)
            meets(cluster, 3, vip)
            began = time.time()
            assert switch(cluster, conf, 2) == 0
            done = time.time()
            wait_until(lambda: writer.acks()[-1].at > done, "the clients write again")
            wait_until(lambda: seen_mac(cluster, 3, vip) == mac_of(cluster, 2), "db3's neighbour table", 5)
            acks = writer.stop()
            moves = observer.moves()
        pause = outage([ack for ack in acks if ack.at > began]).seconds
        print(f"\n{cluster.name}: no write for {pause:.2f} s, on no host for {observer.nowhere(began):.2f} s: {moves}")
        assert pause < 10.0
        assert moves[-1] == (2,)
        assert all(len(holders) <= 1 for holders in moves), moves
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0, result
        assert result.equal, result
