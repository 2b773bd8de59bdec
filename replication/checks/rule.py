"""A named check as the docs have it: its name, what it asks, how bad it is when the answer is no, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.check import Check, Severity


@dataclass(frozen=True)
class Rule:
    """One row of docs/checks.md. ``hint`` may have fields in braces; SQL and commands in it stand in backquotes.

    ``severity`` is the usual one; where a rule is worse or better than that in some clusters, ``varies`` says when.
    """

    name: str
    asks: str
    hint: str
    severity: Severity = Severity.ERROR
    varies: str = ""

    def yes(self, subject: str, text: str) -> Check:
        """It is as it has to be."""
        return Check(self.name, subject, True, text, self.severity)

    def no(self, subject: str, text: str, severity: Severity | None = None, /, **fields: object) -> Check:
        """It is not; ``fields`` fill the hint."""
        hint = self.hint.format(**fields) if fields else self.hint
        return Check(self.name, subject, False, text, severity or self.severity, hint)

    def judge(self, subject: str, ok: bool, text: str, severity: Severity | None = None, /, **fields: object) -> Check:
        """The same sentence for both answers."""
        return self.yes(subject, text) if ok else self.no(subject, text, severity, **fields)
