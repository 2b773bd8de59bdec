"""Troubles that are no death: no replica is touched, people are told, and a real death afterwards is still seen."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import faults
from tests.lab.cluster import Cluster, Manager
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, keep_incident, promoted

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="mariadb"),
]
SLOW = [pytest.param(*param.values, id=param.id, marks=pytest.mark.slow) for param in KINDS]
#: Seconds of each trouble: well past MHA's four misses.
LASTS = 8.0
#: What shows that somebody touched a replica.
TOUCHED = ("Source_Host", "Replica_SQL_Running", "Auto_Position", "Using_Gtid", "SQL_Delay")


def settings(cluster: Cluster) -> dict[int, Any]:
    """What a failover would change on the replicas; the receivers may have their own troubles."""
    found = {}
    for number in (2, 3):
        status = cluster[number].replica_status()
        read_only = cluster[number].sql("SELECT @@global.read_only AS r")[0]["r"]
        found[number] = ({name: status.get(name) for name in TOUCHED}, int(read_only))
    return found


@contextlib.contextmanager
def trouble(cluster: Cluster, words: str = "", **cnf: Any) -> Iterator[Manager]:
    """A watched cluster; what happens within must change nothing, and the death that follows must be seen."""
    manager = cluster.start_manager(cluster.write_cnf(**cnf))
    time.sleep(3.0)
    before = settings(cluster)
    yield manager
    keep_incident(manager)
    assert manager.process.poll() is None, manager.log()
    assert settings(cluster) == before
    assert not list(manager.workdir.glob("*.journal")), manager.log()
    assert words in manager.log()


def dies_then(cluster: Cluster, manager: Manager, *, settle: float = 6.0) -> None:
    """Monitoring went on by itself: a real death is failed over, and nothing is lost."""
    for number in (2, 3):
        ends = time.monotonic() + 70.0
        while cluster[number].replica_status()["Replica_IO_Running"] != "Yes":
            assert time.monotonic() < ends, cluster[number].replica_status()
            time.sleep(0.2)
    writer = Writer(cluster)
    time.sleep(settle)
    cluster[1].signal_mysqld(signal.SIGKILL)
    code, acks = finish(manager, writer)
    assert code == 0, manager.log()
    new = promoted(cluster)
    assert_survivors_agree(cluster, acks, new, (5 - new,))


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_manager_cut_off_from_the_primary(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, "only the manager cannot reach it") as manager:
            with faults.cut_off(cluster, cluster[1]):
                time.sleep(LASTS)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_manager_cut_off_from_all(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, "it is the manager that may be cut off") as manager:
            with faults.cut_off(cluster, *cluster.hosts):
                time.sleep(LASTS)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_ssh_down_only(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, "cannot be looked at") as manager, faults.without_ssh(cluster[1]):
            time.sleep(LASTS)
        dies_then(cluster, manager)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_mysql_port_down_for_the_manager_only(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, "only the manager cannot reach it") as manager:
            with faults.port_down_for_the_manager(cluster, cluster[1]):
                time.sleep(LASTS)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_receiver_of_one_replica_stopped_and_applier_on_all(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        stopped = faults.receiver_stopped(cluster, cluster[2]), faults.appliers_stopped(cluster, *cluster.hosts[1:])
        with trouble(cluster) as manager, stopped[0], stopped[1]:
            time.sleep(LASTS)
        assert "Got error on MySQL" not in manager.log()
        dies_then(cluster, manager)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_primary_at_max_connections_and_our_session_ended(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, extra={1: "max_connections=20"}) as cluster:
        with trouble(cluster, "lives but refuses our ping") as manager:
            with faults.at_max_connections(cluster[1]) as again:
                ends = time.monotonic() + 20.0
                while "lives but refuses our ping" not in manager.log():
                    assert time.monotonic() < ends, manager.log()
                    again()
                time.sleep(LASTS)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.parametrize(("kind", "gtid"), SLOW)
def test_password_rotated(kind: str, gtid: bool) -> None:
    """The manager's account loses its password and its session: it is told, and goes on when it fits again."""
    with Cluster(kind, gtid=gtid) as cluster:
        with trouble(cluster, "lives but refuses our ping") as manager:
            with faults.password_rotated(cluster, cluster[1]):
                time.sleep(LASTS)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["primary", "manager"])
def test_a_link_that_flaps_for_a_minute(of: str) -> None:
    """Two seconds up, two seconds down."""
    with Cluster("mariadb", gtid=True) as cluster:
        with trouble(cluster) as manager:
            if of == "primary":
                faults.link_flaps(cluster[1], 60.0)
            else:
                faults.managers_link_flaps(cluster, 60.0)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.slow
def test_a_manager_that_does_not_get_to_run() -> None:
    """For 20 seconds it runs a twentieth of the time."""
    with Cluster("mariadb", gtid=True) as cluster:
        with trouble(cluster) as manager:
            faults.starved(manager.process.pid, 20.0)
            time.sleep(3.0)
        dies_then(cluster, manager)


@pytest.mark.slow
def test_a_primary_that_is_stopped_for_a_second_and_a_half() -> None:
    """A debugger, a snapshot: not long enough."""
    with Cluster("mariadb", gtid=True) as cluster:
        with trouble(cluster) as manager:
            for _ in range(4):
                cluster[1].signal_mysqld(signal.SIGSTOP)
                time.sleep(1.5)
                cluster[1].signal_mysqld(signal.SIGCONT)
                time.sleep(2.0)
        dies_then(cluster, manager)


@pytest.mark.slow
def test_a_disk_that_is_nearly_full_and_still_takes_rows() -> None:
    with Cluster("mariadb", gtid=True, disk={1: 400}) as cluster:
        with trouble(cluster, "still takes writes") as manager:
            left = int(cluster[1].run("df -Pk /var/lib/mysql | tail -1").split()[3])
            cluster[1].run(f"dd if=/dev/zero of=/var/lib/mysql/ballast bs=1k count={left - 1500} 2>/dev/null; sync")
            time.sleep(LASTS)
            cluster[1].free_disk()
            time.sleep(3.0)
        dies_then(cluster, manager)
