"""A decision not to act, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: The code of whoever reached no server at all: a manager that is cut off, or a cluster that is dark.
NOBODY_REACHED = "no-server-reachable"


@dataclass(frozen=True)
class Refusal:
    """A decision not to act: a code for programs, one sentence, what to do, and what it rests on."""

    code: str
    sentence: str
    remedy: str
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


def as_facts(refusal: Refusal | None) -> dict[str, Any]:
    """What of an outcome's plain data is a refusal's; empty values where there is none."""
    return {
        "refusal": refusal.code if refusal else None,
        "remedy": refusal.remedy if refusal else "",
        "evidence": list(refusal.evidence) if refusal else [],
    }
