"""The rescue meets a transaction that a replica cannot execute."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.lab.checker import account, lent_settings, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, finish
from tests.scenarios.moving import wait_until
from tests.scenarios.rescuing import SOME_MODES, ledger, put_a_row_in_the_way, rows
from tests.scenarios.test_rescue_contents import level


def primary_dies_with_a_conflict_on(cluster: Cluster, number: int) -> tuple[Manager, Writer]:
    """Both replicas lack the primary's last transactions, and one of these cannot be applied on that replica."""
    cluster[1].sql("CREATE TABLE app.conflict (id INT PRIMARY KEY)")
    manager = cluster.start_manager(cluster.write_cnf(candidate=2))
    writer = Writer(cluster)
    time.sleep(0.7)
    for each in (2, 3):
        cluster.stop_receiver(cluster[each])
    put_a_row_in_the_way(cluster[number])
    cluster[1].sql("INSERT INTO app.conflict VALUES (1)")
    time.sleep(0.3)
    cluster[1].signal_mysqld(signal.SIGKILL)
    return manager, writer


@pytest.mark.parametrize(("kind", "gtid"), SOME_MODES)
def test_a_conflict_on_the_chosen_one_lets_the_next_best_be_promoted(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        settings = lent_settings(cluster[2])
        manager, writer = primary_dies_with_a_conflict_on(cluster, 2)
        code, acks = finish(manager, writer)
        assert code == 10, manager.log()
        assert account(acks, [cluster[3]]).rows_lost == 0, manager.log()
        assert not writers_overlap(acks)
        assert cluster[3].sql("SELECT COUNT(*) AS n FROM app.conflict")[0]["n"] == 1
        assert "could not be brought level" in manager.log()
        assert int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        assert lent_settings(cluster[2]) == settings


@pytest.mark.parametrize(("kind", "gtid"), SOME_MODES)
def test_a_conflict_on_another_replica_is_told_and_stops_nothing(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager, writer = primary_dies_with_a_conflict_on(cluster, 3)
        code, acks = finish(manager, writer)
        assert code == 10, manager.log()
        assert account(acks, [cluster[2]]).rows_lost == 0, manager.log()
        assert f"{cluster[3].ip}(" in manager.log().split("Failover Report")[1]
        assert "1062" in manager.log().split("Failover Report")[1]


@pytest.mark.parametrize(
    ("kind", "gtid", "policy"),
    [
        pytest.param("mariadb", False, "safe", id="mariadb-position-safe"),
        pytest.param("mysql97", True, "strict", id="9.7-gtid-strict"),
        *(
            pytest.param(*mode.values, policy, id=f"{mode.id}-{policy}", marks=pytest.mark.slow)
            for mode in MODES
            for policy in ("safe", "availability", "strict")
            if (mode.id, policy) not in (("mariadb-position", "safe"), ("9.7-gtid", "strict"))
        ),
    ],
)
def test_a_conflict_on_every_replica_is_for_the_policy_to_decide(kind: str, gtid: bool, policy: str) -> None:
    """Rows before it are there, those behind it lie in a named directory; strict opens nobody until told otherwise."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.conflict (id INT PRIMARY KEY)")
        conf = cluster.write_cnf(candidate=2, default=f"salvage_policy={policy}\nstart_checks=warn")
        manager = cluster.start_manager(conf)
        level(cluster)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
            put_a_row_in_the_way(cluster[number])
        for row in (5, 1, 6, 7):
            cluster[1].sql(f"INSERT INTO app.conflict VALUES ({row})")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120)
        log = manager.log()
        read_only = [cluster[n].sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] for n in (2, 3)]
        if policy == "strict":
            assert (code, read_only) == (1, [1, 1]), log
            assert "salvage_policy is strict: nothing was opened for writes" in log
            words = ["--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0"]
            words += ["--ignore_last_failover", "--salvage_policy=safe"]
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *words)
            code, log = done.code, log + done.output
            read_only = [cluster[n].sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] for n in (2, 3)]
        assert (code, read_only) == (10, [0, 1]), log
        for number in (2, 3):
            found = [r["id"] for r in cluster[number].sql("SELECT id FROM app.conflict ORDER BY id")]
            assert found == [1, 5], log
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip, log
        cluster[2].sql("INSERT INTO app.conflict VALUES (9)")
        wait_until(lambda: bool(cluster[3].sql("SELECT id FROM app.conflict WHERE id=9")), "a row of the new primary")
        newest = sorted(manager.workdir.glob("*.ledger.json"))[-1]
        (lost,) = [line for line in json.loads(newest.read_text()) if line["fate"] == "lost"]
        assert lost["transactions"] == 3, lost
        assert f"{manager.workdir}/saved_master_binlog_from_" in lost["why"]
        # Of parallel appliers another one may be who stops first, because it waits for that one's commit.
        assert "stopped while it executed the saved log" in lost["why"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["safe", "availability", "strict"])
def test_where_no_replica_can_execute_what_it_received_nobody_is_opened(policy: str) -> None:
    """What stopped their appliers came before the primary died: their relay logs are kept, whatever the policy."""
    with Cluster("mariadb", gtid=True) as cluster:
        cluster[1].sql("CREATE TABLE app.conflict (id INT PRIMARY KEY)")
        conf = cluster.write_cnf(default=f"salvage_policy={policy}\nstart_checks=warn")
        manager = cluster.start_manager(conf)
        level(cluster)
        for number in (2, 3):
            put_a_row_in_the_way(cluster[number])
        cluster[1].sql("INSERT INTO app.conflict VALUES (1)")
        both = (cluster[2], cluster[3])
        wait_until(lambda: all(h.replica_status()["Last_SQL_Errno"] == 1062 for h in both), "the appliers stop")
        relay_logs = [cluster[number].run("ls /var/lib/mysql/relay-bin.0*") for number in (2, 3)]
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 1, manager.log()
        assert [cluster[n].sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] for n in (2, 3)] == [1, 1]
        assert [cluster[n].run("ls /var/lib/mysql/relay-bin.0*") for n in (2, 3)] == relay_logs


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [MODES[0], MODES[1], MODES[2], MODES[3], MODES[5]])
def test_what_only_a_broken_replica_received_is_taken_from_its_relay_logs(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.conflict (id INT PRIMARY KEY)")
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(0.5)
        put_a_row_in_the_way(cluster[3])
        cluster[1].sql("INSERT INTO app.conflict VALUES (1)")
        time.sleep(0.5)
        cluster.stop_receiver(cluster[2])
        time.sleep(0.7)
        acks = writer.stop()
        time.sleep(0.5)
        cluster[1].power_off()
        assert manager.wait(60) == 10, manager.log()
        assert account(acks, [cluster[2]]).rows_lost == 0, manager.log()
        assert rows(cluster[2]) == len(acks)
        rescued = [line for line in ledger(manager) if line["fate"] == "rescued"]
        assert [line["source"] for line in rescued] == [f"the relay logs of {cluster[3].ip}({cluster[3].ip}:3306)"]
        assert sum(line["transactions"] for line in rescued) > 10
        assert all("app.rows_written" in line["tables"] for line in rescued)
