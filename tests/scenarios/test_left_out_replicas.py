"""Who was left out by a failover follows later, by the manager's hand: no person has to come at night."""

from __future__ import annotations

import signal

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.cluster import Cluster
from tests.scenarios.failing_over import finish
from tests.scenarios.moving import wait_until
from tests.scenarios.test_busy_replicas import comes_later, die, execute_long, executes, follows, prepared
from tests.scenarios.test_chains_of_faults import lost_on, modes, rows_on
from tests.scenarios.test_who_is_primary import writable
from tests.scenarios.watching import Monitor


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_manager_that_ends_after_a_failover_stays_for_a_busy_replica(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = prepared(cluster)
        rows_on(cluster, writer, 2, rows=10)
        execute_long(cluster, 20, 2)
        wait_until(lambda: executes(cluster[2]), "db2 executes it", 10.0)
        acks = die(cluster, writer, "readable")
        assert manager.wait(90.0) == 0, manager.log()
        comes_later(cluster, acks, cluster[2], cluster[3], 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_replica_that_was_down_during_the_failover_is_brought_along_when_it_is_back(kind: str, gtid: bool) -> None:
    """It still follows the dead primary; the next manager finds it so, and again after it was killed."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        monitor = Monitor(cluster, conf)
        writer = prepared(cluster)
        cluster[3].signal_mysqld(signal.SIGKILL)
        before = len(writer.acks())
        wait_until(lambda: len(writer.acks()) > before + 50, "rows without db3")
        cluster[1].signal_mysqld(signal.SIGKILL)
        wait_until(lambda: writable(cluster[2]), "db2 is open", 30.0)
        monitor.wait_for("was left out by the failover")
        monitor.stop()
        acks = writer.stop()
        cluster[3].start_mysqld("--read-only=1")
        again = Monitor(cluster, conf)
        comes_later(cluster, acks, cluster[3], cluster[2], 40.0)
        again.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_full_temporary_directory_on_the_chosen_one_leaves_nobody_out(kind: str, gtid: bool) -> None:
    """What the others lack reaches them although neither host could keep a file of it."""
    with Cluster(kind, gtid=gtid) as cluster:
        for host in cluster.hosts[1:]:
            host.run("mount -t tmpfs -o size=64k none /var/tmp")
            host.run("dd if=/dev/zero of=/var/tmp/full bs=1k count=80", check=False)
        manager = cluster.start_manager(cluster.write_cnf(candidate=3, default="start_checks=warn"))
        writer = prepared(cluster)
        rows_on(cluster, writer, 2, rows=40)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert writable(cluster[3]), manager.log()
        assert follows(cluster[2], cluster[3]), manager.log()
        assert lost_on(acks, cluster[2]) == lost_on(acks, cluster[3]) == 0, manager.log()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_replica_that_stands_still_holds_up_nobody_once_writes_are_back(kind: str, gtid: bool) -> None:
    """The look at every server, at the end, waits for it no longer than the looks before did."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        cluster[3].signal_mysqld(signal.SIGSTOP)
        try:
            cluster[1].signal_mysqld(signal.SIGKILL)
            assert manager.wait(90.0) == 10, manager.log()
        finally:
            cluster[3].signal_mysqld(signal.SIGCONT)
        (journal,) = manager.workdir.glob("*.failover-*.journal")
        at = {entry.event: entry.at for entry in read_journal(journal) if entry.step == "Verify every server"}
        assert at["done"] - at["began"] < 3.5, manager.log()
