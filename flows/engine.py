"""Prefect as the engine of a failover, without its weight: steps, threads, and a flow that is armed in advance.

A failover must start at once when the verdict falls, with Prefect or without. Entering a flow costs eight HTTP
calls, a running flow costs none on its way: so the flow is entered at the first real suspicion (:meth:`ArmedFlow.arm`)
and waits there. At the verdict :meth:`ArmedFlow.fire` runs the core inside it when it was entered, and with plain
calls when not. In both cases the core runs once, in the caller's own thread, and its result or exception is the
caller's.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from flows import prefect_env
from flows.prefect_env import api_configured, leave, protect_from_prefect

prefect_env.protect_from_prefect()

from prefect import Flow, tags  # noqa: E402 - the environment comes first
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.context import FlowRunContext, TagsContext, TaskRunContext  # noqa: E402
from prefect.exceptions import CancelledRun, FailedRun  # noqa: E402
from prefect.logging.handlers import APILogHandler  # noqa: E402
from prefect.states import Cancelled, Completed, Failed  # noqa: E402
from prefect.utilities.urls import url_for  # noqa: E402

from flows.delivery import FlowRecord, StepRecord, deliver_later  # noqa: E402
from flows.steps import described, parallel, run_recorded, step  # noqa: E402

__all__ = [
    "ArmedFlow",
    "FlowRecord",
    "StepRecord",
    "api_configured",
    "deliver_later",
    "entering",
    "handed_over",
    "leave",
    "log_to_prefect",
    "parallel",
    "protect_from_prefect",
    "step",
    "warm_up",
]

R = TypeVar("R")

#: Seconds in which an API has to say anything, or no entry into a flow is waited for.
ANSWERS_WITHIN = 0.4

Body = Callable[[], State[Any]]
"""What an armed flow's function does: wait for the verdict and the core, and say how the run ended."""

log = logging.getLogger("mha.engine")

_handed: contextvars.ContextVar[Body | None] = contextvars.ContextVar("mha_handed_over", default=None)
_flow_threads: set[threading.Thread] = set()


def handed_over() -> Body | None:
    """Inside a flow function: what :class:`ArmedFlow` wants it to do, or None when nobody armed this run.

    It travels in a context variable, never as a parameter, for Prefect stores parameters.
    """
    return _handed.get()


def entering(flow: Flow[..., Any], run_tags: Iterable[str] = (), **parameters: Any) -> Callable[[Body], object]:
    """The ``enter`` of an :class:`ArmedFlow`: calls ``flow(**parameters)``, tagged, with the body handed over.

    The flow's function has to begin with ``if (body := handed_over()) is not None: return body()``.
    """

    def enter(body: Body) -> object:
        token = _handed.set(body)
        try:
            with tags(*run_tags):
                return flow(**parameters, return_state=True)
        finally:
            _handed.reset(token)

    return enter


