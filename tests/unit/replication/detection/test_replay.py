"""Recordings of the scenarios, judged by today's table: each must come to the end that it had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.detection.observation import Incident, read_incident
from prefect_mha.replication.detection.replay import replay, simulate, terms_in, was_death

RECORDINGS = sorted((Path(__file__).parent / "incidents").glob("*.jsonl"))


@pytest.fixture(params=RECORDINGS, ids=[path.stem for path in RECORDINGS])
def incident(request: pytest.FixtureRequest) -> Incident:
    return read_incident(request.param)


def test_each_recording_ends_as_it_did(incident: Incident) -> None:
    done = replay(incident, terms_in(incident))
    if not was_death(incident):
        assert done.verdict is None
        return
    assert done.verdict is not None
    assert not done.estimated
    assert done.verdict.judgement.row.name == incident.end["row"]
    assert done.verdict.seconds == pytest.approx(incident.end["seconds"], abs=0.1)


def test_there_are_recordings_of_deaths_and_of_none() -> None:
    ends = [was_death(read_incident(path)) for path in RECORDINGS]
    assert ends.count(True) >= 3
    assert ends.count(False) >= 2


def test_more_patience_is_slower_and_says_that_it_is_an_estimate(incident: Incident) -> None:
    if not was_death(incident):
        return
    now = terms_in(incident)
    later = replay(incident, replace(now, confirm_interval=5.0, misses=20))
    then = replay(incident, now)
    assert later.estimated
    assert later.verdict is not None
    assert then.verdict is not None
    assert later.verdict.seconds >= then.verdict.seconds + 2.0


def test_impatience_with_stillness_is_a_false_alarm() -> None:
    """A host that is silent for two seconds is no death; whoever waits half a second takes it for one."""
    flapping = {path.stem: read_incident(path) for path in RECORDINGS if "flap" in path.stem}
    if not flapping:
        pytest.skip("no recording of a link that flaps")
    patient, hasty = simulate(flapping, [0.2], [4], [2.3, 0.5])
    assert patient.false_alarms == ()
    assert hasty.false_alarms != ()
