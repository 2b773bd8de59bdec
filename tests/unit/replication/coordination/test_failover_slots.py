"""Slots for failovers: who may be failed over now, when more clusters want it than one process does at a time."""

from __future__ import annotations

import threading
import time
from itertools import permutations

import pytest

from prefect_mha.replication.coordination.failover_slots import Claim, FailoverSlots, in_order, may_go

A, B, C, D = Claim("a", 100, 3.0), Claim("b", 200, 4.0), Claim("c", 100, 1.0), Claim("d", -5, 0.0)


def test_the_more_important_goes_first_and_of_equals_the_one_that_waited_longer() -> None:
    for waiting in permutations((A, B, C, D)):
        assert in_order(waiting) == (B, C, A, D)


@pytest.mark.parametrize(
    ("running", "most", "who"),
    [(0, 2, (B, C)), (1, 2, (B,)), (2, 2, ()), (3, 2, ()), (0, 8, (B, C, A, D))],
)
def test_as_many_go_as_there_are_places(running: int, most: int, who: tuple[Claim, ...]) -> None:
    assert may_go((A, B, C, D), running, most) == who


def test_one_alone_never_waits() -> None:
    turns = FailoverSlots(1)
    for _ in range(3):
        with turns.turn("a", 100, threading.Event()) as waited:
            assert waited is not None
            assert waited < 0.1


def test_places_are_given_in_order_and_never_more_than_there_are() -> None:
    turns, order, most, lock = FailoverSlots(2), [], [0, 0], threading.Lock()
    free = threading.Event()

    def fail_over(name: str, priority: int) -> None:
        with turns.turn(name, priority, threading.Event()) as waited:
            assert waited is not None
            with lock:
                order.append(name)
                most[0] += 1
                most[1] = max(most)
            if name.startswith("first"):
                free.wait(10)
            time.sleep(0.02)
            with lock:
                most[0] -= 1

    threads = [threading.Thread(target=fail_over, args=(f"first{n}", 0)) for n in range(2)]
    for thread in threads:
        thread.start()
    while len(order) < 2:
        time.sleep(0.01)
    later = [(f"p{priority}", priority) for priority in (10, 300, 20, 5, 200)]
    threads += [threading.Thread(target=fail_over, args=each) for each in later]
    for thread in threads[2:]:
        thread.start()
    while len(turns._waiting) < len(later):
        time.sleep(0.01)
    assert len(order) == 2
    free.set()
    for thread in threads:
        thread.join(10)
    assert most[1] == 2
    # Two go at the same time, so neighbours may have changed places.
    assert [sorted(order[2:4]), sorted(order[4:6]), order[6]] == [["p200", "p300"], ["p10", "p20"], "p5"]


def test_who_is_to_stop_waits_no_longer_and_is_in_nobodys_way() -> None:
    turns, stop = FailoverSlots(1), threading.Event()
    with turns.turn("a", 100, threading.Event()):
        stop.set()
        with turns.turn("b", 900, stop) as waited:
            assert waited is None
    with turns.turn("c", 1, threading.Event()) as waited:
        assert waited is not None


def test_a_place_comes_back_when_what_had_it_failed() -> None:
    turns = FailoverSlots(1)
    with pytest.raises(OSError, match="full"), turns.turn("a", 1, threading.Event()):
        raise OSError("full")
    with turns.turn("b", 1, threading.Event()) as waited:
        assert waited is not None
