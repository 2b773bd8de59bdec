"""A run beside Prefect, against a real server that is healthy, away, slow, hanging, frozen, or killed in its midst.

Every situation runs in a process of its own (this module as a script), as the manager does. No time is asserted
but bounds that only a hang would break; the seconds that the steps took are printed (``pytest -s``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from flows.beside import Beside
from flows.delivery import ArtifactRecord, FlowRecord, StepRecord, deliver
from flows.engine import leave, parallel, step
from flows.kept import KeptRuns
from flows.run_log import log_to_prefect
from replication.errors import MhaError
from tests.lab.prefect_server import PrefectServer, hanging_port, refused_port, slow_port

from prefect import task  # isort: skip - after the engine, which sets the environment
from prefect.client.orchestration import SyncPrefectClient, get_client  # isort: skip
from prefect.client.schemas.filters import (  # isort: skip
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State, TaskRun  # isort: skip
from prefect.settings import temporary_settings  # isort: skip
from prefect.states import Completed  # isort: skip

ROOT = Path(__file__).parents[2]
HANG = 30.0  # seconds after which something that should have a deadline is taken to have none
WAITED = 16.0  # seconds that a process waits at most for its record to be delivered, and a little

log = logging.getLogger("mha")


@task(task_run_name="look at {number}", persist_result=False)
def look(number: int) -> int:
    log.info("looking at %d", number)
    return number


@task(persist_result=False)
def break_down() -> None:
    raise ValueError("the step's own error")


# --- the process under test -------------------------------------------------------------------------------------


def manager(order: dict[str, Any], within: UUID | None = None) -> None:
    """Run as told by ``order``; each line printed is a JSON object. Waits at a pause for a line."""
    log.setLevel(logging.INFO)
    beside = Beside(
        FlowRecord(
            key=order["key"],
            flow_name="beside-test",
            run_name="beside test app1",
            tags=("cluster:app1",),
            parameters={"cluster": "app1"},
            started=datetime.now(UTC),
            within=within,
        ),
        KeptRuns(Path(order["workdir"]), "app1"),
    )
    took = 0.0

    def core() -> int:
        nonlocal took
        began = time.monotonic()
        step(look, 0)
        took = time.monotonic() - began
        beside.show()
        if order.get("pause"):
            say(at="shown")
            sys.stdin.readline()
        began = time.monotonic()
        for number in range(1, 5):
            step(look, number)
        parallel([lambda: step(look, 5), lambda: step(look, 6)])
        took += time.monotonic() - began
        if order.get("fail"):
            step(break_down)
        return 42

    outcome: Any
    try:
        report = ArtifactRecord(key="failover-report", type="markdown", data="# Report")
        outcome = beside.run(
            core, lambda result: (Completed(message=f"the core returned {result}"), "beside test, over", (report,))
        )
    except ValueError as error:
        outcome = str(error)
    say(at="end", outcome=outcome, took=took, children=children())
    if order.get("stay"):
        sys.stdin.readline()
    beside.wait()


def deployed(order: dict[str, Any]) -> None:
    """The same within a flow run, as a deployment does it."""

    # Here, because they bring Prefect's own logging into the process.
    from prefect import flow

    from flows.approval import this_run_id

    @flow(name="within-test", persist_result=False)
    def within_test(order: dict[str, Any]) -> State[Any]:
        log_to_prefect(log)
        manager(order, this_run_id())
        return Completed(message="the flow's own words")

    within_test(order)


def children() -> list[str]:
    return [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


# --- the tests --------------------------------------------------------------------------------------------------


class Manager:
    """The process under test, seen from outside; killed at the end of the context if it should hang."""

    def __init__(self, environment: dict[str, str], **order: Any) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.kept = KeptRuns(Path(self._directory.name), "app1")
        order["workdir"] = self._directory.name
        command = [sys.executable, "-m", "tests.scenarios.test_beside_prefect", json.dumps(order)]
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
        self._directory.cleanup()
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


def check_end(situation: str, run: Manager) -> None:
    """What holds in every situation: the result is the core's, nothing was started, the process ends in time."""
    end = run.reach("end")
    code, leaving = run.ended()
    print(f"\n{situation:42} 7 steps {end['took']:.4f} s   to leave {leaving:.2f} s", end="")
    assert end["outcome"] == 42
    assert end["children"] == []
    assert code == 7
    assert leaving < WAITED + 5
    assert run.errors() == ""


