"""A configuration as a table of what is not as the code would have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ...config.editing.differences import Difference
from ...config.forms.raw import DEFAULT
from .terminal import Column, fitted

_COLUMNS = (Column("parameter"), Column("of", keep=2), Column("value (default)"), Column("from", keep=1))


def differences_table(title: str, found: Sequence[Difference], width: int | None = None) -> Table:
    """One line a value; whose default is known, it stands behind it."""
    rows = []
    for each in found:
        of = "the cluster" if each.block == DEFAULT else each.block
        value = f"{each.value} ({each.default})" if each.default else each.value
        rows.append((each.key, of, value, each.place))
    return fitted(_COLUMNS, rows, title=title, width=width)


def differences_json(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Plain data: block, key, value, default, file, line."""
    return [{**asdict(each), "file": str(each.file)} for each in found]
