"""A cut goes to a host in pieces while it is applied there, over a real sshd; the client's programs are made up."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest

from config import ServerConfig
from replication.apply import PIECES, on_its_way
from replication.binlog import cutter
from replication.binlog.cutter import Cut, cut
from replication.errors import CommandFailed
from replication.positions import BinlogPosition
from replication.scripts import script
from replication.ssh import SshHost
from replication.ssh_streams import Source
from tests.scenarios.ssh.conftest import Sshd, Start, server
from tests.unit.replication.logs import LogBuilder


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Cut]:
    """A cut of many pieces."""
    monkeypatch.setattr(cutter, "PIECE", 1000)
    builder = LogBuilder()
    for number in range(1, 61):
        builder.transaction(number)
    out = io.BytesIO()
    log = builder.log()
    done = cut([log], BinlogPosition(log.name, 4), lambda _: True, out)
    assert len(done.pieces) > 5
    path = tmp_path / "saved.binlog"
    path.write_bytes(out.getvalue())
    return path, done


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """Where the cut goes, and a mysqlbinlog that gives on what it reads, as rows, to a client that writes it down."""
    there = tmp_path / "there"
    there.mkdir()
    for name, body in (
        ("mysqlbinlog", 'echo "BINLOG \'"; base64; echo "\'/*!*/;"'),
        ("mysql", f"sed '1d; $d' | base64 -d >{there}/applied"),
    ):
        (there / name).write_text(f"#!/bin/sh\n{body}\n")
        (there / name).chmod(0o755)
    return there


def apply(host: SshHost, there: Path, log_file: str, stdin: bytes | Source) -> bytes:
    """What the client was given."""
    words = [
        str(there),
        log_file,
        str(there),
        "",
        "mysql",
        "new",
        "",
        "",
        "",
        "",
        *(["60"] if log_file == PIECES else []),
    ]
    command = f"sh -c {shlex.quote(script('apply.sh'))} apply {shlex.join(words)}"
    host.run(command, action="apply", timeout=30, stdin=stdin)
    return (there / "applied").read_bytes()


def config_of(sshd: Sshd, there: Path, **changes: object) -> ServerConfig:
    return server(sshd.port, remote_workdir=str(there), **changes)


def left(there: Path) -> set[str]:
    return {path.name for path in there.iterdir()} - {"mysqlbinlog", "mysql", "applied", "mha-apply.lock"}


@pytest.mark.parametrize("allowed", [10, 1])
def test_all_of_it_is_applied_whatever_sshd_allows(
    start: Start, made: tuple[Path, Cut], there: Path, allowed: int
) -> None:
    sshd = start(f"MaxSessions {allowed}")
    host, (path, done) = sshd.host(), made
    with on_its_way(host, config_of(sshd, there), path, done, str(there)) as (log_file, stdin):
        assert log_file == PIECES
        applied = apply(host, there, log_file, stdin)
    assert applied == path.read_bytes()
    assert left(there) == set()


def test_without_a_second_session_it_is_sent_whole_before(start: Start, made: tuple[Path, Cut], there: Path) -> None:
    sshd = start()
    host, (path, done) = sshd.host(), made
    with on_its_way(host, config_of(sshd, there, ssh_port=1), path, done, str(there)) as (log_file, stdin):
        assert Path(log_file).read_bytes() == path.read_bytes()
        applied = apply(host, there, log_file, stdin)
    assert applied == path.read_bytes()
    assert left(there) == set()


def test_a_piece_that_is_not_what_was_cut_is_not_announced(start: Start, made: tuple[Path, Cut], there: Path) -> None:
    sshd = start()
    host, (path, done) = sshd.host(), made
    data = bytearray(path.read_bytes())
    data[done.pieces[2].end - 1] ^= 1
    path.write_bytes(data)
    with (
        pytest.raises(CommandFailed, match="not what was cut"),
        on_its_way(host, config_of(sshd, there), path, done, str(there)) as (log_file, stdin),
    ):
        apply(host, there, log_file, stdin)
    # The script ends by itself, once its channel is closed.
    host.run(f"flock -w 20 {there}/mha-apply.lock true", action="wait for its end", timeout=30)
    assert (there / "applied").read_bytes() == bytes(data[: done.pieces[1].end])
    assert left(there) == set()
