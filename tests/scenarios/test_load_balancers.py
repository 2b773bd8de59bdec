"""The real keepalived and the real HAProxy through a failover under load."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pymysql
import pytest

from tests.lab.bench_switch import switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.network import inside
from tests.lab.observer import AddressObserver
from tests.lab.sessions import ServerSession
from tests.lab.writer import Ack, Writer, outage
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.moving import bare, mac_of, meets, seen_mac, wait_until
from tests.scenarios.watching import Monitor

HEALTH = 8900
WRITES, READS, STATISTICS = 3307, 3308, 8404
MAX_LAG = 2
KINDS = ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)]


class Read(NamedTuple):
    """One answer: when it was asked for and there, the number of the host that gave it, and the newest row in it."""

    began: float
    at: float
    number: int
    row: int


class Reader(threading.Thread):
    """Reads through a port, and remembers which server answered and how old its data was: by a session each time, or
    with ``keep`` by one that is opened again when it was ended."""

    def __init__(self, cluster: Cluster, host: str, port: int, *, keep: bool = False) -> None:
        super().__init__(daemon=True)
        self._namespace, self._host, self._port, self._keep = cluster.subnet.manager, host, port, keep
        self._over = threading.Event()
        self._session: ServerSession | None = None
        self.seen: list[Read] = []
        self.failed: list[float] = []

    def run(self) -> None:
        with inside(self._namespace):
            while not self._over.wait(0.02):
                try:
                    self._read()
                except pymysql.MySQLError:
                    self.failed.append(time.time())
                    self._end()
            self._end()

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session._force_close()  # type: ignore[attr-defined]

    def _read(self) -> None:
        if self._session is None:
            self._session = ServerSession(
                host=self._host,
                port=self._port,
                user=APP,
                password=APP_PASSWORD,
                connect_timeout=1,
                read_timeout=2,
                # Within one transaction it would see what there was at its first statement.
                autocommit=True,
            )
        with self._session.cursor() as cursor:
            began = time.time()
            cursor.execute("SELECT @@server_id, (SELECT COALESCE(MAX(id), 0) FROM app.rows_written)")
            server, row = cursor.fetchone()  # type: ignore[misc]
        self.seen.append(Read(began, time.time(), int(server) - 100, int(row)))
        if not self._keep:
            self._end()

    def stop(self) -> None:
        self._over.set()
        self.join(5)

    def servers(self, since: float = 0.0, until: float = float("inf")) -> set[int]:
        """The numbers of the hosts that answered in that time."""
        return {read.number for read in self.seen if since <= read.at <= until}

    def longest_wait(self) -> float:
        """Seconds between two answers at most: what an error lasted, and whatever else kept it waiting."""
        return max((after.at - before.at for before, after in pairwise(self.seen)), default=0.0)

    def latest(self, acks: Sequence[Ack]) -> float:
        """How late a read was at most, in seconds: since when a row was acknowledged that it did not show. One session
        wrote them."""
        ids = [ack.id for ack in acks]

        def age(read: Read) -> float:
            missing = bisect_right(ids, read.row)
            return read.began - acks[missing].at if missing < len(acks) else 0.0

        return max((age(read) for read in self.seen), default=0.0)


@contextmanager
def reading(cluster: Cluster, host: str, port: int, *, keep: bool = False) -> Iterator[Reader]:
    reader = Reader(cluster, host, port, keep=keep)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()


def start_haproxy(cluster: Cluster, on: Host, conf: Path) -> str:
    """HAProxy with the configuration that the command writes; returns that."""
    done = cluster.command("mha", "haproxy-config", "--conf", str(conf))
    assert done.code == 0, done
    on.run("mkdir -p /run/haproxy /var/lib/haproxy; cat >/etc/haproxy/haproxy.cfg", data=done.output)
    on.run("haproxy -c -f /etc/haproxy/haproxy.cfg")
    on.start("haproxy -W -D -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid")
    wait_until(lambda: "mha_writer" in socket_of(on, "show servers state"), "HAProxy answers")
    return done.output


def socket_of(on: Host, command: str) -> str:
    """What the admin socket answers."""
    ask = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => '/run/haproxy/admin.sock') or exit 1;"
    return on.run(f'perl -e "{ask.replace("$", chr(92) + "$")} print \\$s qq({command}\\n); print <\\$s>"', check=False)


def balanced(cluster: Cluster, proxy: Host, way: str = "ssh") -> str:
    """Lines of a configuration with a proxy on that host."""
    url = f"ssh://root@{proxy.ip}/run/haproxy/admin.sock" if way == "ssh" else f"tcp://{proxy.ip}:9999"
    return (
        f"vip_provider=haproxy\nhaproxy_sockets={url}\nhealth_port={HEALTH}\nhaproxy_max_lag={MAX_LAG}\n"
        f"health_url={cluster.subnet.prefix}.1:{HEALTH}\n"
    )


def page_of(cluster: Cluster, proxy: Host, backend: str) -> str:
    """That backend's servers on the page of statistics."""
    with (
        inside(cluster.subnet.manager),
        urllib.request.urlopen(f"http://{proxy.ip}:{STATISTICS}/;csv", timeout=3) as page,
    ):
        return "\n".join(line for line in page.read().decode().splitlines() if line.startswith(f"{backend},"))


