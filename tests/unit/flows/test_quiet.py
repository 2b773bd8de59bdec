"""While it is quiet Prefect's thread stands still; what was kept is told afterwards, in order, with its own words."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_mha.flows.engine.acting import Deed, Shown
from prefect_mha.flows.engine.ending import Ending
from prefect_mha.flows.engine.run_log import TASK_RUNS, log_to_prefect
from prefect_mha.flows.engine.standing import quiet
from prefect_mha.flows.engine.standing.quiet import Quiet, kept, wait_while_quiet
from prefect_mha.flows.engine.standing.run import StandingRun
from prefect_mha.replication.errors import MhaError
from tests.lab.prefect_server import refused_port

# ruff keeps this block apart: Prefect is imported after the engine has set the environment
from prefect.events.clients import EventsClient  # isort: skip
from prefect.events.schemas.events import Event  # isort: skip
from prefect.events.worker import EventsWorker  # isort: skip
from prefect.settings import temporary_settings  # isort: skip

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


@contextmanager
def quietly() -> Iterator[Quiet]:
    """Ended as a deed ends it."""
    moment = Quiet()
    try:
        yield moment
    finally:
        moment.end()


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


@pytest.mark.parametrize("fails", [False, True])
def test_a_deed_is_quiet_from_when_writes_are_out_until_they_are_back(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StandingRun("switchover", "app1", tmp_path)
    monkeypatch.setattr("prefect_mha.flows.engine.acting.flow_run", object)
    told: list[str] = []

    def switch() -> str:
        assert not kept(lambda: told.append("before"))
        run.hush()
        assert kept(lambda: told.append("held"))
        if fails:
            raise MhaError("db1: writes were not stopped")
        run.show()
        assert not kept(lambda: told.append("after"))
        return "done"

    with contextlib.suppress(MhaError):
        run.act(Deed("key", "name", {}), switch, lambda done: Shown(Ending("COMPLETED", done), "name"))
    assert told == ["held"]
    assert not kept(lambda: told.append("later"))


def test_what_can_wait_waits_for_all_of_them() -> None:
    passed = threading.Event()

    def wait() -> None:
        wait_while_quiet()
        passed.set()

    with quietly() as first, quietly() as second:
        waiting = threading.Thread(target=wait)
        waiting.start()
        first.over()
        assert not passed.wait(0.1)
        second.over()
        assert passed.wait(PATIENCE)
        waiting.join(PATIENCE)


def test_the_installed_prefect_sends_events_in_the_thread_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails on a Prefect that has its sender elsewhere: look for it there, or for a public way to hold it back."""
    monkeypatch.undo()
    sent = threading.Event()

    class Sending(EventsClient):
        async def _emit(self, event: Event) -> None:
            sent.set()

    with refused_port() as port, temporary_settings({"api.url": f"http://127.0.0.1:{port}/api"}):
        EventsWorker.set_client_override(Sending)
        try:
            assert quiet._senders_loop() is not None
            with monkeypatch.context() as patched:
                patched.setattr(quiet, "A_LOOK", PATIENCE)
                patched.setattr(quiet, "AT_MOST", 2 * PATIENCE)
                with quietly() as moment:
                    EventsWorker.instance().send(Event(event="told", resource={"prefect.resource.id": "test"}))
                    assert not sent.wait(0.5)
                    moment.over()
                    assert sent.wait(PATIENCE)
        finally:
            EventsWorker.instance().drain()
            EventsWorker.set_client_override(None)


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
