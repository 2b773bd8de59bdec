"""The deployment of the monitor: a killed one is followed by another, never beside it; a cancelled one is gone."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from prefect_mha.replication.memory.manager_lock import ManagerLock
from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer, ask_api

SERVED = ("-m", "prefect_mha.commands.mha", "serve")
WORKER = ("-m", "prefect", "worker", "start", "--pool", "mha")


def watcher(lock: ManagerLock, health: Path, *, other_than: int = 0, seconds: float = 120.0, log: Path) -> int:
    """The pid of the monitor that watches now."""
    ends = time.monotonic() + seconds
    while True:
        held, pid = lock.probe()
        told = health.read_text() if health.exists() else ""
        if held and pid != other_than and "0:PING_OK" in told and str(pid) in told:
            return pid
        assert time.monotonic() < ends, log.read_text()[-4000:]
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["worker", "serve"])
def test_killed_and_cancelled(by: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf()
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if by == "worker":
            for words in (
                ("work-pool", "create", "mha", "--type", "process"),
                ("deploy", "--all", "--prefect-file", str(HOUSE / "prefect.yaml")),
                ("deployment", "run", "monitor/monitor"),
            ):
                process = cluster.run_there(sys.executable, "-m", "prefect", "--no-prompt", *words, env=env)
                output, _ = process.communicate(timeout=180)
                assert process.returncode == 0, output
        log = cluster.directory / "worker.log"
        with log.open("w") as out:
            worker = cluster.run_there(sys.executable, *(WORKER if by == "worker" else SERVED), env=env, out=out)
        try:
            lock = ManagerLock(conf.with_suffix(""), "app1")
            health = conf.with_suffix("") / "app1.master_status.health"
            first = watcher(lock, health, log=log)
            os.kill(first, signal.SIGKILL)
            killed = time.monotonic()
            second = watcher(lock, health, other_than=first, log=log)
            took = time.monotonic() - killed
            print(f"{by}: another monitor watched {took:.1f} s after the kill")

            runs = ask_api(server.api_url, "/flow_runs/filter", {"flows": {"name": {"any_": ["monitor"]}}})
            by_state = [r["state_type"] for r in runs]
            assert by_state.count("RUNNING") == 1, by_state
            assert by_state.count("CRASHED") == 1, by_state
            name = "monitor" if by == "worker" else "monitor-app1"
            (deployment,) = ask_api(server.api_url, "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
            ask_api(server.api_url, f"/deployments/{deployment['id']}/pause_deployment")
            (running,) = [r for r in runs if r["state_type"] == "RUNNING"]
            ask_api(server.api_url, f"/flow_runs/{running['id']}/set_state", {"state": {"type": "CANCELLING"}})
            cancelled = time.monotonic()
            while lock.probe()[0]:
                assert time.monotonic() < cancelled + 15.0, log.read_text()[-4000:]
                time.sleep(0.05)
            took = time.monotonic() - cancelled
            print(f"{by}: it had ended {took:.1f} s after the cancelling")
            assert took < 5.0
            assert lock.probe() == (False, second)
            for held in (FAILOVER_LOCK, MONITOR_LOCK):
                assert cluster[1].sql("SELECT IS_FREE_LOCK(%s) AS free", (held,))[0]["free"] == 1
        finally:
            worker.kill()
            worker.wait(10)