def health(cluster: Cluster, path: str) -> tuple[int, dict[str, Any]]:
    """Status and document of one request to the manager, sent from the last host."""
    url = f"http://{cluster.subnet.prefix}.1:{HEALTH}{path}"
    with inside(cluster.subnet.host(cluster.n)):
        try:
            with urllib.request.urlopen(url, timeout=3) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.mark.parametrize("kind", KINDS)
def test_writes_and_reads_through_haproxy_while_the_primary_dies(kind: str) -> None:
    """Writes never reach a replica, reads never a broken or a lagging one, and a reload forgets nothing."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        replica = cluster.kind.word("REPLICA", "SLAVE")
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(candidate=2, default=balanced(cluster, proxy), apart=(4,))
        start_haproxy(cluster, proxy, conf)
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--conf", str(conf)]
        monitor = cluster.run_there(sys.executable, *words)
        log = conf.with_suffix("") / "manager.log"
        try:
            wait_until(lambda: log.exists() and "waiting until MySQL doesn't respond" in log.read_text(), "it watches")
            writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}")
            with reading(cluster, proxy.ip, READS) as reader:
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2, 3}, "both replicas are read from")
                # A replica that stands still, and then one whose applier is broken: both must leave.
                cluster[3].sql(f"STOP {replica} SQL_THREAD")
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the stopped replica is not read from")
                cluster[3].sql(f"START {replica} SQL_THREAD")
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2, 3}, "it is read from again")
                cluster[3].sql(f"STOP {replica} IO_THREAD")
                stopped = time.time()
                wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the lagging replica is not read from")
                late = [read.at for read in reader.seen if read.number == 3 and read.at > stopped + MAX_LAG + 3.0]
                assert not late
                cluster[3].sql(f"START {replica} IO_THREAD")
                killed = time.time()
                cluster[1].signal_mysqld(signal.SIGKILL)
                wait_until(lambda: "completed successfully" in log.read_text(), "the failover is over", 40)
                wait_until(lambda: reader.servers(time.time() - 0.5) == {3}, "the replica left is read from", 40)
                done = time.time()
                cluster[4].run("kill -USR2 $(cat /run/haproxy.pid)")
                time.sleep(1.5)
                acks = writer.stop()
            pause = outage(acks)
            print(f"\nno write for {pause.seconds:.2f} s; {len(reader.failed)} reads failed of {len(reader.seen)}")
            assert pause.last.at - 1.0 < killed < pause.first.at < killed + 15.0
            assert acks[-1].at > done, "writes go on after the reload"
            assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0
            assert not account(acks, [cluster[2]]).split
            assert "sends writes to" in log.read_text()
            assert health(cluster, f"/primary/{cluster[2].ip}")[0] == 200
            assert health(cluster, f"/replica/{cluster[3].ip}?max_lag=5")[0] == 200
            assert health(cluster, f"/replica/{cluster[2].ip}")[0] == 503
            assert health(cluster, f"/primary/{cluster[1].ip}")[0] == 503
        finally:
            monitor.kill()
            monitor.wait(10)
        # The manager is gone, and with it every check: reads go where writes go.
        with reading(cluster, proxy.ip, READS) as reader:
            wait_until(lambda: reader.servers(time.time() - 0.5) == {2}, "the primary takes the reads", 15)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_writes_and_reads_through_haproxy_while_the_primary_is_switched(kind: str) -> None:
    """There and back, with a manager that watches: each time reads leave the new primary, and come to the old one."""
    with Cluster(kind, gtid=True, n=4) as cluster:
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(default=balanced(cluster, proxy), apart=(4,))
        start_haproxy(cluster, proxy, conf)
        monitor = Monitor(cluster, conf)
        try:
            writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}", sessions=4, interval=0.1)
            with reading(cluster, proxy.ip, READS) as reader:
                for to, replicas in ((2, {1, 3}), (1, {2, 3})):
                    began = time.time()
                    assert switch(cluster, conf, to) == 0
                    done = time.time()
                    wait_until(lambda at=done: writer.acks()[-1].at > at, "the clients write again")  # type: ignore[misc]
                    wait_until(
                        lambda wanted=replicas: reader.servers(time.time() - 0.5) == wanted,  # type: ignore[misc]
                        f"reads go to {replicas}",
                    )
                    pause = outage([ack for ack in writer.acks() if ack.at > began]).seconds
                    print(f"\n{cluster.name}: to db{to}: no write for {pause:.2f} s")
                    assert pause < 5.0
                print(f"{len(reader.failed)} reads failed of {len(reader.seen)}")
            result = account(writer.stop(), cluster.hosts[:3])
            assert result.rows_lost == 0, result
            assert result.equal, result
        finally:
            monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_no_read_is_later_than_the_limit_through_a_lag_a_switch_and_a_failover(kind: str) -> None:
    """Readers that keep their session and readers that do not, a writer, and the page of statistics."""
    with Cluster(kind, gtid=True, n=4) as cluster, ExitStack() as running:
        replica = cluster.kind.word("REPLICA", "SLAVE")
        proxy = cluster[4]
        proxy.signal_mysqld(signal.SIGKILL)
        more = f"haproxy_stats_port={STATISTICS}"
        conf = cluster.write_cnf(candidate=1, default=balanced(cluster, proxy) + more, apart=(4,))
        start_haproxy(cluster, proxy, conf)
        monitor = Monitor(cluster, conf)
        running.callback(monitor.stop)
        writer = Writer(cluster, only=f"{proxy.ip}:{WRITES}")
        readers = [running.enter_context(reading(cluster, proxy.ip, READS))]

        def read_from(*numbers: int) -> bool:
            return set().union(*(r.servers(time.time() - 0.5) for r in readers)) == set(numbers)

        wait_until(lambda: read_from(2, 3), "both replicas are read from")
        # Earlier, while nobody had told HAProxy of the replicas, its session would have come to the primary, and stay.
        readers.append(running.enter_context(reading(cluster, proxy.ip, READS, keep=True)))
        cluster[3].sql(f"STOP {replica} IO_THREAD")
        wait_until(lambda: read_from(2), "the late replica is not read from")
        wait_until(lambda: writer.acks()[-1].at > readers[1].seen[-1].at - 1.0, "writes go on")
        late = [reader.latest(writer.acks()) for reader in readers]
        cluster[3].sql(f"START {replica} IO_THREAD")
        wait_until(lambda: read_from(2, 3), "it is read from again")
        began = time.time()
        assert switch(cluster, conf, 2) == 0
        wait_until(lambda: read_from(1, 3), "the old primary is read from")
        switched = time.time()
        assert "MAINT" not in page_of(cluster, proxy, "mha_reader"), "all of them are shown, and may be read from"
        cluster[2].signal_mysqld(signal.SIGKILL)
        monitor.wait_for("Master failover to")
        # Who kept a session that came to the primary while no replica was fit keeps it.
        wait_until(lambda: readers[0].servers(time.time() - 0.5) == {3}, "the replica left is read from", 40)
        done = time.time()
        wait_until(lambda: writer.acks()[-1].at > done, "writes go on")
        acks = writer.stop()
        for reader in readers:
            reader.stop()
        gaps = [
            outage([a for a in acks if since < a.at < until]).seconds
            for since, until in ((began, switched), (switched, 1e12))
        ]
        waits = [reader.longest_wait() for reader in readers]
        print(f"\n{cluster.name}: late {late} s while a replica lagged; {[r.latest(acks) for r in readers]} s at all")
        print(
            f"readers waited {waits} s, {[len(r.failed) for r in readers]} of {[len(r.seen) for r in readers]} failed"
        )
        print(f"no write for {gaps[0]:.2f} s at the switch, for {gaps[1]:.2f} s at the failover")
        assert all(reader.latest(acks) < MAX_LAG + 3.0 for reader in readers)
        assert all(wait < 3.0 for wait in waits)
        assert gaps[0] < 5.0 and gaps[1] < 15.0
        result = account(acks, [cluster[1], cluster[3]])
        assert result.rows_lost == 0 and result.equal, result


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
