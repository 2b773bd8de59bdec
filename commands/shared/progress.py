"""A bar in the terminal for what takes long: how much, how fast, for how long yet."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...replication.rejoin.rebuild.meter import Progress


@contextlib.contextmanager
def bar() -> Iterator[Callable[[Progress], None] | None]:
    """Tells a bar on standard error; None where that is no terminal: the log has it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as drawn:
        tasks = dict[str, int]()

        def tell(progress: Progress) -> None:
            if progress.step not in tasks:
                tasks[progress.step] = drawn.add_task(progress.step, total=progress.total)
            drawn.update(tasks[progress.step], completed=progress.done, total=max(progress.total, progress.done))  # type: ignore[arg-type]

        yield tell
