"""What the journals say of rejoins: who lives, what was taken back, what is gone on with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.local import processes
from prefect_mha.replication.local.processes import alive_since
from prefect_mha.replication.memory.journal import END, REJOIN, Journal
from prefect_mha.replication.rejoin.remembered.interrupted import (
    LEFT,
    NOBODY,
    NOBODY_AGAIN,
    POINT,
    START,
    TAKE_BACK,
    last_of_each,
    not_proven,
    stands_pointed,
)

OLD = "10.0.0.1:3306"
GONE = 2**22 + 1


class Journals:
    """Of one working directory, one a rejoin, the oldest first."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.made = directory, 0

    def write(self, *steps: tuple[str, str, dict[str, Any]], pid: int = GONE, how: str = "follow") -> float:
        """Returns when it began."""
        self.made += 1
        path = self.directory / f"app1.rejoin-{self.made}.journal"
        journal = Journal(path)
        began = journal.record(REJOIN, "began", OLD, pid=pid, by="me", plan={"how": how})
        for step, event, facts in steps:
            journal.record(step, event, OLD, **facts)
        journal.close()
        os.utime(path, (self.made, self.made))
        return began.at

    def pointed(self, since: float = 0.0) -> bool:
        return stands_pointed(self.directory, "app1", OLD, since)


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    return Journals(tmp_path)


POINTED, STARTED = (POINT, "began", {}), (START, "began", {})


def taken_back(said: str) -> tuple[str, str, dict[str, Any]]:
    return TAKE_BACK, "done", {"result": said}


# alive -------------------------------------------------------------------------------------------------------------


def test_the_number_of_a_process_that_is_another_by_now_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    now = processes.time.time()
    assert alive_since(os.getpid(), now)
    assert not alive_since(os.getpid(), 1.0), "this one was started later"
    assert not alive_since(0, now)
    assert not alive_since(GONE, now)
    monkeypatch.setattr(processes, "first_process_started", lambda: now + 5)
    assert not alive_since(os.getpid(), now), "the container was started again"


def test_one_that_its_process_left_is_gone_on_with_while_that_lives(journals: Journals) -> None:
    journals.write(pid=os.getpid())
    assert last_of_each(journals.directory, "app1")[OLD].alive
    journals.write((REJOIN, LEFT, {}), pid=os.getpid())
    assert last_of_each(journals.directory, "app1")[OLD].goes_on


def test_one_that_was_ended_for_somebody_else_is_nobodys(journals: Journals) -> None:
    journals.write(pid=0)
    assert last_of_each(journals.directory, "app1")[OLD].cut_short


# gone on with ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "goes_on"), [("follow", True), ("rescue", False)])
def test_only_one_that_was_to_follow_is_gone_on_with(journals: Journals, how: str, goes_on: bool) -> None:
    journals.write(how=how)
    last = last_of_each(journals.directory, "app1")[OLD]
    assert last.cut_short
    assert last.goes_on == goes_on


def test_one_that_ended_is_not(journals: Journals) -> None:
    journals.write((END, "ended", {}))
    assert not last_of_each(journals.directory, "app1")[OLD].goes_on


@pytest.mark.parametrize(("how", "barred"), [("rewind", True), ("rebuild", True), ("follow", False), ("rescue", False)])
def test_what_is_not_proven_to_have_the_same_is_no_candidate(journals: Journals, how: str, barred: bool) -> None:
    journals.write(how=how, pid=os.getpid())
    assert (list(not_proven(journals.directory, "app1")) == [OLD]) == barred
    journals.write((END, "ended", {}), how=how)
    assert not_proven(journals.directory, "app1") == {}


# pointed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "stands"),
    [
        ((), False),
        ((POINTED,), True),
        ((POINTED, STARTED, (END, "ended", {})), True),
        ((POINTED, taken_back(NOBODY)), False),
        ((POINTED, STARTED, taken_back(NOBODY_AGAIN)), False),
        # Somebody else made it a replica of nobody, after it may have executed something.
        ((POINTED, STARTED, taken_back(NOBODY)), True),
        ((POINTED, STARTED, taken_back("it points at db2, stopped, and is read-only")), True),
    ],
)
def test_a_rejoin_may_have_pointed_it_until_that_is_proven_to_be_taken_back(
    journals: Journals, steps: tuple[Any, ...], stands: bool
) -> None:
    journals.write(*steps)
    assert journals.pointed() == stands


def test_a_later_one_that_did_not_come_to_it_proves_nothing_of_an_earlier_one(journals: Journals) -> None:
    journals.write(POINTED, STARTED)
    journals.write(POINTED, taken_back(NOBODY))
    assert journals.pointed()
    journals.write(taken_back(NOBODY_AGAIN))
    assert not journals.pointed()


def test_what_was_done_before_it_was_replaced_does_not_count(journals: Journals) -> None:
    at = journals.write(POINTED, STARTED)
    assert journals.pointed(at)
    assert not journals.pointed(at + 1)
