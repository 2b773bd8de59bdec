"""The main job: the primary dies under load, and the cluster goes on. Each test tries to lose a row or to stop it."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.lab.checker import account, lent_settings, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer, gap
from tests.scenarios.failing_over import LONG_MODES, MODES, assert_survivors_agree, finish, promoted, versions

GTID_MODES = [MODES[3], MODES[5]]


@pytest.mark.every_variant
@pytest.mark.parametrize(("kind", "gtid"), [*MODES, *versions("10.5-gtid")])
def test_kill_9_of_the_primary_under_load(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(2.0)
        killed = time.time()
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert gap(acks, killed) < 30.0
        new = promoted(cluster)
        assert_survivors_agree(cluster, acks, new, (5 - new,))
        log = manager.log()
        for line in (
            "Master is down!",
            "* Phase 1: Configuration Check Phase..",
            "All other slaves should start replication from here. Statement should be: CHANGE",
            "* Phase 5: New master cleanup phase..",
            "----- Failover Report -----",
            "completed successfully.",
        ):
            assert line in log
        assert (manager.workdir / "app1.failover.complete").exists()
        assert not (manager.workdir / "app1.master_status.health").exists()


@pytest.mark.parametrize(("kind", "gtid"), [*MODES, *versions("10.5-position")])
def test_replicas_cut_off_at_different_points_then_the_primary_killed(kind: str, gtid: bool) -> None:
    """What only the dead disk holds, and what only one replica holds, must reach both."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster.stop_receiver(cluster[3])
        time.sleep(0.7)
        cluster.stop_receiver(cluster[2])
        time.sleep(0.7)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert "that no replica had" in manager.log()


@pytest.mark.parametrize(("kind", "gtid"), [*LONG_MODES, *versions("11.8-gtid")])
def test_a_transaction_received_in_half_is_there_once_and_whole(kind: str, gtid: bool) -> None:
    """The applier holds its torn beginning, with locks and GTID; the rest is on the dead disk only.

    As one BINLOG statement it is larger than any of the servers lets a session send (max_allowed_packet).
    """
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.big (id INT PRIMARY KEY, data LONGBLOB) ENGINE=InnoDB")
        settings = {n: lent_settings(cluster[n]) for n in (2, 3)}
        manager = cluster.start_manager(cluster.write_cnf())
        before = {n: cluster[n].replica_status()["Read_Source_Log_Pos"] for n in (2, 3)}
        cluster[1].slow_cable(40)
        rows = " UNION ALL ".join(f"SELECT {n}, REPEAT(CHAR({65 + n}), 1000000)" for n in range(48))
        writing = threading.Thread(target=cluster[1].sql, args=(f"INSERT INTO app.big {rows}",))
        writing.start()
        torn: dict[int, int] = {}
        while len(torn) < 2:
            for n in {2, 3} - torn.keys():
                if cluster[n].replica_status()["Read_Source_Log_Pos"] > before[n] + 1_000_000:
                    cluster.stop_receiver(cluster[n])
                    torn[n] = cluster[n].replica_status()["Read_Source_Log_Pos"] - before[n]
        writing.join(30)
        cluster[1].fast_cable()
        assert all(1_000_000 < received < 48_000_000 for received in torn.values()), torn
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        for number in (2, 3):
            found = cluster[number].sql("SELECT COUNT(*) AS n, SUM(LENGTH(data)) AS s FROM app.big")[0]
            assert (found["n"], int(found["s"])) == (48, 48_000_000), manager.log()
            assert lent_settings(cluster[number]) == settings[number]


