"""Events reach Prefect in order and once, also when it was away; a monitor that is gone is started by an automation."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer, free_port
from tests.lab.services import Webhook
from tests.scenarios.test_with_prefect import ask

AUTOMATIONS = HOUSE / "docs" / "automations"


def events_of(cluster: Cluster, url: str, names: str = "mha.") -> list[dict[str, Any]]:
    """What Prefect was told of the cluster, the oldest first."""
    asked = {
        "filter": {"event": {"prefix": [names]}, "resource": {"id": ["mha.cluster.app1"]}, "order": "ASC"},
        "limit": 50,
    }
    return list(ask(cluster, url, "/events/filter", asked)["events"])


def wait_for_events(cluster: Cluster, url: str, last: str, seconds: float = 30.0) -> list[dict[str, Any]]:
    """The same, as soon as ``last`` is among them; heartbeats are left out."""
    ends = time.monotonic() + seconds
    while True:
        found = [e for e in events_of(cluster, url) if not e["event"].startswith("mha.monitor.")]
        if any(e["event"] == last for e in found):
            return found
        assert time.monotonic() < ends, [e["event"] for e in found]
        time.sleep(0.5)


TOLD = [
    "mha.primary.suspect",
    "mha.primary.dead",
    "mha.failover.started",
    "mha.failover.fenced",
    "mha.failover.promoted",
    "mha.failover.completed",
]


@pytest.mark.slow
def test_what_happened_while_prefect_was_away_comes_later_in_order_and_once() -> None:
    """The manager has ended long before the API is there: what it left is delivered by the next one."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), Webhook() as hook:
        port = free_port()
        url = f"http://127.0.0.1:{port}/api"
        conf = cluster.write_cnf(candidate=2, default=f"notify_check_failed=json://127.0.0.1:{hook.port}/checks")
        manager = cluster.start_manager(conf, env={"PREFECT_API_URL": url})
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        outbox = manager.workdir / "app1.events"
        names = [json.loads(path.read_text())["event"] for path in sorted(outbox.glob("*.json"))]
        assert [f".{name}" for name in names] == [f".{told.rpartition('.')[2]}" for told in TOLD]
        with PrefectServer(port) as server:
            assert server.api_url == url
            env = {"PREFECT_API_URL": url, "MHA_CONF_DIR": str(conf.parent)}
            program = "from prefect_mha.flows.health_check import health_check; health_check('app1', return_state=True)"
            check = cluster.run_there(sys.executable, "-c", program, env=env)
            output, _ = check.communicate(timeout=90)
            assert check.returncode == 0, output
            found = wait_for_events(cluster, url, "mha.failover.not-ready")
            failover = [e for e in found if e["event"] in TOLD]
            assert [e["event"] for e in failover] == TOLD
            assert len({e["id"] for e in found}) == len(found)
            assert not list(outbox.glob("*.json"))
            times = [datetime.fromisoformat(e["occurred"]) for e in failover]
            journal = next(manager.workdir.glob("*.failover-*.journal")).read_text()
            dead = datetime.fromisoformat(json.loads(journal.splitlines()[0])["at"])
            assert abs((times[1] - dead).total_seconds()) < 1.0, "they keep their own times"
            done = failover[-1]
            assert done["resource"] == {
                "prefect.resource.id": "mha.cluster.app1",
                "prefect.resource.name": "app1",
                "mha.cluster": "app1",
            }
            roles = {each["prefect.resource.role"]: each["prefect.resource.id"] for each in done["related"]}
            assert roles["old-primary"] == f"mha.server.{cluster[1].ip}:3306"
            assert roles["new-primary"] == f"mha.server.{cluster[2].ip}:3306"
            assert (done["payload"]["exit_code"], "report" in done["payload"]) == (0, False)
            ready = found[-1]
            assert ready["payload"]["ready"] is False
            assert any("too early" in line for line in ready["payload"]["blockers"])
            (page,) = ask(cluster, url, "/artifacts/filter", {"artifacts": {"key": {"any_": ["readiness-app1"]}}})
            assert "NOT READY" in page["data"]
            assert cluster[3].ip in page["data"]
            (call,) = hook.wait_for(lambda got: len(got) == 1)
            assert call["title"] == "app1: health check failed"
            assert f"{cluster[1].ip}(" in call["message"]
            status = cluster.command("mha", "status", "--conf", str(conf))
            assert re.search(
                r"Health check 0 minutes ago, \d+ checks failed\. If .* a failover would be", status.output
            )


