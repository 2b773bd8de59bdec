"""Seconds without writes, incident after incident: what is drawn is what the journals tell, and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prefect_mha.replication.memory.journal import END, SWITCH
from prefect_mha.replication.reporting.history.incident import Incident
from prefect_mha.replication.reporting.incident.page import history_page
from prefect_mha.replication.reporting.incident.trends import phases, table, trends
from prefect_mha.replication.reporting.outage import Outage
from tests.unit.replication.reporting.history.test_history import AT, DB2, OLD, entry, failover, one
from tests.unit.replication.reporting.incident.test_page import HOSTILE


def switch() -> Incident:
    told = [
        entry(0, SWITCH, "began", OLD, new_name=DB2),
        entry(2, END, "ended", OLD, exit_code=0, new_primary=DB2, held_seconds=0.25),
    ]
    return one(told, "app1.switch-20261130150521-7")


def test_the_phases_add_up_to_the_seconds_without_writes() -> None:
    made = one(failover())
    assert phases(made) == [(0, pytest.approx(0.4)), (1, pytest.approx(1.2)), (2, pytest.approx(0.3))]
    assert sum(took for _, took in phases(made)) == pytest.approx(made.without_writes)
    assert phases(switch()) == [(3, 0.25)]
    assert phases(one(failover(end=False))) == []
    # An opening that no journal tells of, and times of another order than they should have.
    odd = replace(made, steps=(), out=Outage(AT + 5.0, AT + 6.0))
    assert sum(took for _, took in phases(odd)) == pytest.approx(1.0)


def test_each_has_a_bar_and_what_is_later_than_wanted_is_said_to_be() -> None:
    drawn = trends([one(failover()), switch(), one(failover(end=False))], 1.0)
    assert drawn is not None
    assert [row.words for row in drawn.rows] == ["1.9 s (later than the target)", "250 ms", "unknown"]
    assert [len(row.parts) for row in drawn.rows] == [3, 1, 0]
    assert drawn.target is not None
    first = drawn.rows[0].parts
    assert first[-1].x + first[-1].width > drawn.target[0] > drawn.rows[1].parts[0].width
    assert trends([], None) is None
    # A target far beyond them all is told, and leaves room for the bars.
    wide = trends([one(failover())], 30.0)
    assert wide is not None
    assert wide.target is None
    assert "None is known to be later than the target, 30.0 s." in history_page("app1", [one(failover())], 30.0)
    assert table([one(failover())])[0][3:8] == ("1.900", "0.400", "1.200", "0.300", "")


def test_its_page_escapes_and_needs_nobody() -> None:
    text = history_page("app1", [replace(one(failover()), old=HOSTILE), switch()], 2.0)
    assert "<script" not in text
    assert "the target: 2.0 s" in text
    assert "No failover and no switch is recorded" in history_page("app1", [])
