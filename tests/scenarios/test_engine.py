"""The engine against a real Prefect server that is healthy, away, slow, hanging, frozen, or killed in mid-flow.

Every situation runs in a process of its own (this module as a script), as the manager does. No time is asserted
but bounds that only a hang would break; the seconds from the verdict to the first step are printed (``pytest -s``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from flows import engine
from flows.delivery import ArtifactRecord
from tests.lab.prefect_server import PrefectServer, hanging_port, refused_port, slow_port

from prefect import flow, task  # isort: skip - after the engine, which sets the environment
from prefect.client.orchestration import get_client  # isort: skip
from prefect.client.schemas.filters import (  # isort: skip
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun  # isort: skip
from prefect.settings import temporary_settings  # isort: skip

ROOT = Path(__file__).parents[2]
HANG = 30.0  # seconds after which something that should have a deadline is taken to have none
EXIT_DEADLINE = 2.0

log = logging.getLogger("mha")


@task(task_run_name="look at {number}", persist_result=False)
def look(number: int) -> int:
    log.info("looking at %d", number)
    return number


@task(persist_result=False)
def break_down() -> None:
    raise ValueError("the step's own error")


@flow(name="engine-test", flow_run_name="engine test {cluster}")
def engine_test(cluster: str) -> Any:
    body = engine.handed_over()
    return body() if body is not None else cluster


# --- the process under test -------------------------------------------------------------------------------------


def manager(order: dict[str, Any]) -> None:
    """Arm, fire and leave as told by ``order``; each line printed is a JSON object. Waits at ``pause`` for a line."""
    log.setLevel(logging.INFO)
    engine.log_to_prefect(log)
    armed: engine.ArmedFlow[int] = engine.ArmedFlow(
        engine.entering(engine_test, ["cluster:app1"], cluster="app1"),
        conclude=lambda result: engine.Completed(message=f"the core returned {result}"),
    )
    if order.get("arm"):
        armed.arm()
        ends = time.monotonic() + order.get("settle", 0.0)
        while not armed.entered and time.monotonic() < ends:
            time.sleep(0.005)
    if order.get("stand_down"):
        armed.stand_down("primary answered again")
        engine.leave(0, HANG)
    if order.get("pause") == "before":
        say(at="before", entered=armed.entered)
        sys.stdin.readline()
    ran: list[float] = []
    fired = time.monotonic()

    def core() -> int:
        ran.append(time.monotonic() - fired)
        engine.step(look, 0)
        if order.get("pause") == "within":
            say(at="within")
            sys.stdin.readline()
        began = time.monotonic()
        for number in range(1, 5):
            engine.step(look, number)
        engine.parallel([lambda: engine.step(look, 5), lambda: engine.step(look, 6)])
        armed.afterwards(lambda: time.sleep(0))
        say(at="steps", seconds=time.monotonic() - began)
        if order.get("fail"):
            engine.step(break_down)
        return 42

    outcome: Any
    try:
        outcome = armed.fire(core, order.get("budget", 0.0))
    except ValueError as error:
        outcome = str(error)
    say(
        at="end",
        outcome=outcome,
        ran=len(ran),
        first=ran[0],
        total=time.monotonic() - fired,
        mode=armed.mode,
        steps=[json.loads(each.model_dump_json()) for each in armed.steps],
        recorded=armed.recorded(order.get("record", 0.0)),
        run=str(armed.flow_run_id or ""),
        children=children(),
    )
    engine.leave(7, EXIT_DEADLINE)


def children() -> list[str]:
    return [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


# --- the tests --------------------------------------------------------------------------------------------------


class Manager:
    """The process under test, seen from outside; killed at the end of the context if it should hang."""

    def __init__(self, environment: dict[str, str], **order: Any) -> None:
        command = [sys.executable, "-m", "tests.scenarios.test_engine", json.dumps(order)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        self.said: dict[str, dict[str, Any]] = {}

    def reach(self, at: str) -> dict[str, Any]:
        assert self.process.stdout is not None
        while at not in self.said:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"it never reached {at!r}: {self.errors()}")
            what = json.loads(line)
            self.said[what["at"]] = what
        return self.said[at]

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ended(self) -> tuple[int, float]:
        """Its exit code, and the seconds it took to leave after it had said its last word."""
        self.reach("end")
        since = time.monotonic()
        return self.process.wait(HANG), time.monotonic() - since

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PrefectServer]:
    with PrefectServer() as running:
        yield running


@pytest.fixture
def healthy(server: PrefectServer) -> PrefectServer:
    """The module's server, healthy again after whatever the test before did to it."""
    server.thaw()
    if not server.healthy():
        server.kill()
        server.start()
    return server


