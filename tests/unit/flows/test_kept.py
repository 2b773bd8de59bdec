"""What a run leaves on the disk for Prefect, and who delivers that."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from prefect_mha.flows.engine import kept
from prefect_mha.flows.engine.kept import KeptRuns
from prefect_mha.flows.engine.record import RunRecord, Unanswered
from prefect_mha.replication.errors import MhaError
from prefect_mha.replication.memory import spool

RUN = UUID("3f0c5a4e-8a52-4f3e-9d9b-52c6f1f1f0a1")


def record(key: str) -> RunRecord:
    now = datetime.now(UTC)
    return RunRecord(key=key, flow_name="failover", run_name="failover", started=now, ended=now, state="COMPLETED")


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

    def deliver(given: RunRecord) -> None:
        if given.key == "refused":
            raise MhaError("404")
        got.append(given.key)

    monkeypatch.setattr(kept, "deliver", deliver)
    assert runs.deliver_left_behind()
    assert got == ["a", "b"]
    assert list(runs.left_behind()) == []


def test_while_the_api_is_away_they_stay(runs: KeptRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    left(runs, "a", "b")

    def deliver(_given: RunRecord) -> None:
        raise Unanswered("refused")

    monkeypatch.setattr(kept, "deliver", deliver)
    assert not runs.deliver_left_behind()
    assert len(list(runs.left_behind())) == 2


def test_what_its_thread_has_given_up_is_delivered_in_the_same_process(
    runs: KeptRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, got = runs.keep(record("mine")), []
    assert file is not None
    monkeypatch.setattr(kept, "deliver", lambda given: got.append(given.key))
    assert runs.deliver_left_behind()
    assert got == []
    runs.let_go(file)
    assert runs.deliver_left_behind()
    assert (got, file.exists()) == (["mine"], False)


def test_a_record_of_the_version_before_is_delivered(
    runs: KeptRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(runs, "new")
    (new,) = runs.left_behind()
    old = new.with_name(f"00000000000000000001-{new.stem.split('-')[1]}.json")
    old.write_text(record("old").model_dump_json())
    got = []
    monkeypatch.setattr(kept, "deliver", lambda given: got.append(given.key))
    assert runs.deliver_left_behind()
    assert got == ["old", "new"]


@pytest.mark.parametrize("bound", [{"MOST": 3}, {"MOST_BYTES": 60}])
def test_of_too_much_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: dict[str, int]) -> None:
    for name, value in bound.items():
        monkeypatch.setattr(spool, name, value)
    waits = spool.Spool(tmp_path / "app1.events")
    waits.open()
    for number in range(5):
        waits.put(f"{number:020}")
    assert [int(file.read_text()) for file in waits.bounded()] == [2, 3, 4]
    assert len(waits.waiting()) == 3


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert KeptRuns(tmp_path / "file", "app1").keep(record("a")) is None


class TestRunsThatStandBy:
    def gone(self, runs: KeptRuns) -> Path:
        """The file of a run whose process is gone."""
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        file = runs.mark_standing(RUN)
        return file.rename(file.with_name(file.name.replace(f"-{os.getpid()}", f"-{ended.pid}")))

    def test_who_lives_ends_its_own(self, runs: KeptRuns) -> None:
        assert runs.mark_standing(RUN).exists()
        assert list(runs.left_standing()) == []

    def test_one_whose_process_died_is_ended_once(self, runs: KeptRuns, monkeypatch: pytest.MonkeyPatch) -> None:
        file, ended = self.gone(runs), []
        monkeypatch.setattr(kept, "end_crashed", lambda given, *_: ended.append(given))
        assert runs.deliver_left_behind()
        assert runs.deliver_left_behind()
        assert (ended, file.exists()) == ([(RUN,)], False)

    def test_while_the_api_is_away_it_stays(self, runs: KeptRuns, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> None:
            raise Unanswered("refused")

        file = self.gone(runs)
        monkeypatch.setattr(kept, "end_crashed", away)
        assert not runs.deliver_left_behind()
        assert file.exists()
