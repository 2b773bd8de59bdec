"""Who comes back is tried once, told once, and not twice in a row."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, ConfigError
from prefect_mha.flows.manager import returning
from prefect_mha.flows.manager.returning import Returning
from prefect_mha.replication.errors import AlreadyActing
from prefect_mha.replication.memory.held_servers import HeldServers
from prefect_mha.replication.memory.journal import END, REJOIN, Journal
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.rejoin.outcome import RejoinOutcome, refused
from tests.unit.replication.build import configured

OLD = "10.0.0.1:3306"


class Scene:
    """One cluster whose db1 is held; ``answers`` is what each try of it comes to."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config: ClusterConfig = configured({}, manager_workdir=directory, auto_rejoin="follow")
        HeldServers.of(self.config).replaced(OLD, "db1(10.0.0.1:3306)", "10.0.0.2:3306")
        self.port, self.tried, self.by = "open", list[bool](), list[str]()
        self.answers: Iterator[Any] = iter(())
        self.told: list[str] = []
        monkeypatch.setattr(returning, "knock", lambda *_: self.port)
        monkeypatch.setattr(returning, "rejoin_now", self._rejoin)
        monkeypatch.setattr(returning, "AGAIN", 0.0)
        tell = lambda _, event, **facts: self.told.append(event)  # noqa: E731 - in the place of a method
        monkeypatch.setattr(returning.EventHooks, "tell", tell)
        self.up = True
        monkeypatch.setattr(returning.Server, "connect", lambda *_: None)
        monkeypatch.setattr(returning.Server, "stirs", lambda *_: not self.up)
        self.one = Returning(self.config, lambda: True)

    def _rejoin(
        self, _: ClusterConfig, key: str, how: How, *, alone: bool, by: str, asked_to_end: Callable[[], bool]
    ) -> RejoinOutcome:
        assert (key, how, asked_to_end()) == (OLD, How.FOLLOW, False)
        self.tried.append(alone)
        self.by.append(by)
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    def looks(self, times: int) -> None:
        for _ in range(times):
            self.one._look()

    def begun(self, *, ended: bool, by: str = "me", how: str = "follow") -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        journal = Journal(self.config.manager_workdir / "app1.rejoin-1.journal")
        journal.record(REJOIN, "began", OLD, pid=gone.pid, by=by, plan={"how": how})
        if ended:
            journal.record(END, "ended", OLD)
        journal.close()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_one_that_is_down_is_not_tried(scene: Scene) -> None:
    scene.port = "refused"
    scene.looks(3)
    assert scene.tried == []


def test_whoever_acts_on_the_cluster_is_waited_for(scene: Scene) -> None:
    scene.answers = iter(
        [AlreadyActing("a switch"), refused(Refusal("primary-read-only", "", "")), RejoinOutcome(0, "")]
    )
    scene.looks(3)
    assert scene.tried == [True] * 3
    assert scene.told == []


def test_what_is_refused_for_good_is_told_once_until_it_comes_back_again(scene: Scene) -> None:
    scene.answers = iter([refused(Refusal("has-more", "it has more", "look"))] * 2)
    scene.looks(4)
    assert (len(scene.tried), scene.told) == (1, ["not_rejoined"])
    scene.up = False
    scene.looks(1)
    scene.up = True
    scene.looks(2)
    assert (len(scene.tried), scene.told) == (2, ["not_rejoined"])


def test_no_port_is_tried_of_one_that_is_known_to_be_there(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server counts broken handshakes, and locks out who makes a hundred of them."""
    knocks = list[str]()
    monkeypatch.setattr(returning, "knock", lambda *_: knocks.append("knock") or "open")
    scene.answers = iter([refused(Refusal("has-more", "it has more", "look"))])
    scene.looks(9)
    assert len(knocks) == 1


def test_not_twice_in_a_row(scene: Scene) -> None:
    scene.begun(ended=True)
    scene.looks(3)
    assert scene.tried == []


def test_one_that_was_cut_short_is_gone_on_with_as_it_was_asked_for(scene: Scene) -> None:
    scene.begun(ended=False)
    scene.answers = iter([RejoinOutcome(0, "")])
    assert scene.one._finish()
    assert (scene.tried, scene.by) == ([False], ["me"])


def test_what_a_manager_began_alone_is_gone_on_with_alone(scene: Scene) -> None:
    scene.begun(ended=False, by="manager")
    scene.answers = iter([RejoinOutcome(0, "")])
    assert scene.one._finish()
    assert scene.tried == [True]


def test_a_rescue_that_was_cut_short_is_not_made_a_rejoin(scene: Scene) -> None:
    scene.begun(ended=False, how="rescue")
    assert not scene.one._finish()
    assert scene.tried == []


def test_what_was_refused_for_good_is_not_gone_on_with_again_and_again(scene: Scene) -> None:
    scene.begun(ended=False)
    scene.answers = iter([refused(Refusal("has-more", "it has more", "look"))])
    for _ in range(3):
        assert scene.one._finish()
    assert len(scene.tried) == 1


def test_one_that_nobody_knows_any_more_is_ended(scene: Scene) -> None:
    scene.begun(ended=False)
    scene.answers = iter([refused(Refusal("unknown-server", "nobody knows it", "name another"))])
    assert scene.one._finish()
    assert not scene.one._finish()
    assert scene.told == ["not_rejoined"]


@pytest.mark.parametrize(
    "trouble", [ConfigError("no such file"), OSError("no disk"), KeyError("kind"), AlreadyActing("a switch")]
)
def test_whatever_is_wrong_with_one_server_is_said_and_the_others_are_looked_after(
    scene: Scene, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene.answers = iter([trouble, RejoinOutcome(0, "")])
    scene.looks(2)
    assert scene.tried == [True] * 2
    assert "cannot be made a replica now" in caplog.text


def test_nothing_is_left_of_one_that_ended(scene: Scene) -> None:
    scene.begun(ended=True)
    assert not scene.one._finish()


def test_one_at_which_a_person_is_just_now_is_looked_at_again_and_nobody_is_told(scene: Scene) -> None:
    busy = refused(Refusal("already-rejoining", "a rejoin is under way", "wait for its end"))
    scene.answers = iter([busy, RejoinOutcome(0, "")])
    scene.looks(2)
    assert len(scene.tried) == 2
    assert scene.told == []
