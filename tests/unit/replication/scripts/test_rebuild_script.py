"""New data in, old data out, and the other way round, wherever it was cut short: no old data is ever lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the steps are root's")
PORT = "59999"


class Place:
    """A data directory, its room beside it, and the script."""

    def __init__(self, directory: Path) -> None:
        self.data, self.room = directory / "mysql", directory / ".mysql.mha-rebuild"
        self.data.mkdir()
        self.put(self.data, "old")

    def put(self, where: Path, what: str) -> None:
        """Files of a server, a directory among them."""
        (where / "app").mkdir(parents=True)
        for name in ("ibdata1", "auto.cnf", ".hidden", "app/t.ibd"):
            (where / name).write_text(what)

    def step(self, verb: str, word: str = "", ok: bool = True) -> str:
        words = [PORT, "", "127.0.0.1", str(self.data), "", str(self.data / "mysql-bin"), verb, word]
        done = subprocess.run(
            ["sh", "-c", script("rebuild.sh"), "rebuild", *words], capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is ok, done.stderr
        return done.stdout if ok else done.stderr

    def copied(self) -> None:
        self.step("begin")
        (self.room / "new").rmdir()
        self.put(self.room / "new", "new")
        (self.room / "state").write_text("copied\n")

    def has(self, where: Path, what: str) -> None:
        for name in ("ibdata1", ".hidden", "app/t.ibd"):
            assert (where / name).read_text() == what, name


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_in_and_settled(place: Place) -> None:
    place.copied()
    place.step("swap")
    place.has(place.data, "new")
    assert (place.data / "auto.cnf").read_text() == "old"
    place.has(place.room / "old", "old")
    place.step("placed")
    place.step("swap")
    assert "state placed" in place.step("state")
    told = place.step("settle", "1")
    (kept,) = place.data.parent.glob("mysql.before-*")
    assert f"kept {kept}" in told
    place.has(kept, "old")
    assert not place.room.exists()


def test_in_and_not_kept(place: Place) -> None:
    place.copied()
    place.step("swap")
    place.step("settle", "0")
    place.has(place.data, "new")
    assert [p.name for p in place.data.parent.iterdir()] == ["mysql"]


def test_in_and_back(place: Place) -> None:
    place.copied()
    place.step("swap")
    assert "back" in place.step("back")
    place.has(place.data, "old")


@pytest.mark.parametrize("moved", ["out", "in"])
def test_cut_short_and_gone_on_with_or_taken_back(place: Place, moved: str) -> None:
    """Half of the entries are here, half are there."""
    for verb, what in (("swap", "new"), ("back", "old")):
        place.copied()
        (place.room / "old").mkdir()
        if moved == "out":
            (place.data / "app").rename(place.room / "old" / "app")
        else:
            for entry in list(place.data.iterdir()):
                entry.rename(place.room / "old" / entry.name)
            (place.room / "old.whole").touch()
            (place.room / "new" / "app").rename(place.data / "app")
        (place.room / "state").write_text(f"{moved}\n")
        place.step(verb)
        place.has(place.data, what)
        if verb == "swap":
            place.has(place.room / "old", "old")
            place.step("back")


def test_a_second_rebuild_does_not_take_a_copy_for_the_old_data(place: Place) -> None:
    place.copied()
    place.step("swap")
    place.copied()
    assert "old " in place.step("state")
    place.step("swap")
    place.has(place.data, "new")
    place.has(place.room / "old", "old")


def test_half_a_copy_is_not_put_in(place: Place) -> None:
    place.step("begin")
    assert "there is no whole copy to put in: copying" in place.step("swap", ok=False)
    place.has(place.data, "old")
    place.step("drop")
    assert not place.room.exists()


def test_aside_is_done_once(place: Place) -> None:
    place.step("begin")
    place.step("aside")
    (place.data / "ibdata1").write_text("half a dump")
    place.step("begin")
    place.step("aside")
    place.has(place.room / "old", "old")
    place.step("back")
    place.has(place.data, "old")
