"""The run that stands ready in Prefect, and what becomes of it when its API, its manager or somebody ends it."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer, ask_api, free_port, standing_run
from tests.lab.writer import Writer

WATCH = ("-m", "prefect_mha.commands.mha", "monitor", "--conf")
#: Seconds that a busy machine may take for what is awaited.
PATIENCE = 90.0


class Prefect:
    """A cluster's Prefect server, asked from the manager's seat."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster, self.url = cluster, url

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        with self._cluster.in_manager_net():
            return ask_api(self.url, path, body or {})

    def runs(self) -> list[dict[str, Any]]:
        return list(self.ask("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"}))

    def run(self, run_id: str) -> dict[str, Any]:
        (found,) = self.ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
        return dict(found)

    def tasks(self, run: dict[str, Any]) -> list[dict[str, Any]]:
        asked = {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 200}
        return list(self.ask("/task_runs/filter", asked))

    def standing(self, other_than: str = "") -> dict[str, Any]:
        with self._cluster.in_manager_net():
            return standing_run(self.url, other_than=other_than)

    def ended(self, run_id: str, last: str = "") -> dict[str, Any]:
        """That run, once it is over and each of its task runs is, the ``last`` one among them.

        Task runs travel as events, and may arrive after the run's end.
        """
        ends = time.monotonic() + PATIENCE
        while True:
            run = self.run(run_id)
            tasks = self.tasks(run)
            arrived = not last or any(task["name"] == last for task in tasks)
            if run["state_type"] not in ("RUNNING", "SCHEDULED", "PENDING") and arrived and all(map(_over, tasks)):
                return run
            assert time.monotonic() < ends, (run["state"], [(t["name"], t["state_name"]) for t in tasks])
            time.sleep(0.2)

    def pages(self, run: dict[str, Any]) -> list[str]:
        asked = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "KEY_ASC"}
        return [page["key"] for page in self.ask("/artifacts/filter", asked)]


def _over(task: dict[str, Any]) -> bool:
    return task["state_type"] in ("COMPLETED", "FAILED", "CRASHED")


def until(log: Path, words: str, times: int = 1) -> None:
    ends = time.monotonic() + PATIENCE
    while not log.exists() or log.read_text().count(words) < times:
        assert time.monotonic() < ends, log.read_text() if log.exists() else "no log"
        time.sleep(0.1)


def test_an_api_that_is_killed_at_the_verdict_has_every_step_when_it_is_back() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf(candidate=2)
        log = conf.with_suffix("") / "manager.log"
        with (cluster.seat / "monitor.out").open("w") as out:
            manager = cluster.run_there(
                sys.executable, *WATCH, str(conf), env={"PREFECT_API_URL": server.api_url}, out=out
            )
        try:
            prefect = Prefect(cluster, server.api_url)
            until(log, "waiting until MySQL doesn't respond")
            standing = prefect.standing()
            writer = Writer(cluster)
            server.kill()
            cluster[1].signal_mysqld(signal.SIGKILL)
            until(log, "completed successfully.")
            assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0
            server.start()
            run = prefect.ended(standing["id"], last="Report")
            assert run["name"] == f"failover app1: {cluster[1].ip} → {cluster[2].ip}"
            assert (run["state_type"], run["tags"]) == ("COMPLETED", ["cluster:app1"])
            names = Counter(task["name"] for task in prefect.tasks(run))
            assert names["Save the dead primary's binary log"] == 1
            assert names["Open the new primary for writes"] == 1
            assert {task["state_type"] for task in prefect.tasks(run)} == {"COMPLETED"}
            assert "failover-app1" in prefect.pages(run)
            # The next one is ready.
            assert prefect.standing(standing["id"])["name"] == "failover app1: standing by"
        finally:
            manager.kill()
            manager.wait(10)


@pytest.mark.slow
def test_an_api_that_never_was_there_gets_one_late_run_from_the_next_process() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net():
        port = free_port()
        env = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
        conf = cluster.write_cnf(candidate=2)
        manager = cluster.start_manager(conf, env=env)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        with PrefectServer(port) as server, (cluster.seat / "monitor.out").open("w") as out:
            following = cluster.run_there(sys.executable, *WATCH, str(conf), env=env, out=out)
            try:
                prefect = Prefect(cluster, server.api_url)
                ends = time.monotonic() + PATIENCE
                while not (late := [run for run in prefect.runs() if "→" in run["name"]]):
                    assert time.monotonic() < ends, manager.log()
                    time.sleep(0.2)
                run = prefect.ended(late[0]["id"])
                assert run["name"] == f"failover app1: {cluster[1].ip} → {cluster[2].ip}"
                assert run["state_type"] == "COMPLETED"
                assert "recorded afterwards" in run["state"]["message"]
                assert prefect.tasks(run) == []
                assert "failover-app1" in prefect.pages(run)
                assert len(late) == 1
            finally:
                following.kill()
                following.wait(10)


@pytest.mark.slow
def test_a_run_whose_manager_died_is_ended_and_one_that_is_stopped_stands_down() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf, env = cluster.write_cnf(), {"PREFECT_API_URL": server.api_url}
        prefect = Prefect(cluster, server.api_url)

        def watch() -> Any:
            with (cluster.seat / "monitor.out").open("a") as out:
                return cluster.run_there(sys.executable, *WATCH, str(conf), env=env, out=out)

        first = watch()
        standing = prefect.standing()
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        second = watch()
        try:
            other = prefect.standing(standing["id"])
            over = prefect.ended(standing["id"])
            assert (over["state_type"], over["name"]) == ("CRASHED", "failover app1: standing by")
            assert "its process died" in over["state"]["message"]
            second.send_signal(signal.SIGTERM)
            assert second.wait(60) == 0
            done = prefect.ended(other["id"])
            assert (done["state_type"], done["state_name"]) == ("COMPLETED", "Stood down")
        finally:
            second.kill()
            second.wait(10)


