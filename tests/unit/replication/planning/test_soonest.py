"""Whom a failover makes ready: every rule once, and that it ends."""

import math

import pytest

from prefect_mha.replication.planning.soonest import DrainTime, Next, decide
from prefect_mha.replication.workload.busy import Work, seconds_left

LOCK = DrainTime("2", "db2", math.inf, "it waits for a lock", ends=True)
LONG = DrainTime("2", "db2", 100.0, "it executes ALTER")
READY, SOON, LATE = DrainTime("3", "db3", 0.0), DrainTime("3", "db3", 2.0), DrainTime("3", "db3", 90.0)


def step(chosen, *others, stood=0.0, policy="other", end_blockers=True):
    return decide(chosen, others, stood, after=5.0, policy=policy, end_blockers=end_blockers)


@pytest.mark.parametrize(
    ("chosen", "others", "how", "what", "other"),
    [
        (DrainTime("2", "db2", 0.0), (READY,), {"stood": 60.0}, Next.WAIT, ""),
        (DrainTime("2", "db2", 4.0), (READY,), {}, Next.WAIT, ""),
        (DrainTime("2", "db2", 4.0), (READY,), {"stood": 6.0}, Next.OTHER, "3"),
        (LONG, (READY,), {}, Next.OTHER, "3"),
        (LONG, (SOON,), {}, Next.OTHER, "3"),
        (LONG, (LATE,), {}, Next.WAIT, ""),
        (LONG, (DrainTime("3", "db3", 40.0), DrainTime("4", "db4", 30.0)), {}, Next.OTHER, "4"),
        (LONG, (DrainTime("3", "db3", 2.0, passed=True),), {}, Next.WAIT, ""),
        (LONG, (DrainTime("3", "db3", 0.0, passed=True),), {}, Next.OTHER, "3"),
        (LONG, (READY,), {"policy": "wait"}, Next.WAIT, ""),
        (LONG, (READY,), {"policy": "refuse"}, Next.REFUSE, ""),
        (LOCK, (READY,), {}, Next.OTHER, "3"),
        (LOCK, (LOCK,), {}, Next.END, ""),
        (LOCK, (), {"end_blockers": False}, Next.WAIT, ""),
        (LOCK, (READY,), {"policy": "wait"}, Next.END, ""),
        (DrainTime("2", "db2", math.inf), (), {}, Next.WAIT, ""),
    ],
)
def test_rules(chosen, others, how, what, other):
    found = step(chosen, *others, **how)
    assert (found.what, found.other) == (what, other)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (Work("altering", behind=203.0, age=3.0), 197.0),
        (Work("altering", behind=203.0, age=150.0), 150.0),
        (Work("User sleep", behind=30.0, age=30.0), 30.0),
        (Work("User sleep", behind=30.0, age=None), 30.0),
        (Work("Waiting for global read lock", locked=True), math.inf),
    ],
)
def test_an_estimate(work, seconds):
    assert seconds_left(work) == seconds
