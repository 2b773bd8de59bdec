"""A run whose place in its deployment is lost goes on: Prefect away, or a server that was restarted and forgot it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from replication.manager_files import ManagerLock
from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer, refused_port
from tests.scenarios.deployments import Deployments
from tests.scenarios.test_monitor_deployment import watcher

#: What the engine does around a run whose deployment has a limit; three attempts at renewing take about four seconds.
HELD = """
import time, uuid
from prefect import flow_engine
with flow_engine.maintain_concurrency_lease(uuid.uuid4(), 300, raise_on_lease_renewal_failure=True):
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        time.sleep(0.1)
    print("went on")
"""
#: Prefect renews a lease of five minutes after three quarters of it.
RENEWED_AFTER = 225.0


@pytest.mark.slow
def test_an_api_that_is_away_does_not_end_a_run() -> None:
    """Prefect's own keeper does; if it does no longer, there is nothing left for ours to do."""

    def held(before: str, port: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", before + HELD],
            env={"PYTHONPATH": str(HOUSE), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with refused_port() as port:
        ours, theirs = held("import flows.engine", port), held("", port)
        said, _ = ours.communicate(timeout=60)
        _, trouble = theirs.communicate(timeout=60)
    assert (ours.returncode, said) == (0, "went on\n")
    assert (theirs.returncode, "CancelledError" in trouble) == (1, True), trouble


@pytest.mark.slow
def test_a_restarted_server_does_not_stop_the_monitor() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf()
        workdir = conf.with_suffix("")
        deployments = Deployments(cluster, server, "monitor")
        with deployments.worker("one") as worker:
            run = deployments.start("monitor")
            lock, health = ManagerLock(workdir, "app1"), workdir / "app1.master_status.health"
            pid = watcher(lock, health, log=worker.log)
            renewed = time.monotonic() + RENEWED_AFTER
            server.kill()
            server.start()
            _until(lambda: time.monotonic() > renewed + 15.0, lambda: lock.probe() == (True, pid), worker.log.read_text)
            assert deployments.wait_for(run, "RUNNING")["run_count"] == 1
            # Its place is taken still: another run is turned away.
            other = deployments.start("monitor")
            assert deployments.wait_for(other, "CANCELLED", "RUNNING", "FAILED")["state_type"] == "CANCELLED"
            assert watcher(lock, health, log=worker.log) == pid


def _until(over: Callable[[], bool], holds: Callable[[], bool], told: Callable[[], str]) -> None:
    """Something holds all the time."""
    while not over():
        assert holds(), told()[-4000:]
        time.sleep(0.5)