@contextlib.contextmanager
def asking(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client that is as patient as a busy machine's server needs."""
    patiently = {"api.url": server.api_url, "api.request_timeout": HANG}
    with temporary_settings(patiently), get_client(sync_client=True) as client:
        yield client


def tasks_of(server: PrefectServer, flow_run_id: str, enough: Callable[[list[TaskRun]], bool]) -> list[TaskRun]:
    """The task runs in the API, once ``enough`` of them are there: the server writes them a little later."""
    this = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run_id)]))
    ends = time.monotonic() + HANG
    with asking(server) as client:
        while True:
            runs = client.read_task_runs(flow_run_filter=this)
            if enough(runs) or time.monotonic() > ends:
                return runs
            time.sleep(0.1)  # the API has no way to wait for this


def runs_of(server: PrefectServer, key: str) -> list[FlowRun]:
    with asking(server) as client:
        return [each for each in client.read_flow_runs() if each.idempotency_key == key]


def seven_done(runs: list[TaskRun]) -> bool:
    return sum(1 for each in runs if each.state is not None and each.state.is_final()) >= 7


def check_seen(server: PrefectServer, key: str) -> FlowRun:
    """The run is there once, whole: its end, its steps with their times, its log by step, its page."""
    (seen,) = runs_of(server, key)
    assert (seen.name, seen.tags, seen.parameters) == ("beside test, over", ["cluster:app1"], {"cluster": "app1"})
    assert seen.state is not None
    assert seen.state.type.value == "COMPLETED"
    assert "the core returned 42" in (seen.state.message or "")
    steps = tasks_of(server, str(seen.id), seven_done)
    assert sorted(each.name for each in steps) == [f"look at {number}" for number in range(7)]
    assert all(each.start_time and each.end_time and each.start_time <= each.end_time for each in steps)
    with asking(server) as client:
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[seen.id])))
        this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[seen.id]))
        artifacts = client.read_artifacts(artifact_filter=this_run)
    third = next(each for each in steps if each.name == "look at 3")
    assert [each.task_run_id for each in lines if each.message == "looking at 3"] == [third.id]
    assert len(lines) == 7
    assert [each.data for each in artifacts] == ["# Report"]
    return seen


@pytest.fixture
def key() -> str:
    return f"app1/{uuid4()}"


def test_a_healthy_api_shows_the_run_while_it_lasts_and_whole_afterwards(healthy: PrefectServer, key: str) -> None:
    with Manager(environment(healthy), key=key, pause=True) as run:
        run.reach("shown")
        ends = time.monotonic() + HANG
        while not (runs := runs_of(healthy, key)) and time.monotonic() < ends:
            time.sleep(0.1)  # the API has no way to wait for this
        (during,) = runs
        assert during.state is not None
        assert not during.state.is_final()
        first = tasks_of(healthy, str(during.id), lambda steps: any(each.state_name == "Completed" for each in steps))
        assert [each.name for each in first] == ["look at 0"]
        run.go()
        check_end("healthy", run)
    assert check_seen(healthy, key).id == during.id


def test_within_a_flow_run_the_steps_and_the_report_are_of_that_run(healthy: PrefectServer, key: str) -> None:
    """It has its state and its log of its own process; no other run appears."""
    with Manager(environment(healthy), key=key, flow=True) as run:
        assert run.ended()[0] == 7
        assert run.reach("end")["outcome"] == 42
    assert runs_of(healthy, key) == []
    with asking(healthy) as client:
        (seen,) = (each for each in client.read_flow_runs() if each.parameters.get("order", {}).get("key") == key)
        assert seen.name == "beside test, over"
        assert seen.state is not None
        assert (seen.state.type.value, seen.state.message) == ("COMPLETED", "the flow's own words")
        steps = tasks_of(healthy, str(seen.id), seven_done)
        assert sorted(each.name for each in steps) == [f"look at {number}" for number in range(7)]
        this_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[seen.id]))
        assert [each.data for each in client.read_artifacts(artifact_filter=this_run)] == ["# Report"]
        lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[seen.id])))
    assert sorted(each.message for each in lines if each.name == "mha") == [f"looking at {n}" for n in range(7)]


def test_a_record_whose_flow_run_was_deleted_is_refused(healthy: PrefectServer) -> None:
    """Otherwise it would stand in the way of every later one."""
    began = datetime.now(UTC)
    record = FlowRecord(key="gone", flow_name="beside-test", run_name="beside", started=began, within=uuid4())
    with temporary_settings({"api.url": healthy.api_url}), pytest.raises(MhaError, match="no longer has the flow run"):
        deliver(record, HANG)


