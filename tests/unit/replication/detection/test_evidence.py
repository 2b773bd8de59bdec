"""What was seen is remembered, written when something happens, and read back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prefect_mha.replication.detection.observation import (
    MOST_FILES,
    MOST_LINES,
    REMEMBERED,
    Finding,
    IncidentRecorder,
    Observation,
    Observer,
    Round,
    read_incident,
)


def ping(number: int) -> Observation:
    return Observation(Observer.PING, "manager", Finding.ANSWERED, str(number), at=100.0 + number, clock=float(number))


def test_nothing_is_written_before_something_happens(tmp_path: Path) -> None:
    IncidentRecorder(tmp_path, "app1", {}).see(ping(1))
    assert not list(tmp_path.iterdir())


def test_an_incident_is_read_back_as_it_was_seen(tmp_path: Path) -> None:
    recorder = IncidentRecorder(tmp_path, "app1", {"terms": {"misses": 4}})
    recorder.see(ping(1))
    recorder.begin(since=2.0)
    gone = Observation(Observer.PROCESS, "db1", Finding.GONE, "", at=102.0, clock=2.5, took=0.25)
    recorder.round(1, Round(2.25, 2.75, (gone,)), row="crashed process", dead=True)
    recorder.end("verdict", row="crashed process")
    (path,) = tmp_path.iterdir()
    incident = read_incident(path)
    assert incident.rounds == (Round(2.25, 2.75, (gone,)),)
    assert (incident.rounds[0].seen[0].clock, incident.rounds[0].seen[0].began) == (2.5, 2.25)
    assert incident.head["terms"] == {"misses": 4}
    assert (incident.judged[0]["dead"], incident.end["line"]) == (True, "verdict")
    kinds = [json.loads(line)["line"] for line in path.read_text().splitlines()]
    assert kinds == ["incident", "seen", "round", "verdict"]


def test_memory_and_files_are_bounded(tmp_path: Path) -> None:
    recorder = IncidentRecorder(tmp_path, "app1", {})
    recorder.see(*(ping(n) for n in range(REMEMBERED * 2)))
    recorder.begin()
    recorder.see(*(ping(n) for n in range(MOST_LINES)))
    recorder.end("recovered")
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines()
    assert len(lines) == MOST_LINES + 1
    assert json.loads(lines[1])["detail"] == str(REMEMBERED)
    assert json.loads(lines[-1])["line"] == "recovered"
    for n in range(MOST_FILES + 5):
        (tmp_path / f"app1.incident-2000010100{n:04d}.000.jsonl").touch()
    recorder.begin()
    recorder.end("recovered")
    assert len(list(tmp_path.glob("app1.incident-*"))) == MOST_FILES


def test_a_directory_that_takes_no_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = IncidentRecorder(tmp_path / "missing", "app1", {})
    recorder.begin()
    recorder.see(ping(1))
    recorder.end("recovered")
    assert "cannot be recorded" in caplog.text


@pytest.mark.parametrize("text", ["no json", "[]", '{"line": "round"}', '{"line": "seen", "source": "x"}', ""])
def test_what_is_no_incident_is_told_with_its_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.jsonl"):
        read_incident(path)
