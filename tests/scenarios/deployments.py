"""What scenarios of deployments share: prefect.yaml on a real server, workers on hosts, what the UI's buttons send."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.cluster import HOUSE, Cluster
from tests.lab.prefect_server import PrefectServer, ask_api

#: Seconds; a worker looks for runs every ten, and a flow's process takes its time to start on a busy machine.
PATIENCE = 120.0


class Deployments:
    """Those of prefect.yaml that are named, without their schedules, and the API as the UI uses it.

    The thread has to be on the manager's host.
    """

    def __init__(self, cluster: Cluster, server: PrefectServer, *names: str) -> None:
        self.cluster, self.server = cluster, server
        self._env = {"PREFECT_API_URL": server.api_url, "MHA_CONF_DIR": str(cluster.seat)}
        self._env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._prefect("work-pool", "create", "mha", "--type", "process")
        for name in names:
            self._prefect("deploy", "--name", name, "--prefect-file", str(HOUSE / "prefect.yaml"))
            self._prefect("deployment", "schedule", "clear", f"{name}/{name}", "--accept-yes")

    def worker(self, name: str, *, seat: Path | None = None, namespace: str = "", **env: str) -> Worker:
        """Start a worker on the manager's host, or another's; ``seat`` is where its clusters are configured."""
        log = self.cluster.directory / f"worker-{name}.log"
        own = {"MHA_CONF_DIR": str(seat or self.cluster.seat), "PREFECT_HOME": str(self.cluster.seat / f".{name}")}
        with log.open("w") as out:
            process = self.cluster.run_there(
                *(sys.executable, "-m", "prefect", "worker", "start", "--pool", "mha", "--name", name),
                env={**self._env, **own, **env},
                out=out,
                namespace=namespace,
            )
        return Worker(name, process, log)

    def automate(self, name: str, text: str = "", instead: str = "") -> None:
        """Create automations from a file in docs/automations, as it is or but for one ``text`` of it."""
        shipped = (HOUSE / "docs" / "automations" / name).read_text()
        assert text in shipped
        made = self.cluster.seat / name
        made.write_text(shipped.replace(text, instead) if text else shipped)
        self._prefect("automation", "create", "--from-file", str(made))

    def start(self, name: str, **parameters: Any) -> str:
        """*Run* on the page of a deployment; returns the run's id."""
        (deployment,) = self.ask("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        given = {"cluster": "app1", **parameters}
        return str(self.ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": given})["id"])

    def retry(self, run: str) -> None:
        """*Retry* on the page of a run, as the UI of Prefect 3.8 sends it."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        answer = self.ask(f"/flow_runs/{run}/set_state", {"state": state, "force": False})
        assert answer["status"] == "ACCEPT", answer

    def resume(self, run: str, **answers: Any) -> dict[str, Any]:
        """*Resume* on the page of a run, with the form filled in."""
        return dict(self.ask(f"/flow_runs/{run}/resume", {"run_input": answers}))

    def wait_for(self, run: str, *states: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The run, as soon as it is in one of these states."""
        ends = time.monotonic() + seconds
        while True:
            found = dict(self.ask(f"/flow_runs/{run}"))
            if found["state_type"] in states:
                return found
            assert time.monotonic() < ends, f"{found['state']}\n{self.told()}"
            time.sleep(0.3)

    def wait_for_one(self, state: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The one run in this state, as soon as there is one."""
        ends = time.monotonic() + seconds
        while True:
            found = self.ask("/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": [state]}}}})
            if len(found) == 1:
                return dict(found[0])
            assert time.monotonic() < ends, f"{[each['state'] for each in found]}\n{self.told()}"
            time.sleep(0.1)

    def told(self) -> str:
        """What the workers and the managers logged, for a test that fails."""
        logs = [*self.cluster.directory.glob("worker-*.log"), *self.cluster.seat.rglob("manager.log")]
        return "\n".join(f"== {path}\n{path.read_text(errors='replace')[-6000:]}" for path in logs)

    def steps(self, run: str, enough: Callable[[list[str]], bool]) -> list[str]:
        """The names of a run's task runs, once there are ``enough``: they reach the API a little later."""
        ends = time.monotonic() + 30
        while True:
            found = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}, "limit": 200})
            names = [each["name"] for each in found]
            if enough(names) or time.monotonic() > ends:
                return names
            time.sleep(0.5)

    def artifact(self, key: str) -> str:
        """The newest artifact of this key."""
        asked = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
        (found,) = self.ask("/artifacts/filter", asked)
        return str(found["data"])

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One question to the API: a GET, or a POST when there is a body."""
        return ask_api(self.server.api_url, path, body, method="GET" if body is None else "POST")

    def _prefect(self, *words: str) -> None:
        process = self.cluster.run_there(sys.executable, "-m", "prefect", "--no-prompt", *words, env=self._env)
        output, _ = process.communicate(timeout=180)
        assert process.returncode == 0, output


class Worker:
    """A running worker, as a context manager: on exit it and all that it started is gone."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    def runs(self) -> list[int]:
        """The processes that it started, and theirs."""
        found: list[int] = []
        waiting = [self.process.pid]
        while waiting:
            for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    waiting += (children := [int(pid) for pid in path.read_text().split()])
                    found += children
        return found

    def says(self, words: str, seconds: float = PATIENCE) -> None:
        """Wait until it has logged these words."""
        ends = time.monotonic() + seconds
        while words not in self.log.read_text(errors="replace"):
            assert time.monotonic() < ends, self.log.read_text(errors="replace")[-4000:]
            time.sleep(0.2)

    def die(self, *, alone: bool = False) -> None:
        """SIGKILL to what it started and, unless the flow runs are to die ``alone``, to itself: its host lost power."""
        victims = self.runs()
        for pid in victims if alone else [self.process.pid, *victims]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not alone:
            self.process.wait(10)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.die()


def wait_for_journal(workdirs: list[Path], words: str, seconds: float = PATIENCE) -> Path:
    """The working directory in which a journal has these words first."""
    ends = time.monotonic() + seconds
    while True:
        for workdir in workdirs:
            if any(words in path.read_text() for path in workdir.glob("*.journal")):
                return workdir
        assert time.monotonic() < ends, f"no journal says {words}"
