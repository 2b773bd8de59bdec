"""Prefect sees every step when it is there, and is never in the way when it is not (design rule 8)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.checker import account
from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer, ask_api, hanging_port, refused_port, standing_run
from tests.lab.writer import Writer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The network that a Prefect server and several clusters' managers share in this module."""
    with Cluster("mariadb", gtid=True) as first:
        yield first


def ask(cluster: Cluster, url: str, path: str, body: dict[str, Any]) -> Any:
    """One question to the Prefect API, from the manager's seat."""
    with cluster.in_manager_net():
        return ask_api(url, path, body)


def wait_for_run(cluster: Cluster, url: str, *, seconds: float = 40.0) -> dict[str, Any]:
    """The newest flow run that has ended."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        runs = ask(cluster, url, "/flow_runs/filter", {"sort": "START_TIME_DESC"})
        done = [r for r in runs if r["state_type"] in ("COMPLETED", "FAILED", "CRASHED")]
        if done:
            return dict(done[0])
        time.sleep(0.5)
    raise AssertionError("no flow run ended")


def steps_of(cluster: Cluster, url: str, run: dict[str, Any], *, at_least: int, seconds: float = 30.0) -> list[str]:
    """The names of a run's task runs; they reach the API as events, a moment later."""
    ends = time.monotonic() + seconds
    names: list[str] = []
    while len(names) < at_least and time.monotonic() < ends:
        asked = {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 200}
        names = [t["name"] for t in ask(cluster, url, "/task_runs/filter", asked)]
        time.sleep(0.5)
    return names


def test_a_failover_is_a_flow_run_with_a_task_run_a_step(cluster: Cluster) -> None:
    with cluster.in_manager_net(), PrefectServer() as server:
        url = server.api_url
        manager = cluster.start_manager(cluster.write_cnf(candidate=2), env={"PREFECT_API_URL": url})
        standing = standing_run(url)
        assert standing["name"] == "failover app1: standing by"
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        cluster[1].sql("CREATE TABLE app.rescued (id INT PRIMARY KEY)")
        cluster[1].sql("INSERT INTO app.rescued VALUES (1)")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        run = wait_for_run(cluster, url)
        assert run["id"] == standing["id"]
        assert run["name"] == f"failover app1: {cluster[1].ip} → {cluster[2].ip}"
        assert run["state_type"] == "COMPLETED"
        assert run["tags"] == ["cluster:app1"]
        assert run["parameters"] == {"cluster": "app1"} or "password" not in json.dumps(run["parameters"])
        names = steps_of(cluster, url, run, at_least=15)
        for step in ("Fence the old primary", "Save the dead primary's binary log", "Open the new primary for writes"):
            assert any(name.startswith(step) for name in names), names
        (artifact,) = ask(cluster, url, "/artifacts/filter", {"artifacts": {"key": {"any_": ["failover-app1"]}}})
        assert "## Timeline" in artifact["data"]
        told = f"**Failover of app1, {cluster[1].ip} → {cluster[2].ip}: done; writes were out for "
        assert artifact["data"].startswith(told)
        assert artifact["data"].count("](data:image/svg+xml;base64,") == 2
        (ledger,) = ask(cluster, url, "/artifacts/filter", {"artifacts": {"key": {"any_": ["failover-app1-ledger"]}}})
        (line,) = json.loads(ledger["data"])
        assert (ledger["type"], line["fate"], line["transactions"]) == ("table", "rescued", 2)
        logs = ask(cluster, url, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200})
        said = " ".join(line["message"] for line in logs)
        assert "Phase 3: Master Recovery Phase" in said
        assert "lab-admin-pw" not in said + artifact["data"] + json.dumps(run)
        # A deployment logs what the command logs: on its page, and in manager_log. (A server is dead: it is refused.)
        _as_deployed(
            cluster, url, "from prefect_mha.flows.switchover import switchover as f; f('app1', return_state=True)"
        )
        page, file = _page_and_file(cluster, url, "switchover")
        for line in ("Starting online master switch..", "* Phase 1: Configuration Check Phase.."):
            assert sum(line in each for each in page) == 1, page
            assert line in file
        assert "is refused" in file


