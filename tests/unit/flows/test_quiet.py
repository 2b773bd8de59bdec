"""While it is quiet Prefect's thread stands still; what was kept is told afterwards, in order, with its own words."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from prefect_mha.flows.engine.run_log import TASK_RUNS, log_to_prefect
from prefect_mha.flows.engine.standing import quiet
from prefect_mha.flows.engine.standing.quiet import kept, quietly

#: Seconds that whatever is to come at once may take on a busy machine.
PATIENCE = 20.0
who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@contextmanager
def a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread, as Prefect's does."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


@pytest.fixture(autouse=True)
def no_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_senders_loop", lambda: None)


def test_what_is_told_meanwhile_is_told_afterwards_in_its_order_and_context() -> None:
    told: list[str] = []
    with quietly() as moment:
        for name in ("step 1", "step 2"):
            who.set(name)
            assert kept(lambda: told.append(who.get()))
        assert told == []
        moment.over()
        assert not kept(lambda: told.append("late"))
    assert told == ["step 1", "step 2"]
    assert not kept(lambda: told.append("never"))


def test_it_lasts_no_longer_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "AT_MOST", 0.05)
    told = threading.Event()
    with quietly():
        assert kept(told.set)
        assert told.wait(PATIENCE)
        assert not kept(told.set)


def test_one_that_raises_leaves_nothing_untold() -> None:
    told: list[int] = []
    with pytest.raises(KeyboardInterrupt), quietly():
        kept(lambda: told.append(1))
        raise KeyboardInterrupt
    assert told == [1]


def test_one_that_cannot_be_told_keeps_none_of_the_others_back() -> None:
    told: list[int] = []
    with quietly():
        kept(lambda: 1 // 0)
        kept(lambda: told.append(1))
    assert told == [1]


def test_where_prefects_thread_has_ended_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_loop() as loop:
        monkeypatch.setattr(quiet, "_senders_loop", lambda: loop)
    assert loop.is_closed()
    told: list[int] = []
    with quietly():
        kept(lambda: told.append(1))
    assert told == [1]


def test_prefects_thread_stands_still_but_for_a_turn_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_loop() as loop:
        monkeypatch.setattr(quiet, "_senders_loop", lambda: loop)
        monkeypatch.setattr(quiet, "A_LOOK", PATIENCE)
        monkeypatch.setattr(quiet, "AT_MOST", 2 * PATIENCE)
        sent = threading.Event()
        with quietly() as moment:
            loop.call_soon_threadsafe(sent.set)
            assert not sent.wait(0.2)
            moment.over()
            assert sent.wait(PATIENCE)
        monkeypatch.setattr(quiet, "A_LOOK", 0.01)
        sent.clear()
        with quietly():
            loop.call_soon_threadsafe(sent.set)
            assert sent.wait(PATIENCE)


def test_many_at_once_leave_it_as_many_turns_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_loop() as loop, contextlib.ExitStack() as stack:
        monkeypatch.setattr(quiet, "_senders_loop", lambda: loop)
        monkeypatch.setattr(quiet, "A_LOOK", 1.0)
        monkeypatch.setattr(quiet, "AT_MOST", 4 * PATIENCE)
        moments = [stack.enter_context(quietly()) for _ in range(100)]
        turn = threading.Event()
        loop.call_soon_threadsafe(turn.set)
        assert turn.wait(PATIENCE)
        for moment in moments:
            moment.over()


def test_the_installed_prefect_has_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for sender in ("prefect.events.worker.EventsWorker", "prefect.logging.handlers.APILogWorker"):
        monkeypatch.setattr(f"{sender}.instance", lambda: None)
    loop = quiet._senders_loop()
    assert loop is not None
    assert loop.is_running()


def test_a_line_keeps_the_words_that_it_had() -> None:
    said: list[str] = []

    class Sender(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, sender = logging.getLogger("test of a quiet moment"), Sender()
    log_to_prefect(logger)
    theirs = logging.getLogger(TASK_RUNS)
    theirs.addHandler(sender)
    try:
        counted = [1]
        with quietly():
            theirs.warning("Finished %s", counted)
            counted.append(2)
            assert said == []
        theirs.warning("Finished %s", counted)
    finally:
        theirs.removeHandler(sender)
    assert said == ["Finished [1]", "Finished [1, 2]"]
