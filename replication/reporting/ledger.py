"""The account of a failover: which transactions were rescued and from where, which are lost, which cannot be known.

Pure: what the failover found in, lines out; for the report, as JSON beside the journal, as a table in Prefect's UI.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..binlog.cutter import Cut
from ..binlog.reader import LogEnd
from ..model.position import BinlogPosition
from ..model.refusal import Refusal
from ..model.state import GtidKind, ServerState
from ..planning.plan import FailoverPlan
from ..planning.selection import Follower
from ..rescue.saved import AppliedBinlog, SavedBinlog

#: The counts of a line, which `from_json` takes as whole numbers only.
_COUNTS = ("transactions", "bytes", "first", "last")


class Fate(StrEnum):
    """What became of transactions.

    ``incomplete``: the dead primary's log ends within one; a server that crashes there has not acknowledged it.
    ``complete``: nothing that was acknowledged can be missing, whatever the dead disk holds.
    ``apart``: the old primary took them beside the new one, or out of everybody's reach: a second history.
    """

    RESCUED = "rescued"
    LOST = "lost"
    UNKNOWN = "unknown"
    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    APART = "apart"


@dataclass(frozen=True)
class LedgerLine:
    """Transactions with one fate. ``where`` is a GTID set, or places in the dead primary's log.

    ``server`` is who has them now, ``source`` where they came from or should have. ``transactions`` and ``bytes`` are
    None where nobody can count them; ``left_out`` of them its filters leave out. ``first`` and ``last`` are their times
    in seconds since the epoch.
    """

    fate: Fate
    where: str
    source: str
    server: str = ""
    transactions: int | None = None
    bytes: int | None = None
    first: int | None = None
    last: int | None = None
    tables: tuple[str, ...] = ()
    why: str = ""
    left_out: int = 0

    def __str__(self) -> str:
        count = "" if self.transactions is None else f" {self.transactions} transactions"
        size = "" if self.bytes is None else f" ({self.bytes} bytes)"
        times = f", {_clock(self.first)} to {_clock(self.last)}" if self.first and self.last else ""
        tables = f", tables {', '.join(self.tables)}" if self.tables else ""
        to = f" on {self.server}" if self.server else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.fate.value}{to}:{count}{size} {self.where} of {self.source}{times}{tables}{why}"


def account(
    plan: FailoverPlan,
    rescue: SavedBinlog | None,
    applied: Iterable[AppliedBinlog],
    new: ServerState | None,
    dead_uuid: str = "",
    furthest: BinlogPosition | None = None,
    safe: str = "",
) -> tuple[LedgerLine, ...]:
    """The lines of one failover, in the order rescued, lost, unknown.

    ``new`` is the new primary as it is now; with MySQL GTIDs it proves what is missing in between of those that the
    dead primary, ``dead_uuid``, numbered. ``furthest`` is the place in its log that anybody was ever seen to have
    received. ``safe`` is why nothing that it acknowledged can be missing (`second_copy`), once what was saved is whole.
    """
    applied = tuple(applied)
    lines = [_rescued(each) for each in applied if each.cut is not None and each.cut.transactions]
    if new is not None and new.gtid_executed is not None and dead_uuid:
        gaps = new.gtid_executed.gaps(dead_uuid)
        if gaps:
            why = "later transactions are there, these are on no server that can be reached"
            lines.append(LedgerLine(Fate.LOST, str(gaps), plan.dead_name, transactions=gaps.count(), why=why))
    if safe and _whole(plan, rescue, applied) and not any(line.fate is Fate.LOST for line in lines):
        return (*lines, LedgerLine(Fate.COMPLETE, "all that was acknowledged", plan.dead_name, why=safe))
    if rescue is not None:
        lines += _unread(plan, rescue, applied, furthest)
    return tuple(lines)


def never_reached(
    plan: FailoverPlan,
    place: BinlogPosition | None,
    new: ServerState,
    others: Iterable[tuple[Follower, str]],
) -> tuple[LedgerLine, ...]:
    """What other replicas were seen to have received, and the one to be promoted has not: lost, one line each.

    ``place`` is where that one, ``new``, stands in the dead primary's log. ``others`` are those whose word could not
    be taken, as they were seen last, and why. Pure.
    """
    lines = []
    for other, why in others:
        where, count = _beyond(plan, place, new, other)
        if where:
            said = f"{other.state.name} had received them: {why}"
            lines.append(LedgerLine(Fate.LOST, where, plan.dead_name, transactions=count, why=said))
    return tuple(lines)


def _beyond(
    plan: FailoverPlan, place: BinlogPosition | None, new: ServerState, other: Follower
) -> tuple[str, int | None]:
    channel = other.channel
    if plan.kind is GtidKind.MYSQL and channel.retrieved is not None and new.gtid_executed is not None:
        missing = channel.retrieved - new.gtid_executed
        return str(missing), missing.count()
    if plan.kind is GtidKind.MARIADB and channel.gtid_io_pos is not None:
        has = {gtid.domain: gtid.seq for gtid in new.mariadb_gtid or ()}
        behind = [gtid for gtid in channel.gtid_io_pos if gtid.seq > has.get(gtid.domain, 0)]
        # Within a domain the numbers of one primary follow each other.
        return (
            ", ".join(f"{g.domain}-{g.server_id}-{has.get(g.domain, 0) + 1} to {g}" for g in behind),
            sum(gtid.seq - has.get(gtid.domain, 0) for gtid in behind),
        )
    theirs = channel.received
    if plan.kind is GtidKind.POSITION and place is not None and theirs is not None and place.base == theirs.base:
        return (f"{place} to {theirs}", None) if place < theirs else ("", None)
    return "", None


def _rescued(each: AppliedBinlog) -> LedgerLine:
    assert each.cut is not None
    line = _of(each.cut, Fate.RESCUED, each.source, each.name)
    if not each.left_out:
        return line
    why = f"{each.left_out} of them change only what its filters leave out ({each.filters})"
    return replace(line, left_out=each.left_out, why=why)


def _of(cut: Cut, fate: Fate, source: str, server: str) -> LedgerLine:
    assert cut.first is not None
    assert cut.last is not None
    places = f"{cut.first.source_start or cut.start} to {cut.last.source_end or cut.end}"
    return LedgerLine(
        fate,
        str(cut.gtids) if cut.gtids else places,
        source,
        server,
        cut.transactions,
        cut.bytes,
        cut.first.timestamp,
        cut.last.timestamp,
        cut.tables,
    )


def _unread(
    plan: FailoverPlan, rescue: SavedBinlog, applied: Sequence[AppliedBinlog], seen: BinlogPosition | None
) -> Iterator[LedgerLine]:
    """What the dead primary's log may have had beyond what was read of it."""
    if rescue.kept is not None:
        yield replace(_of(rescue.kept, Fate.LOST, rescue.source, ""), why=rescue.why_not)
        return
    if rescue.copy is None:
        places = [seen, *(x.received for x in plan.levelings)]
        furthest = max((place for place in places if place is not None), default=None)
        if rescue.log_end is not None and furthest is not None:
            yield from _encrypted(plan, furthest, rescue.log_end, rescue.why_not)
            return
        where = f"everything behind {furthest}" if furthest else "everything that no replica received"
        yield LedgerLine(Fate.UNKNOWN, where, plan.dead_name, why=rescue.why_not)
        return
    end = _end(plan, applied)
    if end is None or end.kind == "clean":
        return
    if end.kind == "encrypted":
        received = [place for place in (seen, *(x.received for x in plan.levelings)) if place is not None]
        read, last = BinlogPosition(end.log, 0), rescue.copy.end
        last = BinlogPosition(last.file, max(0, last.pos - end.offset))
        yield from _encrypted(plan, max((read, *received)), last, str(end))
        return
    left = rescue.copy.end.pos - end.offset if end.log == rescue.copy.end.file else None
    fate = Fate.INCOMPLETE if _ends_as_a_crash_does(end, rescue) else Fate.UNKNOWN
    yield LedgerLine(fate, f"what follows {end.log}:{end.offset}", rescue.source, bytes=left, why=str(end))


