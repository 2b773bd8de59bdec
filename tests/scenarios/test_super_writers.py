"""Writers with SUPER, whom read_only does not stop, and who connect to the old primary again for ever."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from prefect_mha.replication.memory.held_servers import HeldServers
from tests.lab.checker import account
from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.kinds import ADMIN
from tests.lab.writer import INSERT, TABLE, Ack
from tests.scenarios.watching import SIGHT, Monitor

BOSS, BOSS_PASSWORD = "boss", "boss-pw"

KINDS = [
    pytest.param("mysql56", False, id="5.6-position"),
    pytest.param("mariadb118", True, id="11.8-gtid"),
    pytest.param("mysql56", True, id="5.6-gtid", marks=pytest.mark.slow),
    pytest.param("mariadb105", True, id="10.5-gtid", marks=pytest.mark.slow),
    pytest.param("mariadb105", False, id="10.5-position", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="10.11-gtid", marks=pytest.mark.slow),
    pytest.param("mariadb", False, id="10.11-position", marks=pytest.mark.slow),
    pytest.param("mariadb118", False, id="11.8-position", marks=pytest.mark.slow),
]


class Stubborn(threading.Thread):
    """It writes to one server and no other, whatever that is, with a session of an account with SUPER.

    ``asks`` begins READ WRITE transactions explicitly, which nothing but super_read_only would stop.
    """

    def __init__(self, number: int, host: Host, user: str = BOSS, *, asks: bool = False) -> None:
        super().__init__(daemon=True)
        self.acks: list[Ack] = []
        self._number, self._host, self._asks = number, host, asks
        self._account = (user, BOSS_PASSWORD if user == BOSS else None)
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        number = 0
        user, password = self._account
        while not self._ended.is_set():
            try:
                session = self._host.connect(user=user, password=password)
            except (pymysql.MySQLError, OSError):
                self._ended.wait(0.005)
                continue
            try:
                # A replica with one applier on a busy machine keeps up with three of them.
                while not self._ended.wait(0.02):
                    number += 1
                    with session.cursor() as cursor:
                        if self._asks:
                            cursor.execute("START TRANSACTION READ WRITE")
                        cursor.execute(INSERT, (self._number, number, "x"))
                        if self._asks:
                            cursor.execute("COMMIT")
                    self.acks.append(Ack(self._number, number, time.time(), self._host.ip))
            except (pymysql.MySQLError, OSError):
                pass  # refused or ended: it connects again
            finally:
                session.close()

    def end(self) -> list[Ack]:
        self._ended.set()
        self.join(20)
        return self.acks


@contextmanager
def stubborn(cluster: Cluster, *, asks: bool = False) -> Iterator[list[Stubborn]]:
    """Three of them write to db1: of another account with SUPER, and of the manager's own."""
    cluster[1].sql(TABLE)
    cluster[1].sql(f"CREATE USER {BOSS}@'%' IDENTIFIED BY '{BOSS_PASSWORD}'")
    cluster[1].sql(f"GRANT ALL ON *.* TO {BOSS}@'%'")
    writers = [Stubborn(91, cluster[1], asks=asks), Stubborn(92, cluster[1]), Stubborn(93, cluster[1], ADMIN)]
    try:
        time.sleep(1.0)
        yield writers
    finally:
        for writer in writers:
            writer.end()


def switch(cluster: Cluster, *options: str) -> Done:
    conf = cluster.write_cnf()
    words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", f"--new_master_host={cluster[2].ip}")
    done = cluster.command("masterha_master_switch", *words, *options)
    log: Path = cluster.seat / "app1" / "manager.log"
    return Done(done.code, done.output + log.read_text())


def until_level(cluster: Cluster) -> None:
    """db1 executes what db2 takes."""
    cluster[2].sql("CREATE TABLE app.after_it (id INT PRIMARY KEY)")
    ends = time.monotonic() + 20
    while not all(host.sql("SHOW TABLES IN app LIKE 'after_it'") for host in cluster.hosts):
        assert time.monotonic() < ends, [host.replica_status() for host in cluster.hosts]
        time.sleep(0.05)


#: Several appliers, and places in tables, which are written as everything else is.
PARALLEL = {
    "mysql56": "slave_parallel_workers=4\nmaster_info_repository=TABLE\nrelay_log_info_repository=TABLE\n",
    "mariadb118": "slave_parallel_threads=4\n",
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[1], KINDS[2]])
def test_the_same_with_several_appliers_and_places_in_tables(kind: str, gtid: bool) -> None:
    switched_beside_stubborn_writers(Cluster(kind, gtid=gtid, extra={0: PARALLEL[kind]}))


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_switch_beside_a_writer_with_super_that_connects_for_ever(kind: str, gtid: bool) -> None:
    switched_beside_stubborn_writers(Cluster(kind, gtid=gtid))


