"""How a runbook runs a step: announced in the journal, done as a Prefect task or plainly, timed, its end recorded."""

from __future__ import annotations

import logging
import time
from typing import Any, TypeVar

from ...replication.errors import MhaError, ServerOdd
from ...replication.memory.journal import AGAIN, Journal
from ...replication.reporting.outcome import StepTime
from ...tasks.step import Step, tried_again
from .start import step

log = logging.getLogger("mha")
R = TypeVar("R")


class Recorder:
    """What every runbook keeps: its journal, and the timeline for the report."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.timeline: list[StepTime] = []

    def note(self, step_name: str, event: str, about: str, **facts: Any) -> None:
        """One line of the journal about a step."""
        self.journal.record(step_name, event, about, **facts)

    def run(self, work: Step[..., R], *args: Any, about: str = "", **named: Any) -> R:
        """One step; ``about`` names the server it is about. Raises MhaError and nothing else."""
        name = work.name
        self.note(name, "began", about)
        began, clock, ok = time.time(), time.monotonic(), False
        told = tried_again.set(lambda error: self.note(name, AGAIN, about, error=str(error)))
        try:
            result = step(work, *args, **named)
            ok = True
            self.note(name, "done", about, result=str(result)[:2000])
            return result
        except MhaError as error:
            self.note(name, "failed", about, error=str(error))
            raise
        except Exception as error:
            # Whatever one server makes of a step is the step's failure: the next best is tried, and nobody else falls.
            log.exception("Unexpected error in the step %s (%s)", name, about)
            odd = ServerOdd(about or "a server", name.lower(), f"{type(error).__name__}: {error}"[:500], answered=True)
            self.note(name, "failed", about, error=str(odd))
            raise odd from error
        finally:
            tried_again.reset(told)
            self.timeline.append(StepTime(name, about, began, time.monotonic() - clock, ok))
