"""A primary whose commits wait for acknowledgements that never come cannot be closed: read_only waits for them.

What ends their waiting is to switch semi-synchronous replication off; then they commit, and nobody may hear of it. So
each session's client is cut off first, in a way that lets none of them go (`Dialect.kill_unheard`), and no commit that
comes later gets through meanwhile: all of it is done while the statement that closes the server waits, past which MySQL
and MariaDB let no new statement that writes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from ..errors import MhaError, ServerError, StatementFailed
from ..mysql.server import Server, shown
from ..threads import Thread

_NAMES = ("rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled")
#: Seconds until the statement that closes is seen to wait, and between two looks.
SOON, LOOK = 2.0, 0.05
#: Seconds in which it is closed, once nobody keeps it waiting.
ENOUGH = 0.2
#: The state of a session by MySQL's and MariaDB's word: of whoever waits for all of a group, AFTER_SYNC.
_WAITS = "Waiting for semi-sync ACK"


def waiting_variable(server: Server) -> str:
    """The variable by which its commits wait for acknowledgements; empty where they do not. Raises ServerError."""
    values = shown(server, _NAMES, action="see whether its commits wait")
    return next((name for name, value in values.items() if value.upper() in ("ON", "1")), "")


def wait_again(server: Server, variable: str) -> None:
    """Its commits wait as they did before it was closed; nothing where the name is none. Raises ServerError."""
    if variable in _NAMES:
        server.query(f"SET GLOBAL {variable} = 1", action="let its commits wait again")


def close_while_they_wait(
    server: Server,
    variable: str,
    close: Callable[[], None],
    end_sessions: Callable[[Server, str], int],
    note: Callable[[str], None],
) -> int:
    """Run ``close``, a statement that waits for the commits; the number of sessions that were ended for it.

    ``end_sessions`` is given a session that it may use and the words that end another, ``note`` the variable right
    before that is switched off. Raises what ``close`` raises, upon which commits wait again.
    """
    closing, beside, ended, over = server.thread_id, Server(server.config), list[int](), threading.Event()
    try:
        beside.connect()
    except ServerError:
        # Every connection is taken, perhaps by those who wait.
        ended.append(end_sessions(server, server.dialect.kill_unheard))

    def give_up() -> None:
        with contextlib.suppress(MhaError):
            _wait_for(beside, closing)
            ended.append(end_sessions(beside, beside.dialect.kill_unheard))
            if not over.wait(ENOUGH) and _waits(beside):
                note(variable)
                beside.query(f"SET GLOBAL {variable} = 0", action="let its commits wait no longer")
            if not over.wait(ENOUGH):
                end_sessions(beside, "KILL")

    thread = Thread(target=give_up, name="waiting commits", daemon=True)
    thread.start()
    try:
        close()
    except BaseException:
        # Who is about to let them go does so no more: they are to wait.
        over.set()
        with contextlib.suppress(MhaError):
            thread.join(SOON)
            wait_again(server, variable)
        raise
    finally:
        over.set()
        thread.join(SOON)
        beside.close()
    return sum(ended)


def _waits(beside: Server) -> bool:
    """Whether a commit waits for an acknowledgement."""
    rows = beside.query("SHOW PROCESSLIST", action="see whether its commits wait")
    return any(str(row["State"] or "").startswith(_WAITS) for row in rows)


def _wait_for(beside: Server, closing: int | None) -> None:
    """Until that session waits for others; raises StatementFailed where it does not."""
    ends = time.monotonic() + SOON
    while time.monotonic() < ends:
        for row in beside.query("SHOW PROCESSLIST", action="see the statement that closes it wait"):
            if row["Id"] == closing and str(row["State"] or "").startswith("Waiting for"):
                return
        time.sleep(LOOK)
    raise StatementFailed(str(beside), "see the statement that closes it wait", "it does not wait")