@pytest.mark.parametrize(("kind", "gtid"), [*GTID_MODES, *versions("11.8-gtid", gtid=True)])
def test_host_powered_off(kind: str, gtid: bool) -> None:
    """No answer at all: nothing can be saved, and the report says so."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        time.sleep(2.0)
        cluster[1].power_off()
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        new, other = cluster[2], cluster[3]
        result = account([], [new, other])
        assert result.equal, result
        assert not writers_overlap(acks)
        log = manager.log()
        assert "not saved: " in log
        assert "could not be fenced" in log
        # Pointed at the new one as it is, it would replicate without an error and hold other data.
        assert "Statement should be" not in log
        offered = [line for line in log.splitlines() if "CHANGE MASTER TO" in line]
        assert len(offered) == 2, "in the log, and in the report"
        assert all("may hold transactions that no other server has" in line for line in offered), offered


@pytest.mark.slow
def test_host_powered_off_under_semi_synchronous_replication() -> None:
    """What was acknowledged is on a replica; none of them waits long to kill its session on the dark host."""
    with Cluster("mariadb", gtid=True) as cluster:
        cluster.make_semi_synchronous(cluster[1], [cluster[2], cluster[3]])
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(2.0)
        cluster[1].power_off()
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        new = promoted(cluster)
        assert_survivors_agree(cluster, acks, new, (5 - new,))
        for number in (2, 3):
            assert cluster[number].sql("SELECT @@global.rpl_semi_sync_slave_kill_conn_timeout AS t")[0]["t"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("candidate", [2, 3], ids=["furthest-promoted", "one-behind-promoted"])
@pytest.mark.parametrize("kind", ["mysql56", "mysql97", "mariadb", "mariadb105", "mariadb118"])
def test_host_gone_without_gtids_and_the_replicas_at_different_points(kind: str, candidate: int) -> None:
    """What any replica received is on both: cut out of the relay logs of the one that received the most."""
    with Cluster(kind) as cluster:
        conf = cluster.write_cnf(candidate=candidate)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster)
        time.sleep(0.6)
        cluster.stop_receiver(cluster[3])
        time.sleep(0.6)
        cluster.stop_receiver(cluster[2])
        time.sleep(0.3)
        received = cluster[2].sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"]
        cluster[1].power_off()
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        other = 5 - candidate
        assert account([], [cluster[2], cluster[3]]).equal, manager.log()
        assert cluster[other].replica_status()["Source_Host"] == cluster[candidate].ip
        taken = [a for a in acks if a.host == cluster[candidate].ip]
        rows = cluster[candidate].sql("SELECT COUNT(*) AS n FROM app.rows_written")[0]["n"]
        assert rows == received + len(taken)
        assert "Borrowed" in manager.log()


@pytest.mark.parametrize(("kind", "gtid"), [MODES[2], MODES[5], *versions("11.8-position")])
def test_frozen_primary_that_wakes_up_later_takes_no_write(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(1.5)
        cluster[1].signal_mysqld(signal.SIGSTOP)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        cluster[1].run("pkill -CONT -x 'mysqld|mariadbd'", check=False)
        assert cluster[1].mysqld_pids() == []
        new = promoted(cluster)
        assert_survivors_agree(cluster, acks, new, (5 - new,))
        assert "killed mysqld" in manager.log()


def test_a_supervisor_does_not_bring_the_old_primary_back() -> None:
    """Under mysqld_safe a killed mysqld would be started again within a second, and take writes."""
    with Cluster("mariadb", gtid=True) as cluster:
        cluster[1].signal_mysqld(signal.SIGTERM)
        while cluster[1].mysqld_pids():
            time.sleep(0.1)
        cluster[1].start("mariadbd-safe --defaults-file=/etc/my.cnf --user=mysql >/dev/null 2>&1")
        cluster[1].wait_for_mysqld()
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGSTOP)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert "stopped its supervisor" in manager.log()
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            assert cluster[1].mysqld_pids() == []
            time.sleep(0.1)
        new = promoted(cluster)
        assert_survivors_agree(cluster, acks, new, (5 - new,))


def test_a_dead_replica_does_not_stop_the_failover() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        cluster[3].power_off()
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 10, manager.log()
        assert_survivors_agree(cluster, acks, 2, ())
        assert "left out" in manager.log()


@pytest.mark.slow
def test_a_replica_with_a_broken_applier_is_left_as_it_is() -> None:
    """db2 would be chosen, but cannot execute what it received: db3 is, and db2 keeps its relay logs."""
    with Cluster("mysql97", gtid=False) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].sql("CREATE TABLE app.conflict (id INT PRIMARY KEY)")
        time.sleep(0.3)
        cluster[2].sql("INSERT INTO app.conflict VALUES (1)")
        cluster[1].sql("INSERT INTO app.conflict VALUES (1)")
        writer = Writer(cluster)
        time.sleep(1.0)
        relay_logs = cluster[2].run("ls /var/lib/mysql/relay-bin.0*")
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 10, manager.log()
        assert account(acks, [cluster[3]]).rows_lost == 0
        assert not writers_overlap(acks)
        assert cluster[2].run("ls /var/lib/mysql/relay-bin.0*") == relay_logs
        assert "its applier stopped with error 1062" in manager.log()


def test_candidate_master_is_chosen_although_another_received_more() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=3))
        writer = Writer(cluster)
        time.sleep(0.7)
        cluster.stop_receiver(cluster[3])
        time.sleep(0.7)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 3, (2,))


def test_candidate_behind_and_host_gone_catches_up_from_the_other_replica() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=3))
        writer = Writer(cluster)
        time.sleep(0.7)
        cluster.stop_receiver(cluster[3])
        time.sleep(0.7)
        cluster[1].power_off()
        code, _ = finish(manager, writer)
        assert code == 0, manager.log()
        assert account([], [cluster[3], cluster[2]]).equal
        assert cluster[2].replica_status()["Source_Host"] == cluster[3].ip


def test_mha_monitor_goes_on_with_the_new_primary_and_saves_it_too() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--conf", str(conf), "--last-failover-minute", "0"]
        with (cluster.seat / "monitor.out").open("w") as out:
            monitor = cluster.run_there(sys.executable, *words, out=out)
        log = conf.with_suffix("") / "manager.log"

        def wait_for(words: str, times: int) -> None:
            ends = time.monotonic() + 40
            while not log.exists() or log.read_text().count(words) < times:
                assert time.monotonic() < ends, (cluster.seat / "monitor.out").read_text()
                assert monitor.poll() is None, (cluster.seat / "monitor.out").read_text()
                time.sleep(0.1)

        wait_for("waiting until MySQL doesn't respond", 1)
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        wait_for("waiting until MySQL doesn't respond", 2)
        status = cluster.command("masterha_check_status", f"--conf={conf}")
        assert f"master:{cluster[2].ip}" in status.output
        time.sleep(1.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        wait_for("Master failover to", 4)
        time.sleep(1.0)
        acks = writer.stop()
        assert account(acks, [cluster[3]]).rows_lost == 0
        assert not writers_overlap(acks)
        stopped = cluster.command("masterha_stop", f"--conf={conf}")
        assert stopped.code == 0, stopped
        assert monitor.wait(10) in (0, 1)


def test_manager_cut_off_from_the_primary_only_touches_nothing() -> None:
    """The replicas' hosts still reach the primary: the manager's word alone is not enough."""
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].blackhole(f"{cluster.subnet.prefix}.1")
        deadline = time.monotonic() + 30
        while "No failover: " not in manager.log():
            assert time.monotonic() < deadline, manager.log()
            assert manager.process.poll() is None, manager.log()
            time.sleep(0.2)
        assert "only the manager cannot reach it" in manager.log()
        assert cluster[2].replica_status()["Replica_IO_Running"] == "Yes"
        assert not list(manager.workdir.glob("*.journal"))
        manager.stop()


def test_a_manager_whose_journal_cannot_be_written_does_not_act() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        manager = cluster.start_manager(conf)
        manager.process.send_signal(signal.SIGSTOP)
        cluster[1].signal_mysqld(signal.SIGKILL)
        workdir = Path(manager.workdir)
        workdir.rename(workdir.with_name("moved"))
        workdir.touch()
        manager.process.send_signal(signal.SIGCONT)
        assert manager.wait(40) == 1
        assert cluster[2].replica_status()["Source_Host"] == cluster[1].ip


def test_the_journal_tells_every_step_with_its_evidence() -> None:
    with Cluster("mysql56", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        Writer(cluster, seconds=1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        (journal,) = manager.workdir.glob("*.journal")
        entries = [json.loads(line) for line in journal.read_text().splitlines()]
        began = [(e["step"], e["server"]) for e in entries if e["event"] == "began"]
        done = {(e["step"], e["server"]) for e in entries if e["event"] in ("done", "ended")}
        assert entries[-1]["step"] == "ended"
        assert [step for step in began if step not in done and step[0] != "failover"] == []
        assert "lab-admin-pw" not in journal.read_text() + manager.log()
