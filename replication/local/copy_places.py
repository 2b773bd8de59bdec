"""Where copies of logs go on the manager: below `manager_workdir`, or in a second place when there is no room for them.

The second one is `manager_spare_dir`, or else this machine's directory for temporary files. What is put there lies in a
directory of its own, which nobody else may enter.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...config import ClusterConfig
from ..errors import MhaError, NoRoom

log = logging.getLogger("mha")
T = TypeVar("T")

#: Bytes that a copy leaves free for what else is written there.
MARGIN = 1 << 20


def spare_of(config: ClusterConfig) -> Path:
    """The second place."""
    return config.manager_spare_dir or Path(tempfile.gettempdir())


def room_in(place: Path) -> int:
    """Bytes that are free for this user on the disk of a directory, which may not have been made yet; 0 for unknown."""
    there = next((each for each in (place, *place.absolute().parents) if each.exists()), None)
    with contextlib.suppress(OSError):
        if there is not None:
            return shutil.disk_usage(there).free
    return 0


def save_in(config: ClusterConfig, name: str, needed: int, copying: Callable[[Path], T]) -> T:
    """Copy so many bytes into a new directory: in the first place that has room, or else in the first that takes it.

    ``copying`` is given the directory. What does not fit is removed. Raises NoRoom when no place takes it, and what
    ``copying`` raises: what had come by then stays, for it may be the only copy, and is told.
    """
    work, spare = config.manager_workdir, spare_of(config)
    tried: list[str] = []
    for place in sorted(dict.fromkeys((work, spare)), key=lambda each: room_in(each) < needed + MARGIN):
        directory: Path | None = None
        try:
            directory = unused(work / name) if place == work else _private(spare, name)
            if place != work:
                log.warning("What is saved goes to %s: the disk of %s has no room for %d bytes.", spare, work, needed)
            return copying(directory)
        except MhaError:
            if directory is not None:
                _left(directory)
            raise
        except OSError as error:
            log.error("%s does not take a copy of %d bytes: %s", place, needed, error)
            tried.append(f"{place}: {error.strerror or error}")
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
    raise NoRoom(f"no place on the manager takes a copy of {needed} bytes ({'; '.join(tried)}); see manager_spare_dir")


def _left(directory: Path) -> None:
    """A copy that failed: nothing of it is to be found, or whoever may need it knows where it is."""
    come = sum(each.stat().st_size for each in directory.glob("*") if each.is_file())
    if not come:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        log.warning("What had come by then, %d bytes, lies in %s; nothing uses it.", come, directory)


def unused(directory: Path) -> Path:
    """This name, or the next: what lies there may be being served to a replica."""
    for number in itertools.count(2):
        if not directory.exists():
            break
        directory = directory.with_name(f"{directory.name.removesuffix(f'.{number - 1}')}.{number}")
    return directory


def _private(place: Path, name: str) -> Path:
    """A directory that is new, whoever else may write beside it."""
    place.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
