"""Where SSH of a server's block leads to a host that its mysqld does not run on: nothing is asked or done there.

A check finds it while the server lives (`probes.same_host`), and writes it down beside what else a manager remembers of
servers, so that a failover knows it whoever starts it. It holds for that way in alone (``user@address:port``), until a
check finds another answer, or none has found it again for `HOLDS` seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HostUnreachable
from ..local.own_files import make_directory, open_own, written

if TYPE_CHECKING:
    from ...config import ServerConfig

#: Seconds; who fixes it is not to wait for ever where no check can tell.
HOLDS = 86_400.0
#: Bytes of the file that are read.
_MOST = 1 << 20
_HINT = "fix ssh_host, ssh_port or what forwards it, and run masterha_check_repl"
_looking: ContextVar[bool] = ContextVar("looking", default=False)


def note(server: ServerConfig, way: str, why: str) -> None:
    """Remember it; empty: it leads to the right host. What cannot be written is not remembered. Raises OSError."""
    path = _file(server)
    if path is None:
        return
    known = _read(path)
    if why:
        known[server.address] = [way, why, str(time.time())]
    elif known.pop(server.address, None) is None:
        return
    # Whoever checks before a manager has ever run is to be believed as well.
    make_directory(path.parent)
    with written(path) as file:
        json.dump(known, file)


def wrong_host(server: ServerConfig, way: str) -> str:
    """Why nothing is asked there; empty where nothing is known against it."""
    path = _file(server)
    found = _read(path).get(server.address) if path is not None else None
    if found is None or found[0] != way or not 0 <= time.time() - float(found[2]) < HOLDS:
        return ""
    return found[1]


def refuse(server: ServerConfig, way: str) -> None:
    """Raises HostUnreachable where SSH is known to lead to another host."""
    if not _looking.get() and (why := wrong_host(server, way)):
        raise HostUnreachable(way, "connect", why, _HINT)


@contextlib.contextmanager
def looking_again() -> Iterator[None]:
    """This thread may look there, to see whether it is still so."""
    token = _looking.set(True)
    try:
        yield
    finally:
        _looking.reset(token)


def _file(server: ServerConfig) -> Path | None:
    beside = server.known_servers
    return None if beside is None else beside.with_suffix(".ssh_elsewhere")


def _read(path: Path) -> dict[str, list[str]]:
    """What it holds; a file that cannot be read, or holds something else, holds nothing."""
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), encoding="utf-8") as file:
            found = json.loads(file.read(_MOST))
        return {str(key): [str(value[0]), str(value[1]), str(float(value[2]))] for key, value in found.items()}
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        return {}
