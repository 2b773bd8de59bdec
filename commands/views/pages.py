"""Pages of HTML that a person asked for, as new files of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer


def refuse_an_old_file(html: Path | None) -> None:
    """A page never takes the place of what is there. Raises BadParameter."""
    if html is not None and os.path.lexists(html):
        raise typer.BadParameter(f"{html} is there already; name a new file", param_hint="'--html'")


def write_html(path: Path, text: str, *, aside: bool) -> None:
    """With mode 0600, and say so; ``aside`` on standard error. Raises OSError."""
    from ...replication.local.own_files import written

    with written(path, 0o600) as file:
        file.write(text)
    print(f"Wrote {path} .", file=sys.stderr if aside else sys.stdout)
