"""The state of an HAProxy is kept by root where HAProxy's own user may write: nothing there is followed."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

SAID = b"what HAProxy's user may choose\n"


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Path]:
    """Its admin socket."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(SAID)

        threading.Thread(target=serve, daemon=True).start()
        yield path
        listening.shutdown(socket.SHUT_RDWR)


def keep(admin: Path, state: Path) -> int:
    """Send a command and keep the state, as a move of the address does."""
    words = ["sh", "-c", script("haproxy.sh"), "sh", str(admin), str(state)]
    return subprocess.run(words, input=b"show info\n", capture_output=True, timeout=20).returncode


def test_the_state_is_kept_whole(admin: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for _ in range(2):
        assert keep(admin, state) == 0
        assert state.read_bytes() == SAID
    assert not list(tmp_path.glob("state.*"))


def test_a_link_in_place_of_what_is_written_is_not_followed(admin: Path, tmp_path: Path) -> None:
    roots, state = tmp_path / "roots", tmp_path / "state"
    roots.write_text("root's")
    (tmp_path / "state.part").symlink_to(roots)
    state.symlink_to(roots)
    assert keep(admin, state) == 0
    assert roots.read_text() == "root's"
    assert state.read_bytes() == SAID
    assert not state.is_symlink()


def test_a_link_to_a_directory_brings_nothing_there(admin: Path, tmp_path: Path) -> None:
    roots, state = tmp_path / "roots", tmp_path / "state"
    roots.mkdir()
    state.symlink_to(roots)
    keep(admin, state)
    assert not list(roots.iterdir())
