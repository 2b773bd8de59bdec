"""What can be wrong with a configuration, and what is merely worth saying about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ConfigError(Exception):
    """One clear sentence about a configuration, with file, line and key where there are any. Nothing was started."""

    def __init__(
        self, sentence: str, *, file: Path | str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        self.sentence, self.file, self.line, self.key = sentence, file, line, key
        super().__init__(f"{place(file, line)}{sentence}")


class HostNotFoundError(ConfigError):
    """A name that cannot be resolved to an address now."""


@dataclass(frozen=True)
class ConfigWarning:
    """Something that was understood, but may not mean what its author thinks.

    ``file`` is None when the text names it itself.
    """

    file: Path | None
    line: int | None
    text: str

    def __str__(self) -> str:
        return f"{place(self.file, self.line)}{self.text}"


def place(file: Path | str | None, line: int | None) -> str:
    """``FILE:LINE: ``, or as much of it as is known."""
    if file is None:
        return ""
    return f"{file}:{line}: " if line else f"{file}: "
