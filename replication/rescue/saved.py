"""What was saved of a dead primary's log, and what each replica got of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..actions.drained import Drained
from ..binlog.cutter import Cut
from ..model.position import BinlogPosition
from ..source.identity import ExpectedIdentity
from .salvage import BinlogCopy


@dataclass(frozen=True)
class SavedBinlog:
    """What was saved, and from where. ``copy`` is None when nothing could be read; ``why_not`` says why.

    ``source`` names it in words: the dead primary, a binlog server, another replica's relay logs. When the copy is of
    relay logs, ``begin`` is where a replica's part begins in it, and ``end`` the place in the dead primary's log that
    it reaches. ``kept`` is what was saved and lies there, but could be brought to nobody.
    ``of_relay_logs``: the copy is of relay logs. ``of`` is whose log it is, where that is another server than the one
    that the replica's channel names: an earlier primary, or a replica. ``continues``: the replica that it is for is
    proven to have all that stands before it. ``no_room``: it could be read, and no place on the manager took all of it.
    ``by_gtid``: its place is one in another server's log, so that only its GTIDs tell where its part begins.
    ``log_end``: nobody can read the dead primary's log, and by its size it ends there. ``looked_at``: the blocks of the
    binlog servers whose copies were found, and used as far as anybody lacked them, while they acknowledged nothing.
    """

    copy: BinlogCopy | None
    why_not: str = ""
    begin: BinlogPosition | None = None
    end: BinlogPosition | None = None
    source: str = ""
    kept: Cut | None = None
    of_relay_logs: bool = False
    of: ExpectedIdentity | None = None
    continues: bool = False
    no_room: bool = False
    by_gtid: bool = False
    log_end: BinlogPosition | None = None
    looked_at: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.copy is None:
            return self.why_not
        return f"{self.copy.bytes} bytes from {self.copy.start} to {self.copy.end}"


@dataclass(frozen=True)
class AppliedBinlog:
    """A replica that executed everything there is. ``cut`` is what was applied beyond what it had received.

    ``end_of_log`` is the end of its own binary log then: where position replicas will read from it. ``source`` is the
    rescue's that was cut. ``proof`` is a new one where the replica received what was saved by its own channel;
    ``means`` is how it got it, in words. ``of_relay_logs``: the cut is of another replica's relay logs. ``left_out`` of
    the transactions change only what its ``filters`` leave out.
    """

    key: str
    name: str
    cut: Cut | None
    end_of_log: BinlogPosition | None
    source: str = ""
    proof: Drained | None = None
    means: str = ""
    of_relay_logs: bool = False
    left_out: int = 0
    filters: str = ""