def switched_beside_stubborn_writers(made: Cluster) -> None:
    with made as cluster, stubborn(cluster) as writers:
        done = switch(cluster, "--orig_master_is_new_slave")
        assert done.code == 0, done
        time.sleep(1.0)
        acks = [ack for writer in writers for ack in writer.end()]
        assert len(acks) > 50
        until_level(cluster)
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0, f"{result}\n{done}"
        assert result.equal, f"{result}\n{done}"
        # Back again, and it takes writes.
        back = cluster.command(
            "masterha_master_switch",
            *("--master_state=alive", f"--conf={cluster.seat / 'app1.cnf'}", "--interactive=0"),
            *(f"--new_master_host={cluster[1].ip}", "--orig_master_is_new_slave"),
        )
        assert back.code == 0, f"{back}\n{(cluster.seat / 'app1' / 'manager.log').read_text()}"
        cluster[1].sql(INSERT, (95, 1, "x"))
        with cluster[1].connect() as session, session.cursor() as cursor:
            cursor.execute(INSERT, (95, 2, "x"))


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb", True, id="10.11-gtid"), pytest.param("mysql56", False, id="5.6", marks=pytest.mark.slow)],
)
def test_writes_that_nothing_could_stop_are_found_at_the_end(kind: str, gtid: bool) -> None:
    """A session with SUPER that asks for READ WRITE itself: exit 10, and it is said what is where."""
    with Cluster(kind, gtid=gtid) as cluster, stubborn(cluster, asks=True):
        done = switch(cluster, "--orig_master_is_new_slave")
        assert done.code == 10, done
        assert "somebody" in done.output
        assert "wrote to it after the switch" in done.output


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[1]])
def test_a_returned_primary_takes_no_write_of_an_account_with_super(kind: str, gtid: bool) -> None:
    """It is held; and when somebody makes it a replica in the usual way, its applier runs."""
    with Cluster(kind, gtid=gtid) as cluster, stubborn(cluster) as writers:
        conf = cluster.write_cnf(candidate=2)
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--conf", str(conf)]
        with (cluster.seat / "monitor.out").open("w") as out:
            monitor = cluster.run_there(sys.executable, *words, out=out)
        log = conf.with_suffix("") / "manager.log"

        def wait_for(words: str, times: int = 1, seconds: float = 60.0) -> None:
            ends = time.monotonic() + seconds
            while not log.exists() or log.read_text().count(words) < times:
                assert time.monotonic() < ends, log.read_text() if log.exists() else "no log"
                time.sleep(0.05)

        try:
            wait_for("waiting until MySQL doesn't respond")
            cluster[1].signal_mysqld(9)
            wait_for("waiting until MySQL doesn't respond", 2)
            assert HeldServers(conf.with_suffix(""), "app1").current()
            before = [len(writer.acks) for writer in writers]
            cluster[1].start_mysqld()
            wait_for("came back and took writes")
            # What is written until the guard has closed it is counted elsewhere; from now on nobody writes there.
            closed = time.time() + 0.5
            time.sleep(3.0)
            late = [ack for writer in writers for ack in writer.acks if ack.at > closed]
            assert not late, (before, [len(writer.acks) for writer in writers], log.read_text()[-3000:])
            for writer in writers:
                writer.end()
            cluster.rebuild(cluster[1], cluster[2])
            wait_for("is no longer held read-only")
            cluster[2].sql("CREATE TABLE app.after_it (id INT PRIMARY KEY)")
            ends = time.monotonic() + 20
            while not cluster[1].sql("SHOW TABLES IN app LIKE 'after_it'"):
                assert time.monotonic() < ends, cluster[1].replica_status()
                time.sleep(0.05)
        finally:
            monitor.kill()
            monitor.wait(10)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [KINDS[0], KINDS[1], KINDS[5]])
def test_one_that_is_made_a_replica_while_it_is_closed_to_super_goes_on(kind: str, gtid: bool) -> None:
    """Its applier inherits that nobody may write, and stops at the first transaction: that is the hold's own doing."""
    with Cluster(kind, gtid=gtid) as cluster:
        monitor = Monitor(cluster, cluster.write_cnf(candidate=2))
        try:
            cluster[1].signal_mysqld(signal.SIGKILL)
            monitor.wait_for("completed successfully")
            monitor.wait_for(SIGHT, 2)
            cluster.install_anew(cluster[1])
            monitor.wait_for("came back ")
            cluster.follow(cluster[1], cluster[2])
            monitor.wait_for("is no longer held read-only")
            until_level(cluster)
        finally:
            monitor.stop()
