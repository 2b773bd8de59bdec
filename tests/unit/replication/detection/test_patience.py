"""A primary is dead only after four misses in a row and when nobody else can reach it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.detection.classic_rules import (
    MissCounter,
    NextAction,
    Ping,
    SecondaryCheck,
    by_routes,
    decide,
)
from prefect_mha.replication.detection.observation import Finding, Observation, Observer

ANSWERS = Observation(Observer.OBSERVER, "db2", Finding.ANSWERED)
SILENT = Observation(Observer.OBSERVER, "db3", Finding.SILENT)
DEAF = Observation(Observer.REPLICA, "db2", Finding.DISCONNECTED)
OVERDUE = Observation(Observer.REPLICA, "db2", Finding.OVERDUE)
CONNECTED = Observation(Observer.REPLICA, "db2", Finding.RECEIVES)
MOVES = Observation(Observer.REPLICA, "db3", Finding.MOVES)
REFUSED = Observation(Observer.PING, "manager", Finding.REFUSED)
LATE = Observation(Observer.PING, "manager", Finding.SLOW)
OWN = Observation(Observer.OBSERVER, "db1", Finding.NO_VOICE)
GONE = Observation(Observer.OBSERVER, "db4", Finding.NO_VIEW)
OTHER_REFUSED = Observation(Observer.OBSERVER, "db3", Finding.REFUSED)


def acts(*pings: Ping) -> list[NextAction]:
    patience, seen = MissCounter(), []
    for number, ping in enumerate(pings):
        patience, act = patience.after(ping, float(number), "refused")
        seen.append(act)
    return seen


M, A, R = Ping.MISSED, Ping.ANSWERED, Ping.ALIVE_BUT_REFUSED


@pytest.mark.parametrize(
    ("pings", "expected"),
    [
        ([A, A], [NextAction.GO_ON, NextAction.GO_ON]),
        ([M, M, M, M], [NextAction.ASK_OTHERS, NextAction.GO_ON, NextAction.GO_ON, NextAction.DECIDE]),
        (
            [M, M, M, A, M],
            [NextAction.ASK_OTHERS, NextAction.GO_ON, NextAction.GO_ON, NextAction.RECOVERED, NextAction.ASK_OTHERS],
        ),
        ([M, R, M], [NextAction.ASK_OTHERS, NextAction.RECOVERED, NextAction.ASK_OTHERS]),
        ([R] * 3, [NextAction.GO_ON] * 3),
    ],
)
def test_four_misses_in_a_row_and_nothing_less(pings: list[Ping], expected: list[NextAction]) -> None:
    assert acts(*pings) == expected


@given(st.lists(st.sampled_from([A, R, M]), max_size=40))
def test_a_decision_always_follows_four_misses_in_a_row(pings: list[Ping]) -> None:
    for number, act in enumerate(acts(*pings)):
        if act is NextAction.DECIDE:
            assert pings[number - 3 : number + 1] == [M] * 4


@pytest.mark.parametrize(
    ("views", "secondary", "reachable", "dead", "why"),
    [
        ([SILENT], SecondaryCheck(), 2, True, "db3 cannot reach it either"),
        ([SILENT, GONE], SecondaryCheck(), 1, True, "pings missed"),
        ([], SecondaryCheck(), 1, False, "only the manager says so"),
        ([], SecondaryCheck(True, 127), 1, False, "only the manager says so"),
        ([SILENT], SecondaryCheck(True, 127), 1, True, "db3 cannot reach it either"),
        ([DEAF], SecondaryCheck(), 1, True, "pings missed"),
        ([OVERDUE], SecondaryCheck(), 1, True, "pings missed"),
        ([SILENT, CONNECTED], SecondaryCheck(), 1, True, "pings missed"),
        ([CONNECTED], SecondaryCheck(True, 0), 1, False, "still connected"),
        ([SILENT, REFUSED, CONNECTED], SecondaryCheck(), 1, False, "still connected"),
        ([SILENT, DEAF, MOVES], SecondaryCheck(True, 0), 2, False, "with progress"),
        ([SILENT, LATE], SecondaryCheck(), 1, False, "greets the manager"),
        ([REFUSED], SecondaryCheck(), 1, True, "pings missed"),
        ([ANSWERS, SILENT], SecondaryCheck(), 2, False, "answers db2"),
        ([SILENT], SecondaryCheck(), 0, False, "cut off"),
        ([SILENT], SecondaryCheck(True, 0), 2, True, "pings missed"),
        ([SILENT], SecondaryCheck(True, 3), 2, False, "ended with 3"),
        ([SILENT], SecondaryCheck(True, None), 2, False, "did not end in time"),
    ],
)
def test_the_managers_word_alone_is_not_enough(
    views: list[Observation], secondary: SecondaryCheck, reachable: int, dead: bool, why: str
) -> None:
    verdict = decide(MissCounter(4, 0.0, "refused"), views, secondary, True, reachable)
    assert verdict.dead is dead
    assert why in verdict.why


RUNS = Observation(Observer.PROCESS, "db1", Finding.RUNNING, "7")
STARTS = Observation(Observer.PROCESS, "db1", Finding.STARTING, "7")
FROZEN = Observation(Observer.PROCESS, "db1", Finding.STOPPED, "7 in state T")
GONE_THERE = Observation(Observer.PROCESS, "db1", Finding.GONE)
LISTENS = Observation(Observer.PORT, "db1", Finding.LISTENING)
CLOSED = Observation(Observer.PORT, "db1", Finding.CLOSED)


@pytest.mark.parametrize(
    ("there", "dead"),
    [
        ([RUNS, LISTENS], False),
        ([RUNS], False),
        ([LISTENS], False),
        ([GONE_THERE, LISTENS], False),
        ([FROZEN, LISTENS], True),
        ([STARTS, CLOSED], True),
        ([GONE_THERE, CLOSED], True),
        ([Observation(Observer.SSH, "db1", Finding.ANSWERED)], True),
        ([Observation(Observer.SSH, "db1", Finding.NO_VIEW)], True),
    ],
)
def test_silence_is_no_proof_against_a_process_or_a_listener(there: list[Observation], dead: bool) -> None:
    verdict = decide(MissCounter(4, 0.0, "timed out"), [SILENT, *there], SecondaryCheck(), True, 2)
    assert verdict.dead is dead
    assert ("silence is no proof" in verdict.why) is not dead


@pytest.mark.parametrize(
    ("views", "dead"),
    [
        # Its host and everybody who asks say that there is nothing to be connected to.
        ([GONE_THERE, CLOSED, REFUSED, OTHER_REFUSED, CONNECTED], True),
        ([GONE_THERE, CLOSED, REFUSED, OTHER_REFUSED, GONE, CONNECTED], True),
        ([GONE_THERE, CLOSED, REFUSED, OTHER_REFUSED, MOVES], False),
        ([GONE_THERE, CLOSED, REFUSED, OTHER_REFUSED, SILENT, CONNECTED], False),
        ([GONE_THERE, CLOSED, REFUSED, GONE, CONNECTED], False),
        ([GONE_THERE, CLOSED, SILENT, CONNECTED], True),
        ([GONE_THERE, REFUSED, OTHER_REFUSED, CONNECTED], False),
        ([STARTS, CLOSED, REFUSED, OTHER_REFUSED, CONNECTED], False),
        ([REFUSED, OTHER_REFUSED, CONNECTED], False),
    ],
)
def test_a_session_that_the_network_forgot_keeps_nobody_from_the_failover(views: list[Observation], dead: bool) -> None:
    """Such a replica notices nothing before its heartbeat is overdue: half an hour on MySQL 5.6 as it is installed."""
    assert decide(MissCounter(4, 0.0, "refused"), views, SecondaryCheck(), True, 2).dead is dead


def test_a_replica_on_the_managers_host_is_no_second_voice() -> None:
    assert not decide(MissCounter(4, 0.0, ""), [DEAF], SecondaryCheck(), False, 1, own=["db2"]).dead
    assert decide(MissCounter(4, 0.0, ""), [DEAF], SecondaryCheck(True, 0), False, 1, own=["db2"]).dead


def test_a_person_may_call_dead_what_is_silent_but_not_what_a_replica_receives_from() -> None:
    assert decide(MissCounter(1, 0.0, ""), [CONNECTED], SecondaryCheck(), False, 1, by_hand=True).dead
    assert not decide(MissCounter(1, 0.0, ""), [MOVES], SecondaryCheck(), False, 1, by_hand=True).dead
    assert not decide(MissCounter(1, 0.0, ""), [CONNECTED, REFUSED], SecondaryCheck(), False, 1, by_hand=True).dead


@pytest.mark.parametrize(
    ("views", "code"),
    [
        ([SILENT, OWN], 0),
        ([OWN], 2),
        ([SILENT, GONE, OWN], 2),
        ([SILENT], 0),
        ([SILENT, SILENT], 0),
        ([SILENT, SILENT, GONE], 0),
        ([SILENT, GONE], 2),
        ([GONE], 2),
        ([SILENT, GONE, GONE], 2),
        ([SILENT, SILENT, ANSWERS], 3),
        ([GONE, ANSWERS], 3),
    ],
)
def test_what_several_routes_say_together(views: list[Observation], code: int) -> None:
    assert by_routes(views) == code
