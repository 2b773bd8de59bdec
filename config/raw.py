"""A configuration as it was written: blocks of named values, each with the place it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from config.errors import ConfigWarning


@dataclass(frozen=True)
class Value:
    """One value as text. ``quoted`` values are taken as they are, whatever they hold."""

    text: str
    file: Path
    line: int | None
    quoted: bool = False


@dataclass
class Block:
    """``[server default]``, ``[serverN]`` or ``[binlogN]``; of a key given twice the later value counts."""

    name: str
    file: Path
    line: int | None
    values: dict[str, Value] = field(default_factory=dict)


@dataclass
class RawConfig:
    """One file: its blocks in the order of their first appearance, and what was worth saying."""

    file: Path
    blocks: dict[str, Block] = field(default_factory=dict)
    warnings: list[ConfigWarning] = field(default_factory=list)

    def block(self, name: str, line: int | None) -> Block:
        """The block of that name, made when it is new: repeated headers merge."""
        return self.blocks.setdefault(name, Block(name, self.file, line))
