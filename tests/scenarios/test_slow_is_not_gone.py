"""A primary that is slow, lossy or cut off from some is not dead: nobody is promoted while anything of it gets through.

An application on each host writes to its own server all the time, so that two that take writes are seen.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.lab.cluster import Cluster
from tests.lab.faults import blocked
from tests.lab.host import Host
from tests.lab.local_writer import Observers, two_writable
from tests.lab.network import sh
from tests.lab.waiting import until
from tests.lab.weather import Rule, both_ways
from tests.lab.writer import Writer
from tests.scenarios.naming import manager_knows
from tests.scenarios.watching import Monitor

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="mariadb"),
]
SLOW = [pytest.param(*param.values, id=param.id, marks=pytest.mark.slow) for param in KINDS]
SEVEN_AND_MARIA = [SLOW[0], SLOW[2]]
#: Seconds of each trouble in `make test-all`, and in `make test`.
MINUTE, MOMENT = 60.0, 12.0


@contextlib.contextmanager
def stays(
    cluster: Cluster,
    *,
    words: str = "",
    seat: Host | None = None,
    default: str = "",
    ping: int = 1,
    writes: bool = True,
    then_dies: bool = False,
) -> Iterator[Monitor]:
    """A watched and written cluster: whatever happens within, and for a while after it, db1 alone takes writes.

    ``seat`` is the host on which the manager runs, its own when none is named. With ``then_dies`` the primary is killed
    in the end, which a manager that watches on fails over.
    """
    conf = cluster.write_cnf(default=default, ping_interval=ping)
    namespace = cluster.subnet.host(seat.number) if seat else ""
    monitor = Monitor(cluster, conf, namespace=namespace)
    observers = Observers(cluster, interval=0.05) if writes else None
    try:
        time.sleep(3.0)
        yield monitor
        time.sleep(4.0)
        assert monitor.process.poll() is None, monitor.log()
        assert not list(monitor.workdir.glob("*.journal")), monitor.log()
        if observers is not None:
            taken = observers.stop()
            assert {t.host for t in taken} == {cluster[1].ip}, monitor.log()
            assert not two_writable(taken)
        for host in cluster.hosts[1:]:
            assert int(host.sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        assert words in monitor.log(), monitor.log()
        if then_dies:
            cluster[1].signal_mysqld(signal.SIGKILL)
            monitor.wait_for("completed successfully", seconds=40.0)
    finally:
        monitor.stop()
        if observers is not None:
            observers.stop()


#: One link alone: the numbers of the hosts at its ends, 0 for the manager's.
LINKS = {"manager-primary": (0, 1), "manager-replica": (0, 2), "primary-replica": (1, 2), "two-replicas": (2, 3)}
#: What befalls it, one after the other: seconds each way, or the part that is lost.
WEATHERS = [(delay, 0.0) for delay in (0.2, 0.6, 1.2, 3.0)] + [(0.0, loss) for loss in (0.3, 0.6)]


def on(cluster: Cluster, where: str, *, delay: float = 0.0, loss: float = 0.0) -> Sequence[Rule]:
    """The weather on the primary's cable alone, on one link, or between any two hosts, the manager's among them."""
    if where == "all":
        return (Rule(delay=delay, loss=loss),)
    if where in LINKS:
        one, other = (cluster[n].ip if n else f"{cluster.subnet.prefix}.1" for n in LINKS[where])
        return tuple(Rule(a=a, b=b, delay=delay, loss=loss) for a, b in ((one, other), (other, one)))
    return both_ways(cluster[1].ip, delay=delay, loss=loss)


def between(one: str, other: str) -> tuple[Rule, Rule]:
    """Nothing passes between these two, either way."""
    return Rule(a=one, b=other, loss=1.0), Rule(a=other, b=one, loss=1.0)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_primary_whose_link_is_suddenly_slow(kind: str, gtid: bool) -> None:
    """600 ms each way: everything comes back, after more than a second; an application far away writes as well."""
    with Cluster(kind, gtid=gtid, weather=True) as cluster, stays(cluster):
        writer = Writer(cluster)
        try:
            time.sleep(1.0)
            with cluster.weather.during(*on(cluster, "primary", delay=0.6)):
                time.sleep(MOMENT)
        finally:
            writer.kill()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["primary", "all"])
@pytest.mark.parametrize("delay", [0.2, 0.6, 1.2, 3.0])
def test_a_slow_link_for_a_minute(delay: float, where: str) -> None:
    with Cluster("mariadb", gtid=True, weather=True) as cluster, stays(cluster):
        with cluster.weather.during(*on(cluster, where, delay=delay)):
            time.sleep(MINUTE)
        time.sleep(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["primary", "all"])
@pytest.mark.parametrize("loss", [0.3, 0.6])
def test_a_link_that_loses_for_a_minute(loss: float, where: str) -> None:
    with Cluster("mariadb", gtid=True, weather=True) as cluster, stays(cluster):
        with cluster.weather.during(*on(cluster, where, loss=loss)):
            time.sleep(MINUTE)
        time.sleep(5.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("link", "kind", "gtid"),
    [
        pytest.param(link, kind, gtid, id=f"{link}-{kind}{'' if gtid else '-position'}")
        for link, (kind, gtid) in zip(
            LINKS, [("mysql97", True), ("mysql56", False), ("mariadb118", True), ("mariadb", False)], strict=True
        )
    ],
)
def test_one_link_alone_is_bad_for_minutes(link: str, kind: str, gtid: bool) -> None:
    """Delay and loss of every strength, a minute each, then well again for a moment, and cuts in turns at last."""
    with Cluster(kind, gtid=gtid, weather=True) as cluster, stays(cluster, then_dies=True):
        for delay, loss in WEATHERS:
            with cluster.weather.during(*on(cluster, link, delay=delay, loss=loss)):
                time.sleep(MINUTE)
            time.sleep(5.0)
        ends = time.monotonic() + MINUTE
        while time.monotonic() < ends:
            with cluster.weather.during(*on(cluster, link, loss=1.0)):
                time.sleep(2.5)
            time.sleep(1.5)


@pytest.mark.slow
def test_a_link_that_is_slow_and_loses_with_the_default_ping_interval() -> None:
    """250 ms with 40 %, as it was seen to fail."""
    with Cluster("mariadb", gtid=True, weather=True) as cluster, stays(cluster, ping=3):
        with cluster.weather.during(*on(cluster, "primary", delay=0.25, loss=0.4)):
            time.sleep(MINUTE)
        time.sleep(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["manager", "a replica", "both, one way"])
def test_an_asymmetric_cut(who: str) -> None:
    """The primary is heard by one host at least: by a replica, by the manager and the other, or what it says alone."""
    with Cluster("mariadb", gtid=True, weather=True) as cluster, stays(cluster):
        one, two, three, seat = cluster[1].ip, cluster[2].ip, cluster[3].ip, f"{cluster.subnet.prefix}.1"
        rules = {
            "manager": (*between(one, seat), *between(one, two)),
            "a replica": (*between(one, two), *between(two, three)),
            "both, one way": (Rule(a=one, b=seat, loss=1.0), Rule(a=two, b=one, loss=1.0)),
        }[who]
        with cluster.weather.during(*rules):
            time.sleep(MINUTE)
        time.sleep(5.0)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["primary", "all"])
def test_weather_that_comes_and_goes(where: str) -> None:
    with Cluster("mariadb", gtid=True, weather=True) as cluster, stays(cluster):
        ends, strong = time.monotonic() + MINUTE, (1.2, 0.0)
        while time.monotonic() < ends:
            with cluster.weather.during(*on(cluster, where, delay=strong[0], loss=strong[1])):
                time.sleep(2.5)
            strong = (0.0, 0.6) if strong[0] else (1.2, 0.0)
            time.sleep(1.5)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
@pytest.mark.parametrize("writes", [True, False], ids=["written", "idle"])
@pytest.mark.parametrize("detection", ["fast", "classic"])
def test_a_firewall_between_the_manager_and_everybody(kind: str, gtid: bool, writes: bool, detection: str) -> None:
    """Port 22 of all hosts and 3306 of the primary are shut for the manager: its replicas and applications are well."""
    with Cluster(kind, gtid=gtid) as cluster, stays(cluster, writes=writes, default=f"detection={detection}"):
        shut = [*((host, 22) for host in cluster.hosts), (cluster[1], 3306)]
        with blocked(cluster, *shut):
            time.sleep(2 * MOMENT)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [KINDS[2], SLOW[0]])
@pytest.mark.parametrize("servers", [2, 3])
def test_a_manager_that_is_cut_off_together_with_a_replica(kind: str, gtid: bool, servers: int) -> None:
    """It runs on that replica's host, which answers it very well, and is no second voice."""
    with Cluster(kind, gtid=gtid, n=servers, weather=True) as cluster:
        last = cluster[servers]
        with stays(cluster, words="it is the manager that may be cut off", seat=last):
            others = [host.ip for host in cluster.hosts if host is not last]
            with cluster.weather.during(*(rule for ip in others for rule in between(ip, last.ip))):
                time.sleep(MOMENT)
            time.sleep(3.0)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), SEVEN_AND_MARIA)
