"""The record of a run that Prefect is to show: its end, its report, its name. It may come late, and comes once.

Design rule 8: Prefect's records are a copy. A run whose steps were tasks of a flow run gets its pages and its end in
that one; where none could be entered, one run is made for the record's key. Sending a record again adds what Prefect
lacks and changes nothing else.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from ...replication.errors import MhaError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

StateName = Literal["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]

#: Seconds that one request may take: nobody waits for a delivery, so a slow API may take its time.
REQUEST_SECONDS = 10.0


class Page(BaseModel):
    """A text or a table (rows as JSON), an artifact there. The key has lower case letters, digits and dashes only."""

    model_config = ConfigDict(frozen=True)

    key: str
    type: Literal["markdown", "table"]
    data: str
    description: str = ""


class RunRecord(BaseModel):
    """How one run ended, as it is to be seen in Prefect.

    ``key`` identifies the run for good (cluster and journal, say): the same key never makes a second run. ``within`` is
    the flow run that its steps were tasks of, None where there was none. ``state_name`` is what the UI calls its state,
    Prefect's own word when empty; ``tags`` are left as they are when None. ``finishes`` are flow runs whose processes
    died in the midst of what this one has ended: when it completes, they are shown as crashed. Times are UTC;
    ``message`` is one line without secrets.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    flow_name: str
    run_name: str
    tags: tuple[str, ...] | None = None
    parameters: dict[str, Any] = {}
    started: datetime
    ended: datetime
    state: StateName
    state_name: str = ""
    message: str = ""
    pages: tuple[Page, ...] = ()
    finishes: tuple[uuid.UUID, ...] = ()
    within: uuid.UUID | None = None


class Unanswered(MhaError):
    """Prefect's API did not answer, or answered that it cannot now."""


def deliver(record: RunRecord, *, ends_itself: bool = False) -> uuid.UUID:
    """Put into Prefect what it lacks of the record, now; the flow run's id.

    ``ends_itself``: its flow is about to be left, and sets the state. Raises Unanswered when trying again may help,
    MhaError when Prefect refuses the record.
    """
    from prefect.client.schemas.objects import State, StateType

    with asking(f"the record of {record.run_name}", REQUEST_SECONDS) as client:
        run = _entered(client, record) or _made(client, record)
        _send_pages(client, record, run)
        tags = run.tags if record.tags is None else record.tags
        if (run.name, set(run.tags)) != (record.run_name, set(tags)):
            client.update_flow_run(run.id, name=record.run_name, tags=tags).raise_for_status()
        if not (ends_itself or (run.state is not None and run.state.is_final())):
            ending: State[Any] = State(
                type=StateType(record.state), name=record.state_name or None, message=_message(record)
            )
            client.set_flow_run_state(run.id, ending, force=True)
        if record.state == "COMPLETED":
            _mark_crashed(client, record.finishes, f"{record.run_name} (flow run {run.id}) has finished it", run.id)
        return run.id


@contextlib.contextmanager
def asking(what: str, request_seconds: float, retries: int = 0) -> Iterator[SyncPrefectClient]:
    """A client, as patient as it is told; its errors are Unanswered, or MhaError where Prefect does not take ``what``.

    ``retries`` of a request that a busy server refuses.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.settings import temporary_settings

    try:
        with (
            temporary_settings({"api.request_timeout": request_seconds, "client.max_retries": retries}),
            get_client(sync_client=True) as client,
        ):
            yield client
    except httpx.HTTPStatusError as error:
        status, first = error.response.status_code, str(error).splitlines()[0]
        if status < 500 and status not in (408, 429):
            raise MhaError(f"Prefect does not take {what}: {first}") from error
        raise Unanswered(first) from error
    except (httpx.TransportError, RuntimeError) as error:
        raise Unanswered(f"{type(error).__name__}: {error}") from error


def end_crashed(runs: tuple[uuid.UUID, ...], why: str) -> None:
    """End runs whose processes died. Raises as `deliver`."""
    with asking("the end of runs whose processes died", REQUEST_SECONDS) as client:
        _mark_crashed(client, runs, why)


def _mark_crashed(
    client: SyncPrefectClient, runs: tuple[uuid.UUID, ...], why: str, finisher: uuid.UUID | None = None
) -> None:
    """End the runs whose processes died; the finisher, and those that have ended, stay as they are."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    if not runs:
        return
    for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(runs)))):
        if run.id != finisher and not (run.state is not None and run.state.is_final()):
            client.set_flow_run_state(run.id, Crashed(message=f"its process died in the midst of it; {why}"))


def _message(record: RunRecord) -> str:
    times = f"ran from {record.started:%Y-%m-%d %H:%M:%S} to {record.ended:%H:%M:%S %Z}, recorded afterwards"
    return f"{record.message} ({times})" if record.message else times


def _entered(client: SyncPrefectClient, record: RunRecord) -> FlowRun | None:
    """The run that it happened in; None where there was none, or Prefect no longer has it."""
    from prefect.exceptions import ObjectNotFound

    if record.within is None:
        return None
    try:
        return client.read_flow_run(record.within)
    except ObjectNotFound:
        return None


def _made(client: SyncPrefectClient, record: RunRecord) -> FlowRun:
    """The run this record is about, made for its key now or earlier."""
    from prefect.client.schemas.actions import FlowCreate, FlowRunCreate
    from prefect.client.schemas.objects import FlowRun
    from prefect.states import Scheduled, to_state_create

    flow = FlowCreate(name=record.flow_name).model_dump(mode="json")
    flow_id = client.request("POST", "/flows/", json=flow).json()["id"]
    wanted = FlowRunCreate(
        flow_id=flow_id,
        name=record.run_name,
        tags=list(record.tags or ()),
        parameters=record.parameters,
        idempotency_key=record.key,
        state=to_state_create(Scheduled(scheduled_time=record.started)),
    )
    answer = client.request("POST", "/flow_runs/", json=wanted.model_dump(mode="json", exclude_unset=True))
    return FlowRun.model_validate(answer.json())


def _send_pages(client: SyncPrefectClient, record: RunRecord, run: FlowRun) -> None:
    from prefect.client.schemas.actions import ArtifactCreate
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    same_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    known = client.read_artifacts(artifact_filter=same_run) if record.pages else []
    there = {(artifact.key, artifact.data) for artifact in known}
    for each in record.pages:
        # A run that was tried again has a report of each time.
        if (each.key, each.data) in there:
            continue
        artifact = ArtifactCreate(
            key=each.key, type=each.type, data=each.data, description=each.description or None, flow_run_id=run.id
        )
        # Posted plainly: the client's own method also sends an event, through a queue this process may not live to see.
        client.request("POST", "/artifacts/", json=artifact.model_dump(mode="json", exclude_unset=True))
