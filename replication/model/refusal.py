"""A decision not to act, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass

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