@pytest.mark.slow
def test_a_run_that_somebody_cancelled_is_entered_again() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        manager = cluster.start_manager(cluster.write_cnf(), env={"PREFECT_API_URL": server.api_url})
        prefect = Prefect(cluster, server.api_url)
        standing = prefect.standing()
        prefect.ask(f"/flow_runs/{standing['id']}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
        assert prefect.standing(standing["id"])["name"] == "failover app1: standing by"
        assert prefect.ended(standing["id"])["state_type"] != "RUNNING"
        assert manager.process.poll() is None, manager.log()


@pytest.mark.slow
def test_whoever_watches_the_deployment_sees_a_failover_that_nobody_started() -> None:
    """The run that stands ready is one of `failover-app1`, below its monitor's; the events are related to both."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf(candidate=2)
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        assert cluster.command("mha", "deploy", env=env, timeout=180).code == 0
        prefect = Prefect(cluster, server.api_url)
        by_name = {each["name"]: each["id"] for each in prefect.ask("/deployments/filter")}
        pause = {"type": "pause-deployment", "source": "selected", "deployment_id": by_name["switchover-app1"]}
        of_failover = {"prefect.resource.id": f"prefect.deployment.{by_name['failover-app1']}"}
        prefect.ask(
            "/automations/",
            {
                "name": "somebody's own",
                "trigger": {
                    "type": "event",
                    "posture": "Reactive",
                    "match": {"prefect.resource.id": "prefect.flow-run.*"},
                    "match_related": {**of_failover, "prefect.resource.role": "deployment"},
                    "expect": ["prefect.flow-run.Completed"],
                    "threshold": 1,
                    "within": 0,
                },
                "actions": [pause],
            },
        )
        words = "from prefect_mha.flows.monitor import monitor; monitor('app1')"
        with (cluster.seat / "flow.out").open("w") as out:
            watching = cluster.run_there(sys.executable, "-c", words, env=env, out=out)
        log = conf.with_suffix("") / "manager.log"
        try:
            until(log, "waiting until MySQL doesn't respond")
            standing = prefect.standing()
            assert standing["deployment_id"] == by_name["failover-app1"]
            (monitor,) = [run for run in prefect.runs() if run["name"] == "monitor app1"]
            below = [task["state"]["state_details"].get("child_flow_run_id") for task in prefect.tasks(monitor)]
            assert standing["id"] in below
            cluster[1].signal_mysqld(signal.SIGKILL)
            until(log, "completed successfully.")
            run = prefect.ended(standing["id"], last="Report")
            assert (run["state_type"], run["tags"]) == ("COMPLETED", ["cluster:app1"])
            told = related(prefect, standing["id"])
            assert {"mha.primary.dead", "mha.failover.started", "mha.failover.promoted"} <= told
            assert related(prefect, by_name["failover-app1"], "deployment") >= told
            ends = time.monotonic() + PATIENCE
            while not {d["name"]: d["paused"] for d in prefect.ask("/deployments/filter")}["switchover-app1"]:
                assert time.monotonic() < ends, "the automation on the deployment saw nothing"
                time.sleep(0.3)
        finally:
            watching.kill()
            watching.wait(10)


def related(prefect: Prefect, of: str, role: str = "flow-run") -> set[str]:
    """What happened to a cluster in a run or a deployment: what a click on its events shows, the end among it."""
    asked = {
        "filter": {
            "event": {"prefix": ["mha."], "exclude_name": ["mha.monitor.heartbeat"]},
            "related": {"id": [f"prefect.{role}.{of}"]},
        },
        "limit": 50,
    }
    ends = time.monotonic() + PATIENCE
    while True:
        found = {event["event"] for event in prefect.ask("/events/filter", asked)["events"]}
        if "mha.failover.completed" in found:
            return found
        assert time.monotonic() < ends, found
        time.sleep(0.3)


@pytest.mark.slow
def test_a_switch_by_a_command_waits_for_its_run_and_has_every_step_in_it() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf, prefect = cluster.write_cnf(), Prefect(cluster, server.api_url)
        done = cluster.command(
            "masterha_master_switch",
            "--master_state=alive",
            f"--conf={conf}",
            f"--new_master_host={cluster[2].ip}",
            "--orig_master_is_new_slave",
            "--interactive=0",
            env={"PREFECT_API_URL": server.api_url},
            timeout=PATIENCE,
        )
        assert done.code == 0, done.output
        (run,) = prefect.runs()
        run = prefect.ended(run["id"], last="Verify every server")
        assert run["name"] == f"switchover app1: {cluster[1].ip} → {cluster[2].ip}"
        (journal,) = conf.with_suffix("").glob("*.switch-*.journal")
        (end,) = (entry for entry in read_journal(journal) if entry.step == "ended")
        tasks = [task for task in prefect.tasks(run) if not task["name"].startswith("Stand by")]
        assert len(tasks) == len(end.facts["steps"]), [task["name"] for task in tasks]
        assert {task["state_type"] for task in tasks} == {"COMPLETED"}
        # What was told once writes were back has the times of the moment.
        (handed,) = (task for task in tasks if task["name"] == "Hand the writes over")
        (came,) = (task for task in tasks if task["name"] == "Applications come to the new primary")
        assert handed["start_time"] < handed["end_time"] <= came["start_time"]
