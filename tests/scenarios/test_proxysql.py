"""ProxySQL through a failover, a return and a switch under load: two stubs of it (`tests.lab.proxysql_stub` says what
of the real one is in them), whose monitors move servers by themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.lab.bench_switch import switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.proxysql_stub import ADMIN_PORT, READER, READS, WRITER, WRITES
from tests.lab.sessions import ServerSession
from tests.lab.writer import Writer, outage
from tests.scenarios.moving import wait_until
from tests.scenarios.reading import reading
from tests.scenarios.watching import Monitor

USER, PASSWORD = "radmin", "lab-proxysql-pw"
#: Seconds between two looks of its monitor; mysql-monitor_read_only_interval is 1.5 by default.
LOOKS = 0.5


class Stub:
    """One that runs in a host's network, set up as its users do."""

    def __init__(self, cluster: Cluster, ip: str, namespace: str) -> None:
        self.ip, self._cluster = ip, cluster
        words = ["-m", "tests.lab.proxysql_stub", USER, PASSWORD, str(LOOKS)]
        self._process = cluster.run_there(sys.executable, *words, out=subprocess.PIPE, namespace=namespace)
        assert self._process.stdout is not None and self._process.stdout.readline() == "ready\n"
        for number in (1, 2, 3):
            group = WRITER if number == 1 else READER
            host = f"'{cluster[number].ip}'"
            self.ask(
                f"INSERT INTO mysql_servers (hostgroup_id, hostname, max_replication_lag) VALUES ({group}, {host}, 5)"
            )
        self.ask("LOAD MYSQL SERVERS TO RUNTIME")

    def ask(self, sql: str) -> list[tuple[str, ...]]:
        """As an administrator, from the manager's host."""
        with self._cluster.in_manager_net():
            session = ServerSession(
                host=self.ip, port=ADMIN_PORT, user=USER, password=PASSWORD, connect_timeout=2, read_timeout=2
            )
        with session, session.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(map(str, row)) for row in cursor.fetchall()]

    def looks(self) -> int:
        """How many its monitor has come back with."""
        ((count,),) = self.ask("SELECT COUNT(*) FROM mysql_server_read_only_log")
        return int(count)

    def in_group(self, group: int, table: str = "runtime_mysql_servers") -> set[int]:
        """The numbers of the hosts that are ONLINE there."""
        rows = self.ask(f"SELECT hostname FROM {table} WHERE hostgroup_id = {group} AND status = 'ONLINE'")
        return {host.number for host in self._cluster.hosts if (host.ip,) in rows}

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)


@contextmanager
def two_of_them(cluster: Cluster) -> Iterator[tuple[Stub, Stub]]:
    """On a host of their own, and on the manager's."""
    with ExitStack() as running:
        made = []
        for ip, namespace in ((cluster[4].ip, cluster.subnet.host(4)), (f"{cluster.subnet.prefix}.1", "")):
            made.append(Stub(cluster, ip, namespace))
            running.callback(made[-1].stop)
        yield made[0], made[1]


