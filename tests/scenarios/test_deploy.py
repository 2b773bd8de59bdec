"""`mha deploy` on a real Prefect server: a set of deployments a cluster, which takes no other, made once and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import HOUSE, Cluster, Done
from tests.lab.prefect_server import PrefectServer, ask_api

FLOWS = ("monitor", "failover", "switchover", "rejoin", "drill", "health-check", "purge-relay-logs")


class Prefect:
    """A server, and what `mha deploy` makes of the clusters of a seat."""

    def __init__(self, cluster: Cluster, server: PrefectServer) -> None:
        self.cluster, self.url = cluster, server.api_url
        self.env = {"PREFECT_API_URL": self.url, "MHA_CONF_DIR": str(cluster.seat)}

    def deploy(self, *words: str) -> Done:
        return self.cluster.command("mha", "deploy", *words, env=self.env, timeout=180.0)

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        return ask_api(self.url, path, body, method=method)

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.ask("/deployments/filter", {})}

    def automations(self) -> list[str]:
        return sorted(each["name"] for each in self.ask("/automations/filter", {}))

    def run(self, name: str, **parameters: Any) -> dict[str, Any]:
        """*Run* on the page of a deployment, with what its form sends."""
        which = self.deployments()[name]["id"]
        return dict(self.ask(f"/deployments/{which}/create_flow_run", {"parameters": parameters}))

    def ended(self, run: dict[str, Any], log: Path) -> dict[str, Any]:
        ends = time.monotonic() + 180
        while True:
            found = dict(self.ask(f"/flow_runs/{run['id']}", method="GET"))
            if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return found
            assert time.monotonic() < ends, log.read_text()[-4000:]
            time.sleep(0.3)

    @contextmanager
    def worker(self, **env: str) -> Iterator[Path]:
        log = self.cluster.directory / "worker.log"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = ("-m", "prefect", "worker", "start", "--pool", "mha", "--work-queue", "default")
        with log.open("w") as out:
            process = self.cluster.run_there(sys.executable, *words, env={**self.env, "PATH": path, **env}, out=out)
        try:
            yield log
        finally:
            process.kill()
            process.wait(10)


def names(*clusters: str) -> set[str]:
    return {f"{flow}-{cluster}" for cluster in clusters for flow in FLOWS}


@pytest.mark.slow
def test_each_cluster_gets_its_own_set_which_takes_no_other_cluster() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        prefect = Prefect(cluster, server)
        cluster.write_cnf("app1")
        orders = cluster.write_cnf("orders")
        done = prefect.deploy()
        assert done.code == 0, done
        assert "Work pool mha: new" in done.output
        assert "prefect deployment run monitor/monitor-orders" in done.output
        there = prefect.deployments()
        assert there.keys() == names("app1", "orders")
        for name, each in there.items():
            own = name.rpartition("-")[2]
            assert each["tags"] == [f"cluster:{own}"]
            assert each["parameters"]["cluster"] == own
            field = each["parameter_openapi_schema"]["properties"]["cluster"]
            assert (field["enum"], field["title"]) == ([own], "Cluster")
            assert (each["work_pool_name"], each["pull_steps"] or []) == ("mha", [])
            assert each["entrypoint"].startswith("prefect_mha.flows.")
        how = there["failover-app1"]["parameter_openapi_schema"]["properties"]["how"]
        assert how["title"] == "What is to be done"

        # The other cluster's name in the form of this one is refused by Prefect itself.
        with pytest.raises(urllib.error.HTTPError) as refused:
            prefect.run("failover-app1", cluster="orders", how={"ask_first": False})
        assert refused.value.code in (409, 422)
        assert "orders" in refused.value.read().decode()

        with prefect.worker() as log:
            run = prefect.ended(prefect.run("health-check-orders", cluster="orders"), log)
        assert run["tags"] == ["cluster:orders"]
        assert run["name"] == "health check orders"
        assert "checks" in run["state"]["message"], log.read_text()[-4000:]

        # Again: nothing is there twice, and what a person paused or changed stays so.
        prefect.ask(f"/deployments/{there['monitor-app1']['id']}/pause_deployment")
        (nightly,) = there["purge-relay-logs-app1"]["schedules"]
        changed = {"active": True, "schedule": {"cron": "5 5 * * *", "timezone": "UTC"}}
        at = f"/deployments/{there['purge-relay-logs-app1']['id']}/schedules/{nightly['id']}"
        prefect.ask(at, changed, method="PATCH")
        automations = prefect.automations()
        assert len(automations) == 4
        off = prefect.ask("/automations/filter", {})[0]
        prefect.ask(f"/automations/{off['id']}", {"enabled": False}, method="PATCH")
        again = prefect.deploy()
        assert again.code == 0, again
        assert "up to date: monitor-app1" in again.output
        assert "new" not in again.output
        then = prefect.deployments()
        assert {name: each["id"] for name, each in then.items()} == {name: each["id"] for name, each in there.items()}
        assert then["monitor-app1"]["paused"]
        assert not then["monitor-orders"]["paused"]
        assert [s["schedule"]["cron"] for s in then["purge-relay-logs-app1"]["schedules"]] == ["5 5 * * *"]
        assert [len(then[f"monitor-{c}"]["schedules"]) for c in ("app1", "orders")] == [1, 1]
        assert prefect.automations() == automations
        assert [e["name"] for e in prefect.ask("/automations/filter", {}) if not e["enabled"]] == [off["name"]]

        # What belongs to a cluster that is configured no more goes when it is asked for, and nothing else does.
        orders.unlink()
        kept = prefect.deploy()
        assert "Left as it is: monitor-orders of orders, which is configured no more (--remove-gone)." in kept.output
        assert prefect.deployments().keys() == names("app1", "orders")
        gone = prefect.deploy("--remove-gone")
        assert gone.code == 0, gone
        assert gone.output.count("Removed: ") == len(FLOWS)
        assert prefect.deployments().keys() == names("app1")
        assert len(prefect.automations()) == 2


@pytest.mark.slow
def test_a_worker_without_the_package_runs_it_from_a_clone() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        cluster.write_cnf("app1")
        prefect = Prefect(cluster, server)
        repository = cluster.directory / "repository"
        shutil.copytree(HOUSE, repository, symlinks=True, ignore=shutil.ignore_patterns(".git", "build", "tests"))
        ours = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "init.defaultBranch=released")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "as it is")):
            subprocess.run(["git", *ours, *words], cwd=repository, check=True, timeout=60)
        done = prefect.deploy("--git", f"file://{repository}", "--branch", "released", "--no-monitor")
        assert done.code == 0, done
        assert prefect.deployments().keys() == names("app1") - {"monitor-app1"}
        with prefect.worker(PYTHONPATH="", PREFECT_HOME=str(cluster.seat / ".clone")) as log:
            run = prefect.ended(prefect.run("failover-app1", how={"dry_run": True}), log)
        assert run["state_type"] == "FAILED", log.read_text()[-4000:]
        assert "may be alive, so nothing was touched" in run["state"]["message"]
