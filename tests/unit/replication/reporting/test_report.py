"""What the report says first: for how long writes were out."""

from __future__ import annotations

from prefect_mha.replication.reporting.outage import Outage
from prefect_mha.replication.reporting.outcome import Outcome
from prefect_mha.replication.reporting.report import text


def test_the_outage_is_the_first_line_after_the_subject() -> None:
    lines = text(Outcome(0, "done", out=Outage(1000.0, 1001.25)), "app1", "db1(10.0.0.1:3306)", "").splitlines()
    assert lines[4].startswith("Writes were out for 1.2 s: from the first sign of trouble at ")


def test_without_a_watch_nobody_knows() -> None:
    assert "Writes were out" not in text(Outcome(0, "done"), "app1", "db1(10.0.0.1:3306)", "")
