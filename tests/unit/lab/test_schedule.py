"""The steps of a soak and of a chaos run come from the seed alone."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.lab.schedule import FaultStep, TroubleStep, faults, troubles

NAMES = ("kill -9", "shutdown", "frozen", "disk full", "power off")
FIRST_OF_SEVEN = [
    FaultStep(1, "power off", 2.0, (), 0.4, False),
    FaultStep(2, "shutdown", 2.6, (1,), 0.7, True),
    FaultStep(3, "kill -9", 1.8, (0,), 0.9, True),
]


def some_faults(seed: int, count: int = 60) -> list[FaultStep]:
    return list(islice(faults(seed, NAMES, dark=["power off"]), count))


def some_troubles(seed: int, count: int = 60) -> list[TroubleStep]:
    return list(islice(troubles(seed, NAMES), count))


@pytest.mark.parametrize("make", [some_faults, some_troubles])
@pytest.mark.parametrize("seed", [0, 7, 123456])
def test_the_same_seed_gives_the_same_steps(make, seed: int) -> None:
    assert make(seed) == make(seed)
    assert make(seed, 5) == make(seed)[:5], "a shorter run does the first of them"
    assert make(seed) != make(seed + 1)


def test_the_order_in_which_the_names_are_given_is_nothing() -> None:
    assert [s.name for s in islice(troubles(3, NAMES), 20)] == [s.name for s in islice(troubles(3, NAMES[::-1]), 20)]


def test_seed_7_does_what_it_did_when_it_was_first_printed() -> None:
    """A seed in a report must mean the same tomorrow."""
    assert some_faults(7, 3) == FIRST_OF_SEVEN


@pytest.mark.parametrize("seed", range(20))
def test_every_name_comes_before_any_comes_again(seed: int) -> None:
    for steps in (some_faults(seed), some_troubles(seed)):
        for first in range(0, len(steps), len(NAMES)):
            assert sorted(s.name for s in steps[first : first + len(NAMES)]) == sorted(NAMES)
        assert [s.number for s in steps] == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_asked_for_that_only_a_dark_host_had(seed: int) -> None:
    steps = some_faults(seed)
    assert all(len(s.behind) < 2 and not s.rejoin for s in steps if s.name == "power off")
    for each in ((), (0,), (1,), (0, 1)):
        assert any(s.behind == each for s in steps)
    assert {s.rejoin for s in steps} == {True, False}
    assert all(s.behind_for < s.quiet for s in steps)


@pytest.mark.parametrize("seed", range(20))
def test_troubles_are_bounded_and_meet_both_replicas(seed: int) -> None:
    steps = some_troubles(seed)
    assert all(2.0 <= s.seconds <= 12.0 and 1.0 <= s.quiet <= 4.0 for s in steps)
    assert {s.replica for s in steps} == {0, 1}
