"""A step of a runbook: a function, how often it is tried, and the Prefect task that it is.

Prefect takes a second and a half of a processor to import, and who has no API needs nothing of it. So its task is made
when the step is first called in a flow run; from then on it is that one task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

P = ParamSpec("P")
R = TypeVar("R")

#: Told of each failure after which a step is tried again, by whoever runs it.
tried_again: ContextVar[Callable[[Exception], object] | None] = ContextVar("tried_again", default=None)
#: The steps of whatever is imported.
_steps: list[Step[..., Any]] = []


@dataclass(frozen=True, eq=False)
class Step(Generic[P, R]):
    """One step. Call it by `flows.engine.start.step`.

    It is tried again up to ``retries`` times on an error of which ``retry_on`` says yes, ``retry_delay_seconds`` after
    the failure (the last one repeating). ``description`` is what Prefect shows of it, else what the function says;
    ``task_run_name`` what its runs are called, with parameters in braces, else as the step is. A ``small`` one is in
    journal, log and report, and never a task run: to make that would take many times what the step does.
    """

    fn: Callable[P, R]
    name: str
    retries: int = 0
    retry_delay_seconds: Sequence[float] = ()
    retry_on: Callable[[Exception], bool] | None = None
    description: str | None = None
    task_run_name: str = ""
    small: bool = False

    @cached_property
    def task(self) -> Task[P, R]:
        """The Prefect task: nothing cached, nothing persisted (the journal is the memory).

        No tags: a tag on a task asks the API for a concurrency slot, and the API may be away.
        """
        from prefect import Task
        from prefect.cache_policies import NO_CACHE

        return Task(
            fn=self.fn,
            name=self.name,
            task_run_name=self.task_run_name or self.name,
            description=self.description,
            retries=self.retries,
            retry_delay_seconds=list(self.retry_delay_seconds),
            retry_condition_fn=self._condition if self.retry_on is not None else None,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    def _condition(self, _task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
        try:
            state.result()
        except Exception as error:  # noqa: BLE001 - only the kind of the failure is asked here
            return self.again(error)
        return False

    def again(self, error: Exception) -> bool:
        """Whether it is tried again after that, where attempts are left; then who wants to know is told."""
        if self.retry_on is not None and not self.retry_on(error):
            return False
        if (tell := tried_again.get()) is not None:
            tell(error)
        return True


def task(name: str, **options: Any) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step: as Prefect's own decorator of that name, with the options of :class:`Step`."""

    def made(fn: Callable[P, R]) -> Step[P, R]:
        step = Step(fn, name, **options)
        _steps.append(step)
        return step

    return made


def make_tasks() -> None:
    """Make the Prefect task of each step now: a millisecond each, and none of it is to be left for an emergency."""
    for step in _steps:
        assert step.small or step.task is not None
