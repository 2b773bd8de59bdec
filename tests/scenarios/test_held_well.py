"""What other managers broke on and this one did not: odd appliers, odd channels, and silence that is no death."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import pymysql
import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import SMALLEST_DISK, Host
from tests.lab.network import sh
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.test_busy_replicas import comes_later
from tests.scenarios.test_chains_of_faults import lost_on, rows_on
from tests.scenarios.test_names_and_shapes import runs, switch
from tests.scenarios.test_no_false_failover import trouble
from tests.scenarios.test_role_moves import has_semi_sync
from tests.scenarios.test_who_is_primary import writable
from tests.scenarios.watching import Monitor

pytestmark = pytest.mark.slow

KINDS = kinds("mariadb-gtid", "9.7-gtid", "5.6-position")
OPTIMISTIC = "slave_parallel_threads=4\nslave_parallel_mode=optimistic"
#: Seconds of a trouble: well past four missed pings.
LASTS = 8.0


class Contention:
    """Four sessions that add one to the same row: appliers that execute these side by side have to give way."""

    def __init__(self, primary: Host) -> None:
        primary.sql("CREATE TABLE app.hot (id INT PRIMARY KEY, v INT) ENGINE=InnoDB")
        primary.sql("INSERT INTO app.hot VALUES (1, 0)")
        self.acknowledged, self._primary, self._lock = 0, primary, threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.acknowledged > 200, "they write")

    def _run(self) -> None:
        with contextlib.suppress(pymysql.MySQLError):
            session = self._primary.connect()
            with session.cursor() as cursor:
                while True:
                    cursor.execute("UPDATE app.hot SET v = v + 1 WHERE id = 1")
                    with self._lock:
                        self.acknowledged += 1

    def ended(self) -> int:
        """How many were acknowledged until their server died."""
        for thread in self._threads:
            thread.join(20)
        return self.acknowledged


@pytest.mark.parametrize(
    ("kind", "gtid", "how"),
    [
        pytest.param("mariadb", True, OPTIMISTIC, id="mariadb-gtid"),
        pytest.param("mariadb", False, OPTIMISTIC, id="mariadb-position"),
        pytest.param("mariadb118", True, OPTIMISTIC, id="11.8-gtid"),
        # What MySQL has of the kind: it finds by their write sets what may be executed side by side.
        pytest.param("mysql97", True, "replica_parallel_workers=8", id="9.7-gtid"),
    ],
)
def test_appliers_that_execute_side_by_side_and_give_way(kind: str, gtid: bool, how: str) -> None:
    """The same row, over and over, under a crash; one replica lacks some of it, and the dead disk has the most."""
    with Cluster(kind, gtid=gtid, extra={2: how, 3: how}) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        contention = Contention(cluster[1])
        rows_on(cluster, writer, 2, rows=20)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        added = contention.ended()
        # What was executed and not answered any more may be there: one for each session.
        for number in (2, 3):
            assert added <= cluster[number].sql("SELECT v FROM app.hot")[0]["v"] <= added + 4, manager.log()


def by_position(host: Host) -> None:
    """It goes on from where it is, and finds its place by file and position from now on."""
    word = host.kind.word("REPLICA", "SLAVE")
    if host.kind.mariadb:
        change = "CHANGE MASTER TO MASTER_USE_GTID=no"
    else:
        p, what = host.kind.word("SOURCE", "MASTER"), host.kind.word("REPLICATION SOURCE", "MASTER")
        change = f"CHANGE {what} TO {p}_AUTO_POSITION=0"
    host.sql(f"STOP {word} IO_THREAD")
    wait_until(lambda: "has read all" in host.replica_status()["Replica_SQL_Running_State"], "it executed all")
    status = host.replica_status()
    if not host.kind.mariadb:
        change += f", {p}_LOG_FILE='{status['Relay_Source_Log_File']}', {p}_LOG_POS={status['Exec_Source_Log_Pos']}"
    host.sql(f"STOP {word}")
    host.sql(change)
    host.sql(f"START {word}")
    runs(host)


@pytest.mark.parametrize("candidate", [2, 3], ids=["by-gtid", "by-position"])
@pytest.mark.parametrize("kind", ["mariadb", "mariadb118", "mysql97", "mysql56"])
def test_one_replica_goes_by_gtid_and_the_other_by_position(kind: str, candidate: int) -> None:
    """Whichever is promoted, both have the dead primary's last rows."""
    with Cluster(kind, gtid=True) as cluster:
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 20, "the application writes")
        by_position(cluster[3])
        manager = cluster.start_manager(cluster.write_cnf(candidate=candidate, default="start_checks=warn"))
        rows_on(cluster, writer, 0, rows=20)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, candidate, (5 - candidate,))