def environment(server: PrefectServer, port: int | None = None) -> dict[str, str]:
    variables = server.client_environment()
    if port is not None:
        variables["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    return variables


def show(situation: str, end: dict[str, Any], steps: float, leaving: float) -> None:
    print(
        f"\n{situation:42} {end['mode']:5}  to the first step {end['first']:.4f} s   "
        f"6 steps {steps:.4f} s   to leave {leaving:.2f} s",
        end="",
    )


def check_end(situation: str, run: Manager, mode: str) -> dict[str, Any]:
    """What holds in every situation: the core ran once, the result is the core's, the process ends in time."""
    end = run.reach("end")
    code, leaving = run.ended()
    show(situation, end, run.said["steps"]["seconds"], leaving)
    assert end["outcome"] == 42
    assert end["ran"] == 1
    assert end["mode"] == mode
    assert sorted(each["name"] for each in end["steps"]) == [f"look at {number}" for number in range(7)]
    assert end["children"] == []
    assert code == 7
    assert leaving < EXIT_DEADLINE + 5
    assert run.errors() == ""
    return end


def run_of(server: PrefectServer, flow_run_id: str) -> FlowRun:
    with temporary_settings({"api.url": server.api_url}), get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(flow_run_id))


def tasks_of(server: PrefectServer, flow_run_id: str, enough: Callable[[list[TaskRun]], bool]) -> list[TaskRun]:
    """The task runs in the API, once ``enough`` of them are there: the server writes them a little later."""
    this = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    ends = time.monotonic() + HANG
    with temporary_settings({"api.url": server.api_url}), get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=this)
            if enough(runs) or time.monotonic() > ends:
                return runs
            time.sleep(0.1)  # the API has no way to wait for this


def seven_done(runs: list[TaskRun]) -> bool:
    return sum(1 for each in runs if each.state is not None and each.state.is_final()) >= 7


def test_healthy_armed_in_advance_the_core_runs_in_the_flow_and_is_seen_there(healthy: PrefectServer) -> None:
    with Manager(environment(healthy), arm=True, settle=HANG, record=HANG) as run:
        end = check_end("healthy, armed", run, "flow")
    assert end["recorded"]
    seen = run_of(healthy, end["run"])
    assert (seen.name, seen.tags) == ("engine test app1", ["cluster:app1"])
    assert seen.state is not None
    assert (seen.state.type.value, seen.state.message) == ("COMPLETED", "the core returned 42")
    steps = tasks_of(healthy, end["run"], seven_done)
    assert sorted(each.name for each in steps) == [f"look at {number}" for number in range(7)]
    assert all(each.tags == [] for each in steps), "a tag costs a request on the way of the failover"
    with temporary_settings({"api.url": healthy.api_url}), get_client(sync_client=True) as client:
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[seen.id])))
    assert [each.message for each in lines].count("looking at 3") == 1


def test_healthy_not_armed_the_flow_is_entered_within_the_budget(healthy: PrefectServer) -> None:
    with Manager(environment(healthy), budget=HANG) as run:
        check_end("healthy, not armed, with a budget", run, "flow")


def test_the_steps_own_error_surfaces_and_the_flow_run_fails_with_it(healthy: PrefectServer) -> None:
    with Manager(environment(healthy), arm=True, settle=HANG, fail=True, record=HANG) as run:
        end = run.reach("end")
        assert run.ended()[0] == 7
    assert end["outcome"] == "the step's own error"
    assert end["steps"][-1]["state"] == "FAILED"
    state = run_of(healthy, end["run"]).state
    assert state is not None
    assert (state.type.value, state.message) == ("FAILED", "ValueError: the step's own error")


def test_a_false_alarm_leaves_a_cancelled_run_and_no_task(healthy: PrefectServer) -> None:
    with Manager(environment(healthy), arm=True, settle=HANG, stand_down=True) as run:
        assert run.process.wait(HANG) == 0
    with temporary_settings({"api.url": healthy.api_url}), get_client(sync_client=True) as client:
        stood_down = [each for each in client.read_flow_runs() if each.state_name == "Stood down"]
    assert len(stood_down) == 1
    assert stood_down[0].state is not None
    assert stood_down[0].state.message == "primary answered again"
    assert tasks_of(healthy, str(stood_down[0].id), lambda _runs: True) == []


def test_a_flow_entered_too_late_ends_quietly_and_the_core_ran_once(healthy: PrefectServer) -> None:
    with Manager(environment(healthy), arm=True) as run:
        end = check_end("healthy, armed too late", run, "plain")
    assert not end["recorded"]


