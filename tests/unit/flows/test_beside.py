"""When a run that goes on without Prefect is shown there, and what of it, whatever the API does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows import beside
from flows.beside import Beside
from flows.delivery import ArtifactRecord, FlowRecord, Unanswered
from flows.engine import step
from flows.kept import KeptRuns
from replication.errors import MhaError

from prefect import task  # isort: skip - after the engine, which sets the environment
from prefect.states import Completed  # isort: skip


@task
def look() -> None:
    return None


class Api:
    """Stands for Prefect: takes what is delivered, or does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.got: list[FlowRecord] = []
        self.away, self.seen, self.ended = False, threading.Event(), threading.Event()
        monkeypatch.setattr(beside, "EVERY", 0.01)
        monkeypatch.setattr(beside, "deliver", self.deliver)
        monkeypatch.setattr(beside, "deliver_later", lambda record, _seconds: self.take(record, self.ended))
        monkeypatch.setattr(beside.prefect_env, "api_configured", lambda: True)

    def deliver(self, record: FlowRecord, _seconds: float) -> None:
        if self.away:
            self.seen.set()
            raise Unanswered("ConnectError: refused")
        self.take(record, self.seen)

    def take(self, record: FlowRecord, told: threading.Event) -> None:
        self.got.append(record)
        told.set()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    yield Api(monkeypatch)
    # A thread that still sends would send to the next test's.
    for thread in threading.enumerate():
        if thread.name == "mha-delivery":
            thread.join(10)


@pytest.fixture
def it(tmp_path: Path) -> Beside:
    opening = FlowRecord(key="app1/1", flow_name="failover", run_name="failover app1", started=datetime.now(UTC))
    return Beside(opening, KeptRuns(tmp_path, "app1"))


def conclude(result: str) -> tuple[Any, str, tuple[ArtifactRecord, ...]]:
    page = ArtifactRecord(key="report", type="markdown", data="# Report")
    return Completed(name="Partly done", message=f"{result} is the new primary"), f"failover app1: {result}", (page,)


def test_nothing_is_sent_before_the_writes_are_back(api: Api, it: Beside) -> None:

    def core() -> str:
        step(look)
        assert not api.seen.wait(0.1)
        it.show()
        assert api.seen.wait(5)
        step(look)
        return "db2"

    assert it.run(core, conclude) == "db2"
    assert api.ended.wait(5)
    first, last = api.got[0], api.got[-1]
    assert (first.state, first.ended, len(first.steps)) == ("RUNNING", None, 1)
    assert (last.state, last.state_name, last.message) == ("COMPLETED", "Partly done", "db2 is the new primary")
    assert (last.run_name, len(last.steps), [each.key for each in last.artifacts]) == (
        "failover app1: db2",
        2,
        ["report"],
    )


def test_a_run_that_takes_long_is_shown_before_it_says_so(
    api: Api, it: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "SHOWN_AFTER", 0.01)

    def core() -> str:
        assert api.seen.wait(5)
        return "db2"

    it.run(core, conclude)


def test_an_api_that_is_away_meanwhile_gets_it_whole_afterwards(api: Api, it: Beside) -> None:
    api.away = True

    def core() -> str:
        it.show()
        assert api.seen.wait(5)
        step(look)
        return "db2"

    it.run(core, conclude)
    assert api.ended.wait(5)
    assert [(each.state, len(each.steps)) for each in api.got] == [("COMPLETED", 1)]


@pytest.mark.parametrize("error", [ValueError("boom"), MhaError("db2: no"), KeyboardInterrupt()])
def test_the_cores_exception_surfaces_and_the_run_fails_with_it(api: Api, it: Beside, error: BaseException) -> None:
    def core() -> str:
        raise error

    with pytest.raises(type(error)) as caught:
        it.run(core, conclude)
    assert caught.value is error
    assert api.ended.wait(5)
    assert api.got[-1].state == "FAILED"
    assert str(error) in api.got[-1].message


def test_the_core_runs_in_the_callers_thread(api: Api, it: Beside) -> None:
    assert it.run(lambda: str(threading.get_ident()), conclude) == str(threading.get_ident())


def test_without_an_api_nothing_is_asked_of_prefect(api: Api, it: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside.prefect_env, "api_configured", lambda: False)
    it.run(lambda: "db2", conclude)
    it.wait()
    assert not api.ended.wait(0.05)
    assert api.got == []


def test_an_end_is_not_waited_for_when_the_api_is_away(api: Api, it: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "deliver_later", lambda *_: api.ended.wait(5))
    monkeypatch.setattr(beside.prefect_env, "api_answers", lambda _seconds: False)
    it.run(lambda: "db2", conclude)
    began = time.monotonic()
    it.wait()
    assert time.monotonic() - began < 2
    api.ended.set()