@pytest.mark.parametrize("servers", [2, 3])
def test_a_manager_that_was_cut_off_with_a_replica_for_a_minute_tells_it_and_watches_on(
    kind: str, gtid: bool, servers: int
) -> None:
    """People hear of the silence and of its end, nobody is promoted, and the true death afterwards is failed over."""
    with Cluster(kind, gtid=gtid, n=servers, weather=True) as cluster:
        last, told = cluster[servers], cluster.seat / "told"
        hook = cluster.seat / "tell"
        hook.write_text(f'#!/bin/sh\necho "$1" >>{told}\n')
        hook.chmod(0o755)
        tell = "".join(f"on_{event}={hook} {event}\n" for event in ("suspect", "recovered"))
        with stays(cluster, words="it is the manager that may be cut off", seat=last, default=tell, then_dies=True):
            others = [host.ip for host in cluster.hosts if host is not last]
            with cluster.weather.during(*(rule for ip in others for rule in between(ip, last.ip))):
                time.sleep(MINUTE)
                assert told.read_text().split() == ["suspect"]
            until(lambda: "recovered" in told.read_text(), seconds=40)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), SEVEN_AND_MARIA)
@pytest.mark.parametrize("fault", ["killed", "dark"])
def test_a_manager_on_a_replicas_host_still_sees_a_death(kind: str, gtid: bool, fault: str) -> None:
    """Three servers, the manager on db3's host: db2 is the second voice."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2), namespace=cluster.subnet.host(3))
        try:
            time.sleep(3.0)
            if fault == "killed":
                cluster[1].signal_mysqld(signal.SIGKILL)
            else:
                cluster[1].power_off()
            monitor.wait_for("completed successfully", seconds=30.0)
            assert cluster[2].replica_status() == {}
        finally:
            monitor.stop()


@pytest.mark.slow
def test_two_servers_with_the_manager_on_the_replica_fail_over_a_crash() -> None:
    """The primary's own host says that mysqld is gone: that is no word of the manager's."""
    with Cluster("mariadb", gtid=True, n=2) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(), namespace=cluster.subnet.host(2))
        try:
            time.sleep(3.0)
            cluster[1].signal_mysqld(signal.SIGKILL)
            monitor.wait_for("completed successfully", seconds=30.0)
        finally:
            monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_a_wrong_address_of_the_primary_that_refuses(kind: str, gtid: bool) -> None:
    """A stale record: the port refuses there, and both replicas receive from the true one."""
    with Cluster(kind, gtid=gtid) as cluster:
        before = [host.replica_status()["Source_Host"] for host in cluster.hosts[1:]]
        observers = Observers(cluster, interval=0.05)
        conf = cluster.write_cnf(servers={1: f"ip={cluster.subnet.prefix}.1"})
        monitor = Monitor(cluster, conf, sight=False)
        try:
            monitor.wait_for("a replica receives", seconds=30.0)
            time.sleep(10.0)
            assert not list(monitor.workdir.glob("*.journal")), monitor.log()
            assert [host.replica_status()["Source_Host"] for host in cluster.hosts[1:]] == before
            by_hand = cluster.command(
                "masterha_master_switch",
                f"--conf={conf}",
                "--master_state=dead",
                f"--dead_master_host={cluster[1].ip}",
                "--interactive=0",
            )
            assert by_hand.code == 1, by_hand
            assert "receives from the primary, with progress" in by_hand.output
            assert not two_writable(observers.stop())
        finally:
            monitor.stop()
            observers.stop()


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.6, 3.0])
def test_a_person_who_calls_a_slow_primary_dead(delay: float) -> None:
    """It answers a ping that has the time to, or a replica receives from it over a second: refused by hand as well."""
    with Cluster("mariadb", gtid=True, weather=True) as cluster:
        observers = Observers(cluster, interval=0.05)
        try:
            time.sleep(1.0)
            with cluster.weather.during(*on(cluster, "primary", delay=delay)):
                time.sleep(2 * delay)
                words = [f"--conf={cluster.write_cnf()}", "--master_state=dead", f"--dead_master_host={cluster[1].ip}"]
                by_hand = cluster.command("masterha_master_switch", *words, "--interactive=0")
            assert by_hand.code == 1, by_hand
            lives = ("is reachable via MySQL", "with progress", "only the manager cannot reach it")
            assert any(words in by_hand.output for words in lives), by_hand
            assert not two_writable(observers.stop())
            assert cluster[2].replica_status()["Source_Host"] == cluster[1].ip
        finally:
            observers.stop()


@pytest.mark.slow
def test_a_replica_that_comes_back_with_another_address() -> None:
    """Its container was made anew: it is found by its name again, and promoted when the primary dies."""
    with Cluster("mariadb", gtid=True) as cluster, manager_knows(cluster) as names:
        conf = cluster.write_cnf(candidate=2)
        known = cluster.seat / ".ssh" / "known_hosts"
        text = conf.read_text()
        for host in cluster.hosts:
            text = text.replace(f"hostname={host.ip}\n", f"hostname={host.name}\n")
            if host is not cluster[1]:
                host.sql("STOP SLAVE")
                host.sql(f"CHANGE MASTER TO MASTER_HOST='{cluster[1].name}'")
                host.sql("START SLAVE")
        conf.write_text(text)
        key = known.read_text().splitlines()[0].split(" ", 1)[1]
        known.write_text("".join(f"{host.ip},{host.name} {key}\n" for host in cluster.hosts))
        monitor = Monitor(cluster, conf)
        try:
            time.sleep(2.0)
            before, after = cluster[2].ip, cluster.subnet.address(42)
            there = f"ip -n {cluster.subnet.host(2)} addr"
            sh(f"{there} add {after}/24 dev eth0 && {there} del {before}/24 dev eth0; {there} show dev eth0")
            sh(f"{there} show dev eth0 | grep -q {after} || {there} add {after}/24 dev eth0")
            names.write_text(names.read_text().replace(f"{before} db2", f"{after} db2"))
            for host in cluster.hosts:
                host.run(f"sed -i 's/^{before} db2/{after} db2/' /etc/hosts")
            cluster[2].ip = after
            time.sleep(8.0)
            assert cluster[2].replica_status()["Replica_IO_Running"] == "Yes"
            cluster[1].signal_mysqld(signal.SIGKILL)
            monitor.wait_for("completed successfully", seconds=40.0)
            assert cluster[2].replica_status() == {}
            assert int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"]) == 0
        finally:
            monitor.stop()


@pytest.mark.slow
def test_a_dark_host_without_any_ssh_is_failed_over_when_its_heartbeat_is_overdue() -> None:
    """Nobody but the replicas' receivers can notice it: with a heartbeat a second that takes some seconds."""
    with Cluster("mariadb", gtid=True) as cluster:
        for host in cluster.hosts[1:]:
            for statement in ("STOP SLAVE", "CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD=1", "START SLAVE"):
                host.sql(statement)
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2))
        try:
            with blocked(cluster, *((host, 22) for host in cluster.hosts)):
                time.sleep(3.0)
                cluster[1].power_off()
                monitor.wait_for("completed successfully", seconds=25.0)
        finally:
            monitor.stop()