def test_without_an_api_nothing_of_prefect_starts(healthy: PrefectServer) -> None:
    variables = environment(healthy)
    del variables["PREFECT_API_URL"]
    with Manager(variables, arm=True, budget=0.5) as run:
        check_end("no API configured", run, "plain")


@pytest.mark.parametrize("armed", [True, False], ids=["armed", "not armed"])
@pytest.mark.parametrize("trouble", ["refused", "hanging", "slow"])
def test_an_api_that_does_not_answer_costs_the_failover_nothing(
    healthy: PrefectServer, trouble: str, armed: bool
) -> None:
    door = {"refused": refused_port, "hanging": hanging_port, "slow": lambda: slow_port(healthy.port, 5.0)}[trouble]
    with door() as port, Manager(environment(healthy, port), arm=armed, settle=2.5, budget=0.5 * (not armed)) as run:
        check_end(f"API {trouble}, {'armed' if armed else 'not armed, budget 0.5 s'}", run, "plain")


def test_a_server_frozen_before_the_suspicion_costs_nothing(healthy: PrefectServer) -> None:
    healthy.freeze()
    with Manager(environment(healthy), arm=True, settle=2.5) as run:
        check_end("server frozen before, armed", run, "plain")


@pytest.mark.parametrize("pause", ["before", "within"], ids=["before the verdict", "in mid-flow"])
@pytest.mark.parametrize("fate", ["frozen", "killed"])
def test_a_server_lost_after_the_flow_was_entered_costs_nothing_and_gets_the_record_later(
    healthy: PrefectServer, fate: str, pause: str
) -> None:
    began = datetime.now(UTC)
    with Manager(environment(healthy), arm=True, settle=HANG, pause=pause) as run:
        run.reach(pause)
        if fate == "frozen":
            healthy.freeze()
        else:
            healthy.kill()
        run.go()
        end = check_end(f"server {fate} {pause} the core", run, "flow")
    if fate == "frozen":
        healthy.thaw()
    else:
        healthy.start()
    record = engine.FlowRecord(
        key=f"app1/{end['run']}",
        flow_name="engine-test",
        run_name="engine test app1: db1 → db2",
        tags=("cluster:app1",),
        started=began,
        ended=began + timedelta(seconds=5),
        state="COMPLETED",
        message="db2 is the new primary",
        steps=tuple(engine.StepRecord.model_validate(each) for each in end["steps"]),
        artifacts=(ArtifactRecord(key="failover-report", type="markdown", data="# Report"),),
        flow_run_id=UUID(end["run"]),
    )
    delivered_once(healthy, record, end["run"])


def test_what_ran_plainly_is_delivered_once_with_its_own_times(healthy: PrefectServer) -> None:
    with refused_port() as port, Manager(environment(healthy, port), arm=True) as run:
        end = check_end("API refused, then delivered", run, "plain")
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    record = engine.FlowRecord(
        key=f"app1/plain/{os.getpid()}",
        flow_name="engine-test",
        run_name="engine test app1, afterwards",
        tags=("cluster:app1",),
        started=began,
        ended=began + timedelta(seconds=5),
        state="FAILED",
        message="db2 did not open",
        steps=tuple(engine.StepRecord.model_validate(each) for each in end["steps"]),
        artifacts=(ArtifactRecord(key="failover-report", type="markdown", data="# Report"),),
    )
    runs = delivered_once(healthy, record, None)
    assert {each.start_time for each in runs} == {each.started for each in record.steps}
    assert {each.end_time for each in runs} == {each.ended for each in record.steps}


def delivered_once(server: PrefectServer, record: engine.FlowRecord, known: str | None) -> list[TaskRun]:
    """Deliver the record twice; the API must have it once: run, steps, artifact. Returns the task runs."""
    with temporary_settings({"api.url": server.api_url}):
        flow_run_id = engine.deliver_later(record, deadline=HANG)
        assert engine.deliver_later(record, deadline=HANG) == flow_run_id
        steps = tasks_of(server, str(flow_run_id), seven_done)
        assert engine.deliver_later(record, deadline=HANG) == flow_run_id
        with get_client(sync_client=True) as client:
            same = [each for each in client.read_flow_runs() if each.name == record.run_name and each.id == flow_run_id]
            this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
            artifacts = client.read_artifacts(artifact_filter=this_run)
    assert known in (None, str(flow_run_id))
    assert len(same) == 1
    assert same[0].state is not None
    assert same[0].state.type.value == record.state
    assert record.message in (same[0].state.message or "")
    assert sorted(each.name for each in steps) == sorted(each.name for each in record.steps)
    assert all(each.state is not None and each.state.is_completed() for each in steps)
    assert [each.data for each in artifacts] == ["# Report"]
    return steps


if __name__ == "__main__":
    manager(json.loads(sys.argv[1]))
