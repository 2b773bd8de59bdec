"""The manager is killed with -9 in the middle of a failover: the next start finishes it, and nothing is done twice."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from tests.lab.checker import account, lent_settings, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.dying import POINTS, STEPS
from tests.lab.writer import Writer
from tests.scenarios.failing_over import MODES, kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.watching import Monitor


def kill_at(manager: Manager, words: str, *, seconds: float = 40.0) -> None:
    """Kill the manager the moment its journal holds these words."""
    ends = time.monotonic() + seconds
    while True:
        journals = list(manager.workdir.glob("*.journal"))
        if journals and words in journals[0].read_text():
            manager.process.kill()
            manager.process.wait(10)
            return
        assert time.monotonic() < ends, manager.log()
        assert manager.process.poll() is None, manager.log()


INSTANTS = [
    '"step": "failover"',
    '"step": "Stop every receiver"',
    '"step": "Fence the old primary", "event": "done"',
    '"step": "Save the dead primary\'s binary log"',
    '"step": "turn to the saved log", "event": "intent"',
    '"step": "Apply what was saved", "event": "done"',
    '"step": "promote", "event": "intent"',
    '"step": "Point a replica at the new primary"',
    '"step": "Point a replica at the new primary", "event": "done"',
    '"step": "Verify every server"',
]


#: How it goes on: the next manager, as a supervisor starts it, or a person.
NEXT = {"manager": ("masterha_manager",), "resume": ("mha", "failover", "--resume")}


def part_ways(cluster: Cluster, **how: float) -> Writer:
    """Begin to write (``how``, as the writer takes it); the replicas stop receiving, one after the other."""
    writer = Writer(cluster, **how)
    time.sleep(0.5)
    cluster.stop_receiver(cluster[3])
    time.sleep(0.3)
    cluster.stop_receiver(cluster[2])
    time.sleep(0.5)
    return writer


def assert_as_undisturbed(cluster: Cluster, writer: Writer, settings: list[dict[str, int]], told: str) -> None:
    """db2 takes writes, db3 follows it, no acknowledged row is missing or there twice, no two took writes at once."""
    time.sleep(0.5)
    acks = writer.stop()
    result = account(acks, [cluster[2], cluster[3]])
    assert result.rows_lost == 0, told
    assert result.equal, told
    assert not writers_overlap(acks)
    assert cluster[2].replica_status() == {}
    assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip
    rows = cluster[2].sql("SELECT COUNT(*) AS n, COUNT(DISTINCT writer, id) AS d FROM app.rows_written")[0]
    assert rows["n"] == rows["d"]
    assert [lent_settings(cluster[n]) for n in (2, 3)] == settings


@pytest.mark.parametrize("words", INSTANTS, ids=lambda w: w.replace('"', "").replace("step: ", "").replace(",", ""))
@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", slow=("9.7-position",)))
def test_the_next_start_finishes(kind: str, gtid: bool, words: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        manager = cluster.start_manager(conf)
        writer = part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        kill_at(manager, words)
        done = cluster.command("masterha_manager", f"--conf={conf}")
        told = done.output + manager.log()
        assert done.code == 0, told
        assert_as_undisturbed(cluster, writer, settings, told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"), kinds("mariadb-gtid", "5.6-position", "5.6-gtid", "9.7-position", "9.7-gtid")
)
def test_a_log_that_was_half_served_is_there_once_and_whole(kind: str, gtid: bool) -> None:
    """The table has no key: a row that is applied twice is there twice."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.big (id INT, data LONGBLOB)")
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        manager = cluster.start_manager(conf)
        time.sleep(0.5)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        for number in range(24):
            cluster[1].sql(f"INSERT INTO app.big VALUES ({number}, REPEAT('x', 3000000))")
        cluster[2].slow_cable(100, incoming=True)
        cluster[1].signal_mysqld(signal.SIGKILL)
        ends = time.monotonic() + 40
        while not (applied := _rows(cluster, 2)[0]):
            assert time.monotonic() < ends, manager.log()
            assert manager.process.poll() is None, manager.log()
        manager.process.kill()
        manager.process.wait(10)
        cluster[2].fast_cable(incoming=True)
        assert 0 < applied < 24
        done = cluster.command("masterha_manager", f"--conf={conf}")
        told = done.output + manager.log()
        assert done.code == 0, told
        ends = time.monotonic() + 20
        while _rows(cluster, 3) != (24, 24, 24 * 3_000_000) and time.monotonic() < ends:
            time.sleep(0.1)
        assert [_rows(cluster, number) for number in (2, 3)] == [(24, 24, 24 * 3_000_000)] * 2, told
        assert cluster[2].replica_status() == {}
        assert [lent_settings(cluster[n]) for n in (2, 3)] == settings
        assert cluster[2].run("ls /var/tmp | grep -e saved_master -e mha-apply. || true") == ""


