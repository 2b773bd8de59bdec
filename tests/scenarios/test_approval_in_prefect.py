"""A question on the page of a run, on a real Prefect server: an answer, a wrong answer, and silence both ways."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from tests.lab.cluster import IMPORTS
from tests.lab.prefect_server import PrefectServer, ask_api

PROGRAM = """
import json, sys
from prefect import flow
from prefect.states import Cancelled, Completed
from prefect_mha.flows.approval import AnswerWait, ask_in_prefect
from prefect_mha.replication.reporting.approval import Choice, Question

ASKED = "Master db1(10.0.0.1:3306) is dead. Start the failover to db2(10.0.0.2:3306)?"
QUESTION = Question("failover", "app1", sys.argv[1], ASKED, "the plan", "# the plan", ("open db2",),
                    (Choice("10.0.0.2:3306", "db2"), Choice("10.0.0.3:3306", "db3")), False,
                    at_stake="42 bytes that only db1 has, out of reach: its host does not answer over SSH")

@flow(name="failover", persist_result=False)
def asked():
    answer = ask_in_prefect(AnswerWait(float(sys.argv[2]), sys.argv[3] == "start"), "app1-plan")(QUESTION)
    print(json.dumps(answer.as_dict()), flush=True)
    return Completed(message=str(answer)) if answer.go_on else Cancelled(name="Stopped", message=str(answer))

asked(return_state=True)
"""


def asked(server: PrefectServer, name: str, seconds: float, without: str) -> subprocess.Popen[str]:
    """A run that asks, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, str(seconds), without],
        env={**server.client_environment(), "PYTHONPATH": IMPORTS},
        stdout=subprocess.PIPE,
        text=True,
    )


def run_in_state(server: PrefectServer, name: str, *states: str) -> dict[str, Any]:
    """The run of that name, as soon as it is in one of these states."""
    ends = time.monotonic() + 60
    while True:
        runs = ask_api(server.api_url, "/flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})
        if runs and runs[0]["state_type"] in states:
            return dict(runs[0])
        assert time.monotonic() < ends, runs
        time.sleep(0.3)


def test_an_answer_and_silence() -> None:
    with PrefectServer() as server:
        answered = asked(server, "answered", 300.0, "abort")
        silent = {without: asked(server, f"silent-{without}", 4.0, without) for without in ("abort", "start")}

        paused = run_in_state(server, "answered", "PAUSED")
        resume = f"/flow_runs/{paused['id']}/resume"
        for wrong in ({}, {"decision": "perhaps"}, {"decision": "start", "new_primary": "db9"}):
            told = ask_api(server.api_url, resume, {"run_input": wrong})
            assert told["status"] == "REJECT", told
        given = {"decision": "start", "new_primary": "db3", "accept_possible_loss": False, "your_name": " Ada "}
        assert ask_api(server.api_url, resume, {"run_input": given})["status"] == "ACCEPT"
        said, _ = answered.communicate(timeout=60)
        answer = json.loads(said.splitlines()[-1])
        assert answer["go_on"] is True
        assert (answer["new_primary"], answer["accept_loss"]) == ("10.0.0.3:3306", False)
        assert (answer["by"], answer["where"]) == ("Ada", "in Prefect's UI")
        assert abs(answer["at"] - time.time()) < 60
        assert run_in_state(server, "answered", "COMPLETED")["state"]["message"].startswith("Approved")

        for without, process in silent.items():
            said, _ = process.communicate(timeout=60)
            answer = json.loads(said.splitlines()[-1])
            assert answer["go_on"] is (without == "start")
            assert (answer["by"], answer["new_primary"]) == ("the timer", "10.0.0.2:3306")
        assert run_in_state(server, "silent-start", "COMPLETED", "FAILED")["state_type"] == "COMPLETED"
        stopped = run_in_state(server, "silent-abort", "CANCELLED", "FAILED")
        assert (stopped["state_type"], stopped["state_name"]) == ("CANCELLED", "Stopped")
        artifacts = ask_api(server.api_url, "/artifacts/filter", {"artifacts": {"key": {"any_": ["app1-plan"]}}})
        assert [a["data"] for a in artifacts] == ["# the plan"] * 3
