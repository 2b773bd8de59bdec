"""Faults that must be seen at once: each has its bound in seconds, and none may lose a row or leave two primaries.

The bounds are looser than what `make bench` shows, for here several clusters share the machine.
"""

from __future__ import annotations

import signal
import socket
import time

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.detection.observation import Finding, read_incident
from prefect_mha.replication.probes.ping import write_a_row
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.faults import FAULTS, broken
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, keep_incident

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="mariadb"),
]
ALL_SLOW = [pytest.param(*param.values, id=param.id, marks=pytest.mark.slow) for param in KINDS]
#: Seconds that a machine shared by several clusters may add.
SHARED = 3.0
#: The recordings of these scenarios are named for what was done.
NAMES = [pytest.param(name, id="killed" if name == "kill -9" else name) for name in FAULTS]


def verdict_of(manager: Manager) -> tuple[str, float]:
    """The row of the verdict, and the seconds since the first sign of trouble."""
    ends = [read_incident(path).end for path in sorted(manager.workdir.glob("*.incident-*.jsonl"))]
    (verdict,) = [end for end in ends if end["line"] == "verdict"]
    return verdict["row"], verdict["seconds"]


def fails_over(kind: str, gtid: bool, name: str, *, again: bool = False) -> None:
    """``again``: it is not the first trouble of the disk that this cluster sees."""
    fault = FAULTS[name]
    with Cluster(kind, gtid=gtid, disk={1: fault.disk} if fault.disk else None) as cluster:
        if again:
            primary = load_cluster(cluster.write_cnf(), None).servers[0]
            with cluster.in_manager_net():
                assert [write_a_row(primary, timeout=5.0)[0] for _ in range(2)] == 2 * [Finding.ANSWERED]
        manager = cluster.start_manager(cluster.write_cnf(candidate=2))
        writer = Writer(cluster)
        time.sleep(3.0)
        with broken(cluster[1], name):
            code, acks = finish(manager, writer)
            if name == "disk stalled":
                # Killed, it cannot end before its disk answers; nobody is to wait for it meanwhile.
                with cluster.in_manager_net(), pytest.raises(ConnectionRefusedError):
                    socket.create_connection((cluster[1].ip, 3306), 2)
        assert code == 0, manager.log()
        keep_incident(manager)
        row, seconds = verdict_of(manager)
        # A shutdown that takes longer than four intervals is not waited for.
        assert row == fault.row or (name == "shutdown" and row == "starting or shutting down"), manager.log()
        assert seconds < fault.verdict + SHARED
        log = manager.log()
        for line in ("Master is not reachable from health checker!", "Master is down!"):
            assert line in log
        if name == "power off":
            assert account([], [cluster[2], cluster[3]]).equal
            assert not writers_overlap(acks)
            return
        assert_survivors_agree(cluster, acks, 2, (3,))
        # What was frozen, or hung in the kernel, wakes up: it must not take a write.
        cluster[1].run("pkill -CONT -x 'mysqld|mariadbd'", check=False)
        ends = time.monotonic() + 10.0
        while cluster[1].mysqld_pids() and time.monotonic() < ends:
            time.sleep(0.1)
        assert cluster[1].mysqld_pids() == []


@pytest.mark.parametrize("name", [p for p in NAMES if p.id in ("killed", "frozen", "disk stalled")])
@pytest.mark.parametrize(("kind", "gtid"), [pytest.param("mariadb", True, id="mariadb")])
def test_seen_at_once(kind: str, gtid: bool, name: str) -> None:
    fails_over(kind, gtid, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("kind", "gtid"), ALL_SLOW)
def test_seen_at_once_on_every_kind(kind: str, gtid: bool, name: str) -> None:
    fails_over(kind, gtid, name)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), ALL_SLOW)
def test_a_full_disk_is_seen_though_small_rows_are_still_taken(kind: str, gtid: bool) -> None:
    """The blocks that the logs have begun take them for a while, when the application's have no room any more."""
    fails_over(kind, gtid, "disk full", again=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS[2:])
def test_a_clean_shutdown_is_waited_for_when_so_configured(kind: str, gtid: bool) -> None:
    """Nothing is touched while it is down, and a crash afterwards is failed over."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="on_shutdown=wait"))
        time.sleep(3.0)
        cluster[1].signal_mysqld(signal.SIGTERM)
        ends = time.monotonic() + 20.0
        while "No failover: clean shutdown" not in manager.log():
            assert manager.process.poll() is None, manager.log()
            assert time.monotonic() < ends, manager.log()
            time.sleep(0.1)
        assert not list(manager.workdir.glob("*.journal"))
        cluster[1].start_mysqld()
        wait_for(manager, "Monitoring goes on")
        writer = Writer(cluster)
        time.sleep(3.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), ALL_SLOW)
def test_a_crash_that_a_supervisor_mends_in_a_second_leaves_one_primary(kind: str, gtid: bool) -> None:
    """Failed over and fenced, or staying: at each moment one server takes writes."""
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].signal_mysqld(signal.SIGTERM)
        while cluster[1].mysqld_pids():
            time.sleep(0.1)
        command = f"{cluster.kind.mysqld} --defaults-file=/etc/my.cnf --user=mysql"
        cluster[1].start(f"sh -c 'while :; do {command} >>/var/log/mysqld.err 2>&1; sleep 1; done'")
        cluster[1].wait_for_mysqld()
        manager = cluster.start_manager(cluster.write_cnf())
        writer = Writer(cluster)
        time.sleep(3.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        time.sleep(12.0)
        acks = writer.stop()
        assert not writers_overlap(acks)
        stays = manager.process.poll() is None
        primary, replicas = (1, (2, 3)) if stays else (2, (3,))
        assert_survivors_agree(cluster, acks, primary, replicas)
        assert ("Monitoring goes on" in manager.log()) is stays
        manager.stop()


@pytest.mark.slow
def test_classic_counts_to_four_as_ever() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="detection=classic"))
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        killed = time.time()
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, 2, (3,))
        assert "Connection failed 4 time(s).." in manager.log()
        assert min(a.at for a in acks if a.host == cluster[2].ip) - killed > 3.0
        assert not list(manager.workdir.glob("*.incident-*.jsonl"))


def wait_for(manager: Manager, words: str, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while words not in manager.log():
        assert manager.process.poll() is None, manager.log()
        assert time.monotonic() < ends, manager.log()
        time.sleep(0.1)
