"""A planned switch under writers of every kind, broken at every step, killed, beside a manager that watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pymysql
import pytest

from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK
from prefect_mha.replication.memory.journal import read_journal
from tests.lab import bench_switch
from tests.lab.bench_switch import block, switch
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import ADMIN
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds, versions
from tests.scenarios.switching import (
    Hook,
    applier_held,
    closed,
    follows,
    one_more_row,
    shape,
    switching,
    table_locked,
    word,
)

FIVE = kinds("5.6-position", "9.7-position", "9.7-gtid", "mariadb-position", "mariadb-gtid")
#: Half of it is more than a lone applier keeps up with where several clusters share a slow disk.
LOAD: dict[str, Any] = {**bench_switch.LOAD, "interval": 0.15}


def back_and_forth(kind: str, gtid: bool, switches: int) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf()
        cluster[1].sql("CREATE EVENT app.tick ON SCHEDULE EVERY 1 HOUR DO SELECT 1")
        cluster[1].sql("SET GLOBAL event_scheduler = ON")
        writer = Writer(cluster, seconds=60.0 + 40 * switches, **LOAD)
        time.sleep(1.0)
        began = []
        for turn in range(switches):
            began.append(time.time())
            assert switch(cluster, conf, 2 - turn % 2) == 0
            time.sleep(0.5)
        acks = writer.stop()
        new, old = (cluster[2], cluster[1]) if switches % 2 else (cluster[1], cluster[2])
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0, result
        assert result.equal, result
        for start, end in zip(began, [*began[1:], time.time()], strict=True):
            # Positive: the new primary took nothing before the old one had ended. Bounded: nobody waited for long.
            assert 0 < block(acks, start, end) < 5
        assert new.replica_status() == {}
        assert not closed(new)
        follows(old, new)
        follows(cluster[3], new)
        assert new.sql("SELECT STATUS AS s FROM information_schema.EVENTS WHERE EVENT_NAME='tick'")[0]["s"] == "ENABLED"
        assert old.sql("SELECT STATUS AS s FROM information_schema.EVENTS WHERE EVENT_NAME='tick'")[0]["s"] != "ENABLED"
        assert new.sql("SELECT @@global.event_scheduler AS s")[0]["s"] == "ON"


@pytest.mark.parametrize(("kind", "gtid"), [FIVE[2], FIVE[3], *versions()])
def test_nothing_is_lost_back_and_forth(kind: str, gtid: bool) -> None:
    back_and_forth(kind, gtid, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), FIVE)
def test_nothing_is_lost_twenty_times(kind: str, gtid: bool) -> None:
    back_and_forth(kind, gtid, 20)


def without_the_privilege(host: Host) -> None:
    """The manager's account may not set read_only there any more, and its sessions have to log in again."""
    names = "SUPER, SYSTEM_VARIABLES_ADMIN" if host.kind.modern else "SUPER, READ_ONLY ADMIN"
    root = pymysql_as_root(host)
    with root.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin=0")
        cursor.execute(f"REVOKE {names} ON *.* FROM '{ADMIN}'@'%'")
        cursor.execute("SHOW PROCESSLIST")
        for row in cursor.fetchall():
            if row["User"] == ADMIN:
                cursor.execute(f"KILL {row['Id']}")
    root.close()


def with_the_privilege(host: Host) -> None:
    names = "SUPER, SYSTEM_VARIABLES_ADMIN" if host.kind.modern else "SUPER, READ_ONLY ADMIN"
    root = pymysql_as_root(host)
    with root.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin=0")
        cursor.execute(f"GRANT {names} ON *.* TO '{ADMIN}'@'%'")
    root.close()