def _end(plan: FailoverPlan, applied: Sequence[AppliedBinlog]) -> LogEnd | None:
    """Where the new primary's part of what was saved ended."""
    return next((x.cut.end_reason for x in applied if x.key == plan.new_primary and x.cut is not None), None)


def _whole(plan: FailoverPlan, rescue: SavedBinlog | None, applied: Sequence[AppliedBinlog]) -> bool:
    """What was saved, if anything, was read to its end; or to where its disk had no more of the last transaction."""
    if rescue is None or rescue.copy is None:
        return True
    end = _end(plan, applied)
    return end is not None and (end.kind == "clean" or _ends_as_a_crash_does(end, rescue))


def _encrypted(plan: FailoverPlan, furthest: BinlogPosition, end: BinlogPosition, why: str) -> Iterator[LedgerLine]:
    """What nobody can read and nobody received is lost: its size says that it is there."""
    if furthest < end:
        left = end.pos - furthest.pos if end.file == furthest.file else None
        yield LedgerLine(Fate.LOST, f"{furthest} to {end}", plan.dead_name, bytes=left, why=why)


def _ends_as_a_crash_does(end: LogEnd, rescue: SavedBinlog) -> bool:
    """The rest of the last transaction of the last log is missing, and nothing else."""
    return end.kind in ("torn", "in_transaction") and rescue.copy is not None and end.log == rescue.copy.end.file


