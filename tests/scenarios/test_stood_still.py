"""A manager stands still in the middle of a failover (a suspended machine, SIGSTOP), and others act meanwhile."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster, Manager
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.moving import wait_until

#: Longer than the servers wait for a session that says nothing.
STILL = 36.0
INSTANTS = [
    pytest.param('"step": "Fence the old primary", "event": "done"', id="fenced"),
    pytest.param('"step": "Save the dead primary\'s binary log", "event": "done"', id="saved"),
    pytest.param('"step": "Apply what was saved", "event": "done"', id="applied"),
    pytest.param('"step": "Hold the old primary", "event": "done"', id="about to open"),
]


def stop_at(manager: Manager, words: str) -> None:
    """Stop it the moment its journal holds these words; a process that stands still does not end either."""
    journals = lambda: [path.read_text() for path in manager.workdir.glob("*.failover-*.journal")]  # noqa: E731
    until(lambda: any(words in text for text in journals()), manager.log, 40.0)
    manager.process.send_signal(signal.SIGSTOP)


def value(cluster: Cluster, number: int) -> int:
    return int(cluster[number].sql("SELECT v FROM app.counted")[0]["v"])


@pytest.mark.slow
@pytest.mark.parametrize("words", INSTANTS)
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb", False, id="mariadb-position"), pytest.param("mysql97", True, id="9.7-gtid")],
)
def test_who_wakes_after_others_acted_does_nothing_more(kind: str, gtid: bool, words: str) -> None:
    """Neither is the saved log applied a second time, nor anybody opened, pointed, or given the address."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.counted (v INT NOT NULL)")
        cluster[1].sql("INSERT INTO app.counted VALUES (0)")
        wait_until(lambda: all(host.sql("SHOW TABLES FROM app LIKE 'counted'") for host in cluster.hosts), "the table")
        time.sleep(0.5)
        moved = cluster.seat / "moved"
        script = cluster.seat / "failover_script"
        script.write_text(f'#!/bin/sh\ncase "$*" in *--command=start*) echo "$@" >>{moved};; esac\n')
        script.chmod(0o755)
        slept = cluster.write_cnf(candidate=2, default=f"master_ip_failover_script={script}")
        others = cluster.write_cnf("other", candidate=3)
        manager = cluster.start_manager(slept)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        for _ in range(5):
            cluster[1].sql("UPDATE app.counted SET v = v + 1")
        cluster[1].signal_mysqld(signal.SIGKILL)
        stop_at(manager, words)
        opened_before = not int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"])
        assert not opened_before, "it was too fast to be stopped there"
        time.sleep(STILL)
        dead = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", f"--new_master_host={cluster[3].ip}")
        done = cluster.command("masterha_master_switch", f"--conf={others}", *dead, "--interactive=0")
        assert done.code == 0, done.output
        before = moved.read_text() if moved.exists() else ""
        manager.process.send_signal(signal.SIGCONT)
        try:
            # It ends, or watches the new primary.
            wait_until(lambda: "the failover lock was lost" in manager.log(), "it finds the lock lost", 20.0)
            time.sleep(2.0)
        finally:
            manager.stop()
        told = manager.log()
        assert [value(cluster, n) for n in (2, 3)] == [5, 5], told
        assert int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1, told
        assert cluster[2].replica_status()["Source_Host"] == cluster[3].ip, told
        assert (moved.read_text() if moved.exists() else "") == before, told
        assert "Done before the lock was lost" in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb", True, id="mariadb-gtid"), pytest.param("mysql97", False, id="9.7-position")],
)
def test_who_wakes_and_finds_that_nobody_acted_goes_on(kind: str, gtid: bool) -> None:
    """The failover that lost its lock is no failed one, which only a person could let go on."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster, interval=0.01)
        time.sleep(0.5)
        for number in (3, 2):
            cluster.stop_receiver(cluster[number])
            time.sleep(0.3)
        cluster[1].signal_mysqld(signal.SIGKILL)
        stop_at(manager, '"step": "Save the dead primary\'s binary log", "event": "done"')
        time.sleep(STILL)
        manager.process.send_signal(signal.SIGCONT)
        assert manager.wait(60) == 0, manager.log()
        time.sleep(1.0)
        assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0, manager.log()
        assert cluster[2].replica_status() == {}, manager.log()
