"""How long writes were out is told as it was seen, and what nobody saw is told to be unknown."""

from __future__ import annotations

import pytest

from prefect_mha.replication.planning.waits import Waits
from prefect_mha.replication.reporting.outage import Outage, outage, outage_of

PING = 3.0


@pytest.mark.parametrize(
    ("since", "unseen", "waits", "told"),
    [
        pytest.param(0.0, 0.0, None, None, id="nobody watched"),
        pytest.param(100.0, 100.0, None, Outage(100.0, 110.0), id="dead at once"),
        pytest.param(100.0, 40.0, None, Outage(100.0, 110.0, 40.0), id="dark, and nobody could say so for a minute"),
        pytest.param(100.0, 100.0, Waits(99.0, True, 5, stands=70.0), Outage(70.0, 110.0, None, True), id="in vain"),
        pytest.param(100.0, 100.0, Waits(99.0, True, 5, stands=99.0), Outage(100.0, 110.0), id="seen to wait once"),
        pytest.param(100.0, 100.0, Waits(90.0, True, 5, stands=70.0), Outage(100.0, 110.0), id="an old look"),
        pytest.param(100.0, 60.0, Waits(99.0, True, 5, stands=70.0), Outage(70.0, 110.0, 60.0, True), id="both"),
        pytest.param(
            100.0, 80.0, Waits(99.0, True, 5, stands=70.0), Outage(70.0, 110.0, None, True), id="known before"
        ),
    ],
)
def test_an_outage_begins_with_the_first_sign(
    since: float, unseen: float, waits: Waits | None, told: Outage | None
) -> None:
    assert outage(since, unseen, waits, PING, 110.0) == told
    if told is not None:
        facts = told.as_facts()
        assert outage_of(facts, tuple(facts["out"]), facts.get("out_unseen")) == told


def test_what_nobody_saw_is_told() -> None:
    told = Outage(100.0, 110.0, 40.0)
    assert (told.seconds, told.at_most) == (10.0, 70.0)
    assert "whether anybody could write before that is unknown from " in told.span(1)
    assert "unknown" not in Outage(100.0, 110.0).span(1)


def test_a_new_primary_whose_commits_wait_does_not_end_it() -> None:
    told = Outage(100.0, 107.0).ends(117.0, lasts=False)
    assert (told, told.as_facts()) == (Outage(100.0, 117.0), {"out": [100.0, 117.0]})
    left = Outage(100.0, 107.0).ends(137.0, lasts=True)
    assert "and on, for nobody acknowledged" in left.span(1)
    assert outage_of(left.as_facts(), (100.0, 137.0), None) == left
