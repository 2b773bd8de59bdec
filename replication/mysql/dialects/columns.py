"""A row whose columns go by another name in each version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def channel_name(row: Row) -> str:
    """The name of the channel that a status row is of; empty for the one without a name."""
    return Columns(row).text("Channel_Name", "Connection_name")


class Columns:
    """A row whose columns may go by an old or a new name."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def text(self, *names: str) -> str:
        for name in names:
            value = self._row.get(name)
            if value is not None:
                return value.decode() if isinstance(value, bytes) else str(value)
        return ""

    def number(self, *names: str) -> int | None:
        text = self.text(*names)
        return int(float(text)) if text else None
