"""One step of a runbook, and several at a time: task runs under a flow, plain calls without one."""

from __future__ import annotations

import contextvars
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from ...replication.errors import MhaError
from ...replication.threads import Thread
from ...tasks.step import Step
from .entered import flow_context

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

log = logging.getLogger("mha.engine")


def step(one: Step[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run one step: as a task run under a flow, otherwise, or if it is small, plainly with the step's own retries.

    The exception that surfaces is the step's own in both. Steps must be synchronous, and bring their deadlines.
    """
    if not one.small and flow_context() is not None:
        return _call_as_task(one, args, kwargs)
    return _call_plainly(one, args, kwargs)


def _call_as_task(one: Step[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    from prefect.utilities.annotations import quote

    # Prefect looks for futures in whatever it is given, down to each field: a plan costs more than the task run.
    quoted: dict[str, Any] = {name: quote(value) for name, value in kwargs.items()}
    result: R = one.task(*map(quote, args), **quoted)
    return result


def _call_plainly(one: Step[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    for attempt in range(one.retries + 1):
        try:
            return one.fn(*args, **kwargs)
        except Exception as error:
            if attempt == one.retries or not one.again(error):
                raise
            log.info("%s: attempt %d of %d failed: %s", one.name, attempt + 1, one.retries + 1, error)
            if one.retry_delay_seconds:
                time.sleep(one.retry_delay_seconds[min(attempt, len(one.retry_delay_seconds) - 1)])
    raise AssertionError("unreachable: the last attempt returns or raises")


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
