"""Places in a binary log, compared as numbers: mysql-bin.1000000 comes after mysql-bin.999999."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

#: Digits of the largest number that a place can have: 64 bits.
LONGEST_NUMBER = 20


def numbered(name: str) -> bool:
    """Whether a name ends in a number, as a log's does; digits of other scripts, which a file may have, make none."""
    suffix = name.rpartition(".")[2]
    return suffix.isascii() and suffix.isdigit() and len(suffix) <= LONGEST_NUMBER


def log_index(name: str) -> int:
    """The numeric suffix of a log's name. Raises ValueError for a name without one."""
    if not numbered(name):
        raise ValueError(f"{name!r} is not the name of a binary log: it does not end in .NUMBER")
    return int(name.rpartition(".")[2])


def unbroken_row(names: Iterable[str], one: str) -> list[str]:
    """The logs of the same base name that stand in a row with ``one``, without a gap, in order; empty without it."""
    base, index = one.rpartition(".")[0], log_index(one)
    present = {log_index(n): n for n in names if n.rpartition(".")[0] == base and numbered(n)}
    first = last = index
    while first - 1 in present:
        first -= 1
    while last + 1 in present:
        last += 1
    return [present[number] for number in range(first, last + 1)] if index in present else []


@functools.total_ordering
@dataclass(frozen=True)
class BinlogPosition:
    """A log file and an offset in it, in bytes.

    Ordered by (numeric suffix, offset). Comparing logs of different base names raises ValueError: they are not parts
    of one sequence.
    """

    file: str
    pos: int

    @classmethod
    def parse(cls, text: str) -> BinlogPosition:
        """From ``mysql-bin.000003:1234``."""
        file, _, pos = text.rpartition(":")
        if not file or not (pos.isascii() and pos.isdigit() and len(pos) <= LONGEST_NUMBER):
            raise ValueError(f"{text!r} is not a log position FILE:OFFSET")
        return cls(file, int(pos))

    @property
    def index(self) -> int:
        """The numeric suffix of the file."""
        return log_index(self.file)

    @property
    def base(self) -> str:
        """The file's name without its suffix."""
        return self.file.rpartition(".")[0]

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, BinlogPosition):
            return NotImplemented
        if self.base != other.base:
            raise ValueError(f"{self.file} and {other.file} are not logs of one server")
        return (self.index, self.pos) < (other.index, other.pos)

    def __str__(self) -> str:
        return f"{self.file}:{self.pos}"
