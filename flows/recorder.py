"""How a runbook runs a step: announced in the journal, done as a Prefect task or plainly, timed, its end recorded."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from prefect import Task

from flows.engine import step
from replication.errors import MhaError
from replication.journal import Journal
from replication.outcome import StepTime

R = TypeVar("R")


class Recorder:
    """What every runbook keeps: its journal, and the timeline for the report."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.timeline: list[StepTime] = []

    def run(self, task: Task[..., R], *args: Any, about: str = "") -> R:
        """One step; ``about`` names the server it is about."""
        name = task.name
        self.journal.record(name, "began", about)
        began, clock, ok = time.time(), time.monotonic(), False
        try:
            result = step(task, *args)
            ok = True
            self.journal.record(name, "done", about, result=str(result)[:2000])
            return result
        except MhaError as error:
            self.journal.record(name, "failed", about, error=str(error))
            raise
        finally:
            self.timeline.append(StepTime(name, about, began, time.monotonic() - clock, ok))
