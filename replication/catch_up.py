"""Wait until one server has executed what another one had."""

from __future__ import annotations

from replication.errors import StatementFailed
from replication.gtid import MariadbGtidPosition
from replication.server import Server
from replication.snapshots import ServerState


def wait_executed(server: Server, goal: ServerState, *, seconds: int) -> None:
    """Let the server itself wait for the other's GTIDs; without GTIDs there is nothing to wait for.

    MariaDB waits for gtid_slave_pos only, which does not move when a saved log is applied by a client: of the domains
    that the server's own log proves to be level it is not asked. Raises StatementFailed when it is not level within
    ``seconds``.
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
    done = server.scalar(question, (goal_set, seconds), action="catch up", timeout=seconds + 5.0)
    if done != 0:
        raise StatementFailed(server.config.name, "catch up", f"not level with {goal.name} within {seconds} s")