class _Attempt:
    """One entry into the flow, from arming to its end. Whoever sets ``claim`` first, under the lock, decides."""

    def __init__(self, enter: Callable[[Body], object], patience: float) -> None:
        self._enter, self._patience = enter, patience
        self._changed = threading.Condition()
        self._claim: Literal["", "flow", "plain", "none"] = ""
        self._ending: State[Any] | None = None
        self.context: contextvars.Context | None = None
        self.flow_run_id: UUID | None = None
        self.afterwards: list[Callable[[], object]] = []
        self.recorded = False
        self._away = False
        self.thread = threading.Thread(target=self._run, name="mha-armed-flow", daemon=True)

    @property
    def usable(self) -> bool:
        """Whether it may still take the core: nobody decided yet, and its thread has not given up."""
        return not self._claim and self.thread.is_alive()

    def start(self) -> None:
        _flow_threads.add(self.thread)
        self.thread.start()
        threading.Thread(target=self._see_whether_away, name="mha-api-answers", daemon=True).start()

    def claim_flow(self, budget: float) -> contextvars.Context | None:
        """The context of the entered flow, now the caller's, waiting ``budget`` s for it; None: run plainly.

        An API that says nothing is not waited for.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.context is not None or self._claim != "" or self._away, budget)
            if self._claim or self.context is None:
                self._claim = self._claim or "plain"
                self._ending = self._ending or Cancelled(message="it went on without Prefect")
                return None
            self._claim = "flow"
            return self.context

    def stand_down(self, why: str) -> None:
        with self._changed:
            if not self._claim:
                self._claim = "none"
                self.end(Cancelled(name="Stood down", message=why))

    def end(self, state: State[Any]) -> None:
        """How the flow run is to end, and that it may."""
        with self._changed:
            self._ending = state
            self._changed.notify_all()

    def _see_whether_away(self) -> None:
        if not prefect_env.api_answers(ANSWERS_WITHIN):
            with self._changed:
                self._away = True
                self._changed.notify_all()

    def _run(self) -> None:
        try:
            with prefect_env.protected_settings():
                end = self._enter(self._body)
            # A request that timed out may end a run in another state than the one it should have.
            wanted = self._ending.type if self._ending is not None else None
            self.recorded = end.type == wanted if isinstance(end, State) else wanted is not None
        except (FailedRun, CancelledRun):
            self.recorded = True
        except Exception as error:  # noqa: BLE001 - whatever Prefect cannot do, the failover goes on
            log.info("Prefect has no record of this run now: %s", described(error))
        finally:
            self.stand_down("the flow ended before it was needed")
            _flow_threads.discard(threading.current_thread())

    def _body(self) -> State[Any]:
        run_context = FlowRunContext.get()
        if run_context is not None and run_context.flow_run is not None:
            self.flow_run_id = run_context.flow_run.id
        with self._changed:
            if not self._claim:
                # The flow run's tags would be on every task run too, and each tag asks the API for a slot.
                with TagsContext(current_tags=set()):
                    self.context = contextvars.copy_context()
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._claim != "", self._patience)
                self.stand_down(f"no verdict within {self._patience:g} s")
            # The core brings its own deadlines, step by step; while it runs, so does the flow run.
            self._changed.wait_for(lambda: self._ending is not None)
            ending = self._ending or Completed()
        for call in self.afterwards:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - decoration of the record, never worth a failure
                log.info("the record in Prefect lacks something: %s", described(error))
        return ending


class ArmedFlow(Generic[R]):
    """The entry to one cluster's failover flow: armed on suspicion, stood down or fired on the verdict.

    ``enter(body)`` calls the flow, whose function returns ``body()`` (see :func:`entering`); ``conclude`` turns the
    core's result into the state of the flow run (default: Completed); ``patience`` is how many seconds an armed flow
    waits for a verdict before it ends by itself. ``mode``, ``flow_run_id``, ``flow_run_url`` and ``steps`` tell of
    the last :meth:`fire`. To be used by one thread.
    """

    def __init__(
        self,
        enter: Callable[[Body], object],
        conclude: Callable[[R], State[Any]] | None = None,
        patience: float = 600.0,
    ) -> None:
        self._enter, self._patience = enter, patience
        self._conclude = conclude or (lambda _result: Completed())
        self._attempt: _Attempt | None = None
        self._fired: _Attempt | None = None
        self.mode: Literal["flow", "plain"] = "plain"
        self.steps: list[StepRecord] = []

    @property
    def flow_run_id(self) -> UUID | None:
        """The flow run of the last fire; in plain mode that of a flow which was entered too late, if one was."""
        return self._fired.flow_run_id if self._fired is not None else None

    @property
    def flow_run_url(self) -> str | None:
        """Where the flow run is to be seen in the UI."""
        return url_for("flow-run", obj_id=self.flow_run_id) if self.flow_run_id is not None else None

    @property
    def entered(self) -> bool:
        """Whether a flow is waiting for the verdict now."""
        return self._attempt is not None and self._attempt.usable and self._attempt.context is not None

    def arm(self) -> None:
        """Begin to enter the flow, in a thread of its own; returns at once. No effect when armed, or without API."""
        if (self._attempt is not None and self._attempt.usable) or not api_configured():
            return
        self._attempt = _Attempt(self._enter, self._patience)
        self._attempt.start()

    def stand_down(self, why: str) -> None:
        """A false alarm: the flow ends quietly, entered or not, as Cancelled with the message ``why``."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.stand_down(why)

    def fire(self, core: Callable[[], R], budget: float = 0.0) -> R:
        """Run ``core`` once, in this thread: inside the flow when it is entered, or gets so in ``budget`` seconds.

        With a budget, a flow that was not armed is armed now. Whatever the core raises surfaces here, and the flow
        run ends as Failed with it. The end of the flow run is not waited for: see :meth:`recorded`.
        """
        if budget > 0:
            self.arm()
        attempt, self._attempt = self._attempt, None
        context = attempt.claim_flow(budget) if attempt is not None else None
        self._fired, self.steps = attempt, []
        if attempt is None or context is None:
            self.mode = "plain"
            return contextvars.copy_context().run(run_recorded, core, self.steps, True)
        self.mode = "flow"
        ending: State[Any] = Completed()
        try:
            result = context.run(run_recorded, core, self.steps, False)
            ending = self._ending_for(result)
        except BaseException as error:
            ending = Failed(message=described(error))
            raise
        finally:
            attempt.end(ending)
        return result

    def _ending_for(self, result: R) -> State[Any]:
        try:
            return self._conclude(result)
        except Exception:
            log.exception("the end of the flow run could not be described")
            return Completed(message=str(result))

    def afterwards(self, call: Callable[[], object]) -> None:
        """Have ``call`` made in the flow's own thread and context after the core, before the flow run ends.

        For what needs the API and must not be waited for: a better run name, artifacts. Call it within the core; it
        has no effect when that runs plainly. A failure is logged and forgotten.
        """
        if self._fired is not None and self.mode == "flow":
            self._fired.afterwards.append(call)

    def recorded(self, deadline: float) -> bool:
        """Whether Prefect has accepted the end of the fired flow run, waiting at most ``deadline`` seconds for it."""
        if self._fired is None or self.mode == "plain":
            return False
        self._fired.thread.join(max(0.0, deadline))
        return self._fired.recorded and not self._fired.thread.is_alive()


