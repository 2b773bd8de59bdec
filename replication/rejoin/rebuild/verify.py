"""Is the data the same as the primary's? Checksums of tables at one place of its log, for so many seconds at most."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass

from ....config import ServerConfig
from ...actions.repoint import follows
from ...deadline import Deadline
from ...errors import DeadlineExceeded, ServerError, StatementFailed
from ...fencing.everyone import start_replication_until
from ...model.gtid import GtidSet, MariadbGtidPosition
from ...model.state import GtidKind, ServerState
from ...mysql.server import Server
from .place import NotHeld, Place, held_still, let_go_if_abandoned, place_of

log = logging.getLogger("mha")

#: Seconds that the new replica has to execute up to the place, while it gets nearer, and between two looks.
REACHES, LOOK = 60.0, 0.1
#: Tables that are named.
NAMED = 10
_TABLES = (
    "SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' "
    "AND ENGINE = 'InnoDB' AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') "
    "ORDER BY DATA_LENGTH + INDEX_LENGTH"
)


@dataclass(frozen=True)
class Verified:
    """So many of ``tables`` were compared and the same; ``differ`` are those that were not, by name."""

    same: int
    tables: int
    differ: tuple[str, ...] = ()
    why_not: str = ""

    def __str__(self) -> str:
        if self.differ:
            named = ", ".join(self.differ[:NAMED])
            return f"{len(self.differ)} of {self.tables} tables differ from the primary's: {named}"
        if not self.same and self.why_not.startswith("not compared"):
            return f"its {self.tables} tables were {self.why_not}"
        more = f" ({self.why_not})" if self.why_not else ""
        return f"{self.same} of {self.tables} tables compared with the primary's at one place, the same{more}"


def verify(
    new: Server, replica: Server, channel: str, kind: GtidKind, seconds: float, *, same_version: bool
) -> Verified:
    """Have a replica, pointed and not started, execute up to a place of the primary's log, and compare both there.

    The primary is read in one consistent snapshot. Its applier is stopped afterwards. Raises ServerError,
    DeadlineExceeded.
    """
    tables = [(str(row["s"]), str(row["t"])) for row in new.query(_TABLES, action="list its tables", timeout=60.0)]
    if not same_version:
        return Verified(0, len(tables), why_not="not compared: another version stores its rows in another way")
    try:
        place, sums = _sums_at_a_place(new.config, kind, tables, seconds)
    except NotHeld as error:
        return Verified(0, len(tables), why_not=f"not compared: {error}")
    _run_up_to(replica, new.config, channel, kind, place)
    own = _sums(replica, list(sums), Deadline(seconds * 2))
    differ = tuple(f"{s}.{t}" for s, t in own if own[s, t] != sums[s, t])
    same = len(own) - len(differ)
    why = f"the larger ones were not, within {seconds:g} s" if len(own) < len(tables) else ""
    return Verified(same, len(tables), differ, why)


Table = tuple[str, str]


def _sums_at_a_place(
    primary: ServerConfig, kind: GtidKind, tables: list[Table], seconds: float
) -> tuple[Place, dict[Table, str]]:
    with contextlib.closing(Server(primary)) as reader:
        reader.connect()
        with held_still(primary, primary, kind) as (place, let_go):
            # Now: it may have waited longer for the lock than that.
            let_go_if_abandoned(reader)
            reader.query(
                "START TRANSACTION WITH CONSISTENT SNAPSHOT", action="read a snapshot of it", same_session=True
            )
            let_go()
        return place, _sums(reader, tables, Deadline(seconds), same_session=True)


def _sums(server: Server, tables: list[Table], until: Deadline, *, same_session: bool = False) -> dict[Table, str]:
    """Of as many tables as there is time for."""
    found = dict[Table, str]()
    for schema, table in tables:
        if until.over:
            break
        named = ".".join("`{}`".format(each.replace("`", "``").replace("%", "%%")) for each in (schema, table))
        try:
            rows = server.query(
                f"CHECKSUM TABLE {named}",
                action=f"add up {schema}.{table}",
                timeout=max(1.0, until.left),
                same_session=same_session,
            )
        except StatementFailed as error:
            log.warning("%s", error)
            continue
        except ServerError:
            if until.over:
                break
            raise
        found[schema, table] = str(rows[0]["Checksum"])
    return found


def _run_up_to(replica: Server, primary: ServerConfig, channel: str, kind: GtidKind, place: Place) -> None:
    """It executes up to there and not a transaction further."""
    action = "execute up to a place of the primary's log"
    start_replication_until(replica, channel, place.gtids, place.position, action=action)
    goal_ends, seen = time.monotonic() + REACHES, ""
    while True:
        state = replica.observe()
        now = place_of(replica, state, primary, kind)
        if _reached(state, now, place, kind):
            return
        found = follows(state, channel, primary)
        if found is None or found.broken or found.receiver_errno:
            said = (found.applier_error or found.receiver_error) if found is not None else "it points elsewhere"
            raise StatementFailed(str(replica), action, said)
        if str(now) != seen:
            seen, goal_ends = str(now), time.monotonic() + REACHES
        if time.monotonic() > goal_ends:
            raise DeadlineExceeded(f"{replica}: execute up to {place}", REACHES, seen)
        time.sleep(LOOK)


def _reached(state: ServerState, now: Place, goal: Place, kind: GtidKind) -> bool:
    if kind is GtidKind.POSITION:
        there, wanted = now.position, goal.position
        return there is not None and wanted is not None and there.base == wanted.base and there >= wanted
    if kind is GtidKind.MYSQL:
        return state.executed_all(GtidSet.parse(goal.gtids)) or not goal.gtids
    return MariadbGtidPosition.parse(goal.gtids) <= MariadbGtidPosition.parse(now.gtids)
