"""What every `mha` command shares: its options, and the forms a result is printed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ...replication.model.words import visible

console = Console()

Conf = Annotated[
    Path, typer.Option("--conf", "-c", help="The application's configuration file (app1.cnf or mha.toml).")
]
Confs = Annotated[
    list[Path] | None,
    typer.Option("--conf", "-c", help="The application's configuration file; again for each further cluster."),
]
GlobalConf = Annotated[Path, typer.Option(help="Defaults for all applications.")]
Workdir = Annotated[Path | None, typer.Option("--workdir", help="Where state files and journals go.")]
LogFile = Annotated[Path | None, typer.Option("--log", help="The manager's log; the terminal when not set.")]


class Output(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    TABLE = "table"
    JSON = "json"


def table_of(rows: Sequence[Mapping[str, object]]) -> Table:
    """Plain rows as a table; numbers to the right."""
    table = Table()
    for name, value in (rows[0] if rows else {}).items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(visible(str(value))) for value in row.values()))
    return table
