"""Whose socket listens on a server's port: its owner's, root's, or somebody else's, as the kernel tells everybody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")


@contextmanager
def listener(user: int, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """A port that listens, of a process of that user."""
    code = (
        f"import os, socket, time; os.setuid({user}); s = socket.socket({int(family)}); "
        f"s.bind(('{'::1' if family == socket.AF_INET6 else '127.0.0.1'}', 0)); s.listen(); "
        "print(s.getsockname()[1], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def look(port: int, owned: str, text: str = "") -> set[str]:
    # Whatever servers run on this machine are no part of it.
    words = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-s", "--"]
    words += [str(port), "/nonexistent", "", "", owned]
    text = text or script("present.sh")
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
    told = {line.split()[0] for line in done.stdout.splitlines()}
    assert "done" in told, done
    return told & {"listening", "stranger"}


def test_a_listener_is_a_stranger_only_beside_a_known_owner(tmp_path: Path) -> None:
    theirs = tmp_path / "of nobody"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    for family in (socket.AF_INET, socket.AF_INET6):
        with listener(NOBODY, family) as port:
            assert look(port, str(tmp_path)) == {"stranger"}
            assert look(port, f"/nowhere,{tmp_path}") == {"stranger"}
            assert look(port, str(theirs)) == {"listening"}
            assert look(port, f"{tmp_path},{theirs}") == {"listening"}
            assert look(port, "") == {"listening"}, "nobody knows whose the data is"
            assert look(port, "/nowhere") == {"listening"}
            without_ss = script("present.sh").replace("command -v ss ", "command -v no-such-ss ")
            assert look(port, str(tmp_path), without_ss) == {"stranger"}
            assert look(port, str(theirs), without_ss) == {"listening"}
            assert look(port + 1 if port < 65535 else port - 1, str(tmp_path)) == set()


def test_root_is_no_stranger(tmp_path: Path) -> None:
    theirs = tmp_path / "of nobody"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    with listener(0) as port:
        assert look(port, str(theirs)) == {"listening"}


def test_a_pipe_in_place_of_the_pid_file_holds_nobody_up(tmp_path: Path) -> None:
    """Who runs the server may put one there."""
    os.mkfifo(tmp_path / "pid")
    text = script("instance.sh") + "\nnamed_by_pid_file $$ || echo done\n"
    words = ["sh", "-c", f"port=3306 pidfile={tmp_path}/pid address= datadir= owned=; {text}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout == "done\n"
