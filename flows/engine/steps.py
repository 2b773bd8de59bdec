"""One step of a runbook, and several at a time: task runs under a flow, plain calls without one."""

from __future__ import annotations

import contextvars
import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.states import Failed
from prefect.utilities.annotations import quote
from prefect.utilities.math import clamped_poisson_interval

from ...replication.errors import MhaError
from ...replication.threads import Thread

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

log = logging.getLogger("mha.engine")


def step(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run one step: as a task run under a flow, otherwise as a plain call with the task's own retries.

    The exception that surfaces is the step's own in both. Tasks must be synchronous; a ``timeout_seconds`` of the task
    is Prefect's alone, so steps bring their deadlines.
    """
    if FlowRunContext.get() is not None:
        # Prefect looks for futures in whatever it is given, down to each field: a plan costs more than the task run.
        quoted = {name: quote(value) for name, value in kwargs.items()}
        result: R = _named(task)(*map(quote, args), **quoted)
        return result
    return _call_plainly(task, args, kwargs)


@functools.cache
def _named(task: Task[..., Any]) -> Any:
    """The task whose runs are called as it is, and not by a random word behind that."""
    return task if task.task_run_name else task.with_options(task_run_name=task.name)


def _call_plainly(task: Task[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    for attempt in range(task.retries + 1):
        try:
            return task.fn(*args, **kwargs)
        except Exception as error:
            if attempt == task.retries or not _retry_wanted(task, error, attempt + 1):
                raise
            log.info("%s: attempt %d of %d failed: %s", task.name, attempt + 1, task.retries + 1, error)
            time.sleep(_retry_delay(task, attempt))
    raise AssertionError("unreachable: the last attempt returns or raises")


def _retry_wanted(task: Task[Any, Any], error: Exception, run_count: int) -> bool:
    """What the task's ``retry_condition_fn`` says of this error; a condition that fails itself means no."""
    condition = task.retry_condition_fn
    if condition is None:
        return True
    state: State[Any] = Failed(data=error, message=f"Task run encountered unexpected exception: {error!r}")
    run = TaskRun(task_key=task.task_key, dynamic_key="plain", run_count=run_count)
    try:
        return bool(condition(task, run, state))
    except Exception:
        log.exception("%s: its retry_condition_fn failed, so it is not retried", task.name)
        return False


def _retry_delay(task: Task[Any, Any], attempt: int) -> float:
    delays = task.retry_delay_seconds
    if isinstance(delays, Sequence):
        delay = float(delays[min(attempt, len(delays) - 1)]) if delays else 0.0
    else:
        delay = float(delays or 0)
    if task.retry_jitter_factor and delay > 0:
        return clamped_poisson_interval(delay, clamping_factor=task.retry_jitter_factor)
    return delay


def parallel(calls: Sequence[Callable[[], R]], names: Sequence[str] | None = None) -> list[R | BaseException]:
    """Run the calls at the same time, a thread each, and return their results or exceptions in the same order.

    Every thread has a copy of the caller's context, so that :func:`step` inside works under a flow and plainly.
    There is no deadline here: the steps have their own. The threads are daemons, so a lost one holds no exit.
    """
    outcomes: list[R | BaseException] = [RuntimeError("not run")] * len(calls)

    def run(index: int, call: Callable[[], R]) -> None:
        try:
            outcomes[index] = call()
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who decides
            outcomes[index] = error

    threads = []
    for index, call in enumerate(calls):
        context = contextvars.copy_context()
        name = names[index] if names else None
        threads.append(Thread(target=context.run, args=(run, index, call), name=name, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def both(first: Callable[[], R], second: Callable[[], S]) -> tuple[R, S]:
    """Two calls side by side; when both have ended a failure is raised: that one is to end it, else the first's."""
    results = parallel([first, second])
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures:
        raise next((each for each in failures if not isinstance(each, Exception)), failures[0])
    return results[0], results[1]  # type: ignore[return-value]


def described(error: BaseException) -> str:
    """One line for people: our own errors speak for themselves, others are named."""
    return str(error) if isinstance(error, MhaError) else f"{type(error).__name__}: {error}"
