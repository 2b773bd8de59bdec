"""What came of a drill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model.refusal import Refusal, as_facts
from .plan import DrillPlan
from .scorecard import Scorecard


@dataclass(frozen=True)
class DrillOutcome:
    """``exit_code``: 0 every target was met; 1 one was missed, or it was refused or stopped before anything was done.

    ``planned_only`` is one that was only planned, ``stopped`` one that was not wanted.
    """

    exit_code: int
    summary: str
    plan: DrillPlan | None = None
    card: Scorecard | None = None
    refusal: Refusal | None = None
    planned_only: bool = False
    stopped: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and events."""
        return {
            "exit_code": self.exit_code,
            "summary": self.summary,
            **as_facts(self.refusal),
            "scorecard": self.card.as_dict() if self.card else None,
        }
