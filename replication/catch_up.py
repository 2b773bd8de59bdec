"""Wait until one server has executed what another one had."""

from __future__ import annotations

from replication.errors import StatementFailed
from replication.server import Server
from replication.snapshots import ServerState


def wait_executed(server: Server, goal: ServerState, *, seconds: int) -> None:
    """Let the server itself wait for the other's GTIDs; without GTIDs there is nothing to wait for.

    Raises StatementFailed when it is not level within ``seconds``.
    """
    if goal.gtid_executed is not None and goal.gtid_mode == "ON":
        question, goal_set = server.dialect.wait_for_gtids(), str(goal.gtid_executed)
    elif goal.mariadb_gtid:
        question, goal_set = server.dialect.wait_for_gtids(), str(goal.mariadb_gtid)
    else:
        return
    done = server.scalar(question, (goal_set, seconds), action="catch up", timeout=seconds + 5.0)
    if done != 0:
        raise StatementFailed(server.config.name, "catch up", f"not level with {goal.name} within {seconds} s")
