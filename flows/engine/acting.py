"""Acting in a flow run: a failover or a switch whose steps are tasks of a run that was entered before.

A run that a person started is entered already. One that a manager or a command begins stands ready beside it
(`standing`). Either way nothing is asked of Prefect's API between the verdict and the writes (design rule 8): a task of
an entered run needs none. What Prefect is to show of the end is a record on the disk until it has taken it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from . import api as prefect_env
from .ending import Ending
from .entered import flow_run
from .kept import KeptRuns
from .record import Page, RunRecord, Unanswered, deliver
from .standing.quiet import Quiet
from .steps import described

R = TypeVar("R")

log = logging.getLogger("mha")


@dataclass(frozen=True)
class Deed:
    """What is done: the key of its record, its name while it goes on, and the runs that died in the midst of it."""

    key: str
    name: str
    parameters: dict[str, Any]
    finishes: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Shown:
    """What a result means for the flow run: the state it ends in, its name, and its pages."""

    ending: Ending
    name: str
    pages: tuple[Page, ...] = ()


Conclude = Callable[[R], Shown]


class ActingRun:
    """A flow run to act in, for one deed. As it is, the run that a person started: whoever calls is in it.

    ``tags`` are those of its record; a person's run keeps its own. ``deployment`` is the one that it is a run of.
    """

    tags: tuple[str, ...] | None = None

    def __init__(self, flow_name: str, cluster: str, workdir: Path, within: UUID | None = None) -> None:
        self.flow_name, self.cluster, self.id = flow_name, cluster, within
        #: Whether a person started it in Prefect, looks there, and can go on with it there.
        self.of_a_person = within is not None
        here = flow_run()
        self.deployment = here.deployment_id if here is not None else None
        self._kept = KeptRuns(workdir, cluster)
        self._file: Path | None = None
        self._record: RunRecord | None = None
        self._quiet: Quiet | None = None

    def act(self, deed: Deed, core: Callable[[], R], conclude: Conclude[R]) -> R:
        """Run ``core`` once, in this thread, its steps as tasks where a run is entered; its result is the caller's.

        Trouble of ``conclude`` is told, and changes nothing.
        """
        context, began = self._taken(deed), datetime.now(UTC)
        try:
            result = core() if context is None else context.run(core)
        except BaseException as error:
            self._told()
            self._end(self._recorded(deed, began, deed.name, state="FAILED", message=described(error)))
            raise
        self._told()
        self._end(self._concluded(deed, began, result, conclude))
        return result

    @property
    def ids(self) -> dict[str, str]:
        """What an event tells of it, as far as it is entered."""
        known = {"flow_run": self.id, "deployment": self.deployment}
        return {name: str(value) for name, value in known.items() if self.id is not None and value is not None}

    def stand_by(self) -> None:
        """Have it ready, where it is entered before it is needed."""

    def wait_until_entered(self) -> None:
        """For what is not urgent: 20 s at most, until what is done from here on can be tasks of it."""

    def stand_down(self) -> None:
        """It is not needed any more, where it was made ready for something; that it ends is waited for, briefly."""

    def hush(self) -> None:
        """Writes are out from now on: until `show`, and for two seconds at most, Prefect takes no processor."""
        if flow_run() is not None:
            self._quiet = Quiet()

    def show(self) -> None:
        """From now on requests may be made: writes are back. Returns at once."""
        if self._quiet is not None:
            self._quiet.over()

    def wait(self) -> None:
        """Before the process ends: wait until Prefect has the record, briefly."""

    def _told(self) -> None:
        if self._quiet is not None:
            self._quiet.end()

    def _taken(self, deed: Deed) -> Context | None:
        """The context of the run that was entered; None to go on in the caller's."""
        return None

    def _end(self, record: RunRecord) -> None:
        self._remember(record)
        try:
            # This run ends itself when its flow is left.
            deliver(record, ends_itself=True)
        except Unanswered as error:
            log.warning("Prefect does not answer; what this run ended with is shown when it does: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever Prefect cannot do, the deed was done
            log.warning("Prefect has no record of this run: %s", described(error))
            self._forget()
        else:
            self._forget()

    def _remember(self, record: RunRecord) -> None:
        self._record = record
        if prefect_env.api_configured():
            self._file = self._kept.keep(record)

    def _forget(self) -> None:
        if self._file is not None:
            self._kept.done([self._file])
            self._kept.let_go(self._file)

    def _concluded(self, deed: Deed, began: datetime, result: R, conclude: Conclude[R]) -> RunRecord:
        try:
            shown = conclude(result)
        except Exception:
            log.exception("The end of the flow run could not be described.")
            return self._recorded(deed, began, deed.name, state="COMPLETED", message=str(result))
        ending = shown.ending
        return self._recorded(
            deed,
            began,
            shown.name,
            state=ending.type,
            state_name=ending.name,
            message=ending.message,
            pages=shown.pages,
        )

    def _recorded(self, deed: Deed, began: datetime, name: str, **ending: Any) -> RunRecord:
        return RunRecord(
            key=deed.key,
            flow_name=self.flow_name,
            run_name=name,
            tags=self.tags,
            parameters=deed.parameters,
            started=began,
            ended=datetime.now(UTC),
            finishes=deed.finishes,
            within=self.id,
            **ending,
        )
