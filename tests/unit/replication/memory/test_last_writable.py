"""Who closed a primary: a person, or a failover that was killed before it could open anybody."""

from __future__ import annotations

import pytest

from prefect_mha.replication.memory.journal import Entry
from prefect_mha.replication.memory.last_writable import (
    ASKED_TO_CLOSE,
    CLOSED,
    OLD_PRIMARY,
    OPENED_AGAIN,
    TAKEN_OVER,
    told_to_close,
)

DB1, DB2 = "10.0.0.1:3306", "10.0.0.2:3306"


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((), False),
        ((ASKED_TO_CLOSE,), True),
        ((ASKED_TO_CLOSE, CLOSED), True),
        ((ASKED_TO_CLOSE, CLOSED, OPENED_AGAIN), False),
        ((CLOSED, OPENED_AGAIN, CLOSED), True),
        ((ASKED_TO_CLOSE, TAKEN_OVER), False),
        ((ASKED_TO_CLOSE, "go on"), True),
    ],
)
def test_a_closing_counts_until_it_is_taken_back_or_over(events: tuple[str, ...], told: bool) -> None:
    entries = [Entry(float(at), OLD_PRIMARY, event, DB1, {}) for at, event in enumerate(events)]
    assert told_to_close(entries, DB1) is told
    assert not told_to_close(entries, DB2)
