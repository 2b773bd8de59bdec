"""The looks behind the live view: whatever goes wrong is shown, and the next look is made all the same."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.commands.views.live import looking
from prefect_mha.commands.views.live.glance import Glance
from prefect_mha.commands.views.live.keys import place
from prefect_mha.commands.views.live.looking import Looking


class Seen:
    """Stands for a cluster: each look takes the next of ``told``, and the last again and again."""

    def __init__(self, told: list[Glance | Exception]) -> None:
        self.told, self.made, self.closed = told, 0, 0
        self.looks = threading.Semaphore(0)

    def __call__(self, conf: Path, global_conf: Path, stamp: object, held: object) -> Seen:
        self.stamp, self.made = stamp, self.made + 1
        return self

    def glance(self) -> Glance:
        self.looks.release()
        told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(told, Exception):
            raise told
        return told

    def close(self) -> None:
        self.closed += 1

    def after(self, looks: int) -> None:
        for _ in range(looks):
            assert self.looks.acquire(timeout=10)


WELL = Glance("app1", Path("app1.cnf"), 1.0)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "app1.cnf"
    path.write_text("one")
    return path


def test_no_error_ends_the_looks(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen([WELL, TypeError("unexpected"), ValueError("odd")])
    monkeypatch.setattr(looking, "_Cluster", seen)
    with Looking([conf], conf.with_name("none"), lambda *_: [], 0.001) as looks:
        seen.after(5)
        assert looks.glances()[0].failed == "ValueError: odd"
        assert looks.glances()[0].at == WELL.at
    assert seen.closed == 1


def test_a_configuration_that_changed_is_read_again(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen([WELL])
    monkeypatch.setattr(looking, "_Cluster", seen)
    with Looking([conf], conf.with_name("none"), lambda *_: [], 0.001):
        seen.after(3)
        assert (seen.made, seen.closed) == (1, 0)
        new = conf.with_name("new")
        new.write_text("two")
        new.replace(conf)
        # A look may have begun before; of the second after it the file is new.
        while seen.looks.acquire(blocking=False):
            pass
        seen.after(3)
        assert (seen.made, seen.closed) == (2, 1)


def test_clusters_of_one_name_are_two() -> None:
    one, other = replace(WELL, conf=Path("a/app1.cnf")), replace(WELL, conf=Path("b/app1.cnf"))
    assert place([one, other], other) == 1
    assert place([one, other], replace(other, at=9.0, cluster="renamed")) == 1
    assert place([one, other], None) == 0
    assert place([], other) == 0
