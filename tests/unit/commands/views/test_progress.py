"""Bars: of what takes long, on a terminal only, and told by whatever measures itself."""

from __future__ import annotations

import logging
import sys

import pytest

from prefect_mha.commands.views import progress
from prefect_mha.commands.views.progress import Bars, bars
from prefect_mha.replication.meter import Meter, OnTheWay, Progress, watched_by
from prefect_mha.replication.model.position import BinlogPosition


@pytest.fixture(autouse=True)
def no_other_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's log may write to a stream that is closed by now."""
    monkeypatch.setattr(logging.getLogger("mha"), "handlers", [])


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_is_drawn_after_two_seconds_and_gone_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    shown = Bars(clock)
    shown(Progress("save a", 1, 100, 1.0))
    assert shown.steps == ()
    clock.now += 1.0
    shown(Progress("save a", 50, 100, 1.0))
    assert shown.steps == ("save a",)
    shown(Progress("save a", 100, 100, 1.0, over=True))
    assert shown.steps == ()
    shown.close()


def test_what_nobody_speaks_of_any_more_is_forgotten() -> None:
    clock = Clock()
    shown = Bars(clock)
    for _ in range(2):
        shown(Progress("apply", 1, 100, 1.0))
        clock.now += 2.0
    assert shown.steps == ("apply",)
    clock.now += 20.0
    shown(Progress("other", 1, 100, 1.0))
    assert shown.steps == ()
    shown.close()


def test_where_no_terminal_is_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: False, raising=False)
    with bars() as told:
        assert told is None


def test_whoever_watches_is_told_of_what_measures_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("prefect_mha.replication.meter.time.monotonic", clock)
    told: list[Progress] = []
    with watched_by(told.append):
        way, meter = OnTheWay("execute"), Meter("save", 100)
        for pos in (100, 150, 400):
            clock.now += 1.5
            way.at(BinlogPosition("a.000002", pos), BinlogPosition("a.000002", 500))
            meter.at(pos // 5)
        way.at(BinlogPosition("a.000001", 900), BinlogPosition("a.000002", 500))
        way.at(None, None)
    clock.now += 5.0
    meter.at(100)
    assert [(each.done, each.total) for each in told if each.step == "execute"] == [(50, 400), (300, 400)]
    assert [each.done for each in told if each.step == "save"] == [20, 30, 80]


def test_a_bar_ends_with_what_it_shows_be_it_done_or_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr("prefect_mha.replication.meter.time.monotonic", clock)
    shown, out = Bars(clock), sys.stdout
    with pytest.raises(ZeroDivisionError), watched_by(shown), OnTheWay("execute") as way, Meter("save", 100) as meter:
        for done in (10, 20, 30):
            clock.now += 1.5
            way.at(BinlogPosition("a.000002", done), BinlogPosition("a.000002", 500))
            meter.at(done)
        assert set(shown.steps) == {"execute", "save"}
        assert sys.stdout is out
        raise ZeroDivisionError
    assert shown.steps == ()


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(progress, "_new", gone)
    clock = Clock()
    shown = Bars(clock)
    for done in (1, 2):
        shown(Progress("save", done, 100, 1.0))
        clock.now += 3.0
    shown.close()
