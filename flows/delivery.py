"""What ran without Prefect, put into Prefect: one flow run, its steps, its log, its report; once.

Design rule 8: Prefect's records are a copy that may come late. Everything sent here has an id derived from the
record's key, so sending it again, as it grows or after a timeout, adds what Prefect lacks and changes nothing else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict

from flows.prefect_env import api_configured
from replication.errors import DeadlineExceeded, MhaError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

StateName = Literal["RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED"]

_NAMESPACE = uuid.UUID("5e0f2b4e-6d0a-4c39-9b0c-6f9d2a7f4c11")
_REQUEST_SECONDS = 10.0  # nobody waits for a delivery, so a slow API may take its time
_PAUSES = (1.0, 2.0, 5.0, 10.0)  # seconds between attempts; the last one repeats


class StepRecord(BaseModel):
    """One step: times in UTC, ``ended`` None while it runs; ``message`` one line without secrets."""

    model_config = ConfigDict(frozen=True)

    name: str
    started: datetime
    ended: datetime | None = None
    state: StateName = "RUNNING"
    message: str = ""


class LogLine(BaseModel):
    """One entry of the log: its time in UTC, its level as `logging` has it, and the number of its step, if of one."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    level: int
    text: str
    step: int | None = None


class ArtifactRecord(BaseModel):
    """A page or a table (rows as JSON). The key has lower case letters, digits and dashes only (Prefect's rule)."""

    model_config = ConfigDict(frozen=True)

    key: str
    type: Literal["markdown", "table"]
    data: str
    description: str = ""


class CutShort(BaseModel):
    """Flow runs whose processes died in a failover: by their ids, or by the keys of their records."""

    model_config = ConfigDict(frozen=True)

    ids: tuple[uuid.UUID, ...] = ()
    keys: tuple[str, ...] = ()


class FlowRecord(BaseModel):
    """One run as it is to be seen in Prefect, or as much of it as there is (``ended`` None, state RUNNING).

    ``key`` identifies the run for good (cluster and journal, say): the same key never makes a second run.
    ``state_name`` is what the UI calls its state, Prefect's own word when empty. ``finishes`` are runs that this one
    goes on with: when it completes, they are shown as crashed. ``within`` is the flow run that it happened in, which
    tells its state and its log itself.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    flow_name: str
    run_name: str
    tags: tuple[str, ...] = ()
    parameters: dict[str, Any] = {}
    started: datetime
    ended: datetime | None = None
    state: StateName = "RUNNING"
    state_name: str = ""
    message: str = ""
    steps: tuple[StepRecord, ...] = ()
    lines: tuple[LogLine, ...] = ()
    artifacts: tuple[ArtifactRecord, ...] = ()
    finishes: CutShort = CutShort()
    within: uuid.UUID | None = None


def deliver_later(record: FlowRecord, deadline: float) -> uuid.UUID:
    """Put the record into Prefect as soon as its API answers, trying for ``deadline`` seconds; the flow run's id.

    No attempt begins after the deadline; one that has begun makes about eight requests of at most 10 s each, so the
    caller is to be a thread that nobody waits for.

    The steps keep their own times. A flow run's start and end are the server's clock at delivery, because its API
    takes no others; the expected start and the state's message tell the real ones.
    Raises MhaError when no API is configured, or it refuses the record; DeadlineExceeded when it did not answer in
    time: the record is then to be delivered another time.
    """
    if not api_configured():
        raise MhaError("no Prefect API is configured, so the record of this run cannot be delivered")
    ends = time.monotonic() + deadline
    for pause in _pauses():
        left = ends - time.monotonic()
        try:
            return deliver(record, max(0.1, min(_REQUEST_SECONDS, left)))
        except Unanswered as error:
            last = str(error)
        if time.monotonic() + pause > ends:
            raise DeadlineExceeded(f"the record of {record.run_name} for Prefect", deadline, last)
        time.sleep(pause)
    raise AssertionError("unreachable: the pauses never end")


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]


class Unanswered(MhaError):
    """Prefect's API did not answer, or answered that it cannot now."""


