"""The checks of a manager's start are made beside its watch: who may act when, and what ends the watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig
from prefect_mha.flows.manager import start_checks
from prefect_mha.flows.manager.options import ManagerOptions
from prefect_mha.flows.manager.start_checks import StartChecks
from prefect_mha.replication.errors import RefusalError
from prefect_mha.replication.model.refusal import Refusal
from tests.unit.replication.build import block

UNFIT = RefusalError(Refusal("start-checks", "not fit", "fix it"))


class Checks:
    """Checks that end when they are told to, with this error or none."""

    def __init__(self) -> None:
        self.may_end, self.error = threading.Event(), None

    error: Exception | None

    def __call__(self, *_: object, **__: object) -> None:
        assert self.may_end.wait(10)
        if self.error is not None:
            raise self.error


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Checks]:
    checks = Checks()
    monkeypatch.setattr(start_checks, "check_at_start", checks)
    monkeypatch.setattr(start_checks, "check_beside", lambda *_, **__: None)
    yield checks
    checks.may_end.set()


def beginning(
    tmp_path: Path, allowed: threading.Event, stop: threading.Event | None = None, **asked: bool
) -> StartChecks:
    server = block(1)
    config = ClusterConfig(name="app1", path=tmp_path / "app1.cnf", servers=(server,), manager_workdir=tmp_path)
    given = {"ask": True, "may_refuse": True} | asked
    options = ManagerOptions(go_on=given.pop("go_on", False))
    return StartChecks(config, options, stop or threading.Event(), allowed.set, **given)


def test_nobody_acts_before_the_checks_allow_it(made: Checks, tmp_path: Path) -> None:
    allowed = threading.Event()
    with beginning(tmp_path, allowed) as stop:
        assert not allowed.is_set()
        made.may_end.set()
        assert allowed.wait(10)
        assert not stop.is_set()


def test_a_failed_check_ends_the_watch_and_nobody_acts(made: Checks, tmp_path: Path) -> None:
    allowed, made.error = threading.Event(), UNFIT
    made.may_end.set()
    with pytest.raises(RefusalError, match="not fit"), beginning(tmp_path, allowed) as stop:
        while not stop.is_set():
            stop.wait(0.01)
    assert not allowed.is_set()


def test_a_watch_that_is_over_before_they_are_made_is_not_refused_by_them(made: Checks, tmp_path: Path) -> None:
    allowed, made.error = threading.Event(), UNFIT
    with beginning(tmp_path, allowed):
        pass
    made.may_end.set()
    assert not allowed.is_set()


@pytest.mark.parametrize(
    "asked", [{"may_refuse": False}, {"go_on": True}, {"ask": False}], ids=["in a hurry", "goes on", "asked before"]
)
def test_where_nothing_may_be_refused_it_acts_at_once(made: Checks, tmp_path: Path, asked: dict[str, bool]) -> None:
    allowed = threading.Event()
    with beginning(tmp_path, allowed, **asked):
        assert allowed.is_set()


def test_who_is_asked_to_stop_ends_the_watch(made: Checks, tmp_path: Path) -> None:
    asked = threading.Event()
    with beginning(tmp_path, threading.Event(), asked) as stop:
        assert not stop.is_set()
        asked.set()
        assert stop.is_set()


def test_who_waits_wakes_when_asked_to_stop(made: Checks, tmp_path: Path) -> None:
    """MHA's way of detection waits an interval at a time."""
    asked = threading.Event()
    with beginning(tmp_path, threading.Event(), asked) as stop:
        assert not stop.wait(0.01)
        threading.Timer(0.05, asked.set).start()
        began = time.monotonic()
        assert stop.wait(30)
        assert time.monotonic() - began < 15