def pymysql_as_root(host: Host) -> pymysql.Connection[Any]:
    """The account `keeper`, which the test made beside the manager's."""
    return host.connect(user="keeper", password="keeper-pw")


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [FIVE[2], pytest.param("mariadb", False, id="mariadb-position", marks=pytest.mark.slow)],
)
def test_a_failure_before_the_opening_is_taken_back(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, table_locked(cluster[1]) as lock:
        cluster[1].sql("CREATE USER keeper@'%' IDENTIFIED BY 'keeper-pw'")
        cluster[1].sql("GRANT ALL ON *.* TO keeper@'%' WITH GRANT OPTION")
        cluster[1].sql("SET GLOBAL event_scheduler = ON")
        writer = Writer(cluster, seconds=300.0, **LOAD)
        time.sleep(1.0)
        stop_applier = f"STOP {word(cluster)} SQL_THREAD"
        start_applier = f"START {word(cluster)} SQL_THREAD"

        def hold_the_applier() -> None:
            cluster[2].sql(stop_applier)
            one_more_row(writer)

        cases: dict[str, tuple[Hook, Callable[[], object], Callable[[], object], str]] = {
            "hook": (Hook(cluster, "stop", 1), lambda: None, lambda: None, "exit code 1"),
            "lock": (
                Hook(cluster, "stop"),
                lambda: lock("LOCK TABLES app.other WRITE"),
                lambda: lock("UNLOCK TABLES"),
                "take the global read lock",
            ),
            "wait": (
                Hook(cluster, "stop"),
                hold_the_applier,
                lambda: cluster[2].sql(start_applier),
                "its applier does not run",
            ),
            "open": (
                Hook(cluster, "stop"),
                lambda: without_the_privilege(cluster[2]),
                lambda: with_the_privilege(cluster[2]),
                "open it for writes",
            ),
        }
        for name, (hook, inject, undo, says) in cases.items():
            before = shape(cluster)
            done, told = switching(cluster, hook, inject, name=name)
            undo()
            assert done.code == 1, told
            assert says in told, told
            entries = list(read_journal(next((cluster.seat / name).glob("*.journal"))))
            failed = next(e for e in entries if e.event == "failed")
            back = next(e for e in entries if e.step.startswith("Give writes back") and e.event == "done")
            assert hook.calls() == ["--command=stop", "--command=start"]
            assert f"--new_master_host={cluster[1].ip}" in hook.args.read_text().splitlines()[1]
            assert back.at - failed.at < 1.0, f"{name}: writes came back after {back.at - failed.at:.2f} s"
            until(lambda at=back.at: any(ack.at > at for ack in writer.acks()), seconds=5.0)  # type: ignore[misc]
            assert shape(cluster) == before, name
        acks = writer.stop()
        assert {ack.host for ack in acks} == {cluster[1].ip}
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0
        assert result.equal, result


def test_a_failure_after_the_opening_is_told_and_the_rest_done() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        writer = Writer(cluster, seconds=120.0, **LOAD)
        time.sleep(1.0)
        hook = Hook(cluster, "start", 1)
        done, told = switching(cluster, hook, lambda: cluster[3].signal_mysqld(9))
        assert done.code == 10, told
        assert "done, but switching slaves partially failed." in told
        assert f"{cluster[3].ip}(" in told
        time.sleep(1.0)
        acks = writer.stop()
        follows(cluster[1], cluster[2])
        assert not closed(cluster[2])
        result = account(acks, [cluster[1], cluster[2]])
        assert result.rows_lost == 0
        assert result.equal, result
        assert acks[-1].host == cluster[2].ip


# killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [FIVE[4], pytest.param("mysql97", False, id="9.7-position", marks=pytest.mark.slow)],
)
def test_killed_while_writes_are_held_and_after_the_opening(kind: str, gtid: bool) -> None:
    """Before: the next start gives the writes back. After: it finishes. Nothing is lost, and never two are writable."""
    with Cluster(kind, gtid=gtid) as cluster:
        writer = Writer(cluster, seconds=200.0, **LOAD)
        time.sleep(1.0)
        hook = Hook(cluster, "stop")
        conf = cluster.write_cnf(default=hook.line)
        words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", "--orig_master_is_new_slave")
        to_second = (*words, f"--new_master_host={cluster[2].ip}")
        process = cluster.run_there(sys.executable, "-m", "prefect_mha.commands.masterha_master_switch", *to_second)
        hook.wait()
        with applier_held(cluster[2]):
            one_more_row(writer)
            hook.go.touch()
            until(lambda: closed(cluster[1]), seconds=20)
            process.kill()
            process.wait(10)
            assert closed(cluster[1])
            assert closed(cluster[2])

        second = Hook(cluster, "start")
        conf.write_text(conf.read_text().replace(str(hook.path), str(second.path)))
        process = cluster.run_there(sys.executable, "-m", "prefect_mha.commands.masterha_master_switch", *to_second)
        second.wait()  # called for the way back
        assert f"--new_master_host={cluster[1].ip}" in second.args.read_text()
        assert not closed(cluster[1])
        second.there.rename(f"{second.there}.once")
        second.go.touch()
        second.there.unlink(missing_ok=True)
        process.wait(60)
        finished = (cluster.seat / "app1" / "manager.log").read_text()
        assert "taking it back" in finished

        time.sleep(1.0)
        third = Hook(cluster, "start")
        to = 1 if closed(cluster[1]) else 2
        conf.write_text(conf.read_text().replace(str(second.path), str(third.path)))
        process = cluster.run_there(
            sys.executable,
            "-m",
            "prefect_mha.commands.masterha_master_switch",
            *words,
            f"--new_master_host={cluster[to].ip}",
        )
        third.wait()
        process.kill()
        process.wait(10)
        assert [closed(cluster[n]) for n in (3 - to, to)] == [True, False]
        third.go.touch()
        done = cluster.command("masterha_master_switch", *words, f"--new_master_host={cluster[to].ip}")
        told = done.output + (cluster.seat / "app1" / "manager.log").read_text()
        assert done.code == 0, told
        assert "Going on with a planned switch that was interrupted" in told
        time.sleep(0.5)
        acks = writer.stop()
        follows(cluster[3 - to], cluster[to])
        follows(cluster[3], cluster[to])
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0
        assert result.equal, result


# beside a manager ------------------------------------------------------------------------------------------------


