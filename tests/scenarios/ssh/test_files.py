"""Files over SSH, against a real sshd."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from prefect_mha.replication.errors import HostUnreachable, RemoteFileError
from tests.scenarios.ssh.conftest import Start, takes_at_most

pytestmark = pytest.mark.every_variant


def test_large_file_is_read_whole_and_its_speed_is_printed(start: Start, tmp_path: Path) -> None:
    host = start().host()
    block = random.Random(2).randbytes(1 << 20)
    (tmp_path / "log").write_bytes(block * 50)
    began, digest = time.monotonic(), hashlib.sha256()
    with host.open(str(tmp_path / "log")) as file:
        while data := file.read(1 << 18):
            digest.update(data)
    seconds = time.monotonic() - began
    print(f"\n50 MiB over SFTP: {50 / seconds:.0f} MiB/s")
    assert digest.hexdigest() == hashlib.sha256(block * 50).hexdigest()


def test_seeking_reads_what_a_local_file_would_give(start: Start, tmp_path: Path) -> None:
    host = start().host()
    path, dice = tmp_path / "log", random.Random(3)
    path.write_bytes(dice.randbytes(5_000_000))
    with path.open("rb") as local, host.open(str(path)) as remote:
        for _ in range(60):
            whence = dice.choice((os.SEEK_SET, os.SEEK_SET, os.SEEK_CUR, os.SEEK_END))
            offset = {
                os.SEEK_SET: dice.randrange(5_100_000),
                os.SEEK_CUR: dice.randrange(1000),
                os.SEEK_END: -dice.randrange(4000),
            }
            length = dice.choice((0, 1, 19, 4096, 300_000))
            assert remote.seek(offset[whence], whence) == local.seek(offset[whence], whence)
            assert remote.read(length) == local.read(length)


def test_file_that_grows_or_shrinks_while_it_is_read_is_like_a_local_one(start: Start, tmp_path: Path) -> None:
    host = start().host()
    path = tmp_path / "log"
    path.write_bytes(b"a" * 100)
    with host.open(str(path)) as file:
        assert file.read() == b"a" * 100
        with path.open("ab") as more:
            more.write(b"b" * 50)
        assert file.read() == b"b" * 50
    path.write_bytes(bytes(3_000_000))
    with takes_at_most(3), host.open(str(path), timeout=2) as file:
        file.read(10)
        os.truncate(path, 200_000)
        assert len(file.read()) == 200_000 - 10
        os.truncate(path, 0)
        file.seek(100_000)
        assert file.read() == b""


def test_read_error_on_the_far_disk_names_the_file(start: Start) -> None:
    # The unmapped start of a process's own memory: readable in no way, as a bad sector is.
    with start().host().open("/proc/self/mem") as file, pytest.raises(RemoteFileError, match="read /proc/self/mem"):
        file.read(10)


def test_read_from_a_frozen_host_ends_within_its_deadline(start: Start, tmp_path: Path) -> None:
    sshd = start()
    host = sshd.host()
    (tmp_path / "log").write_bytes(bytes(10_000_000))
    with host.open(str(tmp_path / "log"), timeout=1) as file:
        file.read(10)
        with sshd.frozen(), takes_at_most(3), pytest.raises(HostUnreachable, match="no answer within 1 s"):
            file.read()
    assert host.run("echo back", action="speak", timeout=10).stdout == "back\n"


def test_put_and_get_are_exact_atomic_and_private(start: Start, tmp_path: Path) -> None:
    host = start().host()
    data = random.Random(4).randbytes(2_500_001)
    name = tmp_path / "a name with ' \" $x and spaces"
    assert host.put(data, str(name), mode=0o640) == hashlib.sha256(data).hexdigest()
    assert name.read_bytes() == data and name.stat().st_mode & 0o777 == 0o640
    assert host.get(str(name), tmp_path / "copy") == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "copy").read_bytes() == data and (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    with name.open("rb") as stream:
        host.put(stream, str(tmp_path / "from a stream"))
    assert (tmp_path / "from a stream").read_bytes() == data
    assert host.put(b"", str(tmp_path / "empty")) == hashlib.sha256(b"").hexdigest()
    assert not list(tmp_path.glob(".*.new"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_full_and_read_only_disks_are_named_and_leave_nothing_behind(start: Start, tmp_path: Path) -> None:
    host = start().host()
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        (disk / "target").write_bytes(b"what was there before")
        with pytest.raises(RemoteFileError, match=r"No space left on device \(free space"):
            host.put(bytes(3_000_000), str(disk / "target"))
        assert [file.name for file in disk.iterdir()] == ["target"]
        assert (disk / "target").read_bytes() == b"what was there before"
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(RemoteFileError, match="Read-only file system"):
            host.put(b"x", str(disk / "other"))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_missing_files_and_directories_are_named(start: Start, tmp_path: Path) -> None:
    host = start().host()
    for what in (host.stat, host.listdir, lambda path: host.open(path), lambda path: host.get(path, tmp_path / "x")):
        with pytest.raises(RemoteFileError, match=f"{tmp_path}/absent: no such file or directory"):
            what(f"{tmp_path}/absent")
    with pytest.raises(RemoteFileError, match="make the directory"):
        host.put(b"x", f"{tmp_path}/absent/x")
    with pytest.raises(RemoteFileError, match="larger than 3 bytes"):
        (tmp_path / "four").write_text("four")
        host.read_file(str(tmp_path / "four"), 3)
    assert not (tmp_path / "x").exists()


def test_directories_and_removal(start: Start, tmp_path: Path) -> None:
    host = start().host()
    host.mkdir(f"{tmp_path}/one/two")
    host.mkdir(f"{tmp_path}/one/two")
    host.put(b"12345", f"{tmp_path}/one/two/file")
    assert host.listdir(f"{tmp_path}/one/two") == ("file",)
    assert host.stat(f"{tmp_path}/one/two/file").size == 5
    assert host.read_file(f"{tmp_path}/one/two/file", 5) == b"12345"
    host.remove(f"{tmp_path}/one/two/file")
    host.remove(f"{tmp_path}/one/two/file")
    with pytest.raises(RemoteFileError):
        host.remove(f"{tmp_path}/one/two/file", missing_ok=False)
