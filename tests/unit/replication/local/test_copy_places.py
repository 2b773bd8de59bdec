"""Where a copy of a log goes on the manager: the first place with room, and nowhere when there is none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from prefect_mha.replication.errors import HostUnreachable, NoRoom
from prefect_mha.replication.local import copy_places
from prefect_mha.replication.local.copy_places import save_in, unused
from tests.unit.replication.build import configured

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("free", "refuses", "goes"),
    [
        ({"work": 1 << 30, "spare": 1 << 30}, (), "work"),
        ({"work": 10, "spare": 1 << 30}, (), "spare"),
        ({"work": 10, "spare": 10}, (), "work"),
        ({"work": 1 << 30, "spare": 1 << 30}, ("work",), "spare"),
        ({"work": 10, "spare": 1 << 30}, ("spare",), "work"),
        ({"work": 10, "spare": 10}, ("work", "spare"), None),
    ],
    ids=["room", "no-room", "no-room-anywhere", "full-in-the-middle", "the-spare-is-worse", "nowhere"],
)
def test_where_a_copy_goes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free: dict[str, int],
    refuses: tuple[str, ...],
    goes: str | None,
) -> None:
    config = configured(manager_workdir=tmp_path / "work", manager_spare_dir=tmp_path / "spare")
    monkeypatch.setattr(copy_places, "room_in", lambda place: free[place.name])

    def copying(directory: Path) -> str:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "half").touch()
        if directory.parent.name in refuses:
            raise FULL
        return directory.parent.name

    if goes is None:
        with pytest.raises(NoRoom, match=r"No space left on device.*manager_spare_dir"):
            save_in(config, "saved_x", 1 << 20, copying)
    else:
        assert save_in(config, "saved_x", 1 << 20, copying) == goes
    left = {path.parent.name for path in tmp_path.glob("*/saved_x*")}
    assert left == ({goes} if goes else set()), "what did not fit is removed"
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.glob("spare/saved_x*"))


@pytest.mark.parametrize("come", [b"", b"the only copy"])
def test_of_a_copy_that_fails_only_what_has_come_is_left(tmp_path: Path, come: bytes) -> None:
    config = configured(manager_workdir=tmp_path / "work", manager_spare_dir=tmp_path / "spare")

    def copying(directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "bin.000001").write_bytes(come)
        raise HostUnreachable("db1", "copy it", "it is gone")

    with pytest.raises(HostUnreachable):
        save_in(config, "saved_x", 1 << 20, copying)
    assert [path.read_bytes() for path in tmp_path.glob("*/saved_x*/*")] == ([come] if come else [])
    assert list(tmp_path.glob("*/saved_x*")) == ([tmp_path / "work" / "saved_x"] if come else [])


def test_a_name_that_is_taken_is_not_used_again(tmp_path: Path) -> None:
    wanted = tmp_path / "saved_x"
    assert unused(wanted) == wanted
    wanted.mkdir()
    (tmp_path / "saved_x.2").mkdir()
    assert unused(wanted) == tmp_path / "saved_x.3"
