"""A server that is made to wait for acknowledgements right before it is opened, and not any more where it was not.

With ``semi_sync=require`` no row of a new primary may be acknowledged that lies on one disk alone. A replica with the
source's half on is no good either: its own applier would wait for replicas that it does not have. So a journal tells.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..memory.journal import Entry, Journal
from ..mysql.server import Server
from .semi_sync import read_roles, take_roles

#: The step of the journal and its events: commits are about to wait there, and they do not any more.
EARLY_SOURCE, INTENT, TAKEN_BACK = "semi-synchronous source", "intent", "taken back"


def note_early_source(journal: Journal, server: Server) -> bool:
    """Write down what is about to be done, with the roles of before; False where there is nothing to do."""
    former = read_roles(server)
    if former.get("source", 1):
        return False
    journal.record(EARLY_SOURCE, INTENT, server.key, former=dict(former))
    return True


def begin_to_wait(server: Server) -> None:
    """Its commits wait from now on, as its settings say. Raises ServerError."""
    take_roles(server, {"source": 1})


def wait_no_longer(journal: Journal, server: Server) -> None:
    """It was not opened, so it is no source, as before; twice is harmless. Raises ServerError."""
    take_roles(server, {"source": 0})
    journal.record(EARLY_SOURCE, TAKEN_BACK, server.key)


def early_sources(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Those (``ip:port``) that were made to wait, or were about to be, and nobody took it back."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.step == EARLY_SOURCE and entry.event == INTENT:
            found[entry.server] = None
        elif entry.step == EARLY_SOURCE:
            found.pop(entry.server, None)
    return tuple(found)
