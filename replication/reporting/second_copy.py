"""What a primary that waited for a second disk proves: where all that acknowledge were read, nothing is missing. Pure.

It holds for what the configuration names: who else acknowledges, a reader of somebody's own, is not known.
"""

from __future__ import annotations

from collections.abc import Collection

from ...config import ClusterConfig, ServerConfig
from ..planning.plan import FailoverPlan
from ..planning.waits import Waits
from ..rescue.saved import SavedBinlog


def proven(
    config: ClusterConfig,
    dead: ServerConfig,
    plan: FailoverPlan,
    rescue: SavedBinlog | None,
    waits: Waits | None,
    since: float,
    *,
    withheld: Collection[str],
    unread: Collection[str],
) -> str:
    """Why nothing that the dead primary acknowledged is missing, for people; empty where that is not proven.

    ``waits`` is how its commits waited when that was looked at last, ``since`` the first sign of trouble (seconds since
    the epoch), 0 where nobody saw it. Every other server may have acknowledged, whatever its settings said at some
    moment: so each has to be one whose receiver was stopped and of which nothing is ``unread`` (``ip:port``); and each
    binlog server that acknowledges has to be among ``withheld``, those that have not acknowledged anything since before
    they were read.
    """
    if config.semi_sync != "require" or rescue is None or rescue.kept is not None or rescue.no_room:
        return ""
    if waits is None or not waits.covered or not waits.until(since, config.ping_interval):
        return ""
    others = {s.address: s.name for s in config.servers if s.address != dead.address}
    logs = {b.block: f"{b.hostname} [{b.block}]" for b in config.binlog_servers if b.binlog_ack}
    read = {x.key for x in plan.levelings} - set(unread)
    if not (others.keys() <= read and logs.keys() <= set(rescue.looked_at) & set(withheld)):
        return ""
    names = ", ".join([*others.values(), *logs.values()])
    return f"each commit waited for a second disk (semi_sync=require), and all that may acknowledge were read: {names}"
