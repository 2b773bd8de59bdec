"""What a former rebuild left is gone on with only by who goes on with that rebuild."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import END, REJOIN, Journal
from prefect_mha.replication.rejoin.rebuild.left import GoOn, Left, Whose, cut_short, decide

MINE = Whose("10.0.0.3:3306", "10.0.0.2:3306", "mariadb", "backup", "second")
FIRST = replace(MINE, journal="first")
CHAIN = ("second", "first")


@pytest.mark.parametrize(
    ("left", "ran", "found"),
    [
        (Left("copied", "", FIRST), False, GoOn.THERE),
        (Left("placed", "/old", FIRST), False, GoOn.THERE),
        (Left("placed", "/old", FIRST), True, GoOn.APART),
        (Left("placed", "/old", replace(FIRST, primary="10.0.0.4:3306")), False, GoOn.APART),
        (Left("placed", "/old", replace(FIRST, journal="months ago")), False, GoOn.APART),
        (Left("swapped", "/old", replace(FIRST, journal="months ago")), False, GoOn.APART),
        (Left("copied", "", replace(FIRST, donor="10.0.0.4:3306")), False, GoOn.ANEW),
        (Left("swapped", "/old", replace(FIRST, donor="10.0.0.4:3306")), False, GoOn.ANEW),
        (Left("copied", "", replace(FIRST, method="clone")), False, GoOn.ANEW),
        (Left("copying", "", FIRST), False, GoOn.ANEW),
        (Left(), False, GoOn.APART),
    ],
)
def test_whose_it_is_decides(left: Left, ran: bool, found: GoOn) -> None:
    assert decide(left, MINE, CHAIN, may_have_run=ran) is found


def test_a_dump_is_loaded_again() -> None:
    mine = replace(MINE, method="dump")
    assert decide(Left("aside", "/old", replace(mine, journal="first")), mine, CHAIN, may_have_run=False) is GoOn.ANEW


def test_what_the_host_keeps_is_read_again() -> None:
    assert Whose.parse(MINE.line.decode()) == MINE
    assert Whose.parse("") == Whose.parse("[]") == Whose.parse("{}") == Whose()


def test_an_end_or_another_way_back_breaks_the_chain(tmp_path: Path) -> None:
    for number, (how, ended) in enumerate([("rebuild", True), ("rebuild", False), ("rebuild", False)]):
        journal = Journal(tmp_path / f"app.rejoin-2026010100000{number}-1.journal")
        journal.record(REJOIN, "began", "10.0.0.1:3306", pid=0, plan={"how": how})
        if ended:
            journal.record(END, "ended", "10.0.0.1:3306")
        journal.close()
    own = "app.rejoin-20260101000003-1.journal"
    names = tuple(f"app.rejoin-2026010100000{number}-1.journal" for number in (2, 1))
    assert cut_short(tmp_path, "app", "10.0.0.1:3306", own) == (own, *names)
    assert cut_short(tmp_path, "app", "10.0.0.9:3306") == ()
