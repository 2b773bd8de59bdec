"""Whether a session has one of the places that a server keeps for administrators when all others are taken."""

from __future__ import annotations

from ..mysql.server import Server

_HOW_FULL = "see how full it is"


def on_a_kept_place(session: Server, timeout: float) -> bool:
    """Whether it has one of the places that are there when all others are taken; ``timeout`` in seconds an answer.

    Raises ServerError.
    """
    if session.by_kept_port:
        return True
    most = session.scalar("SELECT @@GLOBAL.max_connections", action=_HOW_FULL, timeout=timeout)
    rows = session.query("SHOW GLOBAL STATUS LIKE 'Threads_connected'", action=_HOW_FULL, timeout=timeout)
    with session.reading(_HOW_FULL):
        return any(int(row["Value"]) > int(most) for row in rows)
