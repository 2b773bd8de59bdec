"""`manager_workdir`, where everything lies that a manager remembers."""

from __future__ import annotations

import logging
from pathlib import Path

from ..local.own_files import doubt, make_directory

log = logging.getLogger("mha")


def make_workdir(path: Path) -> None:
    """Make `manager_workdir` if it is not there. Raises OSError that names the parameter."""
    try:
        make_directory(path)
        if doubtful := doubt(path):
            log.warning(
                "manager_workdir is %s, and %s: set one of the manager's own, such as /var/lib/mha/APP.", path, doubtful
            )
    except OSError as error:
        why = error.strerror or str(error)
        raise type(error)(error.errno, f"manager_workdir cannot be used: {why}", str(error.filename or path)) from None