def _as_deployed(cluster: Cluster, url: str, program: str) -> None:
    """Run a flow as a worker's process does, without a log of its own."""
    env = {"PREFECT_API_URL": url, "MHA_CONF_DIR": str(cluster.seat)}
    done = cluster.run_there(sys.executable, "-c", program, env=env)
    output, _ = done.communicate(timeout=120)
    assert done.returncode == 0, output


def _page_and_file(cluster: Cluster, url: str, flow: str) -> tuple[list[str], str]:
    """The lines on the page of the newest run of a flow, once they are there, and manager_log."""
    asked = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
    (run,) = ask(cluster, url, "/flow_runs/filter", asked)
    lines: list[str] = []
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        found = ask(cluster, url, "/logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200})
        if lines and len(found) == len(lines):
            break
        lines = [line["message"] for line in found]
        time.sleep(1.0)
    return lines, (cluster.seat / "app1" / "manager.log").read_text()


@pytest.mark.slow
def test_deployments_of_monitor_and_failover_log_what_the_commands_log() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        url, conf = server.api_url, cluster.write_cnf(candidate=2)
        env = {"PREFECT_API_URL": url, "MHA_CONF_DIR": str(cluster.seat)}
        words = "from prefect_mha.flows.monitor import monitor; monitor('app1')"
        with (cluster.seat / "flow.out").open("w") as out:
            watching = cluster.run_there(sys.executable, "-c", words, env=env, out=out)
        log = conf.with_suffix("") / "manager.log"
        try:
            wait_for_words(log, "waiting until MySQL doesn't respond")
            cluster[1].signal_mysqld(signal.SIGKILL)
            wait_for_words(log, "completed successfully.")
            wait_for_words(log, "waiting until MySQL doesn't respond", 2)
        finally:
            watching.terminate()
            watching.wait(60)
        page, file = _page_and_file(cluster, url, "monitor")
        assert any("Ping(SELECT) succeeded" in each for each in page), page
        # Its failover is a run of its own, below it.
        (below,) = ask(cluster, url, "/flow_runs/filter", {"flow_runs": {"name": {"like_": "→"}}})
        assert below["parent_task_run_id"]
        told = {"logs": {"flow_run_id": {"any_": [below["id"]]}}, "limit": 200}
        lines = [each["message"] for each in ask(cluster, url, "/logs/filter", told)]
        for line in ("* Phase 3: Master Recovery Phase..", "----- Failover Report -----"):
            assert any(line in each for each in lines), lines
            assert line in file
        assert "lab-admin-pw" not in file + "".join(page)
        cluster[2].signal_mysqld(signal.SIGKILL)
        log.unlink()
        how = "from prefect_mha.flows.forms import FailoverRequest as R; "
        how += "from prefect_mha.flows.failover import failover as f; "
        _as_deployed(cluster, url, how + "f('app1', R(ask_first=False), return_state=True)")
        page, file = _page_and_file(cluster, url, "failover")
        for line in ("* Phase 1: Configuration Check Phase..", "* Phase 3: Master Recovery Phase..", "Failover Report"):
            assert sum(line in each for each in page) == 1, page
            assert line in file
        asked = {"logs": {"level": {"ge_": 20}}, "limit": 200, "sort": "TIMESTAMP_DESC"}
        at_steps = [each for each in ask(cluster, url, "/logs/filter", asked) if each["task_run_id"]]
        assert any("Setting read_only=0 on" in each["message"] for each in at_steps)


def wait_for_words(path: Path, words: str, times: int = 1, seconds: float = 90.0) -> None:
    """Until a log has them so often."""
    ends = time.monotonic() + seconds
    while not path.exists() or path.read_text().count(words) < times:
        assert time.monotonic() < ends, path.read_text() if path.exists() else "no log"
        time.sleep(0.1)


@contextlib.contextmanager
def api_that_is(state: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """The URL of an API in trouble, and what brings the trouble about once the manager watches."""
    if state == "killed":
        with PrefectServer() as server:
            yield server.api_url, server.kill
        return
    with refused_port() if state == "refused" else hanging_port() as port:
        yield f"http://127.0.0.1:{'no-number' if state == 'misspelt' else port}/api", lambda: None


@pytest.mark.parametrize("state", ["refused", "hanging", "misspelt", pytest.param("killed", marks=pytest.mark.slow)])
def test_an_api_that_is_away_changes_nothing(state: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), api_that_is(state) as (url, goes_away):
        manager = cluster.start_manager(cluster.write_cnf(), env={"PREFECT_API_URL": url})
        writer = Writer(cluster)
        time.sleep(1.0)
        goes_away()
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0


def test_the_deployments_of_prefect_yaml_start_from_it() -> None:
    """deploy --all, a worker, a dry run on demand from its deployment, and a monitor that really watches."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf()
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

        def prefect(*words: str) -> str:
            process = cluster.run_there(sys.executable, "-m", "prefect", "--no-prompt", *words, env=env)
            output, _ = process.communicate(timeout=180)
            assert process.returncode == 0, output
            return str(output)

        prefect("work-pool", "create", "mha", "--type", "process")
        prefect("deploy", "--all", "--prefect-file", str(HOUSE / "prefect.yaml"))
        with (cluster.directory / "worker.log").open("w") as out:
            worker = cluster.run_there(
                sys.executable, "-m", "prefect", "worker", "start", "--pool", "mha", env=env, out=out
            )
        try:
            workdir = conf.with_suffix("")
            prefect("deployment", "run", "monitor/monitor")
            ends = time.monotonic() + 180
            health = workdir / "app1.master_status.health"
            while not (health.exists() and "0:PING_OK" in health.read_text()):
                assert time.monotonic() < ends, (cluster.directory / "worker.log").read_text()[-3000:]
                time.sleep(0.5)
            status = cluster.command("masterha_check_status", f"--conf={conf}")
            assert status.code == 0, status
            cluster[1].signal_mysqld(signal.SIGKILL)
            while cluster[3].replica_status().get("Source_Host") != cluster[2].ip:
                assert time.monotonic() < ends, (workdir / "manager.log").read_text()
                time.sleep(0.5)
            prefect("deployment", "run", "failover/failover", "-p", 'how={"dry_run": true}')
            runs: list[dict[str, Any]] = []
            while not any(r["name"].startswith("failover app1") for r in runs):
                assert time.monotonic() < ends + 120, runs
                runs = ask(cluster, server.api_url, "/flow_runs/filter", {"sort": "START_TIME_DESC"})
                time.sleep(0.5)
        finally:
            worker.kill()


@pytest.mark.slow
def test_the_nightly_purge_of_relay_logs_is_a_run_with_a_table() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf()
        for number in (2, 3):
            for _ in range(3):
                cluster[number].sql("FLUSH LOCAL RELAY LOGS")
        cluster[3].sql("STOP SLAVE SQL_THREAD")
        program = "from prefect_mha.flows.purge_relay_logs import purge_relay_logs; purge_relay_logs('app1')"
        env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(conf.parent)}
        run = cluster.run_there(sys.executable, "-c", program, env=env)
        output, _ = run.communicate(timeout=90)
        assert run.returncode == 0, output
        seen = wait_for_run(cluster, server.api_url)
        assert (seen["name"], seen["state_name"]) == ("purge relay logs of app1", "Partly done"), output
        assert seen["parameters"] == {"cluster": "app1"}
        names = steps_of(cluster, server.api_url, seen, at_least=1)
        assert names == [f"Purge relay logs on {cluster[2].ip}({cluster[2].ip}:3306)"]
        found = {"artifacts": {"key": {"any_": ["app1-relay-logs"]}}}
        (artifact,) = ask(cluster, server.api_url, "/artifacts/filter", found)
        rows = json.loads(artifact["data"])
        assert [row["server"].partition("(")[0] for row in rows] == [cluster[2].ip, cluster[3].ip]
        assert rows[0]["removed"] >= 2
        assert "has a stopped applier" in rows[1]["note"]
        logs = cluster[3].run("ls /var/lib/mysql | grep -c '^relay-bin[.]0'")
        assert int(logs) >= 4