def lines(*stubs: Stub) -> str:
    places = ", ".join(f"{stub.ip}:{ADMIN_PORT}" for stub in stubs)
    return f"vip_provider=proxysql\nproxysql_admins={places}\nproxysql_user={USER}\nproxysql_password={PASSWORD}\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_a_primary_that_comes_back_writable_gets_nothing_from_proxysql(kind: str) -> None:
    """Its monitor would make a writer of it, for it is not read-only until it is closed; rejoined, it is read from."""
    with Cluster(kind, gtid=True, n=4) as cluster, two_of_them(cluster) as stubs:
        cluster[4].signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(candidate=2, default=lines(*stubs), apart=(4,))
        for stub in stubs:
            wait_until(lambda s=stub: s.in_group(WRITER) == {1}, "db1 is the writer")  # type: ignore[misc]
        monitor = Monitor(cluster, conf)
        try:
            writer = Writer(cluster, only=f"{stubs[0].ip}:{WRITES}")
            with reading(cluster, stubs[1].ip, READS) as reader:
                wait_until(lambda: reader.servers(time.time() - 0.5) >= {2, 3}, "both replicas are read from")
                killed = time.time()
                cluster[1].signal_mysqld(signal.SIGKILL)
                monitor.wait_for("completed successfully")
                for stub in stubs:
                    assert stub.in_group(WRITER) == stub.in_group(WRITER, "disk_mysql_servers") == {2}
                back = time.time()
                cluster[1].start_mysqld()
                monitor.wait_for("came back")
                for stub in stubs:
                    seen = stub.looks()
                    wait_until(lambda s=stub, n=seen: s.looks() > n + 6, "its monitor looks at all")  # type: ignore[misc]
                    assert stub.in_group(WRITER) == {2} and 1 not in stub.in_group(READER)
                done = cluster.command("mha", "rejoin", f"--conf={conf}", f"--host={cluster[1].ip}", "--yes")
                assert done.code == 0, done
                wait_until(lambda: 1 in reader.servers(time.time() - 0.5), "db1 is read from")
                for stub in stubs:
                    assert stub.in_group(READER) >= {1, 3} and stub.in_group(WRITER) == {2}
                    (row,) = stub.ask(
                        "SELECT max_replication_lag FROM runtime_mysql_servers "
                        f"WHERE hostgroup_id = {READER} AND hostname = '{cluster[1].ip}'"
                    )
                    assert row == ("5",)
                acks = writer.stop()
            pause = outage(acks)
            print(f"\nno write for {pause.seconds:.2f} s; {len(reader.failed)} reads failed of {len(reader.seen)}")
            assert pause.last.at - 1.0 < killed < pause.first.at < killed + 15.0 and acks[-1].at > back
            result = account(acks, cluster.hosts[:3])
            assert result.rows_lost == 0 and not result.split, result
        finally:
            monitor.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_a_switch_there_and_back_while_the_monitors_of_proxysql_move_servers_too(kind: str) -> None:
    with Cluster(kind, gtid=True, n=4) as cluster, two_of_them(cluster) as stubs:
        cluster[4].signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(default=lines(*stubs), apart=(4,))
        writer = Writer(cluster, only=f"{stubs[0].ip}:{WRITES}", sessions=4, interval=0.1)
        wait_until(lambda: bool(writer.acks()), "the clients write")
        for to, replicas in ((2, {1, 3}), (1, {2, 3})):
            began = time.time()
            assert switch(cluster, conf, to) == 0
            done = time.time()
            wait_until(lambda at=done: writer.acks()[-1].at > at, "the clients write again")  # type: ignore[misc]
            for stub in stubs:
                assert stub.in_group(WRITER) == {to} and stub.in_group(READER) >= replicas
            pause = outage([ack for ack in writer.acks() if ack.at > began]).seconds
            print(f"\n{cluster.name}: to db{to}: no write for {pause:.2f} s")
            assert pause < 5.0
        result = account(writer.stop(), cluster.hosts[:3])
        assert result.rows_lost == 0 and result.equal, result


@pytest.mark.slow
def test_a_proxysql_that_hangs_holds_no_failover_up() -> None:
    """One takes connections and never answers: the other is switched, one sentence says which was not, exit code 10."""
    with Cluster("mariadb", gtid=True, n=4) as cluster, two_of_them(cluster) as stubs:
        cluster[4].signal_mysqld(signal.SIGKILL)
        stubs[1]._process.send_signal(signal.SIGSTOP)
        manager = cluster.start_manager(
            cluster.write_cnf(candidate=2, default=lines(*stubs) + "vip_timeout=2", apart=(4,))
        )
        killed = time.time()
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 10, manager.log()
        assert time.time() - killed < 20.0
        assert stubs[0].in_group(WRITER) == {2}
        said = [line for line in manager.log().splitlines() if "acquire: proxysql" in line]
        assert len(said) == 1 and f"{stubs[1].ip}:{ADMIN_PORT}" in said[0], manager.log()
