"""A configuration as it was written: blocks of named values, each with the place it came from."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigError, ConfigWarning
from .event_names import URL_KEYS

#: The block whose values every other block inherits.
DEFAULT = "server default"
#: Parameters whose text is never shown, in messages or anywhere else.
SECRET_KEYS = frozenset({"password", "repl_password", "probe_password"}) | URL_KEYS


@dataclass(frozen=True)
class Value:
    """One value as text, without its quotes and comment."""

    text: str = field(repr=False)
    file: Path
    line: int | None


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

    def defaults(self) -> dict[str, Value]:
        """The values that hold for every server."""
        return dict(self.blocks[DEFAULT].values) if DEFAULT in self.blocks else {}

    def warn(self, line: int | None, text: str) -> None:
        """Note something worth saying about a line."""
        self.warnings.append(ConfigWarning(self.file, line, text))


def read_bytes(path: Path) -> bytes:
    """A file's bytes. Raises ConfigError in one sentence when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError("no such file", file=path) from None
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error.strerror}", file=path) from None


def decode(data: bytes) -> str:
    """A file's text without a byte order mark.

    Bytes that are not UTF-8 become surrogates, so that a comment in any encoding does no harm and can be written back.
    """
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def read_text(path: Path) -> str:
    """A file's text as `decode` gives it. Raises ConfigError when it cannot be read."""
    return decode(read_bytes(path))


def is_utf8(text: str) -> bool:
    """Whether a text of `read_text` was UTF-8."""
    return not any("\udc80" <= char <= "\udcff" for char in text)
