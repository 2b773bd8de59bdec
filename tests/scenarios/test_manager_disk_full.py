"""The manager's own disk is full when the primary dies: what is set aside carries the failover, or nothing moves."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.cluster import Cluster
from tests.lab.network import sh
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish


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
        assert "a failover that cannot remember must not act" in told
        for number in (2, 3):
            status = cluster[number].replica_status()
            assert status["Replica_SQL_Running"] == "Yes"
            assert status["Replica_IO_Running"] != "No"
