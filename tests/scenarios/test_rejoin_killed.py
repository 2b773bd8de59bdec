"""A rejoin is killed with -9 in each of its steps, one after the other; the next call, or the next manager, goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.failing_over import kinds
from tests.scenarios.test_rejoin_follows import Scene, read_only
from tests.scenarios.watching import Monitor

pytestmark = pytest.mark.slow
STEPS = (
    "Look whether it is still to be done",
    "Close the old server to writers",
    "Look again whether it has more than the primary",
    "Point it at the new primary",
    "Start replication",
    "See that it executes",
    "Hold it no longer",
)


class Returning(Protocol):
    """A server that is back, of a cluster with a configuration."""

    cluster: Cluster
    conf: Path
    old: Host


def begun_until(
    scene: Returning, step: str, *options: str, until: Callable[[], bool] = lambda: True
) -> subprocess.Popen[str]:
    """A rejoin whose journal has just said that this step has begun, and that is so."""
    before = set(scene.conf.with_suffix("").glob("*.rejoin-*.journal"))
    words = (
        "-m",
        "prefect_mha.commands.mha",
        "rejoin",
        f"--conf={scene.conf}",
        f"--host={scene.old.ip}",
        "--yes",
        *options,
    )
    process = scene.cluster.run_there(sys.executable, *words)
    mark, ends = f'"step": "{step}", "event": "began"', time.monotonic() + 180
    while True:
        new = set(scene.conf.with_suffix("").glob("*.rejoin-*.journal")) - before
        if any(mark in path.read_text() for path in new) and until():
            break
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < ends
        time.sleep(0.001)
    return process


def killed_in(scene: Returning, step: str, *options: str, until: Callable[[], bool] = lambda: True) -> None:
    """Begin a rejoin and kill it in this step."""
    process = begun_until(scene, step, *options, until=until)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize(("kind", "gtid"), kinds("5.6-position", "9.7-gtid", "mariadb-gtid"))
def test_killed_in_each_step(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        for step in STEPS:
            killed_in(scene, step)
            # No manager runs that would hold it, and it was not closed yet when the first ones died.
            assert read_only(scene.old) or step in STEPS[:2]
        done = scene.rejoin("--yes")
        assert done.code == 0, done
        scene.assert_is_a_replica()


def test_a_manager_that_starts_goes_on_with_it() -> None:
    with Cluster("mariadb", gtid=False) as cluster:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        killed_in(scene, "Start replication")
        monitor = Monitor(cluster, scene.conf)
        try:
            monitor.wait_for("was cut short: going on with it")
            monitor.wait_for("OK: replicates from")
            # Its hold is ended by the rejoin, or by the watch, which sees it replicate, too.
            monitor.wait_for("), level with it")
        finally:
            monitor.stop()
        scene.assert_is_a_replica()
