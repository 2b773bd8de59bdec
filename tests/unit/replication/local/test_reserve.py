"""A full disk and the journal: room that was set aside is used, and without any it is said in one sentence."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.errors import CannotRemember
from prefect_mha.replication.local import reserved_space as reserve
from prefect_mha.replication.memory.journal import Journal, read_journal


def full_disk(monkeypatch: pytest.MonkeyPatch, room: Path, takes: int = 3) -> None:
    """Writes take ``takes`` bytes and then nothing, as long as the room is set aside."""
    write, left = os.write, [takes]

    def limited(descriptor: int, data: bytes) -> int:
        if room.exists():
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data, left[0] = data[: left[0]], 0
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", limited)


def test_a_line_that_a_full_disk_cut_is_finished_in_the_room_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reserve.keep(tmp_path, "app1") == ""
    room = tmp_path / "app1.reserve"
    assert room.stat().st_blocks * 512 >= reserve.SIZE
    journal = Journal(tmp_path / "app1.failover-1.journal")
    full_disk(monkeypatch, room)
    journal.record("fence", "began", "db1", why="x" * 100)
    assert [entry.step for entry in read_journal(journal.path)] == ["fence"]
    assert not room.exists()
    assert reserve.keep(tmp_path, "app1") == ""


def test_the_room_of_another_cluster_is_left_alone(tmp_path: Path) -> None:
    reserve.keep(tmp_path, "app10")
    assert not reserve.spend(tmp_path / "app1.failover-1.journal")
    assert (tmp_path / "app10.reserve").exists()


def test_without_room_a_failover_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "app1.failover-1.journal")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CannotRemember, match=r"No space left on device.*make room in"):
        journal.record("fence", "began")