@pytest.mark.slow
@pytest.mark.parametrize("statements", range(1, 9))
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_killed_between_two_statements_that_turn_a_replica(kind: str, gtid: bool, statements: int) -> None:
    """Stopped, pointed at the saved log, started, stopped again: left at any of these, the next one goes on."""
    # Between the turn and the first event MariaDB's channel shows no place: the furthest would be another.
    killed_and_finished(kind, "manager", "Apply what was saved", str(statements), gtid=gtid)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_killed_when_a_replica_points_at_the_new_primary_and_was_not_started(kind: str, gtid: bool) -> None:
    """It follows nobody dead any more, so only who looks whether it receives finds it."""
    killed_and_finished(kind, "resume", "Point a replica at the new primary", "CHANGE ", gtid=gtid)


def _rows(cluster: Cluster, number: int) -> tuple[int, int, int]:
    """How many rows of the tail a server has, how many different ones, and their bytes."""
    (found,) = cluster[number].sql(
        "SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS d, COALESCE(SUM(LENGTH(data)), 0) AS s FROM app.big"
    )
    return found["n"], found["d"], int(found["s"])


@pytest.mark.matrix
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("kind", "goes_on"),
    [pytest.param("mariadb", "manager", id="mariadb-gtid"), pytest.param("mysql97", "resume", id="9.7-gtid")],
)
def test_killed_anywhere(kind: str, goes_on: str, step: str, point: str) -> None:
    """At every boundary of a step, and inside each, the acting process dies; whoever comes next ends it."""
    killed_and_finished(kind, goes_on, step, point)


@pytest.mark.parametrize(
    ("goes_on", "step", "point"),
    [
        ("resume", "Open the new primary for writes", "inside"),
        ("resume", "Stop every receiver", "inside"),
    ],
)
def test_a_person_resumes(goes_on: str, step: str, point: str) -> None:
    killed_and_finished("mariadb", goes_on, step, point)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", "9.7-gtid", "5.6-position"))
