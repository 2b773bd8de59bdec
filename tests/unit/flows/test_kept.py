"""What a run leaves on the disk for Prefect, and who delivers that."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import kept
from flows.delivery import FlowRecord, Unanswered
from flows.kept import KeptRuns
from replication.errors import MhaError


def record(key: str) -> FlowRecord:
    return FlowRecord(key=key, flow_name="failover", run_name="failover app1", started=datetime.now(UTC))


def left(runs: KeptRuns, *keys: str) -> None:
    """Records whose process is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for key in keys:
        file = runs.keep(record(key))
        assert file is not None
        file.rename(file.with_name(file.name.replace(f"-{os.getpid()}", f"-{gone.pid}")))


@pytest.fixture
def runs(tmp_path: Path) -> KeptRuns:
    return KeptRuns(tmp_path, "app1")


def test_who_lives_delivers_its_own(runs: KeptRuns) -> None:
    assert runs.keep(record("mine")) is not None
    assert list(runs.left_behind()) == []


def test_they_are_delivered_in_order_and_one_that_is_refused_holds_nobody_up(
    runs: KeptRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(runs, "a", "refused", "b")
    (tmp_path / "app1.runs" / "0-999999999.json").write_text("{")
    got = []

    def deliver(given: FlowRecord, _seconds: float) -> None:
        if given.key == "refused":
            raise MhaError("404")
        got.append(given.key)

    monkeypatch.setattr(kept, "deliver", deliver)
    assert runs.deliver_left_behind()
    assert got == ["a", "b"]
    assert list(runs.left_behind()) == []


def test_while_the_api_is_away_they_stay(runs: KeptRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    left(runs, "a", "b")

    def deliver(_given: FlowRecord, _seconds: float) -> None:
        raise Unanswered("refused")

    monkeypatch.setattr(kept, "deliver", deliver)
    assert not runs.deliver_left_behind()
    assert len(list(runs.left_behind())) == 2


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert KeptRuns(tmp_path / "file", "app1").keep(record("a")) is None
