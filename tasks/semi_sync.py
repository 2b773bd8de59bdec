"""Semi-synchronous replication of a new primary: as the old one had it, where enough that follow acknowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import ClusterConfig
from ..replication.actions.role_memory import waits_in_vain
from ..replication.actions.semi_sync import (
    REQUIRED,
    Roles,
    acknowledgements,
    acknowledging,
    read_roles,
    take_roles,
)
from ..replication.errors import MhaError
from ..replication.mysql.server import Server

#: Seconds that a binlog server has to find the new primary and to read what it has.
BINLOG_SERVER = 30.0


@dataclass(frozen=True)
class Waiting:
    """What was done and what is left to do, in sentences; ``stuck``: its commits wait, and too few acknowledge."""

    notes: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    stuck: bool = False


def take_semi_sync(
    config: ClusterConfig, server: Server, former: Roles, followers: Sequence[Server], old_name: str
) -> Waiting:
    """The new primary takes the ``former`` roles of ``old_name``, or what ``semi_sync=require`` demands.

    Who follows is counted by its own setting, a binlog server by what the new primary shows. Raises ServerError of
    the new primary.
    """
    demanded = config.semi_sync == "require"
    if not demanded and not former:
        return Waiting()
    wanted = acknowledgements(server) if not former.get("acknowledgements") else int(former["acknowledgements"])
    found = sum(_acknowledges(follower) for follower in followers)
    waits = demanded or former.get("source")
    if waits and found < wanted and any(block.binlog_ack for block in config.binlog_servers):
        found = max(found, acknowledging(server, wanted, BINLOG_SERVER))
    enough = found >= wanted
    if demanded:
        # Where it was switched on before it was opened it stays so: what waits is not lost.
        if enough or server.dialect.speaks_while_commits_wait:
            take_roles(server, {**former, **REQUIRED})
        if enough:
            return Waiting((f"{server}: its commits wait for acknowledgements (semi_sync=require), {found} give them",))
        on = bool(read_roles(server).get("source"))
        left = (
            f"{server}: {found} acknowledge and {wanted} have to (semi_sync=require), so its commits "
            f"{'wait' if on else 'have no second copy'}; start a binlog server with binlog_ack, or a replica that "
            "acknowledges"
        )
        return Waiting((), (left,), stuck=on)
    if why := waits_in_vain(former, wanted, found):
        return Waiting((), (f"{server}: {why}",))
    if take_roles(server, former):
        on_off = "on" if former.get("source") else "off"
        return Waiting((f"{server}: semi-synchronous replication is {on_off}, as it was on {old_name}",))
    return Waiting()


def _acknowledges(follower: Server) -> bool:
    """One that cannot be asked is none."""
    try:
        return bool(read_roles(follower).get("replica"))
    except MhaError:
        return False
