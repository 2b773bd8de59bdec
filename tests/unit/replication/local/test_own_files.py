"""Files of ours where others may write: links, pipes, foreign and doubly named files, locks of readers."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.replication.errors import AlreadyActing
from prefect_mha.replication.local.own_files import doubt, open_own, own_directory, written
from prefect_mha.replication.local.stop_request import StopRequest
from prefect_mha.replication.memory.failover_flags import FailoverFlags
from prefect_mha.replication.memory.health_file import HealthFile
from prefect_mha.replication.memory.held_servers import HeldServers
from prefect_mha.replication.memory.journal import Journal, every_entry, unfinished
from prefect_mha.replication.memory.last_check import LastCheck
from prefect_mha.replication.memory.manager_lock import ManagerLock
from prefect_mha.replication.memory.workdir import make_workdir

NOBODY = 65534
HOW = os.O_RDWR | os.O_CREAT | os.O_TRUNC
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """As /var/tmp is."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    return place


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "ours").symlink_to("theirs")
    (tmp_path / "dangling").symlink_to("new")
    for name in ("ours", "dangling"):
        with pytest.raises(PermissionError, match="is a link and is not touched"):
            open_own(tmp_path / name, HOW)
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "new").exists()


def test_a_pipe_or_a_directory_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for how in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, HOW):
        with pytest.raises(PermissionError, match="is no file"):
            open_own(tmp_path / "pipe", how)
    with pytest.raises(OSError, match=r"no file|directory"):
        open_own(tmp_path / "directory", os.O_RDONLY)


@as_root
def test_a_file_of_another_user_counts_where_everybody_may_put_one(shared: Path, tmp_path: Path) -> None:
    for place in (shared, tmp_path):
        (place / "file").write_text("x")
        os.chown(place / "file", NOBODY, NOBODY)
    with pytest.raises(PermissionError, match=f"belongs to another user .uid {NOBODY}"):
        open_own(shared / "file", HOW)
    assert (shared / "file").read_text() == "x"
    os.close(open_own(tmp_path / "file", HOW))


def test_a_second_name_of_a_file_of_ours_is_none_of_ours(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "shadow").write_text("x")
    (shared / "app1.failover.error").hardlink_to(tmp_path / "shadow")
    with pytest.raises(PermissionError, match="has another name"):
        open_own(shared / "app1.failover.error", HOW)
    assert (tmp_path / "shadow").read_text() == "x"


@as_root
def test_a_directory_that_somebody_put_there_is_not_used(shared: Path) -> None:
    (shared / "theirs").mkdir()
    os.chown(shared / "theirs", NOBODY, NOBODY)
    (shared / "link").symlink_to("/etc")
    for name in ("theirs", "link"):
        with pytest.raises(PermissionError):
            own_directory(shared / name)
    own_directory(shared / "ours")
    own_directory(shared / "ours")
    assert stat.S_IMODE((shared / "ours").stat().st_mode) == 0o750


def test_what_is_written_replaces_a_link_and_not_what_it_leads_to(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("precious")
    (shared / "app1.check.json").symlink_to(tmp_path / "theirs")
    with written(shared / "app1.check.json") as file:
        file.write("ours")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert (shared / "app1.check.json").read_text() == "ours"
    assert not (shared / "app1.check.json").is_symlink()


@as_root
def test_records_go_through_no_link_and_replace_it(shared: Path, tmp_path: Path) -> None:
    names = ("app1.failover.complete", "app1.failover-1.journal", "app1.held.jsonl")
    (tmp_path / "theirs").write_text("precious")
    for name in names:
        (shared / name).symlink_to(tmp_path / "theirs")
    FailoverFlags(shared, "app1").mark_complete()
    Journal(shared / "app1.failover-1.journal").record("begin", "began", "x")
    HeldServers(shared, "app1").replaced("a", "a", "b")
    assert (tmp_path / "theirs").read_text() == "precious"
    assert not any((shared / name).is_symlink() for name in names)
    assert [hold.key for hold in HeldServers(shared, "app1").current()] == ["a"]


def test_who_may_write_there_is_told(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert doubt(shared) == "every local user may write there"
    make_workdir(shared)
    assert "every local user may write there" in caplog.text
    assert doubt(shared.parent) == ""
    make_workdir(shared.parent / "new")
    assert stat.S_IMODE((shared.parent / "new").stat().st_mode) == 0o750


def read_locked(path: Path) -> int:
    """A descriptor that holds a lock as one may take it who may only read the file."""
    file = os.open(path, os.O_RDONLY)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    return file


def test_a_lock_of_one_who_may_only_read_keeps_no_manager_from_its_start(tmp_path: Path) -> None:
    """An older version's lock file was open to everybody; several managers that meet it are one in the end."""
    path = tmp_path / "app1.manager.lock"
    path.touch(mode=0o644)
    reader = read_locked(path)
    assert ManagerLock(tmp_path, "app1").probe() == (False, 0)
    with ManagerLock(tmp_path, "app1") as lock:
        assert lock.probe() == (True, os.getpid())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(AlreadyActing, match=f"pid {os.getpid()}"):
            ManagerLock(tmp_path, "app1").acquire()
    os.close(reader)
    with ManagerLock(tmp_path, "app1"):
        pass


@as_root
def test_what_somebody_else_put_there_is_not_believed(shared: Path) -> None:
    """A mark that forbids failovers, a wish that the watch may end, a past that was not ours, a server that is held,
    what a health check found."""
    line = b'{"t": 1.0, "step": "begin", "event": "began", "server": "10.0.0.1:3306"}\n'
    held = b'{"t": 1.0, "event": "held", "server": "a", "facts": {"name": "a", "instead": "b", "traces": []}}\n'
    files = {
        "app1.failover.error": b"", "app1.failover.complete": b"", "app1.manager.stop": b"",
        "app1.failover-1.journal": line, "app1.held.jsonl": held,
        "app1.check.json": b'{"at": 1.0, "failed": [], "readiness": {}, "strangers": []}',
    }  # fmt: skip

    def seen() -> list[bool]:
        flags = FailoverFlags(shared, "app1")
        return [
            flags.has_error(),
            flags.complete_age() is not None,
            StopRequest(shared, "app1").asked(),
            bool(unfinished(shared, "app1")),
            bool(every_entry(shared, "app1")),
            bool(HeldServers(shared, "app1").current()),
            LastCheck(config).read() is not None,
        ]

    config: Any = SimpleNamespace(manager_workdir=shared, name="app1")

    for name, data in files.items():
        (shared / name).write_bytes(data)
        os.chown(shared / name, NOBODY, NOBODY)
    assert seen() == [False] * 7
    for name in files:
        os.chown(shared / name, os.geteuid(), -1)
    assert seen() == [True] * 7


def test_a_pipe_in_place_of_what_a_manager_says_holds_up_no_check(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app1.master_status.health")
    assert HealthFile(tmp_path, "app1").read() is None