def test_a_manager_that_watches_follows_the_new_primary() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        manager = cluster.start_manager(conf)
        try:
            health = manager.workdir / "app1.master_status.health"
            words = ("--master_state=alive", f"--conf={conf}", "--interactive=0")
            done = cluster.command("masterha_master_switch", *words, f"--new_master_host={cluster[2].ip}")
            assert done.code == 0, done.output + manager.log()
            until(
                lambda: health.exists() and health.read_text().endswith(f"PING_OK\tmaster:{cluster[2].ip}"), seconds=8
            )
            assert manager.process.poll() is None, manager.log()
            assert closed(cluster[1])
            assert cluster[1].replica_status() == {}
            follows(cluster[3], cluster[2])
            assert not list(manager.workdir.glob("*.failover-*"))
        finally:
            manager.stop()


@pytest.mark.slow
def test_a_manager_gives_back_what_a_killed_switch_held() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        hook = Hook(cluster, "stop")
        conf = cluster.write_cnf(default=hook.line)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, seconds=200.0, **LOAD)
        try:
            process = cluster.run_there(
                sys.executable,
                "-m",
                "prefect_mha.commands.masterha_master_switch",
                "--master_state=alive",
                f"--conf={conf}",
                "--interactive=0",
                f"--new_master_host={cluster[2].ip}",
            )
            hook.wait()
            with applier_held(cluster[2]):
                one_more_row(writer)
                hook.go.touch()
                until(lambda: closed(cluster[1]), seconds=20)
                process.kill()
                process.wait(10)
                until(lambda: "taking it back" in manager.log(), seconds=40)
                until(lambda: not closed(cluster[1]), seconds=5)
            assert {ack.host for ack in writer.stop()} == {cluster[1].ip}
            assert manager.process.poll() is None
            assert hook.calls() == ["--command=stop", "--command=start"]
        finally:
            manager.stop()


def test_a_failover_waits_for_another_command_to_end() -> None:
    """A switch holds the failover lock everywhere: the manager goes back to watching, and acts when it is free."""
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf())
        acting = cluster[2].connect()
        try:
            with acting.cursor() as cursor:
                cursor.execute("SELECT GET_LOCK(%s, 0) AS got", (FAILOVER_LOCK,))
            cluster[1].signal_mysqld(9)
            until(lambda: "holds the failover lock" in manager.log(), seconds=30)
            assert manager.process.poll() is None
            acting.close()
            assert manager.wait(40) == 0, manager.log()
            follows(cluster[3], cluster[2])
        finally:
            manager.stop()


@pytest.mark.slow
def test_without_the_lock_a_log_that_moves_is_noticed_and_semi_sync_roles_move() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        roles = "SELECT @@global.rpl_semi_sync_master_enabled AS s, @@global.rpl_semi_sync_slave_enabled AS r"
        cluster[1].sql("SET GLOBAL rpl_semi_sync_master_enabled = 1")
        for number in (2, 3):
            cluster[number].sql("SET GLOBAL rpl_semi_sync_slave_enabled = 1")
        conf = cluster.write_cnf()
        writer = Writer(cluster, seconds=120.0, sessions=1, supers=2, interval=0.02)
        time.sleep(0.5)
        words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", "--orig_master_is_new_slave")
        there = (*words, f"--new_master_host={cluster[2].ip}", "--skip_lock_all_tables")
        moved = cluster.command("masterha_master_switch", *there)
        told = moved.output + (cluster.seat / "app1" / "manager.log").read_text()
        assert moved.code == 1, told
        assert "its binary log is not stopped" in told
        assert not closed(cluster[1])
        time.sleep(0.5)
        acks = writer.stop()
        assert {ack.host for ack in acks} == {cluster[1].ip}
        still = cluster.command("masterha_master_switch", *there)
        assert still.code == 0, still.output + (cluster.seat / "app1" / "manager.log").read_text()
        follows(cluster[1], cluster[2])
        assert cluster[2].sql(roles) == [{"s": 1, "r": 0}]
        assert cluster[1].sql(roles) == [{"s": 0, "r": 1}]
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0
        assert result.equal, result


def test_checks_leave_no_trace() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        before = shape(cluster)
        ends = [host.sql("SHOW MASTER STATUS") for host in cluster.hosts]
        common = ("--master_state=alive", f"--conf={conf}", "--interactive=0")
        checked = cluster.command("masterha_master_switch", *common, "--check_only")
        dry = cluster.command("mha", "switchover", f"--conf={conf}", "--dry-run", "--to", cluster[3].ip)
        refused = cluster.command("masterha_master_switch", *common, f"--new_master_host={cluster[1].ip}")
        assert (checked.code, dry.code, refused.code) == (0, 0, 1), (checked, dry, refused)
        assert f"{cluster[3].ip}(" in dry.output
        assert "it is the current primary" in refused.output + (cluster.seat / "app1" / "manager.log").read_text()
        assert shape(cluster) == before
        assert [host.sql("SHOW MASTER STATUS") for host in cluster.hosts] == ends
        assert not list((cluster.seat / "app1").glob("*.journal"))
