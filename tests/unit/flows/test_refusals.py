"""Who is told of pings that a living primary refuses: people at the second in a row, the log not each time."""

from __future__ import annotations

import logging

import pytest

from prefect_mha.replication.watch.listener import Listener
from prefect_mha.replication.watch.refusals import Refusals


class Told(Listener):
    def __init__(self) -> None:
        self.said: list[str] = []

    def suspect(self, misses: int, error: str) -> None:
        self.said.append(f"suspect {misses}")

    def alarm(self, why: str) -> None:
        self.said.append("alarm")

    def recovered(self, why: str) -> None:
        self.said.append("recovered")


@pytest.mark.parametrize(
    ("pings", "said"),
    [
        ("r", []),
        ("ra", []),
        ("rr", ["suspect 0", "alarm"]),
        ("rrrrr", ["suspect 0", "alarm"]),
        ("rrra", ["suspect 0", "alarm", "recovered"]),
        ("rarara", []),
        ("rrarr", ["suspect 0", "alarm", "recovered", "suspect 0", "alarm"]),
        ("sa", ["recovered"]),
        ("sra", ["suspect 0", "alarm", "recovered"]),
    ],
)
def test_people_are_told_at_the_second_refusal_and_of_its_end(pings: str, said: list[str]) -> None:
    """r: refused; s: refused at the end of a suspicion; a: answered."""
    told = Told()
    refusals = Refusals(told)
    for ping in pings:
        if ping == "a":
            refusals.over()
        else:
            refusals.refused("error 1040: full", suspected=ping == "s")
    assert told.said == said


def test_the_log_is_not_filled_by_one_that_comes_and_goes(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(Told())
    with caplog.at_level(logging.WARNING, "mha"):
        for _ in range(50):
            refusals.refused("error 1040: full")
            refusals.over()
    assert len(caplog.records) == 1
