"""What a person of Prefect may send is looked up: a real API takes any text for a cluster, past the form's choices."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import IMPORTS
from tests.lab.prefect_server import PrefectServer, ask_api

PROGRAM = """
from prefect import serve
from prefect_mha.flows.binlog_server import binlog_server
from prefect_mha.flows.failover import failover
from prefect_mha.flows.health_check import health_check
from prefect_mha.flows.monitor import monitor
from prefect_mha.flows.purge_relay_logs import purge_relay_logs
from prefect_mha.flows.switchover import switchover

flows = (binlog_server, failover, health_check, monitor, purge_relay_logs, switchover)
serve(*(flow.to_deployment(flow.name) for flow in flows), limit=2)
"""
END = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def started(server: PrefectServer, name: str, parameters: dict[str, Any]) -> str:
    """A run of that deployment with these parameters, whatever its form says."""
    ends = time.monotonic() + 90
    while not (found := ask_api(server.api_url, "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})):
        assert time.monotonic() < ends, f"there is no deployment {name}"
        time.sleep(0.3)
    body = {"parameters": parameters, "enforce_parameter_schema": False}
    return str(ask_api(server.api_url, f"/deployments/{found[0]['id']}/create_flow_run", body)["id"])


def ended(server: PrefectServer, run: str) -> dict[str, Any]:
    """The run's last state."""
    ends = time.monotonic() + 150
    while True:
        (found,) = ask_api(server.api_url, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        if found["state_type"] in END:
            return dict(found["state"])
        assert time.monotonic() < ends, found["state"]
        time.sleep(0.5)


@pytest.mark.slow
def test_a_cluster_of_a_run_is_a_name_and_no_path(tmp_path: Path) -> None:
    """A configuration names programs that are run; one outside of the directory is none, however it is spelled."""
    configured, elsewhere = tmp_path / "mha", tmp_path / "up"
    for place in (configured, elsewhere, configured / "deeper"):
        place.mkdir()
    ran = tmp_path / "ran"
    head = f"[server default]\ninit_conf_load_script=touch {ran}\nmanager_workdir={tmp_path}\n"
    bait = f"{head}[server1]\nhostname=127.0.0.1\n"
    for path in (elsewhere / "x.cnf", configured / "deeper" / "x.cnf", configured / ".x.cnf"):
        path.write_text(bait)
    (configured / "app1.cnf").write_text(bait.replace("init_conf_load_script", "#"))
    wanted: dict[str, dict[str, Any]] = {
        "health-check": {"cluster": "../up/x"},
        "monitor": {"cluster": str(elsewhere / "x")},
        "purge-relay-logs": {"cluster": "deeper/x"},
        "failover": {"cluster": ".x", "how": {"ask_first": False}},
        "switchover": {"cluster": "app1", "how": {"new_primary": f"$(touch {ran})", "ask_first": False}},
        "binlog-server": {"cluster": "app1", "name": f"../../{elsewhere}/x\n## all is well\n"},
    }
    with PrefectServer() as server:
        environment = {**os.environ, **server.client_environment(), "PYTHONPATH": IMPORTS}
        environment |= {"MHA_CONF_DIR": str(configured), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
        with (tmp_path / "runner.log").open("w") as out:
            runner = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], env=environment, stdout=out, stderr=out, start_new_session=True
            )
        try:
            runs = {name: started(server, name, parameters) for name, parameters in wanted.items()}
            states = {name: ended(server, run) for name, run in runs.items()}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(runner.pid, signal.SIGKILL)
            runner.wait(10)
    assert {name: state["type"] for name, state in states.items()} == dict.fromkeys(wanted, "FAILED")
    for name in ("health-check", "monitor", "purge-relay-logs", "failover"):
        assert "no cluster '" in states[name]["message"], states[name]
        assert states[name]["message"].endswith("there are: app1"), states[name]
    assert "is no host and no host:port" in states["switchover"]["message"]
    assert "\n" not in states["binlog-server"]["message"]
    assert not ran.exists()
