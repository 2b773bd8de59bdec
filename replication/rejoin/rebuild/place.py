"""Where in the primary's log a copy of data stands: read from a server that holds still, and set on one that has it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ....config import ServerConfig
from ...actions.drained import forget_with_old_data
from ...errors import ServerError, StatementFailed
from ...model.position import BinlogPosition
from ...model.state import GtidKind, ServerState
from ...mysql.server import Server

#: Seconds that the lock waits for statements of others, how often it is tried, and seconds that it is held at most.
LOCKED_WITHIN, TRIES, HELD = 1, 5, 15.0
#: Seconds after which a session that nobody speaks on any more gives back what it holds: its host may have no power.
ABANDONED = 20
_LOG = re.compile(r"MASTER_LOG_FILE='([^']+)',\s*MASTER_LOG_POS=(\d+)", re.IGNORECASE)
_SLAVE_POS = re.compile(r"gtid_slave_pos\s*=\s*'([^']*)'", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """By GTIDs of either kind, or a place in the primary's log."""

    gtids: str = ""
    position: BinlogPosition | None = None

    def __str__(self) -> str:
        return self.gtids or str(self.position or "no place")


def place_of(server: Server, state: ServerState, primary: ServerConfig, kind: GtidKind) -> Place:
    """Where that server stands: in its own log, if it is the primary. Raises StatementFailed without a place."""
    own = state.key == primary.address
    if kind is GtidKind.MYSQL:
        return Place(gtids=str(state.gtid_executed or ""))
    if kind is GtidKind.MARIADB:
        variable = "gtid_current_pos" if own else "gtid_slave_pos"
        return Place(gtids=str(server.scalar(f"SELECT @@GLOBAL.{variable}", action="read where it stands") or ""))
    channel = state.channel_from(primary.hostname, primary.ip, primary.port)
    position = state.end_of_log if own else channel.executed if channel is not None else None
    if position is None:
        raise StatementFailed(str(server), "read where it stands", "it tells no place in the primary's log")
    return Place(position=position)


class NotHeld(StatementFailed):
    """Its writes could not be held: nothing was read."""


def let_go_if_abandoned(server: Server) -> None:
    """What this session holds is no longer held than `ABANDONED` after its last word. Raises ServerError."""
    server.query(f"SET SESSION wait_timeout = {ABANDONED}", action="bound how long the session is kept")


@contextlib.contextmanager
def held_still(
    config: ServerConfig, primary: ServerConfig, kind: GtidKind
) -> Iterator[tuple[Place, Callable[[], None]]]:
    """Nothing is committed there until the second of the pair is called: its place. A replica's applier waits, too.

    The lock is of a session of its own, and goes with that should this process die. Raises NotHeld where statements of
    others keep it waiting, ServerError.
    """
    with contextlib.closing(Server(config)) as server:
        let_go_if_abandoned(server)
        try:
            _lock(server)
        except ServerError as error:
            raise NotHeld(str(server), "hold its writes for a moment", error.cause) from error
        try:
            place = place_of(server, server.observe(), primary, kind)
            yield place, lambda: _unlock(server)
        finally:
            with contextlib.suppress(ServerError):
                _unlock(server)


def _lock(server: Server) -> None:
    server.query(
        f"SET SESSION lock_wait_timeout = {LOCKED_WITHIN}", action="hold its writes for a moment", same_session=True
    )
    for left in range(TRIES - 1, -1, -1):
        try:
            server.query(
                "FLUSH TABLES WITH READ LOCK",
                action="hold its writes for a moment",
                timeout=LOCKED_WITHIN + 5.0,
                same_session=True,
            )
            return
        except StatementFailed:
            if not left:
                raise
            time.sleep(0.2)


def _unlock(server: Server) -> None:
    server.query("UNLOCK TABLES", action="let its writes go on", same_session=True)


def of_backup(lines: Sequence[str], kind: GtidKind, *, primary: bool) -> Place | None:
    """From what mariadb-backup noted: a replica's place in its source's log, a primary's in its own. Pure."""
    told = dict(line.partition(" ")[::2] for line in lines if line.startswith(("slave_info ", "binlog_info ")))
    slave, binlog = told.get("slave_info", ""), told.get("binlog_info", "").split()
    if kind is GtidKind.MARIADB:
        found = _SLAVE_POS.search(slave) if not primary else None
        gtids = found[1] if found else binlog[2] if len(binlog) > 2 else ""
        return Place(gtids=gtids) if gtids else None
    if primary:
        return Place(position=BinlogPosition(binlog[0], int(binlog[1]))) if len(binlog) > 1 else None
    place = _LOG.search(slave)
    return Place(position=BinlogPosition(place[1], int(place[2]))) if place else None


def set_place(server: Server, kind: GtidKind, place: Place, kept_in: str) -> None:
    """A log of its own that begins anew, nobody's replica, and the GTIDs that its data has. Raises ServerError."""
    state = server.observe()
    for channel in state.channels:
        forget_with_old_data(server, channel.name, kept_in)
    if kind is GtidKind.MYSQL and str(state.gtid_executed or "") == place.gtids:
        return
    server.query(server.dialect.reset_logs(), action="begin its binary log anew", timeout=65.0)
    if kind is GtidKind.MYSQL and place.gtids:
        server.query("SET GLOBAL gtid_purged = %s", (place.gtids,), action="set gtid_purged")
    elif kind is GtidKind.MARIADB:
        server.query("SET GLOBAL gtid_slave_pos = %s", (place.gtids,), action="set gtid_slave_pos")
