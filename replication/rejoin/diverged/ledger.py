"""The account of the failover is completed by what was read of the old server's log when it was back.

A line *unknown* of that failover told that its host could not be asked. What it had by then is *lost* to the others,
and what it took after the new primary was opened *apart*, by its host's clock; both are kept now, and the lines say
where. What was replayed is *rescued*.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...binlog.reader import Transaction
from ...local.own_files import ours, written
from ...model.gtid import Gtid, GtidSet
from ...model.position import BinlogPosition
from ...reporting.ledger import Fate, LedgerLine, as_json


@dataclass
class Reckoning:
    """Transactions with one fate, one after the other; ``server`` is who has them now."""

    fate: Fate
    server: str = ""
    count: int = 0
    bytes: int = 0
    first: Transaction | None = None
    last: Transaction | None = None
    tables: dict[str, None] = field(default_factory=dict)
    _gtids: list[Gtid] = field(default_factory=list)

    def add(self, transaction: Transaction) -> None:
        """Count it."""
        self.first, self.last = self.first or transaction, transaction
        self.count, self.bytes = self.count + 1, self.bytes + transaction.size
        self.tables.update(dict.fromkeys(transaction.tables))
        if isinstance(transaction.gtid, Gtid):
            self._gtids.append(transaction.gtid)

    def line(self, source: str, directory: Path) -> LedgerLine | None:
        """Its line; None where there are none."""
        if self.first is None or self.last is None:
            return None
        return LedgerLine(
            self.fate,
            self._where(self.first, self.last),
            source,
            self.server,
            transactions=self.count,
            bytes=self.bytes,
            first=self.first.timestamp,
            last=self.last.timestamp,
            tables=tuple(self.tables),
            why=f"read when it was back, and kept in {directory}",
        )

    def _where(self, first: Transaction, last: Transaction) -> str:
        if self._gtids:
            return str(GtidSet.of(self._gtids))
        if first.gtid is not None:
            return f"{first.gtid} to {last.gtid}"
        return f"{BinlogPosition(first.log, first.start)} to {last.end_position}"


def completed(
    told: Sequence[dict[str, Any]], source: str, lines: Sequence[LedgerLine], *, whole: bool, more: bool = False
) -> list[Any]:
    """The account with these lines in the place of an earlier rescue's; what is read whole is not unknown. Pure.

    What was rescued by an earlier one stays told: beside these lines where they are ``more`` of them, else as long as
    these tell of nothing that is rescued. Beside what is missing nothing is ``complete``: whether it was acknowledged,
    or waited in vain, its log does not tell.
    """
    own = f"the binary log of {source}"

    def earlier(line: dict[str, Any]) -> bool:
        return line.get("source") == own and "read when it was back" in str(line.get("why"))

    rescued = [line for line in told if earlier(line) and line.get("fate") == Fate.RESCUED]
    stays = bool(rescued) and not more and not any(line.fate is Fate.RESCUED for line in lines)
    mine = [] if stays else [replace(line, source=own) for line in lines]
    missing = any(line.fate in (Fate.LOST, Fate.APART) for line in lines)
    kept = [
        line
        for line in told
        if not (missing and line.get("fate") == Fate.COMPLETE)
        and (stays or not earlier(line) or (more and line in rescued))
        and not (whole and line.get("fate") == Fate.UNKNOWN and line.get("source") in (source, own))
    ]
    return [*kept, *as_json(mine)]


def complete(path: Path, source: str, lines: Sequence[LedgerLine], *, whole: bool, more: bool = False) -> bool:
    """Rewrite the account in its file; False where this host has none. Raises OSError."""
    if not ours(path):
        return False
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        told = []
    with written(path, 0o640) as file:
        file.write(
            json.dumps(completed(told, source, lines, whole=whole, more=more), indent=2, ensure_ascii=False) + "\n"
        )
    return True
