"""The rescue meets filters, what a donor executed and did not log, and a setting that was lent."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.failing_over import MODES
from tests.scenarios.moving import wait_until
from tests.scenarios.rescuing import by_hand, ledger
from tests.scenarios.test_rescue_contents import level


def one_kept_and_one_filtered(primary: Host) -> None:
    """A table of a schema that replicas take, and one of a schema that they leave out, as its own statement is."""
    primary.sql("CREATE DATABASE audit")
    by_hand(primary, "autocommit=1", "CREATE TABLE app.kept (id INT PRIMARY KEY)")
    in_schema(primary, "audit", "CREATE TABLE audit.trail (id INT PRIMARY KEY)")


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [MODES[4], MODES[3], *(pytest.param(*m.values, id=m.id, marks=pytest.mark.slow) for m in MODES[:3])],
)
def test_what_the_replicas_leave_out_stops_no_rescue_and_is_counted(kind: str, gtid: bool) -> None:
    """A schema that is filtered, and that the replicas have not, in what only the dead primary's disk has."""
    filters = "replicate-ignore-db=audit"
    with Cluster(kind, gtid=gtid, extra={2: filters, 3: filters}) as cluster:
        one_kept_and_one_filtered(cluster[1])
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        level(cluster)
        for number in (2, 3):
            assert not cluster[number].sql("SHOW DATABASES LIKE 'audit'")
            cluster.stop_receiver(cluster[number])
        for row in range(3):
            cluster[1].sql(f"INSERT INTO app.kept VALUES ({row})")
            in_schema(cluster[1], "audit", f"INSERT INTO audit.trail VALUES ({row})")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(90) == 0, manager.log()
        for number in (2, 3):
            assert cluster[number].sql("SELECT COUNT(*) AS n FROM app.kept")[0]["n"] == 3, manager.log()
            assert not cluster[number].sql("SHOW DATABASES LIKE 'audit'")
        lines = [line for line in ledger(manager) if line["fate"] == "rescued" and line["transactions"] == 6]
        assert lines, ledger(manager)
        assert all(line["left_out"] == 3 and "ignore_db: audit" in line["why"] for line in lines), lines


@pytest.mark.slow
@pytest.mark.parametrize("strict", [1, 0], ids=["strict", "lax"])
@pytest.mark.parametrize("kind", ["mariadb", "mariadb105", "mariadb118"])
def test_a_filtered_last_transaction_keeps_no_replica_away(kind: str, strict: int) -> None:
    """MariaDB: db3 stands at one that both leave out: it is in its gtid_slave_pos, in no replica's log (error 1236)."""
    extra = f"replicate-ignore-db=audit\ngtid_strict_mode={strict}"
    with Cluster(kind, gtid=True, extra={2: extra, 3: extra}) as cluster:
        one_kept_and_one_filtered(cluster[1])
        level(cluster)
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        cluster[1].sql("INSERT INTO app.kept VALUES (1)")
        in_schema(cluster[1], "audit", "INSERT INTO audit.trail VALUES (1)")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        cluster[2].sql("INSERT INTO app.kept VALUES (2)")
        rows = "SELECT COUNT(*) AS n FROM app.kept"
        wait_until(lambda: cluster[3].sql(rows) == [{"n": 2}], "db3 follows db2", 15.0)
        assert ("connects without gtid_strict_mode" in manager.log()) == bool(strict), manager.log()
        assert cluster[3].sql("SELECT @@GLOBAL.gtid_strict_mode AS strict") == [{"strict": strict}]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mariadb118"])
def test_what_a_donor_executed_and_did_not_log_is_not_waited_for(kind: str) -> None:
    """MariaDB: the last that only db2 received is one that it leaves out, so its own log never gives it."""
    extra = "replicate-ignore-db=audit"
    with Cluster(kind, gtid=True, extra={2: extra, 3: extra}) as cluster:
        one_kept_and_one_filtered(cluster[1])
        level(cluster)
        manager = cluster.start_manager(cluster.write_cnf(candidate=3, default="start_checks=warn"))
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.kept VALUES (1)")
        in_schema(cluster[1], "audit", "INSERT INTO audit.trail VALUES (1)")
        level(cluster, 2)
        cluster[1].power_off()
        assert manager.wait(50) == 0, manager.log()
        assert cluster[3].replica_status() == {}, manager.log()
        cluster[3].sql("INSERT INTO app.kept VALUES (2)")
        rows = "SELECT COUNT(*) AS n FROM app.kept"
        wait_until(lambda: cluster[2].sql(rows) == [{"n": 2}], "db2 follows db3", 15.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mariadb105", "mariadb118"])
def test_strict_mode_that_was_lent_is_given_back_though_the_manager_dies(kind: str) -> None:
    """It dies with gtid_strict_mode lent to db3, so that it passes what nobody logged: who goes on gives it back."""
    extra = "replicate-ignore-db=audit\ngtid_strict_mode=1"
    with Cluster(kind, gtid=True, extra={2: extra, 3: extra}) as cluster:
        one_kept_and_one_filtered(cluster[1])
        level(cluster)
        conf = cluster.write_cnf(candidate=2, default="start_checks=warn")
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        cluster[1].sql("INSERT INTO app.kept VALUES (1)")
        in_schema(cluster[1], "audit", "INSERT INTO audit.trail VALUES (1)")
        cluster[1].signal_mysqld(signal.SIGKILL)
        words = ["-m", "tests.lab.dying", "Point a replica at the new primary", "SET GLOBAL gtid_strict_mode"]
        words += ["masterha_master_switch", "--master_state=dead", f"--conf={conf}", "--interactive=0"]
        first = cluster.run_there(sys.executable, *words, f"--dead_master_host={cluster[1].ip}")
        output, _ = first.communicate(timeout=60)
        assert first.returncode == -signal.SIGKILL, output
        strict = "SELECT @@GLOBAL.gtid_strict_mode AS strict"
        assert cluster[3].sql(strict) == [{"strict": 0}]
        done = cluster.command("mha", "failover", "--resume", f"--conf={conf}")
        told = output + done.output + (conf.with_suffix("") / "manager.log").read_text()
        assert done.code == 0, told
        assert cluster[3].sql(strict) == [{"strict": 1}], told
        status = cluster[3].replica_status()
        assert status["Replica_IO_Running"] == "Yes", (status, told)


def in_schema(host: Host, schema: str, statement: str) -> None:
    """As a session does whose default schema that is."""
    with host.connect(database=schema) as session, session.cursor() as cursor:
        cursor.execute(statement)
