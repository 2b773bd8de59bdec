"""What a replaced primary needs to follow the new one: the statement to type, or why none may be typed."""

from __future__ import annotations

from collections.abc import Iterable

from ...config import ServerConfig
from ..model.position import BinlogPosition
from ..model.state import GtidKind
from ..mysql.dialects import Dialect, Repoint, Row
from ..mysql.dialects.channel_status import source_host, source_user
from ..mysql.dialects.for_people import follow
from .ledger import LedgerLine, losses

#: MHA's words before it: people search the log for them, and for CHANGE MASTER TO.
STATEMENT = "All other slaves should start replication from here. Statement should be: %s"


def statement(
    dialect: Dialect,
    channel: str,
    old: ServerConfig,
    new: ServerConfig,
    kind: GtidKind,
    position: BinlogPosition | None,
    like: Row,
) -> str:
    """The CHANGE for ``old``; empty when its place cannot be told.

    ``like`` is the status row of the channel through which the new primary followed the old one: whom it came in as,
    and how it connected. ``position`` is where the new primary's own log began, for file/position replication.
    """
    if kind is GtidKind.POSITION and position is None:
        return ""
    host = source_host(like)
    user = old.repl_user or source_user(like)
    to = Repoint(
        host=new.as_source(host),
        port=new.port,
        how={GtidKind.MYSQL: "gtid", GtidKind.MARIADB: "mariadb_gtid", GtidKind.POSITION: "position"}[kind],
        position=position,
    )
    return follow(dialect, channel, to, user, like)


def may_be_ahead(ledger: Iterable[LedgerLine], *, read: bool, closed: bool) -> str:
    """Why the dead primary may hold transactions that nobody else has, in words; empty when it holds none. Pure.

    ``read``: its log was read to the end. ``closed``: it is certain that it took no writes after that.
    """
    missing = losses(ledger)
    if missing:
        return str(missing[0])
    if not read:
        return "its log was not read to the end"
    return "" if closed else "it is not certain that it took no more writes"


def not_to_be_typed(old: ServerConfig, new: str, why: str, behind: BinlogPosition | None) -> str:
    """What is said instead of a statement. MySQL and file/position would run without an error on other data."""
    where = f" behind {behind}" if behind else ""
    return (
        f"{old.name} may hold transactions that no other server has ({why}). Do not use CHANGE MASTER TO on it: "
        f"it would replicate without an error and hold other data. See with mysqlbinlog what its log has{where}, "
        f"then rebuild it from {new}."
    )
