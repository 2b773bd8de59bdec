"""Close a server to applications while it runs: read-only, and nobody who was connected stays so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import StatementFailed
from ..mysql.server import Server
from ..workload.client_sessions import holders_of_locks
from .everyone import close_to_everybody
from .waiting_commits import close_while_they_wait, waiting_variable

#: Seconds that one attempt waits for statements of others; then their sessions are ended first.
PATIENCE = 1
#: The same where commits that wait for acknowledgements are let go meanwhile.
LONGER = 4
UNKNOWN_VARIABLE = 1193

_OURS = frozenset({"system user", "event_scheduler"})
#: Replicas that read this server's log write nothing here.
_READERS = frozenset({"Binlog Dump", "Binlog Dump GTID", "Daemon"})


@dataclass(frozen=True)
class Closed:
    """``everyone``: super_read_only holds; where there is none, a session with SUPER could still write.

    ``unless_asked``: it would have to begin READ WRITE transactions explicitly, see `everyone`; others are refused.
    ``was_open``: it took writes until then. ``ended`` counts the sessions that were ended, ``seconds`` is how long it
    took until writes were refused, on a session that was there already.
    """

    everyone: bool
    was_open: bool
    ended: int
    seconds: float
    unless_asked: bool = False

    def __str__(self) -> str:
        who = "" if self.everyone else " (accounts with SUPER excepted: it knows no super_read_only)"
        if self.unless_asked:
            who = " (for accounts with SUPER too, by tx_read_only=1: set it to 0 before START SLAVE there)"
        return f"set read-only within {self.seconds * 1000:.0f} ms{who}, {self.ended} sessions ended"


def _nobody(_: str) -> None:
    """Who asks is not told."""


def close_for_writes(server: Server, *, timeout: float = 3.0, note: Callable[[str], None] = _nobody) -> Closed:
    """Set it read-only, end the sessions of applications, and see that it is so. Idempotent.

    ``timeout`` is in seconds, for each statement. Read-only waits for statements that are being committed and for
    LOCK TABLES of others (Reference Manual, read_only), so who keeps it waiting is ended first. ``note`` is given the
    variable by which its commits wait, should it have to be switched off: whoever opens it again switches it on. Raises
    ServerError's children.
    """
    began, ended = time.monotonic(), 0
    try:
        _set_read_only(server, timeout)
    except StatementFailed:
        ended = _set_read_only_in_spite(server, timeout, note)
    seconds = time.monotonic() - began
    was_open = server.scalar("SELECT @mha_was", action="see whether it was read-only", timeout=timeout)
    everyone = _set_super_read_only(server, timeout)
    unless_asked = not everyone and close_to_everybody(server, timeout=timeout)
    ended += _end_sessions(server, timeout, account=unless_asked)
    if not is_closed(server, timeout=timeout):
        raise StatementFailed(str(server), "set read-only", "read_only is 0 again; somebody opens it")
    return Closed(everyone, str(was_open) in ("0", "OFF"), ended, seconds, unless_asked)


def is_closed(server: Server, *, timeout: float = 3.0) -> bool:
    """Whether applications cannot write there."""
    value = server.scalar("SELECT @@global.read_only", action="see whether it is read-only", timeout=timeout)
    return str(value).upper() in ("1", "ON")


def _set_read_only(server: Server, timeout: float, patience: int = PATIENCE) -> None:
    """In one statement that every server knows: each round trip is time in which an application may write."""
    words = f"SET @mha_was=@@global.read_only, SESSION lock_wait_timeout={patience}, GLOBAL read_only=1"
    server.query(words, action="set read_only", timeout=timeout + patience)


def _set_read_only_in_spite(server: Server, timeout: float, note: Callable[[str], None]) -> int:
    """Somebody keeps it waiting, maybe commits that wait for acknowledgements; how many sessions were ended."""
    if variable := waiting_variable(server):
        return close_while_they_wait(
            server,
            variable,
            lambda: _set_read_only(server, timeout, LONGER),
            lambda session, kill: _end_sessions(session, timeout, kill=kill),
            note,
        )
    ended = _end_sessions(server, timeout)
    _set_read_only(server, timeout)
    return ended


def _set_super_read_only(server: Server, timeout: float) -> bool:
    try:
        server.query("SET GLOBAL super_read_only=1", action="set super_read_only", timeout=timeout + PATIENCE)
    except StatementFailed as error:
        if error.errno != UNKNOWN_VARIABLE:
            raise
        return False
    return True


def _end_sessions(server: Server, timeout: float, *, account: bool = False, kill: str = "KILL") -> int:
    """``account``: those of the manager's own account, too, which SUPER lets write, but for holders of MHA's locks."""
    own = server.scalar("SELECT CONNECTION_ID()", action="see who is connected", timeout=timeout)
    spare = {own, *(holders_of_locks(server) if account else ())}
    ended = 0
    for thread in server.query("SHOW PROCESSLIST", action="see who is connected", timeout=timeout):
        if thread["User"] in _OURS or thread["Command"] in _READERS or thread["Id"] in spare:
            continue
        # Sessions of the manager's own account are mostly the manager's, which connects anew when it has to.
        if thread["User"] == server.config.user and not account:
            continue
        with contextlib.suppress(StatementFailed):  # it is gone already (1094)
            server.query(f"{kill} {int(thread['Id'])}", action="end a session", timeout=timeout)
            ended += 1
    return ended
