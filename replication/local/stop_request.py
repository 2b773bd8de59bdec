"""A wish that one cluster's watch may end, left for a process that watches others too and cannot just be killed."""

from __future__ import annotations

import os
from pathlib import Path

from .own_files import open_own, ours


class StopRequest:
    """``<app>.manager.stop`` in the working directory, seen within a second by who watches. Raises OSError."""

    def __init__(self, workdir: Path, app: str) -> None:
        self._path = workdir / f"{app}.manager.stop"

    def ask(self) -> None:
        """Leave the wish."""
        os.close(open_own(self._path, os.O_WRONLY | os.O_CREAT))

    def asked(self) -> bool:
        """Whether somebody left one."""
        return ours(self._path)

    def clear(self) -> None:
        """It is granted, or was meant for a former watch."""
        self._path.unlink(missing_ok=True)
