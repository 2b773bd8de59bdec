"""How far a copy is: in the log, in the journal, on the page of the flow run; whoever asks sees the last word."""

from __future__ import annotations

import logging
import time
from typing import Any
from uuid import UUID

from ....replication.memory.journal import Journal
from ....replication.meter import Progress, Watcher
from ....replication.rejoin.plan import RejoinPlan
from ....replication.rejoin.remembered.interrupted import PROGRESS
from ....replication.threads import Thread
from ...engine.entered import flow_context
from ...engine.steps import described

log = logging.getLogger("mha")

#: Seconds between two lines of the journal, and percent between two lines of the log.
NOTED_EVERY, LOGGED_EVERY = 5.0, 10.0


def watched(journal: Journal, plan: RejoinPlan, watch: Watcher | None) -> Watcher:
    """Tells everybody: ``watch`` each word, the journal and the log some of them, Prefect what it takes."""
    return _Told(journal, plan, watch)


class _Told:
    def __init__(self, journal: Journal, plan: RejoinPlan, watch: Watcher | None) -> None:
        self._journal, self._plan, self._watch = journal, plan, watch
        self._noted, self._logged = 0.0, -LOGGED_EVERY
        self._page = _Page(plan) if flow_context() is not None else None

    def __call__(self, progress: Progress) -> None:
        if self._watch is not None:
            self._watch(progress)
        if self._page is not None:
            self._page.show(progress)
        if progress.over or progress.percent - self._logged >= LOGGED_EVERY:
            self._logged = progress.percent
            log.info("%s: %s", self._plan.old_name, progress)
        if progress.over or time.monotonic() - self._noted >= NOTED_EVERY:
            self._noted = time.monotonic()
            self._journal.record(PROGRESS, "told", self._plan.old, of=progress.step, percent=round(progress.percent, 1))


class _Page:
    """A progress artifact. A thread brings it to Prefect, one word at a time: the copy never waits for its API."""

    def __init__(self, plan: RejoinPlan) -> None:
        self._name, self._id = plan.old_name, dict[str, UUID]()
        self._busy: Thread | None = None

    def show(self, progress: Progress) -> None:
        if self._busy is not None and self._busy.is_alive():
            if not progress.over:
                return
            self._busy.join(5.0)
        import contextvars

        context = contextvars.copy_context()
        self._busy = Thread(target=lambda: context.run(self._bring, progress), name="progress", daemon=True)
        self._busy.start()

    def _bring(self, progress: Progress) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        known, text = self._id.get(progress.step), f"{self._name}: {progress}"
        try:
            if known is None:
                made: Any = create_progress_artifact(progress.percent, description=text)
                self._id[progress.step] = made
            else:
                update_progress_artifact(known, progress=progress.percent, description=text)
        except Exception as error:  # noqa: BLE001 - whatever Prefect cannot do, the copy goes on
            log.debug("Prefect does not show how far it is: %s", described(error))
