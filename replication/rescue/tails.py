"""What a replica lacks of a saved log, and which means of giving it that are the same as replication. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..binlog.cutter import Cut
from ..binlog.reader import Transaction
from ..model.gtid import Gtid, MariadbGtid
from ..model.state import GtidKind, ReplicaChannel, ServerState
from .saved import SavedBinlog


@dataclass(frozen=True)
class MissingTail:
    """A replica as it is, and what it ``lacks``; ``done`` transactions of it were applied by a former try's session."""

    kind: GtidKind
    state: ServerState
    channel: ReplicaChannel
    lacks: Cut
    rescue: SavedBinlog
    done: int = 0


class Lacking:
    """Which transactions of a log a server lacks. ``done`` are the first ones that a former try applied already."""

    def __init__(self, kind: GtidKind, state: ServerState, done: int) -> None:
        self._kind, self._state, self._done = kind, state, done

    def __call__(self, transaction: Transaction) -> bool:
        gtid = transaction.gtid
        if self._kind is GtidKind.MYSQL and isinstance(gtid, Gtid) and self._state.gtid_executed is not None:
            return gtid not in self._state.gtid_executed
        if self._kind is GtidKind.MARIADB and isinstance(gtid, MariadbGtid) and self._state.mariadb_gtid is not None:
            return not self._state.mariadb_gtid.covers(gtid)
        if self._done:
            self._done -= 1
            return False
        return True


def why_not_served(case: MissingTail) -> str:
    """Why the replica's own threads cannot be given it; empty when they can."""
    if case.done:
        return "a former try replayed a part of it, which the replica's place does not show"
    if case.state.server_id in case.lacks.origins:
        return "the replica itself executed some of it first, and its receiver leaves that out"
    return ""


def why_not_replayed(lacks: Cut, status: Mapping[str, Any]) -> str:
    """Why a client session might do something else than the applier; empty when it is proven to do the same.

    ``status`` is the channel's raw row: what it filters. Empty of a server that has no channel.
    """
    if not lacks.plain:
        return "it holds more than rows"
    if len(lacks.origins) > 1:
        return "several servers wrote it"
    filters = sorted(
        name for name, value in status.items() if name.startswith("Replicate_") and value not in ("", None)
    )
    if filters:
        return f"the replica filters ({', '.join(filters)})"
    return ""
