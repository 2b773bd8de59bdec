"""A rebuild is killed with -9 in each of its steps, one after the other; the next call brings it to its end."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.test_rebuild import Rebuilt, old_data

pytestmark = pytest.mark.slow
BEFORE = ("Look whether it may still be rebuilt", "Close the old server to writers", "Make a place for the new data")
COPIED, LOADED = ("Copy the donor's data", "Swap the data"), ("Put the old data aside", "Load a dump of the donor")
AFTER = (
    "Set its place",
    "Point it at the new primary",
    "Compare its data",
    "Start replication",
    "See that it executes",
    "Hold it no longer",
)


def killed_in(scene: Rebuilt, step: str, method: str) -> None:
    """Begin a rebuild and kill it as soon as its journal says that this step has begun."""
    before = set(scene.conf.with_suffix("").glob("*.rejoin-*.journal"))
    words = ("-m", "prefect_mha.commands.mha", "rejoin", f"--conf={scene.conf}", f"--host={scene.old.ip}", "--yes")
    process = scene.cluster.run_there(sys.executable, *words, "--how=rebuild", f"--method={method}")
    mark, ends = f'"step": "{step}", "event": "began"', time.monotonic() + 240
    while True:
        new = set(scene.conf.with_suffix("").glob("*.rejoin-*.journal")) - before
        if any(mark in path.read_text() for path in new):
            break
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < ends
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize(
    ("kind", "gtid", "method"),
    [
        pytest.param("mysql56", False, "dump", id="5.6-position-dump"),
        pytest.param("mysql97", True, "clone", id="9.7-gtid-clone"),
        pytest.param("mariadb", True, "backup", id="mariadb-gtid-backup"),
    ],
)
def test_killed_in_each_step(kind: str, gtid: bool, method: str) -> None:
    with Cluster(kind, gtid=gtid, backup=method == "backup") as cluster:
        scene = Rebuilt(cluster, rows=2000)
        writer = scene.writer(seconds=900.0)
        for step in (*BEFORE, *(LOADED if method == "dump" else COPIED), *AFTER):
            killed_in(scene, step, method)
        done = scene.rebuild(f"--method={method}")
        acks = writer.stop()
        assert done.code == 0, done
        scene.assert_rebuilt(acks)
        (kept,) = old_data(scene.old)
        # The true old data, and not what a rebuild that was cut short left.
        assert any("only_here" in name for name in scene.old.run(f"ls {kept}/app").split())
