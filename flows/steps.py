"""One step of a runbook, and several at a time: task runs under a flow, plain calls without one."""

from __future__ import annotations

import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from flows import prefect_env

prefect_env.protect_from_prefect()

from prefect import Task  # noqa: E402 - the environment comes first
from prefect.client.schemas.objects import State, TaskRun  # noqa: E402
from prefect.context import FlowRunContext  # noqa: E402
from prefect.states import Failed  # noqa: E402
from prefect.utilities.math import clamped_poisson_interval  # noqa: E402

from flows.delivery import LogLine, StateName, StepRecord, step_id  # noqa: E402
from replication.errors import MhaError  # noqa: E402

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("mha.engine")

_run: contextvars.ContextVar[RunSoFar | None] = contextvars.ContextVar("mha_run", default=None)
_step: contextvars.ContextVar[int | None] = contextvars.ContextVar("mha_step", default=None)


class RunSoFar(logging.Handler):
    """The steps and the log of one run that goes on without Prefect; written by all of its threads.

    ``key`` is that of its record where the steps are shown on the page of the flow run that it is called in.
    """

    def __init__(self, key: str = "") -> None:
        super().__init__()
        self.key = key
        self._guard = threading.Lock()
        self._steps: list[StepRecord] = []
        self._lines: list[LogLine] = []

    def run(self, core: Callable[[], R]) -> R:
        """Run ``core`` with every step called plainly, even under a flow, and written down here with what it logs."""

        def recorded() -> R:
            _run.set(self)
            return core()

        logger = logging.getLogger("mha")
        logger.addHandler(self)
        try:
            return contextvars.copy_context().run(recorded)
        finally:
            logger.removeHandler(self)

    def began(self, name: str) -> int:
        """A step begins; returns its number."""
        with self._guard:
            self._steps.append(StepRecord(name=name, started=datetime.now(UTC)))
            return len(self._steps) - 1

    def ended(self, number: int, state: StateName, message: str) -> None:
        """A step is over."""
        with self._guard:
            over = {"ended": datetime.now(UTC), "state": state, "message": message}
            self._steps[number] = self._steps[number].model_copy(update=over)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line that is of this run; another's threads log to the same logger."""
        if _run.get() is self:
            at = datetime.fromtimestamp(record.created, UTC)
            line = LogLine(at=at, level=record.levelno, text=self.format(record), step=_step.get())
            with self._guard:
                self._lines.append(line)

    @property
    def steps(self) -> tuple[StepRecord, ...]:
        """Every step, in the order in which they began."""
        with self._guard:
            return tuple(self._steps)

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """What was logged, in that order."""
        with self._guard:
            return tuple(self._lines)


def this_step() -> UUID | None:
    """The task run, on the page of the flow run that this is called in, of the step that is done here."""
    run, number = _run.get(), _step.get()
    return step_id(run.key, number) if run is not None and run.key and number is not None else None


def step(task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run one step: as a task run under a flow, otherwise as a plain call with the task's own retries.

    The exception that surfaces is the step's own in both. Within a :class:`RunSoFar` it is plain, and written down.
    Tasks must be synchronous; a ``timeout_seconds`` of the task is Prefect's alone, so steps bring their deadlines.
    """
    run = _run.get()
    if run is not None:
        return _recorded(run, task, args, kwargs)
    if FlowRunContext.get() is not None:
        return task(*args, **kwargs)
    return _call_plainly(task, args, kwargs)


def _recorded(run: RunSoFar, task: Task[Any, R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    number = run.began(_run_name(task, args, kwargs))
    within = _step.set(number)
    state: StateName = "COMPLETED"
    message = ""
    try:
        return _call_plainly(task, args, kwargs)
    except BaseException as error:
        state = "FAILED" if isinstance(error, Exception) else "CRASHED"
        message = described(error)
        raise
    finally:
        _step.reset(within)
        run.ended(number, state, message)


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


def _run_name(task: Task[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The task's run name as Prefect would make it from a template; its own name when it has none that fits."""
    if not isinstance(task.task_run_name, str):
        return task.name
    try:
        bound = inspect.signature(task.fn).bind(*args, **kwargs)
        bound.apply_defaults()
        return task.task_run_name.format(**bound.arguments)
    except (TypeError, LookupError, AttributeError, ValueError):
        return task.name


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
        threads.append(threading.Thread(target=context.run, args=(run, index, call), name=name, daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def described(error: BaseException) -> str:
    """One line for people: our own errors speak for themselves, others are named."""
    return str(error) if isinstance(error, MhaError) else f"{type(error).__name__}: {error}"
