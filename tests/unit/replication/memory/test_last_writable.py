"""Who closed a primary: a person, or a failover that was killed before it could open anybody."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import Entry
from prefect_mha.replication.memory.last_writable import (
    ASKED_TO_CLOSE,
    CLOSED,
    OBEYS_WITHIN,
    OLD_PRIMARY,
    OPENED_AGAIN,
    TAKEN_OVER,
    LastWritable,
    SeenWritable,
    told_to_close,
)
from tests.unit.replication.planning.test_selection_and_plan import configured

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


@pytest.mark.parametrize(("seconds_ago", "asked"), [(1.0, True), (OBEYS_WITHIN + 1, False)])
def test_an_old_order_is_nobodys_any_more(tmp_path: Path, seconds_ago: float, asked: bool) -> None:
    """Who closed it since is a person."""
    memory = LastWritable(configured({}, {}, {}).model_copy(update={"manager_workdir": tmp_path}))
    memory.write(SeenWritable(DB1, 1_000))
    memory.may_close_late(DB1, time.time() - seconds_ago)
    seen = memory.read()
    assert seen is not None
    assert (bool(seen.asked), seen.started) == (asked, 0 if asked else 1_000)
