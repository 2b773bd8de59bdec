"""What only the dead primary's disk, or one replica, holds may be anything: every kind of content, byte for byte."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.contents import Contents, picture, prepared
from tests.scenarios.encrypted_logs import encrypting
from tests.scenarios.failing_over import LONG_MODES


def level(cluster: Cluster, *numbers: int) -> None:
    """Wait until the replicas received all that the primary wrote."""
    status = cluster[1].sql(f"SHOW {cluster.kind.word('BINARY LOG', 'MASTER')} STATUS")[0]
    ends = time.monotonic() + 20
    for number in numbers or (2, 3):
        while True:
            replica = cluster[number].replica_status()
            if (replica["Source_Log_File"], replica["Read_Source_Log_Pos"]) == (status["File"], status["Position"]):
                break
            assert time.monotonic() < ends, replica
            time.sleep(0.02)


@pytest.mark.parametrize(("kind", "gtid"), LONG_MODES)
def test_every_kind_of_content_reaches_both_survivors(kind: str, gtid: bool) -> None:
    """db3 lacks two writings, db2 one; the primary's disk alone has it, and a prepared XA transaction at its end."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].sql("CREATE TABLE app.before (id INT PRIMARY KEY)")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        Contents(cluster[1], gtid=gtid, part=1).write()
        cluster.stop_receiver(cluster[2])
        last = Contents(cluster[1], gtid=gtid, part=2)
        last.write()
        if kind != "mysql56":  # it neither logs XA PREPARE nor keeps a prepared transaction when its session ends
            last.leave_prepared("left")
        cluster[1].sql("CREATE TABLE app.at_the_end (id INT PRIMARY KEY)")
        expected = picture(cluster[1])
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        for number in (2, 3):
            assert picture(cluster[number]) == expected, manager.log()
            assert prepared(cluster[number], "left") == (kind != "mysql56")
        if kind != "mysql56":
            cluster[2].sql("XA COMMIT 'left'")
            assert cluster[2].sql("SELECT id FROM app.prepared") == [{"id": 1}]


@pytest.mark.parametrize("strict", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_a_mariadb_session_logs_as_two_transactions_under_one_gtid(strict: bool) -> None:
    """Replicated, they are one each, as on the primary: strict replicas take them, too."""
    with Cluster("mariadb", gtid=True) as cluster:
        for host in cluster.hosts:
            host.sql(f"SET GLOBAL gtid_strict_mode={int(strict)}")
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].sql("CREATE DATABASE `dätä`")
        cluster[1].sql("CREATE SEQUENCE app.numbers")
        cluster[1].sql("CREATE TABLE app.numbered (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        cluster[1].sql("INSERT INTO app.numbered VALUES (NEXTVAL(app.numbers))")
        cluster[1].sql("CREATE TABLE app.copied ENGINE=InnoDB AS SELECT * FROM app.numbered")
        cluster[1].sql("INSERT INTO app.copied VALUES (2)")
        expected = picture(cluster[1])
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        for number in (2, 3):
            assert picture(cluster[number]) == expected, manager.log()
        assert cluster[2].sql("SELECT @@GLOBAL.gtid_strict_mode AS strict") == [{"strict": strict}]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mysql56", "mysql97", "mariadb"])
def test_host_gone_and_what_one_replica_lacks_lies_in_forty_relay_logs_of_the_other(kind: str) -> None:
    """Without GTIDs: every kind of content, cut out of relay logs, of which half end where the primary's logs do."""
    with Cluster(kind) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].sql("CREATE TABLE app.rotated (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        for number in range(20):
            cluster[1].sql(f"INSERT INTO app.rotated VALUES ({number})")
            cluster[1].sql("FLUSH BINARY LOGS")
            cluster[2].sql("FLUSH RELAY LOGS")
        Contents(cluster[1], gtid=False, part=1).write()
        level(cluster, 2)
        assert len(cluster[2].run("ls /var/lib/mysql/relay-bin.0*").split()) > 40
        expected = picture(cluster[1])
        cluster[1].power_off()
        assert manager.wait(60) == 0, manager.log()
        for number in (2, 3):
            assert picture(cluster[number]) == expected, manager.log()
        assert "Borrowed" in manager.log()


@pytest.mark.slow
def test_host_gone_and_the_relay_logs_purged_on_the_only_replica_that_was_level() -> None:
    """The one behind is wanted as primary, but nobody can give it what it lacks: the other is promoted, as is told."""
    with Cluster("mariadb") as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=3))
        cluster[1].sql("CREATE TABLE app.purged (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        before = cluster[3].run("ls -l /var/lib/mysql/relay-bin.0*")
        cluster[2].sql("SET GLOBAL relay_log_purge=1")
        for number in range(3):
            cluster[1].sql(f"INSERT INTO app.purged VALUES ({number})")
            level(cluster, 2)
            cluster[2].sql("FLUSH RELAY LOGS")
        ends = time.monotonic() + 20
        while "relay-bin.000002" in cluster[2].run("ls /var/lib/mysql"):
            assert time.monotonic() < ends
            cluster[2].sql("FLUSH RELAY LOGS")
            time.sleep(0.1)
        cluster[1].power_off()
        assert manager.wait(60) == 10, manager.log()
        assert cluster[2].sql("SELECT COUNT(*) AS n FROM app.purged") == [{"n": 3}]
        assert cluster[2].replica_status() == {}
        assert "do not reach back far enough" in manager.log()
        assert f"{cluster[3].ip}:3306): left out: it could not be brought level" in manager.log()
        assert cluster[3].replica_status()["Source_Host"] == cluster[1].ip
        assert cluster[3].run("ls -l /var/lib/mysql/relay-bin.0*") == before


@pytest.mark.parametrize("kind", ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)])
def test_an_encrypted_binary_log_cannot_be_saved_which_is_told_and_stops_nothing(kind: str) -> None:
    """What the replicas received between them is on both; only what nobody received is lost."""
    with encrypting(kind, gtid=False) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].sql("CREATE TABLE app.secret (id INT PRIMARY KEY) ENGINE=InnoDB")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.secret VALUES (1)")
        level(cluster, 2)
        cluster.stop_receiver(cluster[2])
        cluster[1].sql("INSERT INTO app.secret VALUES (2)")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 10, manager.log()
        for number in (2, 3):
            assert cluster[number].sql("SELECT id FROM app.secret") == [{"id": 1}], manager.log()
        assert "Transactions lost" in manager.log().partition("Failover Report")[2]
        assert "only a server with its keys can read it" in manager.log().partition("Failover Report")[2]
