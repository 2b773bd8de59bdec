"""Steps without any Prefect server: how often they are called, and what surfaces."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
from typing import Any

import pytest

from prefect_mha.flows.engine.start import both, parallel, step
from prefect_mha.replication.errors import MhaError
from prefect_mha.tasks.step import task
from tests.lab.prefect_server import refused_port

# ruff keeps this block apart: Prefect is imported after the engine has set the environment
from prefect.settings import temporary_settings  # isort: skip

log = logging.getLogger("mha")


@task("Save")
def save(what: str) -> str:
    log.warning("saving %s", what)
    if what == "nothing":
        raise MhaError("db1: there is nothing to save")
    return what


class TestStepPlainly:
    @pytest.mark.parametrize(
        ("retries", "failures", "calls", "succeeds"),
        [(0, 0, 1, True), (0, 1, 1, False), (2, 1, 2, True), (2, 2, 3, True), (2, 3, 3, False)],
    )
    def test_is_called_as_often_as_its_retries_allow(
        self, retries: int, failures: int, calls: int, succeeds: bool
    ) -> None:
        made: list[int] = []

        @task("Try", retries=retries)
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

    @pytest.mark.parametrize(("delays", "waited"), [((2,), [2, 2, 2]), ((1, 5), [1, 5, 5]), ((), [])])
    def test_waits_the_steps_own_delays_the_last_one_repeating(
        self, delays: Any, waited: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("prefect_mha.flows.engine.steps.time.sleep", slept.append)

        @task("Try", retries=3, retry_delay_seconds=delays)
        def never() -> None:
            raise ConnectionError("down")

        with pytest.raises(ConnectionError):
            step(never)
        assert slept == waited

    def test_a_retry_condition_sees_the_exception_and_can_refuse(self) -> None:
        seen: list[object] = []

        def only_connections(error: Exception) -> bool:
            seen.append(error)
            return isinstance(error, ConnectionError)

        errors: list[Exception] = [ConnectionError("down"), ValueError("wrong"), ValueError("not reached")]

        @task("Try", retries=5, retry_on=only_connections)
        def fails() -> None:
            raise errors[len(seen)]

        with pytest.raises(ValueError, match="wrong"):
            step(fails)
        assert seen == errors[:2]

    def test_an_interrupt_is_not_retried(self) -> None:
        made: list[int] = []

        @task("Try", retries=5)
        def interrupted() -> None:
            made.append(1)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            step(interrupted)
        assert made == [1]

    def test_a_small_one_is_no_task_in_a_flow_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("prefect_mha.flows.engine.steps.flow_context", object)

        @task("Look", small=True)
        def look(at: str) -> str:
            return at

        assert step(look, "db1") == "db1"
        assert "task" not in vars(look)

    def test_needs_no_api(self) -> None:
        with refused_port() as port, temporary_settings({"api.url": f"http://127.0.0.1:{port}/api"}):
            assert step(save, "binlog") == "binlog"


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

    def test_whoever_is_to_end_is_heard_beside_an_error(self) -> None:
        def fail() -> None:
            raise MhaError("db1: broken")

        def leave() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            both(fail, leave)
        with pytest.raises(MhaError):
            both(lambda: None, fail)
