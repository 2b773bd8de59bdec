"""Who holds one of MHA's named locks on a server: a manager, or a session that has no say.

GET_LOCK asks for no privilege at all, so any account may hold a lock of any name. What counts as another manager or
command is a session of our own account's name, from wherever, or of an account that could do a manager's work: such a
one could stop a failover in other ways as well (a manager or a purge of relay logs by hand may have an account of its
own). Any other session is named and ended: KILL gives its locks back at once on every server (5.6, 9.7, MariaDB).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import PrivilegeMissing, StatementFailed
from .dialects.privileges import Power, privileges_for
from .server import Server

log = logging.getLogger("mha")

#: Seconds for one answer about a lock, and for ending those who hold one and have no say.
ASKED_WITHIN, ENDED_WITHIN = 1.0, 1.0
#: Seconds between two looks at a lock whose holder was just ended: that takes the server a moment.
LOOK_AGAIN = 0.01
#: How often a holder is looked for in the list of sessions before it is taken for one that we are not shown.
LOOKS = 5
#: Seconds until it is told again that sessions of one account were ended for one lock.
TELL_AGAIN = 60.0
_told: dict[tuple[str, str, str], float] = {}
_NO_SUCH_THREAD = 1094
#: Any of these is enough to open, close or turn a server: a manager needs at least one.
_WORK = (Power.SET_READ_ONLY, Power.RUN_REPLICATION, Power.END_ANY_SESSION)
_RIGHTS = (
    "SELECT DISTINCT PRIVILEGE_TYPE AS name FROM information_schema.USER_PRIVILEGES "
    "WHERE LEFT(GRANTEE, CHAR_LENGTH(%s)) = %s"
)


@dataclass(frozen=True)
class Holder:
    """A session that holds a named lock. ``counts``: it may be another manager or command."""

    lock: str
    session: int
    user: str
    host: str
    counts: bool

    def __str__(self) -> str:
        return f"session {self.session} ({self.user}@{self.host})"


def holders(server: Server, locks: Sequence[str], *, timeout: float = ASKED_WITHIN) -> tuple[Holder, ...]:
    """Who holds these locks on a server, this session left out. ``timeout`` in seconds an answer. Raises ServerError.

    Without PROCESS a server shows us our own account's sessions alone; whom it does not show counts.
    """
    taken, seen = _taken(server, locks, timeout), dict[int, tuple[str, str]]()
    for _ in range(LOOKS):
        if all(session in seen for _, session in taken):
            break
        rows = server.query("SHOW PROCESSLIST", action="see whose session it is", timeout=timeout)
        seen = {int(row["Id"]): (_text(row.get("User") or ""), _text(row["Host"]).rpartition(":")[0]) for row in rows}
        if not all(session in seen for _, session in taken):
            # One that just ended holds its locks a moment longer than it is listed.
            time.sleep(LOOK_AGAIN)
            taken = _taken(server, locks, timeout)
    mighty: dict[str, bool] = {}
    found = []
    for lock, session in taken:
        user, host = seen.get(session, ("", ""))
        if user not in mighty:
            mighty[user] = not user or may_be_a_manager(server, user, timeout=timeout)
        found.append(Holder(lock, session, user or "unknown", host or "unknown", mighty[user]))
    return tuple(found)


def end_strangers(server: Server, lock: str, *, timeout: float = ASKED_WITHIN) -> tuple[Holder, ...]:
    """End every session that holds this lock and has no say, one after the other; who is left, if anybody.

    Those who wait for the lock get it in turn, and are ended in turn, for `ENDED_WITHIN` seconds. Raises ServerError;
    that a session may not be ended is told.
    """
    ends, ended = time.monotonic() + ENDED_WITHIN, set[int]()
    while True:
        left = holders(server, (lock,), timeout=timeout)
        strangers = [holder for holder in left if not holder.counts]
        if not strangers or time.monotonic() > ends:
            return left
        for holder in strangers:
            if holder.session in ended:
                time.sleep(LOOK_AGAIN)
                continue
            ended.add(holder.session)
            try:
                server.query(f"KILL {holder.session}", action=f"end {holder}, which holds {lock}", timeout=timeout)
            except (PrivilegeMissing, StatementFailed) as error:
                if error.errno != _NO_SUCH_THREAD:
                    log.warning("%s", error)
                    return left
            _tell(server, holder)


def _tell(server: Server, holder: Holder) -> None:
    """Once a minute of each account: who is ended may come again at once."""
    key, now = (server.key, holder.lock, holder.user), time.monotonic()
    often = now - _told.get(key, -TELL_AGAIN) < TELL_AGAIN
    _told[key] = _told[key] if often else now
    log.log(
        logging.DEBUG if often else logging.WARNING,
        "%s: %s held %s, which is for managers, and the account can do nothing of their work; that session was ended.",
        server,
        holder,
        holder.lock,
    )


def _taken(server: Server, locks: Sequence[str], timeout: float) -> list[tuple[str, int]]:
    """Which of the locks are held by which other session."""
    asked = "SELECT " + ", ".join(f"IS_USED_LOCK(%s) AS l{number}" for number in range(len(locks)))
    row = server.query(asked, tuple(locks), action="see who holds MHA's locks", timeout=timeout)[0]
    held = [(lock, row[f"l{number}"]) for number, lock in enumerate(locks)]
    return [(lock, int(session)) for lock, session in held if session not in (None, server.thread_id)]


def may_be_a_manager(server: Server, user: str, *, timeout: float = ASKED_WITHIN) -> bool:
    """Whether an account of that name is ours or could act on a cluster; False where that may not be read."""
    if user == server.config.user:
        return True
    dialect, quoted = server.dialect, f"'{user}'@"
    enough = {"SUPER"} | {name for power in _WORK for name in privileges_for(dialect.vendor, dialect.version, power)}
    try:
        rows = server.query(_RIGHTS, (quoted, quoted), action=f"see what {user} may do", timeout=timeout)
    except (PrivilegeMissing, StatementFailed) as error:
        log.debug("%s", error)
        return False
    return any(_text(row["name"]).upper() in enough for row in rows)


def in_words(left: Sequence[Holder]) -> str:
    """Who they are, for a sentence."""
    return ", ".join(str(holder) for holder in left)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