def test_the_steps_own_error_surfaces_and_the_flow_run_fails_with_it(healthy: PrefectServer, key: str) -> None:
    with Manager(environment(healthy), key=key, fail=True) as run:
        end = run.reach("end")
        assert run.ended()[0] == 7
    assert end["outcome"] == "the step's own error"
    (seen,) = runs_of(healthy, key)
    assert seen.state is not None
    assert seen.state.type.value == "FAILED"
    assert "ValueError: the step's own error" in (seen.state.message or "")


def test_without_an_api_nothing_of_prefect_starts(healthy: PrefectServer, key: str) -> None:
    variables = environment(healthy)
    del variables["PREFECT_API_URL"]
    with Manager(variables, key=key) as run:
        check_end("no API configured", run)
    assert runs_of(healthy, key) == []


@pytest.mark.parametrize("trouble", ["refused", "hanging", "slow"])
def test_an_api_that_does_not_answer_costs_the_run_nothing(healthy: PrefectServer, trouble: str, key: str) -> None:
    door = {"refused": refused_port, "hanging": hanging_port, "slow": lambda: slow_port(healthy.port, 5.0)}[trouble]
    with door() as port, Manager(environment(healthy, port), key=key) as run:
        check_end(f"API {trouble}", run)


def test_what_a_process_had_to_leave_behind_is_delivered_by_the_next(healthy: PrefectServer, key: str) -> None:
    with refused_port() as port, Manager(environment(healthy, port), key=key) as run:
        check_end("API refused", run)
        with temporary_settings({"api.url": f"http://127.0.0.1:{port}/api"}):
            assert not run.kept.deliver_left_behind()
        with temporary_settings({"api.url": healthy.api_url}):
            assert run.kept.deliver_left_behind()
        assert not list(run.kept.left_behind())
    check_seen(healthy, key)


@pytest.mark.parametrize("fate", ["frozen", "killed"])
def test_a_server_lost_in_mid_run_costs_nothing_and_gets_what_it_lacks_when_it_is_back(
    healthy: PrefectServer, fate: str, key: str
) -> None:
    with Manager(environment(healthy), key=key, pause=True, stay=True) as run:
        run.reach("shown")
        ends = time.monotonic() + HANG
        while not runs_of(healthy, key) and time.monotonic() < ends:
            time.sleep(0.1)  # the API has no way to wait for this
        if fate == "frozen":
            healthy.freeze()
        else:
            healthy.kill()
        run.go()
        run.reach("end")
        if fate == "frozen":
            healthy.thaw()
        else:
            healthy.start()
        ends = time.monotonic() + 2 * HANG
        while not any(each.state and each.state.is_final() for each in runs_of(healthy, key)):
            assert time.monotonic() < ends, "the record never came"
            time.sleep(0.1)
        run.go()
        check_end(f"server {fate} in mid-run", run)
    check_seen(healthy, key)


def test_what_is_delivered_again_and_again_as_it_grows_is_there_once_with_its_own_times(
    healthy: PrefectServer, key: str
) -> None:
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    one = StepRecord(name="fence db1", started=began)
    record = FlowRecord(key=key, flow_name="beside-test", run_name="beside test", started=began, steps=(one,))
    over = {"ended": began + timedelta(seconds=5), "state": "COMPLETED"}
    later = StepRecord(name="open db2", started=began + timedelta(seconds=6))
    grown = record.model_copy(update={"steps": (one.model_copy(update=over), later)})
    at_last = {
        "steps": (grown.steps[0], later.model_copy(update={"ended": began + timedelta(seconds=7), "state": "FAILED"})),
        "ended": began + timedelta(seconds=7),
        "state": "FAILED",
        "message": "db2 did not open",
    }
    with temporary_settings({"api.url": healthy.api_url}):
        runs = {deliver(each, HANG) for each in (record, record, grown, grown.model_copy(update=at_last))}
        (flow_run_id,) = runs
        steps = tasks_of(healthy, str(flow_run_id), lambda found: sum(bool(x.end_time) for x in found) == 2)
        assert deliver(grown.model_copy(update=at_last), HANG) == flow_run_id
    (seen,) = runs_of(healthy, key)
    assert seen.state is not None
    assert (seen.state.type.value, "db2 did not open" in (seen.state.message or "")) == ("FAILED", True)
    assert {(each.name, each.state_name, each.start_time, each.end_time) for each in steps} == {
        ("fence db1", "Completed", began, began + timedelta(seconds=5)),
        ("open db2", "Failed", began + timedelta(seconds=6), began + timedelta(seconds=7)),
    }


if __name__ == "__main__":
    ordered = json.loads(sys.argv[1])
    if ordered.get("flow"):
        deployed(ordered)
        sys.exit(7)
    manager(ordered)
    leave(7)
