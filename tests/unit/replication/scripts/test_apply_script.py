"""apply.sh: nothing but rows reaches the client, its own word counts, and nothing is left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from prefect_mha.replication.scripts import script

OPTIONS = b'[client]\npassword="a \\\\ b"\n\n'
#: What mysqlbinlog makes of a row.
ROW = b"BEGIN\n/*!*/;\nBINLOG '\nYWJj\n'/*!*/;\nCOMMIT/*!*/;\n"
NEWER = b"/*!80001 SET @@session.original_commit_timestamp=1700000000000000*//*!*/;\n"


class Host:
    """A host whose mysqlbinlog gives its input on, and whose client writes down what it is told."""

    def __init__(self, directory: Path, *, client: str = "", reader: str = "exec cat") -> None:
        self.directory, self.applied = directory, directory / "applied"
        self._program("mysqlbinlog", reader)
        self._program("mysql", client or f'cat "${{1#*=}}" >{directory}/options; cat >{self.applied}')

    def _program(self, name: str, body: str) -> None:
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def apply(self, log: bytes, era: str = "new") -> tuple[int, bytes]:
        """How it ends, and what it says."""
        (self.directory / "log").write_bytes(log)
        where = str(self.directory)
        words = [where, f"{where}/log", where, "", "mysql", era, "", "", "", ""]
        done = subprocess.run(
            ["sh", "-c", script("apply.sh"), "apply", *words], input=OPTIONS, capture_output=True, timeout=20
        )
        own = {"mysqlbinlog", "mysql", "applied", "options", "mha-apply.lock", "log"}
        assert {path.name for path in self.directory.iterdir()} <= own
        return done.returncode, done.stderr


def test_rows_reach_the_client_and_the_password_its_option_file(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.apply(b"# a comment\n" + ROW * 3) == (0, b"")
    assert host.applied.read_bytes() == ROW * 3
    assert (host.directory / "options").read_bytes() == OPTIONS[:-1]


@pytest.mark.parametrize("line", [b"DROP TABLE t\n", b"GRANT ALL ON *.* TO evil@'%'\n/*!*/;\n", b"\\! touch x\n"])
def test_what_is_no_row_ends_it_and_is_told(line: bytes, tmp_path: Path) -> None:
    host = Host(tmp_path)
    code, said = host.apply(ROW + line + ROW * 40_000)
    assert code == 97
    assert b"more than rows" in said
    assert host.applied.read_bytes() == ROW


def test_a_server_before_8_is_not_given_what_a_newer_reader_writes_between_two_gtids(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.apply(NEWER + ROW, era="old")[0] == 0
    assert host.applied.read_bytes() == ROW
    assert host.apply(NEWER + ROW)[0] == 0
    assert host.applied.read_bytes() == NEWER + ROW


def test_a_log_that_cannot_be_read_is_told_whatever_the_client_made_of_its_beginning(tmp_path: Path) -> None:
    code, said = Host(tmp_path, reader="head -c 20; exit 1").apply(ROW)
    assert code == 94
    assert b"could not read the saved log" in said


def test_the_clients_own_word_counts_when_it_gives_up(tmp_path: Path) -> None:
    host = Host(tmp_path, client="head -c 1 >/dev/null; echo ERROR 1062 >&2; exit 1")
    assert host.apply(ROW * 40_000) == (1, b"ERROR 1062\n")
