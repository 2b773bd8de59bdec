"""What every `mha` command shares: its options, and the forms a result is printed in."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Conf = Annotated[
    Path, typer.Option("--conf", "-c", help="The application's configuration file (app1.cnf or mha.toml).")
]
Confs = Annotated[
    list[Path] | None,
    typer.Option("--conf", "-c", help="The application's configuration file; repeat it for each cluster."),
]
GlobalConf = Annotated[Path, typer.Option(help="Defaults for all applications.")]
Workdir = Annotated[Path | None, typer.Option("--workdir", help="Where state files and journals go.")]
LogFile = Annotated[Path | None, typer.Option("--log", help="The manager's log; the terminal when not set.")]


class Output(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    TABLE = "table"
    JSON = "json"


class Plain(StrEnum):
    """How a result is printed that is no table."""

    TEXT = "text"
    JSON = "json"


PlainOutput = Annotated[Plain, typer.Option("--output", help="How the result is printed.")]