def test_a_failover_from_another_host_opens_no_second_primary(kind: str, gtid: bool) -> None:
    """Without the journal of the one that died; db3, the configured candidate there, is not opened beside db2."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        (cluster.seat / "elsewhere").mkdir()
        other = cluster.write_cnf("elsewhere/app1", candidate=3)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        # Two commands long: no more than a lone applier on a busy disk keeps up with.
        writer = part_ways(cluster, interval=0.03)
        cluster[1].signal_mysqld(signal.SIGKILL)
        by_hand = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        words = ("-m", "tests.lab.dying", "Open the new primary for writes", "done", "masterha_master_switch")
        first = cluster.run_there(sys.executable, *words, f"--conf={conf}", *by_hand)
        output, _ = first.communicate(timeout=60)
        assert first.returncode == -signal.SIGKILL, output
        refused = cluster.command("masterha_master_switch", f"--conf={other}", *by_hand)
        told = refused.output + (other.with_suffix("") / "manager.log").read_text()
        assert refused.code == 1, told
        assert "was interrupted after opening it" in told
        assert int(cluster[3].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        done = cluster.command("mha", "failover", "--resume", f"--conf={conf}")
        assert done.code == 0, done
        assert_as_undisturbed(cluster, writer, settings, f"{told}\n{done.output}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97"])
def test_settings_that_a_manager_lent_and_another_cannot_know_are_told_and_given_back(kind: str) -> None:
    """They make the commits of the new primary less durable, and only the journal of the dead one has the old ones."""
    with Cluster(kind, gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        (cluster.seat / "elsewhere").mkdir()
        other = cluster.write_cnf("elsewhere/app1", candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        manager = cluster.start_manager(conf)
        writer = part_ways(cluster)
        # Enough to apply for somebody to see it.
        time.sleep(2.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        wait_until(lambda: lent_settings(cluster[2])["sync_binlog"] > 1, "settings are lent")
        manager.stop()
        assert lent_settings(cluster[2])["sync_binlog"] > 1, "it died before it was done"
        by_hand = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        done = cluster.command("masterha_master_switch", f"--conf={other}", *by_hand)
        told = done.output + (other.with_suffix("") / "manager.log").read_text()
        assert done.code == 10, told
        assert "still has sync_binlog=1000003" in told
        active, standby = Monitor(cluster, other), Monitor(cluster, conf, sight=False)
        try:
            standby.wait_for("has its own settings again")
        finally:
            standby.stop()
            active.stop()
        assert_as_undisturbed(cluster, writer, settings, f"{told}\n{standby.log()}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mariadb", "mysql97", "mysql56"])
def test_settings_that_look_lent_and_are_configured_are_not_told(kind: str) -> None:
    """Fast and loose is how many a server is meant to be."""
    loose = "sync_binlog=0\ninnodb_flush_log_at_trx_commit=2\nmax_allowed_packet=1G"
    with Cluster(kind, gtid=True, extra={0: loose}) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0


@pytest.mark.slow
def test_a_person_resumes_where_a_replica_was_never_closed() -> None:
    """It is writable, and its receiver is stopped: by the failover that is gone on with, which opened nothing."""
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        cluster[3].sql("SET GLOBAL read_only=0")
        cluster[1].signal_mysqld(signal.SIGKILL)
        by_hand = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        words = ("-m", "tests.lab.dying", "Stop every receiver", "done", "masterha_master_switch")
        first = cluster.run_there(sys.executable, *words, f"--conf={conf}", *by_hand)
        output, _ = first.communicate(timeout=60)
        assert first.returncode == -signal.SIGKILL, output
        done = cluster.command("mha", "failover", "--resume", f"--conf={conf}")
        assert done.code == 0, done
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip


def killed_and_finished(kind: str, goes_on: str, step: str, point: str, *, gtid: bool = True) -> None:
    """One failover that dies there, and one that goes on with it."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        writer = part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        words = ["-m", "tests.lab.dying", step, point, "masterha_master_switch", "--master_state=dead"]
        words += [f"--conf={conf}", f"--dead_master_host={cluster[1].ip}", "--interactive=0"]
        first = cluster.run_there(sys.executable, *words)
        output, _ = first.communicate(timeout=60)
        log = conf.with_suffix("") / "manager.log"
        assert first.returncode == -signal.SIGKILL, f"{output}\n{log.read_text()}"
        command, *more = NEXT[goes_on]
        done = cluster.command(command, *more, f"--conf={conf}")
        told = f"{output}\n{done.output}\n{log.read_text()}"
        assert done.code == 0, told
        assert_as_undisturbed(cluster, writer, settings, told)
        if goes_on == "resume":
            again = cluster.command("mha", "failover", "--resume", f"--conf={conf}")
            assert (again.code, "nothing to resume" in again.output) == (0, True), again
