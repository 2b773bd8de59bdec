"""What the comparison found, for people and programs: text, JSON, Markdown, and SQL to edit; files that only the owner
may read, beside the archive."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....local.own_files import PRIVATE, written
from ....model.words import in_markdown as md
from ....model.words import visible
from .comparing import Comparison, Conflict, Unknown

TEXT, JSON, SQL = "conflicts.txt", "conflicts.json", "to_edit.sql"
HIDDEN = "(hidden)"
#: Lines of each kind that are told in a message or a page; the files have all.
TOLD = 50


@dataclass(frozen=True)
class Compared:
    """The comparison of one rejoin. ``left`` says of transactions, by name, why they are not replayed; ``replayed`` are
    those that were, ``there`` those that the new primary had already. ``hide``: no values are shown."""

    old: str
    new: str
    transactions: int
    found: Comparison
    replayed: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    hide: bool = False

    @property
    def all_there(self) -> bool:
        """The new primary has all that the old one had."""
        return len(self.replayed) + len(self.there) == self.transactions

    def summary(self) -> str:
        """One sentence."""
        found = self.found
        if found.clear:
            return f"no row of them was changed on {self.new} meanwhile"
        parts = []
        if found.conflicts:
            tables = ", ".join(dict.fromkeys(conflict.table for conflict in found.conflicts))
            parts.append(f"{len(found.conflicts)} rows were changed on both ({tables})")
        if found.unknown:
            parts.append(f"{len(found.unknown)} transactions cannot be compared")
        return " and ".join(parts)

    def without_values(self) -> Iterator[str]:
        """What may be remembered anywhere: tables and counts, and where all of it is."""
        for table, count in Counter(conflict.table for conflict in self.found.conflicts).items():
            yield f"conflict: {table}: {count} row{'s' if count != 1 else ''} changed on {self.old} and on {self.new}"
        for each in self.found.unknown[:TOLD]:
            tables = f", tables {', '.join(each.tables)}" if each.tables else ""
            yield f"not comparable: {each.what} of {self.new if each.theirs else self.old}{tables}"
        if self.left:
            yield f"not replayed: {len(self.left)} transactions"
        if self.directory is not None:
            yield f"all of it: {self.directory / TEXT}"

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield f"{self.old} has {self.transactions} transactions that {self.new} lacks: {self.summary()}."
        for conflict in self.found.conflicts:
            yield f"conflict: {conflict.table}, {visible(conflict.key)}"
            yield f"  {self.old}: {self._row(conflict.old)}  by {', '.join(conflict.by)}"
            yield f"  {self.new}: {self._row(conflict.new)}  by {conflict.at}"
        for each in self.found.unknown:
            yield f"not comparable: {self._unknown(each)}"
        if self.there:
            yield f"on {self.new} already: {len(self.there)}"
        if self.replayed:
            yield f"replayed on {self.new}: {len(self.replayed)}"
        for name, why in self.left.items():
            yield f"not replayed: {name}: {visible(why)}"

    def _row(self, row: Mapping[str, str] | None) -> str:
        if row is None:
            return "no such row"
        return ", ".join(f"{name}={HIDDEN if self.hide else visible(value)}" for name, value in row.items())

    def _unknown(self, each: Unknown) -> str:
        whose = self.new if each.theirs else self.old
        tables = f", tables {', '.join(each.tables)}" if each.tables else ""
        said = f": {visible(each.statement)}" if each.statement and not self.hide else ""
        return f"{each.what} of {whose}{tables}: {each.why}{said}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for programs."""
        return {
            "old": self.old,
            "new": self.new,
            "transactions": self.transactions,
            "rows": dict(self.found.rows),
            "compared_with": self.found.compared,
            "conflicts": [self._conflict(each) for each in self.found.conflicts],
            "not_comparable": [
                {
                    "transaction": each.what,
                    "of": self.new if each.theirs else self.old,
                    "tables": list(each.tables),
                    "why": each.why,
                    "statement": HIDDEN if self.hide and each.statement else each.statement,
                }
                for each in self.found.unknown
            ],
            "there_already": list(self.there),
            "replayed": list(self.replayed),
            "not_replayed": dict(self.left),
        }

    def _conflict(self, each: Conflict) -> dict[str, Any]:
        def row(values: Mapping[str, str] | None) -> dict[str, str] | None:
            return None if values is None else {name: HIDDEN if self.hide else v for name, v in values.items()}

        return {
            "table": each.table,
            "key": each.key,
            self.old: row(each.old),
            self.new: row(each.new),
            "transactions": list(each.by),
            "changed_by": each.at,
        }

    def markdown(self) -> str:
        """A page for Prefect: server, table, key, both values."""
        parts = [f"# {md(self.old)} against {md(self.new)}", "", md(next(iter(self.lines()))), ""]
        if self.found.conflicts:
            parts += [f"| table | key | {md(self.old)} | {md(self.new)} |", "|---|---|---|---|"]
            parts += [
                f"| {md(each.table)} | {md(each.key)} | {md(self._row(each.old))} | {md(self._row(each.new))} |"
                for each in self.found.conflicts[:TOLD]
            ]
        parts += ["", *(f"- not comparable: {md(self._unknown(each))}" for each in self.found.unknown[:TOLD])]
        parts += [f"- not replayed: {md(name)}: {md(why)}" for name, why in list(self.left.items())[:TOLD]]
        if self.directory is not None:
            parts += ["", f"All of it is in {md(str(self.directory / TEXT))} and {md(JSON)}; SQL to edit in {md(SQL)}."]
        return "\n".join(parts) + "\n"


def write(report: Compared, directory: Path, sql: Iterator[str]) -> None:
    """The files, each whole and on disk. Raises OSError."""
    with written(directory / TEXT, PRIVATE, durable=True) as out:
        out.writelines(f"{line}\n" for line in report.lines())
    with written(directory / JSON, PRIVATE, durable=True) as out:
        json.dump(report.as_dict(), out, indent=2, ensure_ascii=False, default=str)
    with written(directory / SQL, PRIVATE, durable=True) as out:
        out.writelines(f"{line}\n" for line in sql)
