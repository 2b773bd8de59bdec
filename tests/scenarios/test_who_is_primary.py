"""Who the primary is when the servers seem to say otherwise: opened and closed again, opened by hand, held."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.writer import Ack, Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.test_manager_killed import kill_at
from tests.scenarios.watching import SIGHT, Monitor

OPENED = '"step": "Open the new primary for writes", "event": "done"'
MODES = kinds("mariadb-gtid", "5.6-position", slow=("9.7-position", "9.7-gtid", "mariadb-position", "5.6-gtid"))


def writable(host: Host) -> bool:
    return not int(host.sql("SELECT @@global.read_only AS r")[0]["r"])


def crash_and_come_back_read_only(host: Host) -> None:
    """As its my.cnf says, when it has the read_only=1 that every guide advises."""
    host.signal_mysqld(signal.SIGKILL)
    wait_until(lambda: not host.mysqld_pids(), "mysqld is gone")
    host.start_mysqld("--read-only=1")
    host.wait_for_mysqld()
    assert not writable(host)


def writes_there(writer: Writer, host: Host, rows: int = 20) -> None:
    """The application has that many rows acknowledged by this server."""
    wait_until(lambda: sum(ack.host == host.ip for ack in writer.acks()) >= rows, f"{host.name} takes writes")


def assert_second_is_primary(cluster: Cluster, acks: list[Ack], told: str) -> None:
    result = account(acks, [cluster[2], cluster[3]])
    assert result.rows_lost == 0, (result, told)
    assert result.equal, (result, told)
    assert not writers_overlap(acks)
    assert writable(cluster[2]), told
    assert not writable(cluster[3]), told
    assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip, told


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_opened_by_a_failover_took_writes_and_came_back_read_only(kind: str, gtid: bool) -> None:
    """What only it has must not be left behind: it is opened again, and nobody else."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, seconds=200.0)
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, OPENED)
        writes_there(writer, cluster[2])
        crash_and_come_back_read_only(cluster[2])
        done = cluster.command("masterha_manager", f"--conf={conf}")
        told = done.output + manager.log()
        assert done.code == 0, told
        time.sleep(0.5)
        assert_second_is_primary(cluster, writer.stop(), told)
        assert "is read-only again: opening it" in told


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_opened_by_a_switch_took_writes_and_came_back_read_only(kind: str, gtid: bool) -> None:
    """The old primary must not get its writes back: the repeat opens the new one again and finishes."""
    with Cluster(kind, gtid=gtid) as cluster:
        writer = Writer(cluster, seconds=200.0)
        hook = cluster.seat / "online_change"
        hook.write_text(f'#!/bin/sh\ncase "$*" in *--command=start*) touch {hook}.there; exec sleep 60;; esac\n')
        hook.chmod(0o755)
        conf = cluster.write_cnf(default=f"master_ip_online_change_script={hook}")
        how = ("--master_state=alive", f"--conf={conf}", "--interactive=0", "--orig_master_is_new_slave")
        words = (*how, f"--new_master_host={cluster[2].ip}")
        process = cluster.run_there(sys.executable, "-m", "prefect_mha.commands.masterha_master_switch", *words)
        wait_until((hook.parent / "online_change.there").exists, "the new primary is open", 40.0)
        process.kill()
        process.wait(10)
        writes_there(writer, cluster[2])
        crash_and_come_back_read_only(cluster[2])
        hook.write_text("#!/bin/sh\n")
        done = cluster.command("masterha_master_switch", *words)
        told = done.output + (cluster.seat / "app1" / "manager.log").read_text()
        assert done.code == 0, told
        time.sleep(0.5)
        acks = writer.stop()
        assert_second_is_primary(cluster, acks, told)
        assert account(acks, cluster.hosts).rows_lost == 0, told
        assert not writable(cluster[1])


