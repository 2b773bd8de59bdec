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

    def note(self, step_name: str, event: str, about: str, **facts: Any) -> None:
        """One line of the journal about a step."""
        self.journal.record(step_name, event, about, **facts)

    def run(self, task: Task[..., R], *args: Any, about: str = "") -> R:
        """One step; ``about`` names the server it is about."""
        name = task.name
        self.note(name, "began", about)
        began, clock, ok = time.time(), time.monotonic(), False
        try:
            result = step(task, *args)
            ok = True
            self.note(name, "done", about, result=str(result)[:2000])
            return result
        except MhaError as error:
            self.note(name, "failed", about, error=str(error))
            raise
        finally:
            self.timeline.append(StepTime(name, about, began, time.monotonic() - clock, ok))
