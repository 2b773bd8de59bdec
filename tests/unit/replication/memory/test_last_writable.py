"""Who closed a primary: a person, or a failover that was killed before it could open anybody."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import Entry, Journal
from prefect_mha.replication.memory.last_writable import (
    ASKED_TO_CLOSE,
    CLOSED,
    OBEYS_WITHIN,
    OLD_PRIMARY,
    OPENED_AGAIN,
    TAKEN_OVER,
    WAITED_BY,
    LastWritable,
    SeenWritable,
    told_to_close,
    waited_before,
    waited_by,
)
from tests.unit.replication.build import configured

DB1, DB2 = "10.0.0.1:3306", "10.0.0.2:3306"


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((), None),
        ((ASKED_TO_CLOSE,), 0),
        ((ASKED_TO_CLOSE, CLOSED), 1),
        ((ASKED_TO_CLOSE, CLOSED, OPENED_AGAIN), None),
        ((CLOSED, OPENED_AGAIN, CLOSED), 2),
        ((ASKED_TO_CLOSE, TAKEN_OVER), None),
        ((ASKED_TO_CLOSE, "go on"), 0),
    ],
)
def test_a_closing_counts_until_it_is_taken_back_or_over(events: tuple[str, ...], told: int | None) -> None:
    entries = [Entry(float(at), OLD_PRIMARY, event, DB1, {}) for at, event in enumerate(events)]
    assert told_to_close(entries, DB1) == (None if told is None else entries[told])
    assert told_to_close(entries, DB2) is None


@pytest.mark.parametrize(
    ("events", "variable"),
    [
        ((ASKED_TO_CLOSE, CLOSED), ""),
        ((ASKED_TO_CLOSE, "off", CLOSED), "x"),
        (("off", CLOSED, TAKEN_OVER), "x"),
        (("off", CLOSED, CLOSED), "x"),
        (("off", CLOSED, OPENED_AGAIN, CLOSED), ""),
    ],
)
def test_how_commits_waited_is_known_until_it_is_opened_again(events: tuple[str, ...], variable: str) -> None:
    entries = [
        Entry(0.0, OLD_PRIMARY, ASKED_TO_CLOSE, DB1, {WAITED_BY: "x"})
        if event == "off"
        else Entry(0.0, OLD_PRIMARY, event, DB1, {})
        for event in events
    ]
    assert waited_by(entries, DB1) == variable
    assert waited_by(entries, DB2) == ""


def test_how_commits_waited_before_somebody_else_was_opened_is_nobodys_business(tmp_path: Path) -> None:
    config = configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path})
    for number, opens in enumerate((False, True, False)):
        path = tmp_path / f"{config.name}.failover-{number}.journal"
        with closing(Journal(path)) as journal:
            journal.record(OLD_PRIMARY, ASKED_TO_CLOSE, DB1, **({WAITED_BY: "x"} if number < 2 else {}))
            if opens:
                journal.record("promote", "intent", DB2, dead=DB1, kind="MySQL GTID", end_of_log="")
        os.utime(path, (number, number))
        assert waited_before(config, DB1) == ("" if number else "x")


@pytest.mark.parametrize(("seconds_ago", "asked"), [(1.0, True), (OBEYS_WITHIN + 1, False)])
def test_an_old_order_is_nobodys_any_more(tmp_path: Path, seconds_ago: float, asked: bool) -> None:
    """Who closed it since is a person."""
    memory = LastWritable(configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path}))
    memory.write(SeenWritable(DB1, 1_000))
    memory.may_close_late(DB1, time.time() - seconds_ago)
    seen = memory.read()
    assert seen is not None
    assert (bool(seen.asked), seen.started) == (asked, 0 if asked else 1_000)