@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-position", slow=("9.7-gtid", "5.6-position")))
def test_a_replica_that_somebody_opened_is_a_primary(kind: str, gtid: bool) -> None:
    """Its channel is still there, the applications write to it: nobody is promoted beside it, by hand or by itself."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=3)
        writer = Writer(cluster, seconds=200.0)
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        cluster[2].sql("SET GLOBAL read_only=0")
        writes_there(writer, cluster[2])
        dead = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", f"--dead_master_ip={cluster[1].ip}")
        by_hand = cluster.command("masterha_master_switch", *dead, f"--conf={conf}", "--interactive=0")
        by_itself = cluster.command("masterha_manager", f"--conf={conf}")
        told = by_hand.output + by_itself.output + (cluster.seat / "app1" / "manager.log").read_text()
        assert (by_hand.code, by_itself.code) == (1, 1), told
        assert "takes writes of its own" in told
        assert "point the other replicas at it" in told
        assert writable(cluster[2])
        assert not writable(cluster[3]), told
        assert not writers_overlap(writer.stop())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_after_two_deaths_those_who_are_held_have_no_vote(kind: str) -> None:
    """Both dead primaries are back, one with a channel to the other: a new manager knows who the primary is."""
    with Cluster(kind, gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        monitor = Monitor(cluster, conf)
        for number in (1, 2):
            cluster[number].signal_mysqld(signal.SIGKILL)
            monitor.wait_for(SIGHT, number + 1)
        for number in (1, 2):
            cluster[number].start_mysqld("--read-only=1")
            cluster[number].wait_for_mysqld()
        p, what = cluster.kind.word("SOURCE", "MASTER"), cluster.kind.word("REPLICATION SOURCE", "MASTER")
        cluster[2].sql(f"CHANGE {what} TO {p}_HOST=%s, {p}_PORT=3306", (cluster[1].ip,))
        monitor.stop()
        again = Monitor(cluster, conf)
        try:
            assert f"Current Alive Master: {cluster[3].ip}" in again.log().rsplit("MasterMonitor version", 1)[1]
            assert writable(cluster[3])
        finally:
            again.stop()


def test_a_dead_middle_tier_leaves_the_primary_watched() -> None:
    """db1 → db2 → db3 and db1 → db4; db2 is dead, and db3 still follows it."""
    with Cluster("mariadb", gtid=True, n=4, extra={2: "log_slave_updates=1"}) as cluster:
        cluster[3].sql("STOP SLAVE")
        cluster[3].sql("CHANGE MASTER TO MASTER_HOST=%s", (cluster[2].ip,))
        cluster[3].sql("START SLAVE")
        cluster[2].signal_mysqld(signal.SIGKILL)
        conf = cluster.write_cnf(default="multi_tier_slave=1")
        monitor = Monitor(cluster, conf)
        try:
            assert f"Current Alive Master: {cluster[1].ip}" in monitor.log()
            cluster[1].signal_mysqld(signal.SIGKILL)
            monitor.wait_for("Setting read_only=0 on", 1)
            wait_until(lambda: writable(cluster[4]), "db4 is the new primary")
            assert not writable(cluster[3])
        finally:
            monitor.stop()


@pytest.mark.parametrize(
    "kind", [pytest.param("mariadb", id="mariadb"), pytest.param("mysql97", marks=pytest.mark.slow)]
)
def test_receivers_that_a_killed_manager_stopped_run_again(kind: str) -> None:
    """The old primary is back before the next manager starts: nothing may stay stopped beside PING_OK."""
    with Cluster(kind, gtid=True) as cluster:
        # Without what fencing leaves on its host, which keeps it from starting until it is released.
        conf = cluster.write_cnf(candidate=2, default="fence=sql")
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, '"step": "Stop every receiver", "event": "done"')
        cluster[1].start_mysqld()
        monitor = Monitor(cluster, conf)
        try:
            for number in (2, 3):
                wait_until(lambda n=number: receives(cluster[n]), "it receives again")  # type: ignore[misc]
            status = cluster.command("masterha_check_status", f"--conf={conf}")
            assert status.code == 0, status.output + monitor.log()
            assert "a failover had stopped its receiver" in monitor.log()
        finally:
            monitor.stop()


def receives(host: Host) -> bool:
    return bool(host.replica_status()["Replica_IO_Running"] == "Yes")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_a_replica_left_on_the_dead_primary_is_not_ping_ok(kind: str) -> None:
    """The third server is down while the others are failed over, and comes back with its receiver stopped."""
    with Cluster(kind, gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, OPENED)
        cluster[3].signal_mysqld(signal.SIGKILL)
        wait_until(lambda: not cluster[3].mysqld_pids(), "db3 is down")
        done = cluster.command("masterha_manager", f"--conf={conf}")
        assert done.code == 10, done.output
        cluster[3].start_mysqld("--read-only=1")
        monitor = Monitor(cluster, conf)
        try:
            status = cluster.command("masterha_check_status", f"--conf={conf}")
            assert status.code == 52, status.output + monitor.log()
            assert "follows the dead" in monitor.log()
        finally:
            monitor.stop()


@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", slow=("9.7-gtid", "5.6-position")))
def test_the_chosen_dies_right_after_its_opening_and_the_next_one_is_taken(kind: str, gtid: bool) -> None:
    """In the same breath, by the same manager, without a person: what both had is on the third."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf)
        writer = Writer(cluster, seconds=200.0)
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        journals = lambda: "".join(path.read_text() for path in manager.workdir.glob("*.journal"))  # noqa: E731
        wait_until(lambda: OPENED in journals(), "db2 is open", 40.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        code = manager.wait(120.0)
        told = manager.log()
        assert code in (0, 10), told
        assert writable(cluster[3]), told
        writes_there(writer, cluster[3])
        acks = writer.stop()
        assert account(acks, [cluster[3]]).rows_lost == 0, told
        assert "died as it was opened" in told
