"""What a replica's own applier leaves out by its filters, counted in what is brought to it. Pure.

The rules are the servers' for rows (MySQL Reference Manual, "How Servers Evaluate Replication Filtering Rules"): first
those of databases, then those of tables in the order do, ignore, wild do, wild ignore.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from ..model.state import Filters
from .reader import Transaction


class CountingLeftOut:
    """Wants what another asks for, and counts the transactions of it whose every table the filters leave out.

    A transaction whose tables are not told (compressed ones, some statements) is not counted.
    """

    def __init__(self, wanted: Callable[[Transaction], bool], filters: Filters) -> None:
        self._wanted, self._filters, self.count = wanted, filters, 0

    def __call__(self, transaction: Transaction) -> bool:
        wanted = self._wanted(transaction)
        if wanted and self._filters and transaction.tables:
            self.count += all(leaves_out(self._filters, table) for table in transaction.tables)
        return wanted


def leaves_out(filters: Filters, table: str) -> bool:
    """Whether rows of a table, as ``schema.table``, are not executed."""
    schema = table.partition(".")[0]
    if filters.do_db:
        if schema not in _names(filters.do_db):
            return True
    elif schema in _names(filters.ignore_db):
        return True
    if table in _names(filters.do_table):
        return False
    if table in _names(filters.ignore_table):
        return True
    if _matches(filters.wild_do_table, table):
        return False
    if _matches(filters.wild_ignore_table, table):
        return True
    return bool(filters.do_table or filters.wild_do_table)


def in_words(filters: Filters) -> str:
    """As the server lists them: ``ignore_db: audit``."""
    return "; ".join(f"{name}: {value}" for name, value in vars(filters).items() if value)


@cache
def _names(listed: str) -> frozenset[str]:
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def _matches(patterns: str, table: str) -> bool:
    return any(_pattern(each).fullmatch(table) for each in _names(patterns))


@cache
def _pattern(like: str) -> re.Pattern[str]:
    """A LIKE pattern: ``%`` anything, ``_`` one character, each itself behind a backslash."""
    found = re.findall(r"\\.|.", like, re.DOTALL)
    words = {"%": ".*", "_": "."}
    return re.compile("".join(words.get(part) or re.escape(part[-1]) for part in found), re.DOTALL)
