"""A run that stands ready: the flow of a failover or a switch, entered while all is well, for the moment it is needed.

Entering a flow asks Prefect's API some eight times; a task of an entered one asks nothing. So a thread of the manager
enters the flow when the watch begins, and its body waits. Whoever acts then calls its steps in a copy of that body's
context, in a thread of his own: they are genuine task runs of that run, whether the API still answers or not. Where no
run could be entered in time the steps are plain calls, and the record of the run's end comes late.

Prefect itself is imported in that thread: it takes seconds, and a watch begins at once.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
from contextvars import Context
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ....replication.errors import MhaError
from ....replication.threads import Thread, Timer
from .. import api as prefect_env
from ..acting import ActingRun, Deed
from ..ending import Ending
from ..entered import flow_run
from ..record import RunRecord, Unanswered, deliver
from ..steps import described

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

log = logging.getLogger("mha.engine")

#: What a run that waits is tagged with, so that a list of runs can be without them.
STANDING_BY = "standing-by"
#: Seconds between two looks whether Prefect still has the run as it is; and until a run that was not entered is tried.
LOOK, AGAIN = 60.0, 10.0
#: Seconds after which a run is renamed although it has not said yet that it is past what is urgent.
SHOWN_AFTER = 5.0
#: Seconds that what is not urgent waits for its run in Prefect.
ENTERED_WITHIN = 20.0
#: How long a run that was not needed is waited for (seconds): it ends at once where the API answers.
STOOD_DOWN_WITHIN = 3.0
#: How long a process that ends waits for an API that answers (seconds), and what answering is.
DELIVERED_WITHIN, ANSWERS_WITHIN = 30.0, 2.0
#: What the threads are called in which a run stands.
THREAD = "standing run"


class StandingRun(ActingRun):
    """A flow run that stands ready for one deed. ``stand_by`` enters it; without an API it does nothing.

    Prefect may lose it, end it, or be restarted: it is entered again, unless it is acted in at that moment.
    """

    def __init__(self, flow_name: str, cluster: str, workdir: Path) -> None:
        super().__init__(flow_name, cluster, workdir)
        self.tags, self.deployment = (f"cluster:{cluster}",), None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._imported, self._entered = threading.Event(), threading.Event()
        self._context: Context | None = None
        self._deed: Deed | None = None
        self._over = self._visible = self._named = False
        self._thread: threading.Thread | None = None
        self._later: threading.Timer | None = None
        self._mark: Path | None = None

    def stand_by(self) -> None:
        """Have it entered, beside whatever this thread does; as a subflow, where this is called in a flow run."""
        if self._thread is not None or not prefect_env.api_configured():
            return
        context = contextvars.copy_context()
        self._thread = Thread(target=context.run, args=(self._stand,), name=THREAD, daemon=True)
        self._thread.start()

    @property
    def is_ready(self) -> bool:
        """Whether it is entered, and can be acted in."""
        return self._context is not None

    def wait_until_entered(self) -> None:
        if self._thread is None:
            return
        # What is not urgent is not done beside an import that takes a second or two of the processor.
        self._imported.wait(ENTERED_WITHIN)
        if prefect_env.api_answers(ANSWERS_WITHIN):
            self._entered.wait(ENTERED_WITHIN)

    def stand_down(self) -> None:
        self._is_over()
        if self._thread is not None:
            self._thread.join(STOOD_DOWN_WITHIN)

    def show(self) -> None:
        super().show()
        self._be_named()

    def wait(self) -> None:
        if self._thread is None or not prefect_env.api_answers(ANSWERS_WITHIN):
            return
        self._thread.join(DELIVERED_WITHIN)
        _prefect().flush()

    # acting in it ----------------------------------------------------------------------------------------------

    def _taken(self, deed: Deed) -> Context | None:
        with self._lock:
            self._deed = deed
            context = self._context
        if context is not None:
            self._later = Timer(SHOWN_AFTER, self._be_named)
            self._later.daemon = True
            self._later.start()
        return context

    def _be_named(self) -> None:
        self._visible = True
        self._wake.set()

    def _end(self, record: RunRecord) -> None:
        if self._later is not None:
            self._later.cancel()
        self._remember(record)
        self._is_over()

    def _is_over(self) -> None:
        with self._lock:
            self._over = True
        self._wake.set()

    # standing in it --------------------------------------------------------------------------------------------

    def _stand(self) -> None:
        try:
            if not prefect_env.usable():
                return
            prefect = _prefect()
        finally:
            self._imported.set()
        with prefect.impatient():
            while not self._over:
                self._enter()
                if not self._over:
                    self._wake.wait(AGAIN)
                    self._wake.clear()
            if self._record is not None:
                self._deliver(self._record)

    def _enter(self) -> None:
        """Enter the flow, and stay in it until it is over or Prefect has it no more."""
        name, tags = f"{self.flow_name} {self.cluster}: standing by", (*(self.tags or ()), STANDING_BY)
        try:
            _prefect().enter(self.flow_name, self.cluster, name, tags, self._stay)
        except Exception as error:  # noqa: BLE001 - whatever Prefect cannot do, nobody's failover waits for it
            # One that was left while nobody answered stays marked: the next process ends it.
            log.debug("Prefect has no run of %s standing ready; it is tried again: %s", self.cluster, described(error))
        else:
            if self._mark is not None:
                self._mark.unlink(missing_ok=True)
        finally:
            with self._lock:
                self._context = None
                self._entered.clear()
                if self._deed is None:
                    self.id = self.deployment = None

    def _stay(self) -> State[Any]:
        run = flow_run()
        assert run is not None
        self.id, self.deployment = run.id, run.deployment_id
        self._mark = self._kept.mark_standing(self.id)
        with _prefect().warm():
            with self._lock:
                self._context = contextvars.copy_context()
            self._entered.set()
            while not self._over:
                woken = self._wake.wait(LOOK)
                self._wake.clear()
                if self._visible and not self._named:
                    self._rename()
                if not woken and self._deed is None and _prefect().lost(self.id) and self._given_up():
                    break
        return self._left()

    def _given_up(self) -> bool:
        """Nobody can act in it from now on; False where somebody began to in this moment."""
        with self._lock:
            if self._deed is None:
                self._context = None
        return self._context is None

    def _rename(self) -> None:
        """It stands by no longer; told once, for its end brings the last name in any case."""
        self._named = True
        deed = self._deed
        if deed is None or self._over:
            return
        _prefect().rename(self.id, deed.name, self.tags)

    def _left(self) -> State[Any]:
        """The state that the run ends in; before that it gets its pages and its name."""
        record = self._record
        if record is None:
            return Ending("COMPLETED", "nothing had to be done in it", "Stood down").as_state()
        with contextlib.suppress(MhaError):
            deliver(record.model_copy(update={"within": self.id}), ends_itself=True)
        return Ending(record.state, record.message, record.state_name).as_state()

    def _deliver(self, record: RunRecord) -> None:
        """See that Prefect has all of it: the flow may have been left while nobody answered."""
        record = record.model_copy(update={"within": self.id})
        try:
            deliver(record)
        except Unanswered:
            # Whoever tells Prefect of this cluster's events tries on, and has to know the run that was entered late.
            first, self._file = self._file, self._kept.keep(record)
            if first is not None and self._file is not None:
                # The first does not name the run, and would be shown as another one.
                self._kept.done([first])
            for file in filter(None, (first, self._file)):
                self._kept.let_go(file)
            return
        except MhaError as error:
            log.warning("Prefect has no record of this run: %s", error)
        self._forget()


def at_work() -> bool:
    """Whether a thread of this process stands in a run."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def _prefect() -> ModuleType:
    """What is asked of Prefect, imported by the thread that stands."""
    from . import entering

    return entering
