"""Which steps are retried, on what, and why the others are not; docs/prefect.md says the same."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mha import tasks
from prefect_mha.replication.errors import HostUnreachable, MhaError, ServerGone, ServerUnreachable
from prefect_mha.tasks.policy import STEP, broken_session
from prefect_mha.tasks.step import Step

ROOT = Path(__file__).parents[3]


def steps() -> Iterator[Step[..., Any]]:
    """Every step of the rooms below ``tasks/``, once."""
    found: dict[int, Step[..., Any]] = {}
    for found_module in pkgutil.walk_packages(tasks.__path__, "prefect_mha.tasks."):
        module = importlib.import_module(found_module.name)
        found |= {id(each): each for each in vars(module).values() if isinstance(each, Step)}
    yield from found.values()


def why_not(step: Step[..., Any]) -> str:
    """Why a step is not retried, as it says itself; empty when it is."""
    return (step.description or "").removeprefix("Not retried: ").rstrip(".") if step.retries == 0 else ""


@pytest.mark.parametrize("step", list(steps()), ids=lambda step: step.name)
def test_a_step_is_retried_on_a_broken_session_or_says_why_not(step: Step[..., Any]) -> None:
    if step.retries:
        assert (step.retries, step.retry_delay_seconds) == (2, (0.2, 1.0))
        assert step.retry_on is broken_session
    else:
        assert (step.description or "").startswith("Not retried: ")


def test_the_documentation_lists_those_that_are_not() -> None:
    page = (ROOT / "docs" / "prefect.md").read_text()
    told = dict(re.findall(r"^\| \*([^*]+)\* \| (.+) \|$", page, re.MULTILINE))
    assert told == {step.name: why_not(step) for step in steps() if not step.retries}


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ServerUnreachable("db2", "observe", "gone", 2013), True),
        (HostUnreachable("db2", "connect", "gone"), True),
        (ServerGone("db2", "see whether it lives", "gone", 2013), False),
        (MhaError("db2 refuses"), False),
        (ValueError("odd"), False),
    ],
)
def test_only_a_broken_session_is_a_reason(error: Exception, again: bool) -> None:
    assert broken_session(error) is again


@pytest.mark.parametrize("again", [True, False])
def test_prefect_retries_as_the_step_says(again: bool) -> None:
    from prefect.states import Failed

    asked: list[Exception] = []
    error = ServerUnreachable("db2", "observe", "gone", 2013)

    def retry_on(failure: Exception) -> bool:
        asked.append(failure)
        return again

    made = Step(lambda: None, "Look", **(STEP | {"retry_on": retry_on})).task
    assert (made.name, made.retries, made.retry_delay_seconds, made.tags) == ("Look", 2, [0.2, 1.0], set())
    assert made.retry_condition_fn is not None
    assert made.retry_condition_fn(made, None, Failed(data=error)) is again  # type: ignore[arg-type]
    assert asked == [error]
