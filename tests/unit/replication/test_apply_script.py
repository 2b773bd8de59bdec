"""apply.sh and a log that comes in pieces: all of it, or a beginning of whole pieces and an error."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from replication.scripts import script

#: Lines of which a session of rows is made.
ONE, TWO = b"BEGIN\n", b"COMMIT\n"
OPTIONS = b'[client]\npassword="a \\\\ b"\n\n'


class Host:
    """A host whose mysqlbinlog gives its input on, and whose client writes down what it is told."""

    def __init__(self, directory: Path, *, client: str = "") -> None:
        self.directory, self.applied = directory, directory / "applied"
        self._program("mysqlbinlog", "exec cat")
        self._program("mysql", client or f'cat "${{1#*=}}" >{directory}/options; cat >{self.applied}')

    def _program(self, name: str, body: str) -> None:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def piece(self, number: int, data: bytes) -> bytes:
        """Put a piece there; the line that announces it."""
        path = self.directory / f"log.{number}"
        path.write_bytes(data)
        return f"{path}\n".encode()

    @contextmanager
    def applying(self, seconds: int = 60) -> Iterator[subprocess.Popen[bytes]]:
        where = str(self.directory)
        words = [where, "-", where, "", "mysql", "new", "", "", "", "", str(seconds)]
        with subprocess.Popen(
            ["sh", "-c", script("apply.sh"), "apply", *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            yield process
            assert process.wait(20) is not None

    def left(self) -> list[str]:
        """What nobody cleared away."""
        own = {"mysqlbinlog", "mysql", "applied", "options", "mha-apply.lock"}
        return sorted({path.name for path in self.directory.iterdir()} - own)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def say(process: subprocess.Popen[bytes], *lines: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(b"".join(lines))
    process.stdin.flush()


def test_pieces_are_one_log_and_gone_afterwards(host: Host) -> None:
    with host.applying() as process:
        say(process, OPTIONS, host.piece(1, ONE), host.piece(2, TWO), b".\n")
        assert process.wait(20) == 0
    assert host.applied.read_bytes() == ONE + TWO
    assert (host.directory / "options").read_bytes() == OPTIONS[:-1]
    assert host.left() == []


def test_a_piece_is_applied_while_the_next_is_on_its_way(host: Host) -> None:
    with host.applying() as process:
        # More than its pipes hold.
        say(process, OPTIONS, host.piece(1, ONE * 100_000))
        ends = time.monotonic() + 10
        while not host.applied.exists() or not host.applied.read_bytes().startswith(ONE):
            assert time.monotonic() < ends
        say(process, b".\n")
        assert process.wait(20) == 0


def test_who_sends_them_is_gone_and_what_was_announced_is_applied(host: Host) -> None:
    with host.applying() as process:
        host.piece(3, b"on its way")
        said = process.communicate(OPTIONS + host.piece(1, ONE) + host.piece(2, TWO), timeout=20)[1]
    assert (process.returncode, said) == (94, b"the rest of the saved log did not come\n")
    assert host.applied.read_bytes() == ONE + TWO
    assert host.left() == ["log.3"]


def test_a_line_that_was_cut_off_announces_nothing(host: Host) -> None:
    with host.applying() as process:
        process.communicate(OPTIONS + host.piece(1, ONE) + host.piece(2, TWO)[:-1], timeout=20)
    assert process.returncode == 94
    assert host.applied.read_bytes() == ONE


def test_who_sends_them_falls_silent(host: Host) -> None:
    with host.applying(seconds=1) as process:
        say(process, OPTIONS, host.piece(1, ONE))
        assert process.wait(20) == 94
    assert host.applied.read_bytes() == ONE


def test_the_clients_own_word_counts_when_it_gives_up(tmp_path: Path) -> None:
    host = Host(tmp_path, client="head -c 1 >/dev/null; echo ERROR 1062 >&2; exit 1")
    with host.applying() as process:
        lines = [host.piece(number, ONE * 40_000) for number in range(1, 4)]
        said = process.communicate(OPTIONS + b"".join(lines) + b".\n", timeout=20)[1]
    assert (process.returncode, said) == (1, b"ERROR 1062\n")