def deliver(record: FlowRecord, request_seconds: float) -> uuid.UUID:
    """Put into Prefect what it lacks of the record, now; the flow run's id.

    Raises Unanswered when trying again may help, MhaError when Prefect refuses the record.
    """
    try:
        return _deliver(record, request_seconds)
    except httpx.HTTPStatusError as error:
        status, first = error.response.status_code, str(error).splitlines()[0]
        if status < 500 and status not in (408, 429):
            raise MhaError(f"Prefect does not take the record of {record.run_name}: {first}") from error
        raise Unanswered(first) from error
    except (httpx.TransportError, RuntimeError) as error:
        raise Unanswered(f"{type(error).__name__}: {error}") from error


def _deliver(record: FlowRecord, request_seconds: float) -> uuid.UUID:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State, StateType
    from prefect.settings import temporary_settings
    from prefect.states import Running

    with (
        temporary_settings({"api.request_timeout": request_seconds, "client.max_retries": 0}),
        get_client(sync_client=True) as client,
    ):
        own = record.within is None
        run = _flow_run(client, record) if record.within is None else _outer_run(client, record.within)
        if own and (run.state is None or not (run.state.is_running() or run.state.is_final())):
            client.set_flow_run_state(run.id, Running(), force=True)
        _send_steps(client, record, run)
        if own:
            _send_lines(client, record, run)
        _send_artifacts(client, record, run)
        if run.name != record.run_name and (own or record.ended is not None):
            client.set_flow_run_name(run.id, record.run_name)
        if record.ended is None:
            return run.id
        ending: State[Any] = State(
            type=StateType(record.state), name=record.state_name or None, message=_message(record, record.ended)
        )
        if own and (run.state is None or (run.state.type, run.state.message) != (ending.type, ending.message)):
            client.set_flow_run_state(run.id, ending, force=True)
        if record.state == "COMPLETED":
            mark_crashed(client, record.finishes, run.id, record.run_name)
        return run.id


def mark_crashed(client: SyncPrefectClient, runs: CutShort, finisher: uuid.UUID, name: str) -> None:
    """End the runs whose processes died, and which another one (its id and name) has finished: nobody else does.

    One that has ended, and the finisher itself, which may be the second life of a run, stay as they are.
    """
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
    from prefect.states import Crashed

    found: list[FlowRun] = []
    if runs.ids:
        found += client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(runs.ids))))
    if runs.keys:
        of_keys = FlowRunFilterIdempotencyKey(any_=list(runs.keys))
        found += client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=of_keys))
    for run in found:
        if run.id != finisher and not (run.state is not None and run.state.is_final()):
            message = f"its process died in the midst of it; {name} (flow run {finisher}) has finished it"
            client.set_flow_run_state(run.id, Crashed(message=message))


def _message(record: FlowRecord, ended: datetime) -> str:
    times = f"ran from {record.started:%Y-%m-%d %H:%M:%S} to {ended:%H:%M:%S %Z}, recorded afterwards"
    return f"{record.message} ({times})" if record.message else times


def _flow_run(client: SyncPrefectClient, record: FlowRecord) -> FlowRun:
    """The run this record is about, made for its key now or earlier."""
    from prefect.client.schemas.actions import FlowCreate, FlowRunCreate
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Scheduled, to_state_create

    flow = FlowCreate(name=record.flow_name).model_dump(mode="json")
    flow_id = client.request("POST", "/flows/", json=flow).json()["id"]
    wanted = FlowRunCreate(
        flow_id=flow_id,
        name=record.run_name,
        tags=list(record.tags),
        parameters=record.parameters,
        idempotency_key=record.key,
        state=to_state_create(Scheduled(scheduled_time=record.started)),
    )
    answer = client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    return FlowRun.model_validate(answer.json())


def _outer_run(client: SyncPrefectClient, run_id: uuid.UUID) -> FlowRun:
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_flow_run(run_id)
    except ObjectNotFound as error:
        raise MhaError(f"Prefect no longer has the flow run {run_id}, in which it happened") from error


