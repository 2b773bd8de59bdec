"""Whether the source is the one whose commits may be acknowledged: not beside another, nor once it was replaced.

Who replaces it holds its lock until that is over (`permission`). A primary that was cut off may come back after that,
with commits that wait, and the new one may be out of this host's reach: so it is remembered beyond the lock, until a
look that was begun later shows that nobody else is open, and that a replica follows it or all others answer.
"""

from __future__ import annotations

import time
from pathlib import Path

from .....config import ServerConfig
from ..source import SourceView, stands
from .permission import Permission


class Replaced:
    """What one binlog server remembers, from one session to the next. To be used by one thread."""

    def __init__(self) -> None:
        self._address, self._until = "", 0.0

    def __contains__(self, source: ServerConfig | None) -> bool:
        return source is not None and source.address == self._address

    def bars(self, source: ServerConfig, directory: Path, look: SourceView) -> str:
        """Why nothing of the source may be acknowledged now, for people; empty where it may. Raises OSError.

        To be asked several times a second: a lock that nobody saw leaves nothing to remember.
        """
        if _is_held(directory):
            self._address, self._until = source.address, time.monotonic()
        # One that was begun before may not have seen who was opened.
        later = look.cluster if look.begun > self._until else None
        if source in self and later is not None and stands(source, later):
            self._address = ""
        if source in self:
            return "it is being replaced, or was"
        return f"{look.rival} takes writes, too" if look.rival else ""


def _is_held(directory: Path) -> bool:
    permission = Permission(directory)
    try:
        with permission.asked() as given:
            return not given
    except FileNotFoundError:
        return False
    finally:
        permission.close()
