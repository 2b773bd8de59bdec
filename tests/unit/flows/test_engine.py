"""The decisions of the engine without any Prefect server: who runs the core, how often, and what surfaces."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import engine
from flows.engine import ArmedFlow, parallel, step
from replication.errors import MhaError
from tests.lab.prefect_server import refused_port

# ruff keeps this block apart: Prefect is imported after the engine has set the environment
from prefect import task  # isort: skip
from prefect.settings import temporary_settings  # isort: skip


@pytest.fixture(autouse=True)
def some_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "api_configured", lambda: True)


class Door:
    """Stands for the way into a flow: opens when told, or fails."""

    def __init__(self, error: Exception | None = None, opened: bool = False) -> None:
        self.opened, self.error, self.endings = threading.Event(), error, []
        self.left = threading.Event()
        if opened:
            self.opened.set()

    def __call__(self, body: engine.Body) -> object:
        try:
            assert self.opened.wait(5)
            if self.error:
                raise self.error
            self.endings.append(body())
            return self.endings[-1]
        finally:
            self.left.set()


def entered(armed: ArmedFlow[Any]) -> ArmedFlow[Any]:
    armed.arm()
    ends = time.monotonic() + 5
    while not armed.entered:
        assert time.monotonic() < ends
        time.sleep(0.001)
    return armed


class TestStepPlainly:
    @pytest.mark.parametrize(
        ("retries", "failures", "calls", "succeeds"),
        [(0, 0, 1, True), (0, 1, 1, False), (2, 1, 2, True), (2, 2, 3, True), (2, 3, 3, False)],
    )
    def test_is_called_as_often_as_its_retries_allow(
        self, retries: int, failures: int, calls: int, succeeds: bool
    ) -> None:
        made: list[int] = []

        @task(retries=retries)
        def flaky() -> str:
            made.append(1)
            if len(made) <= failures:
                raise ConnectionError("again")
            return "done"

        if succeeds:
            assert step(flaky) == "done"
        else:
            with pytest.raises(ConnectionError, match="again"):
                step(flaky)
        assert len(made) == calls

    @pytest.mark.parametrize(
        ("delays", "waited"), [(None, [0, 0, 0]), (2, [2, 2, 2]), ([1, 5], [1, 5, 5]), ([], [0, 0, 0])]
    )
    def test_waits_the_tasks_own_delays_the_last_one_repeating(
        self, delays: Any, waited: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("flows.steps.time.sleep", slept.append)

        @task(retries=3, retry_delay_seconds=delays)
        def never() -> None:
            raise ConnectionError("down")

        with pytest.raises(ConnectionError):
            step(never)
        assert slept == waited

    def test_a_retry_condition_sees_the_exception_and_can_refuse(self) -> None:
        seen: list[object] = []

        def only_connections(_task: object, _run: object, state: Any) -> bool:
            seen.append(state.data)
            return isinstance(state.data, ConnectionError)

        errors: list[Exception] = [ConnectionError("down"), ValueError("wrong"), ValueError("not reached")]

        @task(retries=5, retry_condition_fn=only_connections)
        def fails() -> None:
            raise errors[len(seen)]

        with pytest.raises(ValueError, match="wrong"):
            step(fails)
        assert seen == errors[:2]

    def test_a_broken_retry_condition_means_no_retry_and_the_steps_own_error(self) -> None:
        made: list[int] = []

        @task(retries=5, retry_condition_fn=lambda *_: 1 / 0)
        def fails() -> None:
            made.append(1)
            raise ValueError("the step's own")

        with pytest.raises(ValueError, match="the step's own"):
            step(fails)
        assert made == [1]

    def test_an_interrupt_is_not_retried(self) -> None:
        made: list[int] = []

        @task(retries=5)
        def interrupted() -> None:
            made.append(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            step(interrupted)
        assert made == [1]

    def test_needs_no_api_even_when_the_flow_could_not_be_entered(self) -> None:
        @task(task_run_name="save {what}")
        def save(what: str) -> str:
            return what

        with refused_port() as port, temporary_settings({"api.url": f"http://127.0.0.1:{port}/api"}):
            armed: ArmedFlow[str] = ArmedFlow(Door(ConnectionError("refused"), opened=True))
            assert armed.fire(lambda: step(save, "binlog"), budget=1) == "binlog"
        assert armed.mode == "plain"
        assert [(each.name, each.state) for each in armed.steps] == [("save binlog", "COMPLETED")]


class TestParallel:
    def test_results_and_exceptions_come_in_the_order_of_the_calls(self) -> None:
        first_may_end = threading.Event()

        def first() -> int:
            assert first_may_end.wait(5)
            return 1

        def second() -> int:
            raise ValueError("two")

        def third() -> int:
            first_may_end.set()
            return 3

        outcome = parallel([first, second, third], ["db1", "db2", "db3"])
        assert outcome[0] == 1
        assert isinstance(outcome[1], ValueError)
        assert outcome[2] == 3

    def test_one_calls_exit_does_not_end_the_others_or_the_caller(self) -> None:
        outcome = parallel([lambda: sys.exit(3), lambda: 2])
        assert isinstance(outcome[0], SystemExit)
        assert outcome[1] == 2

    def test_every_thread_sees_the_callers_context_and_cannot_change_it(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
        variable.set("caller")

        def change() -> str:
            before = variable.get()
            variable.set("thread")
            return before

        assert parallel([change, change]) == ["caller", "caller"]
        assert variable.get() == "caller"


class TestArmedFlow:
    def test_an_entered_flow_takes_the_core_and_ends_with_its_result(self) -> None:
        door = Door(opened=True)
        armed = entered(ArmedFlow(door, conclude=lambda result: engine.Completed(message=f"{result} it is")))
        assert armed.fire(lambda: "db2") == "db2"
        assert armed.mode == "flow"
        assert armed.recorded(5)
        assert [ending.message for ending in door.endings] == ["db2 it is"]

    def test_the_core_runs_in_the_callers_thread_in_both_modes(self) -> None:
        for door in (Door(opened=True), Door()):
            armed: ArmedFlow[int] = ArmedFlow(door)
            if door.opened.is_set():
                entered(armed)
            assert armed.fire(threading.get_ident) == threading.get_ident()
            door.opened.set()

    @pytest.mark.parametrize("error", [ValueError("boom"), MhaError("db2: no"), KeyboardInterrupt()])
    def test_the_cores_exception_surfaces_and_the_flow_run_fails_with_it(self, error: BaseException) -> None:
        door = Door(opened=True)
        armed: ArmedFlow[None] = entered(ArmedFlow(door))

        def core() -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            armed.fire(core)
        assert caught.value is error
        assert door.left.wait(5)
        assert door.endings[0].is_failed()
        assert str(error) in door.endings[0].message

    def test_a_flow_that_comes_too_late_finds_the_claim_taken_and_ends_quietly(self) -> None:
        door, ran = Door(), []
        armed: ArmedFlow[None] = ArmedFlow(door)
        armed.arm()
        armed.fire(lambda: ran.append("plain"))
        door.opened.set()
        assert door.left.wait(5)
        assert ran == ["plain"]
        assert armed.mode == "plain"
        assert door.endings[0].is_cancelled()

    def test_a_budget_is_no_longer_waited_for_once_the_entry_has_failed(self) -> None:
        started = time.monotonic()
        armed: ArmedFlow[str] = ArmedFlow(Door(ConnectionError("refused"), opened=True))
        assert armed.fire(lambda: "plain", budget=5) == "plain"
        assert time.monotonic() - started < 2

    def test_a_false_alarm_ends_an_entered_flow_and_it_can_be_armed_again(self) -> None:
        door = Door(opened=True)
        armed: ArmedFlow[str] = entered(ArmedFlow(door))
        armed.stand_down("primary answered again")
        assert not armed.entered
        entered(armed)
        assert armed.fire(lambda: "second") == "second"
        assert armed.mode == "flow"
        assert armed.recorded(5)
        assert [(e.type.value, e.message) for e in door.endings] == [
            ("CANCELLED", "primary answered again"),
            ("COMPLETED", None),
        ]

    def test_arming_twice_enters_once(self) -> None:
        door = Door(opened=True)
        armed: ArmedFlow[None] = entered(ArmedFlow(door))
        armed.arm()
        armed.fire(lambda: None)
        assert armed.recorded(5)
        assert len(door.endings) == 1

    def test_an_armed_flow_nobody_needs_ends_by_itself_and_is_not_used_any_more(self) -> None:
        door = Door(opened=True)
        armed: ArmedFlow[str] = ArmedFlow(door, patience=0.05)
        armed.arm()
        assert door.left.wait(5)
        assert door.endings[0].is_cancelled()
        assert armed.fire(lambda: "plain") == "plain"
        assert armed.mode == "plain"

    def test_without_an_api_nothing_is_asked_of_prefect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "api_configured", lambda: False)

        def enter(_body: engine.Body) -> object:
            raise AssertionError("entered")

        threads = threading.active_count()
        armed: ArmedFlow[str] = ArmedFlow(enter)
        armed.arm()
        assert threading.active_count() == threads
        assert armed.fire(lambda: "plain", budget=5) == "plain"

    def test_what_is_left_for_afterwards_is_not_waited_for_and_cannot_fail_the_run(self) -> None:
        door, go, seen = Door(opened=True), threading.Event(), []
        armed: ArmedFlow[str] = entered(ArmedFlow(door))

        def slow() -> None:
            assert go.wait(5)
            raise ConnectionError("the API went away")

        def core() -> str:
            armed.afterwards(slow)
            armed.afterwards(lambda: seen.append("second"))
            return "done"

        assert armed.fire(core) == "done"
        assert not armed.recorded(0)
        go.set()
        assert armed.recorded(5)
        assert seen == ["second"]

    def test_a_run_whose_end_prefect_took_for_another_is_not_called_recorded(self) -> None:
        def enter(body: engine.Body) -> object:
            body()
            return engine.Failed(message="ReadTimeout")

        armed: ArmedFlow[None] = entered(ArmedFlow(enter))
        armed.fire(lambda: None)
        assert not armed.recorded(5)

    @given(
        entry=st.sampled_from(["open", "opens during fire", "late", "fails"]),
        budget=st.sampled_from([0.0, 0.02]),
        fails=st.booleans(),
    )
    @settings(max_examples=40, deadline=None)
    def test_the_core_runs_exactly_once_whatever_the_entry_does(self, entry: str, budget: float, fails: bool) -> None:
        door = Door(ConnectionError("refused") if entry == "fails" else None, opened=entry in ("open", "fails"))
        armed: ArmedFlow[int] = ArmedFlow(door)
        armed.arm()
        ran: list[int] = []

        def core() -> int:
            ran.append(1)
            if fails:
                raise ValueError("boom")
            return len(ran)

        opener: Callable[[], object] = door.opened.set if entry == "opens during fire" else threading.Event
        other = threading.Thread(target=opener)
        other.start()
        try:
            assert armed.fire(core, budget) == 1
        except ValueError:
            assert fails
        door.opened.set()
        other.join()
        assert door.left.wait(5)
        assert ran == [1]
        assert all(not ending.is_running() for ending in door.endings)
