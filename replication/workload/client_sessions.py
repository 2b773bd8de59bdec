"""The sessions of applications on a server, and their end."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection

from ..coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from ..coordination.quorum import STANDBY_LOCK
from ..errors import StatementFailed
from ..mysql.advisory_locks import holders
from ..mysql.server import Server

log = logging.getLogger("mha")

_OWN_USERS = frozenset({"system user", "event_scheduler"})
_OWN_COMMANDS = frozenset({"Binlog Dump", "Binlog Dump GTID", "Register Slave", "Register Replica", "Daemon"})
NO_SUCH_THREAD = 1094


def holders_of_locks(server: Server) -> frozenset[int]:
    """The sessions that rightly hold advisory locks: a command, the manager that watches, one that stands by.

    An application's session that holds one of these is nothing but an application's.
    """
    found = holders(server, (FAILOVER_LOCK, MONITOR_LOCK, STANDBY_LOCK), timeout=server.TIMEOUT)
    return frozenset(holder.session for holder in found if holder.counts)


def end_client_sessions(
    server: Server, spare: Collection[int], *, all_of_them: bool = False, since: int = 0, until: float = math.inf
) -> int:
    """End every session that is not replication's, the server's own, or among ``spare``; returns how many.

    Only those with a number above ``since`` and below ``until``: a server counts them.

    What they had open is rolled back by the server. Raises ServerError when the list of sessions cannot be had, and
    with ``all_of_them`` when one of them may not be ended; otherwise that is logged.
    """
    ended = 0
    for row in server.query("SHOW PROCESSLIST", action="see who is connected"):
        number = int(row["Id"])
        if number in spare or number == server.thread_id or not since < number < until:
            continue
        if row["User"] in _OWN_USERS or row["Command"] in _OWN_COMMANDS:
            continue
        try:
            server.query(f"KILL {number}", action=f"end session {number} of {row['User']}")
            ended += 1
        except StatementFailed as error:
            if error.errno == NO_SUCH_THREAD:
                continue
            if all_of_them:
                raise
            log.warning("%s", error)
    return ended
