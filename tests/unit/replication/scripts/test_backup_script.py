"""send_backup.sh: what is read of a donor as root lies among its data, whatever whoever runs it puts there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

NOBODY = 65534
SECRET = "of root's alone"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what is not its own")


def sent(tmp_path: Path, words: str, datadir: Path | None = None) -> tuple[int, str, str]:
    """What comes of a backup program of these words: exit code, stream, and what was said."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mariadb-backup"
    program.write_text(f"#!/bin/sh\n{words}\necho 'completed OK!' >&2\n")
    program.chmod(0o755)
    done = subprocess.run(
        [
            "sh",
            "-c",
            script("send_backup.sh"),
            "send_backup",
            str(tmp_path / "work"),
            "0",
            str(datadir or data(tmp_path)),
        ],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        input="[client]\n",
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def data(tmp_path: Path) -> Path:
    place = tmp_path / "data"
    (place / "app").mkdir(parents=True)
    (place / "app" / "t.MYD").write_text("rows")
    for each in (place, place / "app"):
        os.chown(each, NOBODY, NOBODY)
    (tmp_path / "secret").write_text(SECRET)
    return place


def test_what_lies_there_is_sent(tmp_path: Path) -> None:
    place = data(tmp_path)
    assert sent(tmp_path, f"cat {place}/app/t.MYD", place) == (0, "rows", "")


def test_a_link_that_lies_there_is_told_of_and_nothing_is_sent(tmp_path: Path) -> None:
    place = data(tmp_path)
    (place / "app" / "gained.MYD").symlink_to(tmp_path / "secret")
    code, stream, said = sent(tmp_path, f"cat {place}/app/gained.MYD", place)
    assert (code, stream) == (97, "")
    assert f"{place}/app/gained.MYD is a link" in said


def test_a_link_that_is_put_there_later_is_not_followed(tmp_path: Path) -> None:
    place = data(tmp_path)
    late = f"ln -s {tmp_path}/secret {place}/app/late.MYD; cat {place}/app/late.MYD"
    code, stream, _ = sent(tmp_path, f"cat {place}/app/t.MYD; {late}", place)
    assert (code, stream) == (0, "rows")


def test_a_directory_of_roots_is_no_servers(tmp_path: Path) -> None:
    code, stream, said = sent(tmp_path, "cat /etc/hostname", Path("/etc"))
    assert (code, stream) == (93, "")
    assert "/etc is not there, or is root's" in said