@pytest.mark.slow
def test_the_automations_start_a_monitor_that_is_gone_and_tell() -> None:
    """All of them are created from their files; the monitor of a deployment is killed, and another one runs."""
    with (
        Cluster("mariadb", gtid=True) as cluster,
        cluster.in_manager_net(),
        Webhook() as hook,
        PrefectServer() as server,
    ):
        url = server.api_url
        cluster.write_cnf()
        env = {"PREFECT_API_URL": url, "MHA_CONF_DIR": str(cluster.seat)}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

        def run(*words: str) -> str:
            process = cluster.run_there(sys.executable, *words, env=env)
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
            return str(output)

        block = (
            "from prefect.blocks.notifications import CustomWebhookNotificationBlock as Block;"
            f"print('id', Block(name='mha', url='http://127.0.0.1:{hook.port}/', "
            "json_data={'title': '{{subject}}', 'message': '{{body}}'}).save('mha'))"
        )
        found = re.search(r"id ([0-9a-f-]{36})", run("-c", block))
        assert found is not None
        for path in sorted(AUTOMATIONS.glob("*.yaml")):
            # As shipped, but for the id, and a shorter wait.
            text = path.read_text().replace("NOTIFICATION_BLOCK", found[1]).replace("within: 60", "within: 35")
            made = cluster.seat / path.name
            made.write_text(text)
            run("-m", "prefect", "--no-prompt", "automation", "create", "--from-file", str(made))
        automations = ask(cluster, url, "/automations/filter", {})
        assert len(automations) == 6
        run("-m", "prefect", "--no-prompt", "work-pool", "create", "mha", "--type", "process")
        deploy = ("deploy", "--name", "monitor", "--prefect-file", str(HOUSE / "prefect.yaml"))
        run("-m", "prefect", "--no-prompt", *deploy)
        (deployment,) = ask(cluster, url, "/deployments/filter", {})
        # The schedule of the deployment would start it again by itself; here the automation has to.
        ask(cluster, url, f"/deployments/{deployment['id']}/pause_deployment", {})
        with (cluster.directory / "worker.log").open("w") as out:
            words = ("-m", "prefect", "worker", "start", "--pool", "mha")
            worker = cluster.run_there(sys.executable, *words, env=env, out=out)
        monitors: list[int] = []
        try:
            run("-m", "prefect", "deployment", "run", "monitor/monitor")
            monitors.append(wait_for_heartbeat(cluster, url, monitors))
            # While the worker stands still nobody starts another one, so that people are told.
            worker.send_signal(signal.SIGSTOP)
            os.kill(monitors[0], signal.SIGKILL)
            hook.wait_for(lambda got: any("nobody watches" in each["title"] for each in got), 120)
            worker.send_signal(signal.SIGCONT)
            monitors.append(wait_for_heartbeat(cluster, url, monitors))
            assert Path(f"/proc/{monitors[1]}").exists()
        finally:
            worker.kill()
            for number in monitors:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)


def wait_for_heartbeat(cluster: Cluster, url: str, known: list[int], seconds: float = 180.0) -> int:
    """The process number of a monitor that is none of the known ones."""
    ends = time.monotonic() + seconds
    while True:
        beats = events_of(cluster, url, "mha.monitor.heartbeat")
        new = [int(e["payload"]["pid"]) for e in beats if int(e["payload"]["pid"]) not in known]
        if new:
            return new[-1]
        assert time.monotonic() < ends, (cluster.directory / "worker.log").read_text()[-3000:]
        time.sleep(1.0)
