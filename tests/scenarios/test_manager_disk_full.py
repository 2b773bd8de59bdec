"""The manager's own disk is full when the primary dies: what is set aside carries the failover, or nothing moves."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.network import sh
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, kinds
from tests.scenarios.moving import wait_until


@contextmanager
def small_disk(cluster: Cluster, mib: int) -> Iterator[None]:
    """The manager's working directory is a file system of its own."""
    place = cluster.seat / "app1"
    place.mkdir()
    sh(f"mount -t tmpfs -o size={mib}m none {place}")
    try:
        yield
    finally:
        sh(f"umount -l {place}")


def fill(cluster: Cluster) -> None:
    with (cluster.seat / "app1" / "full").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            return


def test_the_room_that_was_set_aside_carries_the_failover() -> None:
    with Cluster("mariadb", gtid=True) as cluster, small_disk(cluster, 8):
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        writer = Writer(cluster)
        time.sleep(0.5)
        fill(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        told = manager.log() + manager.out.read_text()
        assert code == 0, told
        assert "Traceback" not in told
        assert_survivors_agree(cluster, acks, 2, (3,))


def primary_dies_with_a_long_tail(cluster: Cluster, conf: Path, *, logs: int = 1) -> tuple[int, str]:
    """16 MB of its log are on no replica, and the manager's disk is full: the exit code, and what was said.

    Of two ``logs`` the first has one row in eight, and there is room for that.
    """
    cluster[1].sql("CREATE TABLE app.big (id INT PRIMARY KEY, data LONGBLOB)")
    manager = cluster.start_manager(conf)
    for number in (2, 3):
        cluster.stop_receiver(cluster[number])
    for number in range(8):
        cluster[1].sql(f"INSERT INTO app.big VALUES ({number}, REPEAT('x', 2000000))")
        if logs == 2 and number == 0:
            cluster[1].sql("FLUSH BINARY LOGS")
    fill(cluster)
    cluster[1].signal_mysqld(signal.SIGKILL)
    code = manager.wait()
    return code, manager.log() + manager.out.read_text()


@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", slow=("9.7-position", "5.6-position")))
def test_a_tail_that_does_not_fit_goes_to_the_second_place(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, small_disk(cluster, 8):
        spare = cluster.seat / "spare"
        conf = cluster.write_cnf(candidate=2, default=f"start_checks=warn\nmanager_spare_dir={spare}")
        code, told = primary_dies_with_a_long_tail(cluster, conf)
        assert code == 0, told
        assert "Traceback" not in told
        assert f"What is saved goes to {spare}" in told
        whole = [{"n": 8, "s": 16_000_000}]
        count = "SELECT COUNT(*) AS n, SUM(LENGTH(data)) AS s FROM app.big"
        wait_until(lambda: [cluster[n].sql(count) for n in (2, 3)] == [whole, whole], "both have it")
        assert [path.stat().st_mode & 0o077 for path in spare.iterdir()] == [0]


@pytest.mark.slow
@pytest.mark.parametrize(("logs", "rows"), [pytest.param(1, 0, id="one-log"), pytest.param(2, 1, id="the-second-log")])
@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", "9.7-gtid", "5.6-position"))
def test_a_tail_that_fits_nowhere_is_told_and_the_failover_goes_on(kind: str, gtid: bool, logs: int, rows: int) -> None:
    """With what fits; what does not is lost, so something is left to do."""
    with Cluster(kind, gtid=gtid) as cluster, small_disk(cluster, 8):
        spare = cluster.seat / "app1" / "spare"
        conf = cluster.write_cnf(candidate=2, default=f"start_checks=warn\nmanager_spare_dir={spare}")
        code, told = primary_dies_with_a_long_tail(cluster, conf, logs=logs)
        assert code == 10, told
        assert "Traceback" not in told
        assert ("are free in" if rows else "no place on the manager takes a copy") in told
        assert int(cluster[2].sql("SELECT @@global.read_only AS r")[0]["r"]) == 0
        assert cluster[2].sql("SELECT COUNT(*) AS n FROM app.big") == [{"n": rows}]


@pytest.mark.slow
def test_a_disk_without_any_room_is_told_and_nothing_is_touched() -> None:
    with Cluster("mariadb", gtid=True) as cluster, small_disk(cluster, 2):
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        assert "no room can be set aside" in manager.log()
        fill(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait() == 1
        told = manager.log() + manager.out.read_text()
        assert "Traceback" not in told
        assert "without its journal a failover must not act" in told
        for number in (2, 3):
            status = cluster[number].replica_status()
            assert status["Replica_SQL_Running"] == "Yes"
            assert status["Replica_IO_Running"] != "No"