@pytest.mark.parametrize("kind", ["mariadb", "mariadb105", "mariadb118"])
def test_five_switches_in_turns_with_one_on_current_pos(kind: str) -> None:
    """MariaDB: what a former primary wrote itself counts there, too, for where it goes on."""
    with Cluster(kind, gtid=True) as cluster:
        cluster[3].sql("STOP SLAVE")
        cluster[3].sql("CHANGE MASTER TO MASTER_USE_GTID=current_pos")
        cluster[3].sql("START SLAVE")
        runs(cluster[3])
        conf, writer, now = cluster.write_cnf(), Writer(cluster), 1
        for to in (2, 3, 1, 3, 2):
            before = len(writer.acks())
            wait_until(lambda n=before: len(writer.acks()) > n + 20, "rows of this primary")  # type: ignore[misc]
            done = switch(cluster, conf, cluster[to].ip, "--orig_master_is_new_slave")
            assert done.code == 0, (to, done)
            for number in {1, 2, 3} - {to}:
                runs(cluster[number])
                assert cluster[number].replica_status()["Source_Host"] == cluster[to].ip
            now = to
        acks = writer.stop()
        assert {ack.host for ack in acks} >= {cluster[n].ip for n in (1, 2, 3)}
        # A server had the role twice, so only the end is asked.
        for number in (1, 2, 3):
            assert lost_on(acks, cluster[number]) == 0
            assert writable(cluster[number]) == (number == now)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_ssh_that_stands_still_keeps_nobody_from_the_failover(kind: str, gtid: bool) -> None:
    """Its sshd takes connections and says nothing: what only that disk has cannot be saved, and that is told."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 20, "the application writes")
        cluster[1].run("pkill -STOP '^sshd'")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer, seconds=90.0)
        assert code in (0, 10), manager.log()
        assert writable(cluster[2]), manager.log()
        assert [ack for ack in acks if ack.host == cluster[2].ip], manager.log()
        assert "may be missing" in manager.log()
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip


def forget_sessions(cluster: Cluster, host: Host) -> None:
    """What the manager and db2 have open to this host is forgotten by the network; what they open anew gets through."""
    back = cluster.subnet.host(host.number)
    for there in (cluster.subnet.manager, cluster.subnet.host(2)):
        told = sh(f"ip netns exec {there} ss -Htn state established dst {host.ip}")
        ports = {line.split()[2].rpartition(":")[2] for line in told.splitlines()}
        assert ports, there
        for port in ports:
            sh(f"ip -n {there} rule add to {host.ip} ipproto tcp sport {port} pref 10 blackhole")
            sh(f"ip -n {back} rule add ipproto tcp dport {port} pref 10 blackhole")


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_sessions_that_the_network_forgot_are_no_death_and_a_death_is_seen_nevertheless(kind: str, gtid: bool) -> None:
    """A firewall dropped them without a word: no answer comes, and no end; db2 believes to receive."""
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, default="start_checks=warn", candidate=2) as manager:
            writer = Writer(cluster)
            wait_until(lambda: len(writer.acks()) > 20, "the application writes")
            forget_sessions(cluster, cluster[1])
            time.sleep(LASTS)
            assert cluster[2].replica_status()["Replica_IO_Running"] == "Yes"
            assert lost_on(writer.acks(), cluster[2]) > 100, "db2 received them"
        cluster[1].signal_mysqld(signal.SIGKILL)
        # Not only once db2's heartbeat is overdue: on 5.6 as it is installed that is half an hour.
        code, acks = finish(manager, writer, seconds=25.0)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.parametrize("candidate", [2, 3], ids=["of-another", "of-the-chosen-one"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_disk_of_a_replica_is_full(kind: str, gtid: bool, candidate: int) -> None:
    """db3 executes nothing more: it is left out, or passed over, and follows by itself once there is room."""
    with Cluster(kind, gtid=gtid, disk={3: SMALLEST_DISK + 200}) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=candidate))
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 20, "the application writes")
        cluster[3].fill_disk()
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 300, "rows that it has no room for")
        cluster[1].signal_mysqld(signal.SIGKILL)
        # It answers no question either, and is waited for once: four seconds.
        wait_until(lambda: writable(cluster[2]), "db2 is open", 20.0)
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 20, "an application's rows")
        cluster[3].free_disk()
        comes_later(cluster, writer.stop(), cluster[3], cluster[2], 90.0)
        monitor.stop()


@pytest.mark.parametrize("ping", ["SELECT", "CONNECT", "INSERT"])
@pytest.mark.parametrize(("kind", "gtid"), KINDS[:2])
def test_a_primary_that_waits_for_an_acknowledgement_is_not_dead(kind: str, gtid: bool, ping: str) -> None:
    """Both replicas' receivers stand still: no row is acknowledged for as long, and nobody is promoted for that."""
    with Cluster(kind, gtid=gtid) as cluster:
        assert has_semi_sync(cluster)
        cluster.make_semi_synchronous(cluster[1], [cluster[2], cluster[3]])
        with trouble(cluster, default=f"ping_type={ping}\nstart_checks=warn") as manager:
            writer = Writer(cluster)
            wait_until(lambda: len(writer.acks()) > 20, "the application writes")
            for number in (2, 3):
                cluster.stop_receiver(cluster[number])
            time.sleep(LASTS)
            held = len(writer.acks())
            time.sleep(2.0)
            assert len(writer.acks()) == held, "a row was acknowledged by nobody"
            for number in (2, 3):
                cluster.start_receiver(cluster[number])
            wait_until(lambda: len(writer.acks()) > held + 20, "rows again")
            writer.stop()
        manager.stop()
