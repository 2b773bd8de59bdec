"""A server that is back is made a replica by a run in Prefect: asked on its page, seen while it copies, kept."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.prefect_server import PrefectServer, ask_api
from tests.lab.waiting import until
from tests.scenarios.deployments import Deployments
from tests.scenarios.test_rebuild import Rebuilt
from tests.scenarios.test_rejoin_follows import Scene

pytestmark = pytest.mark.slow
#: Bytes a second: some twenty seconds of copying.
SLOWLY = "rebuild_rate=4000000"


def test_asked_on_its_page_and_made_a_replica() -> None:
    """By the deployment: the plan is a page, only an answer starts it, and the journal has whose."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        scene = Scene(cluster)
        scene.old.start_mysqld()
        deployments = Deployments(cluster, server, "rejoin")
        with deployments.worker("one"):
            wrong = deployments.start("rejoin", how={"server": "nobody"})
            failed = deployments.wait_for(wrong, "COMPLETED", "FAILED", "PAUSED")
            assert failed["state_name"] == "Refused", failed["state"]
            run = deployments.start("rejoin", how={"server": scene.old.ip})
            paused = deployments.wait_for(run, "PAUSED", "FAILED", "COMPLETED")
            assert paused["state_type"] == "PAUSED", deployments.told()
            assert paused["name"] == f"rejoin app1: {scene.old.ip}"
            plan = deployments.artifact("rejoin-app1-plan")
            assert "Point" in plan, plan
            assert "follow" in plan, plan
            assert scene.old.replica_status() == {}
            way = next(iter(question(deployments, paused)["new_primary"]["enum"]))
            given = {"decision": "start", "new_primary": way, "your_name": "Ada"}
            assert deployments.resume(run, **given)["status"] == "ACCEPT"
            done = deployments.wait_for(run, "COMPLETED", "FAILED", "CANCELLED")
            assert (done["state_type"], done["state_name"]) == ("COMPLETED", "Completed"), deployments.told()
            assert "replicates from" in done["state"]["message"]
            steps = deployments.steps(run, lambda found: len(found) >= 7)
            for step in ("Close the old server to writers", "Point it at the new primary", "Hold it no longer"):
                assert any(name.startswith(step) for name in steps), steps
            report = deployments.artifact("rejoin-app1")
            assert "replicates from" in report
            assert "lab-" not in report
        scene.assert_is_a_replica()
        journals = "\n".join(path.read_text() for path in scene.conf.with_suffix("").glob("*.rejoin-*.journal"))
        assert '"by": "Ada"' in journals


def question(deployments: Deployments, run: dict[str, Any]) -> dict[str, Any]:
    key = run["state"]["state_details"]["run_input_keyset"]["schema"]
    return dict(deployments.ask(f"/flow_runs/{run['id']}/input/{key}")["properties"])


def test_a_rebuild_is_seen_while_it_copies() -> None:
    """By the command: a run with a task a step, and a bar on its page that moves."""
    with (
        Cluster("mariadb", gtid=True, backup=True) as cluster,
        cluster.in_manager_net(),
        PrefectServer() as server,
    ):
        scene = Rebuilt(cluster, default=SLOWLY)
        words = (f"--conf={scene.conf}", f"--host={scene.old.ip}", "--how=rebuild", "--method=backup", "--yes")
        program = (sys.executable, "-m", "prefect_mha.commands.mha", "rejoin", *words)
        process = cluster.run_there(*program, env={"PREFECT_API_URL": server.api_url})
        try:
            seen = set[float]()

            def moves() -> bool:
                assert process.poll() is None, process.stdout.read() if process.stdout else ""
                seen.update(bars(server))
                return sum(0 < percent < 100 for percent in seen) >= 2

            until(moves, "the bar moves", seconds=120.0)
            name = f"rejoin app1: {scene.old.ip}"
            until(lambda: [each["name"] for each in runs(server, "RUNNING")] == [name], "its run says what it does")
            (going,) = runs(server, "RUNNING")
            output, _ = process.communicate(timeout=240)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, Done(process.returncode, output)
        until(lambda: bool(runs(server, "COMPLETED")), "its run has ended")
        (done,) = runs(server, "COMPLETED")
        assert (done["id"], done["name"]) == (going["id"], going["name"])
        assert bars(server) == [100.0]
        ask = {"flow_runs": {"id": {"any_": [done["id"]]}}, "limit": 200}

        def steps() -> set[str]:
            found = ask_api(server.api_url, "/task_runs/filter", ask)
            return {each["name"].partition(" of ")[0] for each in found if each["state_type"] == "COMPLETED"}

        until(lambda: len(steps()) >= 12, "its steps are there", seconds=30.0)
        assert any(name.startswith("Copy the donor's data") for name in steps()), steps()
        (page,) = artifacts(server, {"key": {"any_": ["rejoin-app1"]}})
        assert "has the data of" in page["data"]
        scene.assert_is_a_replica()


def test_a_bar_in_the_terminal_of_a_person() -> None:
    """How much, how fast, for how long yet; and nothing of it in what a pipe gets."""
    with Cluster("mariadb", gtid=True, backup=True) as cluster:
        scene = Rebuilt(cluster, default=SLOWLY)
        words = (f"--conf={scene.conf}", f"--host={scene.old.ip}", "--how=rebuild", "--method=backup", "--yes")
        done, shown = in_a_terminal(cluster, "-m", "prefect_mha.commands.mha", "rejoin", *words)
        assert done == 0, shown
        assert "receive a backup" in shown, shown
        assert "MB/s" in shown, shown
        scene.assert_is_a_replica()


def in_a_terminal(cluster: Cluster, *words: str) -> tuple[int, str]:
    """Run Python on the manager's host as a person does: all of it goes to a terminal. Its exit code, all it showed."""
    typescript = cluster.seat / "typescript"
    line = " ".join(f"'{word}'" for word in (sys.executable, *words))
    process = cluster.run_there("script", "-qefc", line, str(typescript), env={"TERM": "xterm", "COLUMNS": "120"})
    process.communicate(timeout=240)
    return process.returncode, Path(typescript).read_text(errors="replace")


def artifacts(server: PrefectServer, which: dict[str, Any]) -> list[dict[str, Any]]:
    return list(ask_api(server.api_url, "/artifacts/filter", {"artifacts": which, "limit": 200}))


def bars(server: PrefectServer) -> list[float]:
    """How far each progress artifact is."""
    return [float(each["data"]) for each in artifacts(server, {"type": {"any_": ["progress"]}})]


def runs(server: PrefectServer, state: str) -> list[dict[str, Any]]:
    """Those of rejoins in this state."""
    asked = {"flow_runs": {"name": {"like_": "rejoin"}, "state": {"type": {"any_": [state]}}}}
    return [run for run in ask_api(server.api_url, "/flow_runs/filter", asked) if "rejoin" in run["name"]]
