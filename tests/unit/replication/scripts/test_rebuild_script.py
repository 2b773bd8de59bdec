"""New data in, old data out, and the other way round, wherever it was cut short: no old data is ever lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the steps are root's")
PORT, OWNER = "59999", 65534


class Place:
    """A data directory, its room beside it, and the script."""

    def __init__(self, directory: Path) -> None:
        self.data, self.room = directory / "mysql", directory / ".mysql.mha-rebuild"
        self.data.mkdir()
        self.put(self.data, "old")
        sum_of = subprocess.run(["cksum"], input=str(self.data), capture_output=True, text=True, check=True).stdout
        self.memory = Path(f"/var/lib/mha-rebuild/{PORT}-{'-'.join(sum_of.split())}")

    def put(self, where: Path, what: str) -> None:
        """Files of a server, a directory among them."""
        (where / "app").mkdir(parents=True)
        for name in ("ibdata1", "auto.cnf", ".hidden", "app/t.ibd"):
            (where / name).write_text(what)
        for each in (where, *where.rglob("*")):
            os.chown(each, OWNER, OWNER)

    def state(self, word: str) -> None:
        (self.memory / "state").write_text(f"{word}\n")

    def step(self, verb: str, word: str = "", ok: bool = True, of: str = "") -> str:
        words = [PORT, "", "127.0.0.1", str(self.data), "", str(self.data / "mysql-bin"), verb, word]
        done = subprocess.run(
            ["sh", "-c", script("rebuild.sh"), "rebuild", *words],
            input=of,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stderr
        return done.stdout if ok else done.stderr

    def copied(self) -> None:
        self.step("begin")
        (self.room / "new").rmdir()
        self.put(self.room / "new", "new")
        self.state("copied")

    def has(self, where: Path, what: str) -> None:
        for name in ("ibdata1", ".hidden", "app/t.ibd"):
            assert (where / name).read_text() == what, name


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    shutil.rmtree(made.memory, ignore_errors=True)


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
    assert not place.memory.exists()


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
        place.state(moved)
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


@pytest.mark.parametrize("verb", ["begin", "placed", "start", "swap", "back", "settle", "drop", "stop"])
def test_a_room_that_is_a_link_is_not_entered(place: Place, tmp_path: Path, verb: str) -> None:
    """Who runs the server may own the directory that the room lies in."""
    place.copied()
    elsewhere = tmp_path / "of-root"
    place.room.rename(elsewhere)
    place.room.symlink_to(elsewhere)
    assert "or a link" in place.step(verb, "1", ok=False)
    assert (elsewhere / "new" / "ibdata1").read_text() == "new"
    place.has(place.data, "old")


def test_nothing_that_the_servers_user_left_is_executed_or_believed(place: Place) -> None:
    (place.room / "ran").mkdir(parents=True)
    (place.room / "state").write_text("copied\n")
    for name, what in (("words", "x\0-c\0touch /tmp/never\0"), ("exe", "/bin/sh"), ("uid", "0"), ("gid", "0")):
        (place.room / "ran" / name).write_text(what)
    (place.room / "ran" / "errors").write_text("/dev/null")
    for each in (place.room, *place.room.rglob("*")):
        os.chown(each, OWNER, OWNER)
    assert "or a link" in place.step("start", ok=False)
    os.chown(place.room, 0, 0)
    place.step("begin")
    assert "nothing on this host tells how its mysqld is started" in place.step("start", ok=False)
    assert "state copying" in place.step("state")


def test_nothing_is_started_as_root(place: Place) -> None:
    place.step("begin")
    ran = place.memory / "ran"
    ran.mkdir()
    for name, what in (("words", "x\0"), ("exe", "/bin/sh"), ("uid", "0"), ("gid", "0"), ("errors", "")):
        (ran / name).write_text(what)
    assert "nothing is started so" in place.step("start", ok=False)


def test_links_of_the_copy_and_of_the_old_data_are_not_followed(place: Place, tmp_path: Path) -> None:
    target = tmp_path / "crontab"
    target.write_text("root's")
    place.copied()
    for name, where in (("auto.cnf", place.room / "new"), ("x.pem", place.data)):
        (where / name).unlink(missing_ok=True)
        (where / name).symlink_to(target)
    place.step("swap")
    assert target.read_text() == "root's"
    assert (place.data / "auto.cnf").read_text() == "old"
    assert not (place.data / "x.pem").exists()


def test_a_clone_that_is_a_link_is_not_taken(place: Place, tmp_path: Path) -> None:
    place.step("begin")
    place.put(tmp_path / "etc", "root's")
    (place.room / "clone" / "new").symlink_to(tmp_path / "etc")
    assert "is no directory" in place.step("cloned", ok=False)
    assert "there is no whole copy" in place.step("swap", ok=False)
    place.has(tmp_path / "etc", "root's")


def test_what_a_donor_sent_is_unpacked_by_the_servers_user(place: Place) -> None:
    text = script("rebuild.sh")
    assert "as_owner mbstream -x" in text
    assert 'as_owner "$backup" --prepare' in text


@pytest.mark.parametrize("what", ["of root", "no ibdata1"])
def test_a_directory_that_is_no_servers_is_not_touched(place: Place, what: str) -> None:
    if what == "of root":
        os.chown(place.data, 0, 0)
    else:
        (place.data / "ibdata1").unlink()
    assert "no server's data directory" in place.step("begin", ok=False)
    assert (place.data / "app" / "t.ibd").exists()


def test_old_data_is_not_overwritten_by_what_a_server_made_in_the_midst_of_the_move(place: Place) -> None:
    place.copied()
    place.put(place.room / "old", "old")
    for name in (".hidden", "auto.cnf", "app/t.ibd"):
        (place.data / name).unlink()
    (place.data / "app").rmdir()
    (place.data / "ibdata1").write_text("made by a start")
    place.state("out")
    assert "ibdata1 is in" in place.step("swap", ok=False)
    place.has(place.room / "old", "old")


def test_what_a_host_was_moving_when_it_died_is_moved_to_its_end_before_a_start(place: Place) -> None:
    place.copied()
    (place.room / "old").mkdir()
    (place.data / "app").rename(place.room / "old" / "app")
    place.state("out")
    place.step("finish")
    place.has(place.data, "new")
    place.has(place.room / "old", "old")
    place.step("finish")
    place.has(place.data, "new")


@pytest.mark.parametrize("gone", ["old", "old new", "old.whole", "old.whole old new clone scrap"])
def test_taken_back_and_killed_while_it_removes(place: Place, gone: str) -> None:
    place.copied()
    place.step("swap")
    place.step("back")
    for each in gone.split():
        shutil.rmtree(place.room / each, ignore_errors=True)
    place.state("nothing" if "old.whole" not in gone else "back-in")
    place.step("back")
    place.has(place.data, "old")
    place.copied()
    place.step("swap")
    place.has(place.room / "old", "old")


def test_put_in_and_killed_while_it_removes(place: Place) -> None:
    place.copied()
    place.step("swap")
    place.state("in")
    place.step("swap")
    place.has(place.data, "new")
    place.has(place.room / "old", "old")


@pytest.mark.parametrize("word", ["0", "1"])
def test_settled_and_killed_after_the_rename_the_next_rebuild_deletes_nothing(place: Place, word: str) -> None:
    place.copied()
    place.step("swap")
    (place.room / "old").rename(place.room / "gone" if word == "0" else place.data.parent / "mysql.before-1")
    place.state("nothing")
    assert "old " not in place.step("state")
    (place.data / "ibdata1").write_text("a year later")
    place.copied()
    place.step("swap")
    assert (place.room / "old" / "ibdata1").read_text() == "a year later"


def test_what_another_rebuild_left_is_kept_apart(place: Place) -> None:
    place.step("begin", of="one")
    assert "of one" in place.step("state")
    place.copied()
    place.step("swap")
    place.step("placed")
    told = place.step("begin", "apart", of="two")
    (kept,) = place.data.parent.glob("mysql.before-*")
    assert f"kept {kept}" in told
    place.has(kept, "old")
    place.has(place.data, "new")
    assert {"of two", "state copying"} <= set(place.step("state").splitlines())
    place.step("claim", of="three")
    assert "of three" in place.step("state")
