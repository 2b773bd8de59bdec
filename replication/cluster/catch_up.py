"""Wait until one server has executed what another one had."""

from __future__ import annotations

import time
from dataclasses import replace

from ..errors import ServerGone, ServerUnreachable, StatementFailed
from ..model.gtid import MariadbGtidPosition
from ..model.state import ServerState
from ..mysql.server import Server

#: Seconds that a server waits by itself before it is asked whether it still can get there.
LOOK_EVERY = 1
#: Seconds that a replica may take to get level with another while it gets nearer all the time.
LEVEL_LIMIT = 900.0
#: Seconds for each exchange with a server that is asked whether it lives.
ALIVE_WITHIN = 2.0


def as_logged(state: ServerState) -> ServerState:
    """The same server, at what its own log can give to others. Pure.

    What a replica of MariaDB leaves out, and temporary tables where binlog_format is ROW, it executes and does not log.
    """
    if state.mariadb_gtid is None:
        return state
    return replace(state, mariadb_gtid=MariadbGtidPosition(state.gtid_binlog_state))


def check_alive(source: Server | None) -> None:
    """Raise ServerGone when whom others are to follow answers no more: what is waited for cannot come."""
    if source is None:
        return
    try:
        _answers(source)
    except ServerUnreachable:
        try:
            _answers(source)
        except ServerUnreachable as error:
            raise ServerGone(error.server, error.action, error.cause, error.errno, error.hint) from error


def _answers(server: Server) -> None:
    server.connect(ALIVE_WITHIN)
    server.scalar("SELECT 1", action="see whether it lives", timeout=ALIVE_WITHIN)


def wait_executed(
    server: Server, goal: ServerState, *, stall: float, limit: float, alive: Server | None = None
) -> None:
    """Let the server itself wait for the other's GTIDs; without GTIDs there is nothing to wait for.

    Waits as long as it executes something new, at most ``stall`` seconds without anything new and ``limit`` seconds at
    all: a replica that is far behind but gets there is not a failed one.

    MariaDB waits for gtid_slave_pos only, which does not move when a saved log is applied by a client: of the domains
    that the server's own log proves to be level it is not asked. Raises StatementFailed when it is not level by then,
    or as soon as its applier has stopped; ServerGone when ``alive``, from which it is fetched, is not.
    """
    if goal.gtid_executed is not None and goal.gtid_mode == "ON":
        question, goal_set = server.dialect.wait_for_gtids(), str(goal.gtid_executed)
    elif goal.mariadb_gtid:
        has = server.observe().mariadb_gtid or MariadbGtidPosition()
        question = server.dialect.wait_for_gtids()
        goal_set = str(MariadbGtidPosition(gtid for gtid in goal.mariadb_gtid if not has.covers(gtid)))
    else:
        return
    if not goal_set:
        return
    began = moved_at = time.monotonic()
    seen = None
    while server.scalar(question, (goal_set, LOOK_EVERY), action="catch up", timeout=LOOK_EVERY + 5.0) != 0:
        check_alive(alive)
        state = server.observe()
        for channel in state.channels:
            if channel.broken or not channel.applier_running:
                why = channel.applier_error or "its applier does not run"
                raise StatementFailed(server.config.name, "catch up", why, channel.applier_errno)
        now = time.monotonic()
        if (executed := (state.gtid_executed, state.mariadb_gtid)) != seen:
            seen, moved_at = executed, now
        if now - moved_at > stall:
            why = f"it is not level with {goal.name}, and nothing new was executed for {stall:g} s"
            raise StatementFailed(server.config.name, "catch up", why)
        if now - began > limit:
            why = f"it is still catching up with {goal.name} after {limit:g} s"
            raise StatementFailed(server.config.name, "catch up", why)


def tell_what_was_applied(server: Server, channel: str) -> None:
    """MariaDB: let a replica's next source send only what it has not, be it that a client applied it.

    gtid_slave_pos, which a receiver asks from, does not move when a saved log is applied; the server's own log has it.
    """
    server.query(server.dialect.stop(channel), action="stop replication", timeout=65.0)
    server.query(
        "SET GLOBAL gtid_slave_pos = %s", (str(server.observe().mariadb_gtid or ""),), action="set gtid_slave_pos"
    )