def _settle_flows(seconds: float) -> bool:
    ends = time.monotonic() + seconds
    for thread in list(_flow_threads):
        thread.join(max(0.0, ends - time.monotonic()))
    return not any(thread.is_alive() for thread in _flow_threads)


prefect_env.before_leaving(_settle_flows)


class _RunLogHandler(APILogHandler):
    """Sends what is logged during a run to that run's page; elsewhere, and at flush, it does nothing.

    Prefect's own flush waits five seconds for an API that does not answer; :func:`leave` is where that is bounded.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() is not None or TaskRunContext.get() is not None:
            super().emit(record)

    def flush(self) -> None:
        return None


def log_to_prefect(logger: logging.Logger, filters: Iterable[logging.Filter] = ()) -> None:
    """Show what ``logger`` logs during a flow run on its page in the UI; once per logger, without any waiting.

    ``filters`` are applied before a line leaves the process: the redaction of secrets belongs there.
    """
    if any(isinstance(handler, _RunLogHandler) for handler in logger.handlers):
        return
    handler = _RunLogHandler()
    for each in filters:
        handler.addFilter(each)
    logger.addHandler(handler)


@functools.cache
def warm_up() -> threading.Thread | None:
    """Have Prefect do now, in the background, what the first flow of a process is slow for; no run is made.

    Returns the thread (None without an API), so that a test or benchmark can wait for it.
    """
    if not api_configured():
        return None
    thread = threading.Thread(target=_warm_up, name="mha-warm-up", daemon=True)
    thread.start()
    return thread


def _warm_up() -> None:
    import prefect.flow_engine
    import prefect.task_engine  # noqa: F401
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker

    with contextlib.suppress(Exception), prefect_env.protected_settings():
        EventsWorker.instance()
        with get_client(sync_client=True) as client:
            client.api_healthcheck()
