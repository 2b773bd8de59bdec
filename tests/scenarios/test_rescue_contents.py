"""What only the dead primary's disk, or one replica, holds may be anything: every kind of content, byte for byte."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.contents import Contents, picture, prepared
from tests.scenarios.test_primary_dies import MODES


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


@pytest.mark.parametrize(("kind", "gtid"), MODES)
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
    """The new primary has all of it; a strict replica refuses the second half, which is told, and stays as it is."""
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
        code = manager.wait(60)
        assert picture(cluster[2]) == expected, manager.log()
        assert cluster[2].sql("SELECT @@GLOBAL.gtid_strict_mode AS strict") == [{"strict": strict}]
        if strict:
            assert code == 10, manager.log()
            assert f"{cluster[3].ip}(10" in manager.log() and "was not recovered" in manager.log()
            assert cluster[3].replica_status()["Last_SQL_Errno"] == 1950
        else:
            assert code == 0, manager.log()
            assert picture(cluster[3]) == expected
