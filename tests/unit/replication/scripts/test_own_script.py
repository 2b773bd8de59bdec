"""own.sh: a directory on a database's host that no other local user may write to, whatever lies in the way."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """As /var/tmp is."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    return place


def own(place: Path, home: Path) -> tuple[int, str]:
    """The exit code, and the directory or what was said instead."""
    command = f'{script("own.sh")}\nown_directory "$1"'
    done = subprocess.run(
        ["sh", "-c", command, "own", str(place)], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True
    )
    return done.returncode, (done.stdout or done.stderr).strip()


def test_a_directory_that_others_may_not_write_to_is_used_as_it_is(tmp_path: Path) -> None:
    assert own(tmp_path / "new" / "er", tmp_path) == (0, str(tmp_path / "new" / "er"))
    assert stat.S_IMODE((tmp_path / "new" / "er").stat().st_mode) == 0o700
    assert own(tmp_path / "new" / "er", tmp_path) == (0, str(tmp_path / "new" / "er"))


def test_where_everybody_may_write_there_is_one_of_this_users_alone(shared: Path) -> None:
    place = shared / f"mha-{os.geteuid()}"
    for _ in range(2):
        assert own(shared, shared.parent) == (0, str(place))
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@as_root
@pytest.mark.parametrize("what", ["a directory of theirs", "a link", "a file", "open to everybody"])
def test_what_somebody_put_in_its_place_is_passed_by(shared: Path, what: str) -> None:
    place = shared / f"mha-{os.geteuid()}"
    match what:
        case "a directory of theirs":
            place.mkdir(0o700)
            os.chown(place, NOBODY, NOBODY)
        case "a link":
            (shared.parent / "target").mkdir(0o700)
            place.symlink_to(shared.parent / "target")
        case "a file":
            place.touch()
        case _:
            place.mkdir()
            place.chmod(0o777)
    assert own(shared, shared.parent) == (0, str(shared.parent / ".mha"))


def test_without_a_sticky_bit_nothing_in_it_is_safe(shared: Path) -> None:
    shared.chmod(0o777)
    assert own(shared, shared.parent) == (0, str(shared.parent / ".mha"))


def test_where_there_is_none_it_says_so(shared: Path) -> None:
    (shared / f"mha-{os.geteuid()}").touch()
    code, said = own(shared, shared / "nowhere")
    assert code == 1
    assert said.endswith("is not this user's alone; set another remote_workdir")


def test_a_lock_in_the_shared_directory_holds_up_no_rescue(shared: Path) -> None:
    """Any local user may make, and lock, a file of a name that is known beforehand."""
    for name, body in (("mysqlbinlog", 'for f; do :; done; cat "$f"'), ("mysql", f"cat >{shared.parent}/applied")):
        (shared.parent / name).write_text(f"#!/bin/sh\n{body}\n")
        (shared.parent / name).chmod(0o755)
    (shared.parent / "log").write_text("COMMIT;\n")
    with (shared / "mha-apply.lock").open("w") as squatter:
        fcntl.flock(squatter, fcntl.LOCK_EX)
        words = [str(shared), f"{shared.parent}/log", str(shared.parent), "", "mysql", "new", "", "", "", ""]
        done = subprocess.run(
            ["sh", "-c", script("apply.sh"), "apply", *words], input=b"[client]\n\n", capture_output=True, timeout=20
        )
    assert done.returncode == 0, done
    assert (shared.parent / "applied").read_text() == "COMMIT;\n"
    assert [path.name for path in (shared / f"mha-{os.geteuid()}").iterdir()] == ["mha-apply.lock"]
