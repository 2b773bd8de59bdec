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
from prefect_mha.tasks.policy import broken_session

from prefect import Task  # isort: skip - after ours, as in the product
from prefect.states import Failed  # isort: skip

ROOT = Path(__file__).parents[3]


def steps() -> Iterator[Task[..., Any]]:
    """Every task of the rooms below ``tasks/``, once."""
    found: dict[int, Task[..., Any]] = {}
    for found_module in pkgutil.walk_packages(tasks.__path__, "prefect_mha.tasks."):
        module = importlib.import_module(found_module.name)
        found |= {id(each): each for each in vars(module).values() if isinstance(each, Task)}
    yield from found.values()


def why_not(step: Task[..., Any]) -> str:
    """Why a step is not retried, as it says itself; empty when it is."""
    return (step.description or "").removeprefix("Not retried: ").rstrip(".") if step.retries == 0 else ""


@pytest.mark.parametrize("step", list(steps()), ids=lambda step: step.name)
def test_a_step_is_retried_on_a_broken_session_or_says_why_not(step: Task[..., Any]) -> None:
    if step.retries:
        assert (step.retries, step.retry_delay_seconds) == (2, [0.2, 1.0])
        assert step.retry_condition_fn is broken_session
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
    step = next(steps())
    assert broken_session(step, None, Failed(data=error)) is again  # type: ignore[arg-type]
