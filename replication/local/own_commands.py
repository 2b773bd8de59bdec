"""Where our own commands lie, for scripts that call them by name: cron and systemd start one with a short PATH."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

_ONE_OF_THEM = "masterha_manager"


def directories() -> tuple[str, ...]:
    """The directories that have them: this process's own first, then this Python's."""
    places = (Path(sys.argv[0]).absolute().parent, Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    return tuple(dict.fromkeys(str(place) for place in places if (place / _ONE_OF_THEM).is_file()))


def path_with_them(path: str | None = None) -> str:
    """A PATH (this process's) with these directories behind what stands in it: the site's own programs go first."""
    given = os.environ.get("PATH", os.defpath) if path is None else path
    parts = given.split(os.pathsep)
    return os.pathsep.join([given, *(place for place in directories() if place not in parts)])
