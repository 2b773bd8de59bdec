"""One question asked of a cluster and its answer: what every check, readiness and precondition returns.

Logic makes these, output shows them (`commands/views/checks.py`, Prefect's tables); neither knows the other.
The habit is barman's: named checks, each with a severity and a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from .words import plain


class Severity(StrEnum):
    """What it means when the answer is no: an error makes a command fail, the others are told."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class Check:
    """One check of one subject.

    ``name`` is stable and for programs (``binlog-directory``), ``subject`` a server's name or the cluster's, ``text``
    one sentence that says what was found, ``hint`` what to do when it is not ``ok``.
    """

    name: str
    subject: str
    ok: bool
    text: str
    severity: Severity = Severity.ERROR
    hint: str = ""

    def __str__(self) -> str:
        sentence = f"{self.subject}: {self.text}" if self.subject else self.text
        return f"{sentence} ({self.hint})" if self.hint and not self.ok else sentence

    @property
    def failed(self) -> bool:
        """It is not as it has to be."""
        return not self.ok and self.severity is Severity.ERROR


_COLUMNS = ("name", "subject", "ok", "severity", "hint", "text")


def failed(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Those that make the whole fail, in the order they were asked."""
    return tuple(check for check in checks if check.failed)


def rows(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Plain data for JSON and for table artifacts: name, subject, ok, severity, hint, text.

    The longest comes last: what stands behind it in a table is off the page.
    """
    told = [asdict(check) for check in checks]
    return [{name: plain(v) if type(v := row[name]) is str else v for name in _COLUMNS} for row in told]