def step_id(key: str, number: int) -> uuid.UUID:
    """The task run of a step in the record of that key."""
    return uuid.uuid5(_NAMESPACE, f"{key}/{number}")


def _step_id(record: FlowRecord, number: int) -> uuid.UUID:
    return step_id(record.key, number)


def _send_steps(client: SyncPrefectClient, record: FlowRecord, run: FlowRun) -> None:
    """Send the steps Prefect lacks, as the very events a task run sends of itself, with their own times."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    if not record.steps:
        return
    known = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
    finished = {each.id for each in known if each.state is not None and each.state.is_final()}
    events: list[dict[str, Any]] = []
    for number, each in enumerate(record.steps):
        if _step_id(record, number) not in finished:
            events += _step_events(record, run, number, each)
    if events:
        client.request("POST", "/events", json=events)


def _step_events(record: FlowRecord, run: FlowRun, number: int, step: StepRecord) -> list[dict[str, Any]]:
    """The state changes of one task run, in the form the server's task run recorder reads (3.8, 3.9)."""
    task_id = _step_id(record, number)
    task_run = {
        "name": step.name,
        "task_key": f"step-{number}",
        "dynamic_key": str(task_id),
        "run_count": 1,
        "flow_run_run_count": 1,
        "start_time": step.started.isoformat(),
        "expected_start_time": step.started.isoformat(),
        "tags": [],
    }
    changes: list[tuple[datetime, str, str, dict[str, Any], str | None]]
    changes = [(step.started, "RUNNING", "", task_run, None)]
    if step.ended is not None:
        seconds = max(0.0, (step.ended - step.started).total_seconds())
        done = {**task_run, "end_time": step.ended.isoformat(), "total_run_time": seconds}
        changes.append((step.ended, step.state, step.message, done, "RUNNING"))
    return [
        {
            "id": str(uuid.uuid5(_NAMESPACE, f"{record.key}/{task_id}/{state}")),
            "occurred": when.isoformat(),
            "event": f"prefect.task-run.{state.capitalize()}",
            "resource": {
                "prefect.resource.id": f"prefect.task-run.{task_id}",
                "prefect.resource.name": step.name,
                "prefect.run-count": "1",
                "prefect.state-message": message,
                "prefect.state-type": state,
                "prefect.state-name": state.capitalize(),
                "prefect.state-timestamp": when.isoformat(),
                "prefect.orchestration": "client",
            },
            "related": [{"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run"}],
            "payload": {
                "intended": {"from": before, "to": state},
                "initial_state": None,
                "validated_state": {"type": state, "name": state.capitalize(), "message": message},
                "task_run": payload,
            },
        }
        for when, state, message, payload, before in changes
    ]


def _send_lines(client: SyncPrefectClient, record: FlowRecord, run: FlowRun) -> None:
    """Send the lines of the log that are later than the last one Prefect has."""
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    if not record.lines:
        return
    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
    newest = client.read_logs(of_run, limit=1, sort=LogSort.TIMESTAMP_DESC)
    logs = [
        {
            "name": "mha",
            "level": line.level,
            "message": line.text,
            "timestamp": line.at.isoformat(),
            "flow_run_id": str(run.id),
            "task_run_id": None if line.step is None else str(_step_id(record, line.step)),
        }
        for line in sorted(record.lines, key=lambda line: line.at)
        if not newest or line.at > newest[0].timestamp
    ]
    if logs:
        client.request("POST", "/logs/", json=logs)


def _send_artifacts(client: SyncPrefectClient, record: FlowRecord, run: FlowRun) -> None:
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    same_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    known = client.read_artifacts(artifact_filter=same_run) if record.artifacts else []
    there = {(artifact.key, artifact.data) for artifact in known}
    for each in record.artifacts:
        # A run that was tried again has a report of each time.
        if (each.key, each.data) in there:
            continue
        told = each.description or None
        artifact = ArtifactCreate(key=each.key, type=each.type, data=each.data, description=told, flow_run_id=run.id)
        # Posted plainly: the client's own method also sends an event, through a queue this process may not live to see.
        client.request("POST", "/artifacts/", json=artifact.model_dump(mode="json", exclude_unset=True))