def losses(lines: Iterable[LedgerLine]) -> tuple[LedgerLine, ...]:
    """The lines that stand for transactions lost, or possibly lost."""
    return tuple(line for line in lines if line.fate in (Fate.LOST, Fate.UNKNOWN, Fate.APART))


def judge(plan: FailoverPlan, lines: Iterable[LedgerLine]) -> Refusal | None:
    """The refusal of ``salvage_policy=strict`` to open the new primary when anything is lost, or may be."""
    missing = losses(lines)
    if not missing:
        return None
    return Refusal(
        "transactions-missing",
        f"Acknowledged transactions of {plan.dead_name} are lost or may be, and salvage_policy is strict: nothing was "
        f"opened for writes.",
        f"Bring {plan.dead_name}, its disk or a binlog server back and start again, or go on without them with "
        "--salvage_policy=safe.",
        tuple(str(line) for line in missing),
    )


def as_json(lines: Iterable[LedgerLine]) -> list[dict[str, Any]]:
    """Plain data: a list of objects with the names of `LedgerLine`."""
    return [asdict(line) for line in lines]


def from_json(rows: Iterable[Any]) -> tuple[LedgerLine, ...]:
    """The lines of `as_json`; what is none of ours is left out, and a count that is no number is unknown."""
    lines = []
    for row in rows:
        with contextlib.suppress(TypeError, ValueError, LookupError, OverflowError, OSError):
            known: dict[str, Any] = {}
            for name in (field.name for field in fields(LedgerLine) if field.name in row):
                known[name] = _count(row[name]) if name in _COUNTS else str(row[name])
            known |= {"fate": Fate(row["fate"]), "tables": tuple(map(str, row.get("tables", ())))}
            known["left_out"] = _count(row.get("left_out")) or 0
            line = LedgerLine(**known)
            str(line)  # what cannot be shown, a time in no calendar, is none of ours either
            lines.append(line)
    return tuple(lines)


def _count(said: Any) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) else None


def table(lines: Iterable[LedgerLine]) -> list[dict[str, Any]]:
    """Rows for a table that people read."""
    return [
        {
            "fate": line.fate.value,
            "transactions": line.transactions,
            "bytes": line.bytes,
            "which": line.where,
            "from": line.source,
            "now on": line.server,
            "first": _clock(line.first),
            "last": _clock(line.last),
            "tables": ", ".join(line.tables),
            "why": line.why,
        }
        for line in lines
    ]


def _clock(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S") if seconds else ""
