"""A request to end is raised once before the first effect, and put off after it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from prefect_mha.replication.local.interrupts import (
    Interrupted,
    ended_in_order,
    finish_from_here,
    may_be_left,
    put_off,
)


def ask(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_is_raised_before_the_first_effect_and_only_once(number: signal.Signals) -> None:
    former = signal.getsignal(number)
    with ended_in_order():
        with pytest.raises(Interrupted, match=f"asked to end .{number.name}."):
            ask(number)
        # What is taken back now must not be broken off.
        ask(number)
        assert put_off().startswith(f"{number.name} came in the middle")
    assert signal.getsignal(number) is former


def test_it_is_put_off_after_the_first_effect() -> None:
    with ended_in_order():
        assert put_off() == ""
        finish_from_here()
        ask(signal.SIGTERM)
        assert put_off() == "SIGTERM came in the middle and was put off until the end."
    with ended_in_order():
        assert put_off() == ""


def test_nothing_is_changed_in_other_threads() -> None:
    seen: list[object] = []

    def body() -> None:
        with ended_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join(5)
    assert seen == [before]


def test_what_was_put_off_is_raised_once_between_two_steps() -> None:
    with ended_in_order(between_steps=True):
        may_be_left()
        finish_from_here()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"):
            may_be_left()
        may_be_left()
        assert put_off() == ""
    with ended_in_order():
        finish_from_here()
        os.kill(os.getpid(), signal.SIGTERM)
        may_be_left()
        assert put_off() == "SIGTERM came in the middle and was put off until the end."
