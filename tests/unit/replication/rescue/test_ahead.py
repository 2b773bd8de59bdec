"""A log that is copied while the old primary is still fenced: taken only when it is still all there is."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefect_mha.replication.errors import RemoteFileError
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.rescue.ahead import CopyAhead
from prefect_mha.replication.rescue.finding import RemoteLog
from prefect_mha.replication.rescue.salvage import BinlogCopy
from prefect_mha.replication.ssh.sftp_reader import RemoteStat

START, OF = BinlogPosition("bin.000007", 500), ("/var/lib/mysql", "db1")


@dataclass
class Host:
    """The dead primary's: its files, and their sizes."""

    files: dict[str, int] = field(default_factory=lambda: {"bin.index": 60, "bin.000006": 900, "bin.000007": 800})

    def listdir(self, _directory: str) -> list[str]:
        return list(self.files)

    def stat(self, path: str, *, links: bool) -> RemoteStat:
        assert not links
        name = path.rpartition("/")[2]
        if name not in self.files:
            raise RemoteFileError("db1", f"look at {path}", "no such file")
        return RemoteStat(self.files[name], 0, 0o100640)


def begun(host: Host, directory: Path) -> CopyAhead:
    directory.mkdir()
    copy = BinlogCopy(directory, ("bin.000007",), START, BinlogPosition("bin.000007", 800), 300)
    return CopyAhead(host, OF, lambda: (copy, (RemoteLog("/var/lib/mysql/bin.000007", 800),)))  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "saved"


@pytest.mark.parametrize("start", [START, BinlogPosition("bin.000007", 640)], ids=["where it begins", "later"])
def test_where_nothing_has_moved_it_is_taken(place: Path, start: BinlogPosition) -> None:
    ahead = begun(Host(), place)
    copy = ahead.taken(start, OF)
    assert copy is not None
    assert copy.start == START
    ahead.drop()
    assert place.is_dir()


@pytest.mark.parametrize(
    "moved",
    [{"bin.000007": 801}, {"bin.000007": 799}, {"bin.000008": 4}],
    ids=["it has grown", "it was cut short by a recovery", "another one was begun"],
)
def test_where_somebody_wrote_since_it_is_not_taken_and_goes(place: Path, moved: dict[str, int]) -> None:
    host = Host()
    ahead = begun(host, place)
    host.files |= moved
    assert ahead.taken(START, OF) is None
    ahead.drop()
    assert not place.exists()


@pytest.mark.parametrize("moved", [{"bin.000007": 801}, {"bin.000008": 4}], ids=["it woke", "it was started"])
def test_what_was_taken_is_not_taken_again_once_the_old_primary_wrote_more(place: Path, moved: dict[str, int]) -> None:
    """It came back before anybody was opened: what it took is to be saved, too."""
    host = Host()
    ahead = begun(host, place)
    assert ahead.taken(START, OF) is not None
    assert ahead.taken(BinlogPosition("bin.000007", 800), OF) is not None
    host.files |= moved
    assert ahead.taken(BinlogPosition("bin.000007", 800), OF) is None
    ahead.drop()
    assert place.is_dir(), "whoever took it may still be served from it"


def test_where_the_log_is_gone_it_is_not_taken(place: Path) -> None:
    host = Host()
    ahead = begun(host, place)
    del host.files["bin.000007"]
    assert ahead.taken(START, OF) is None


@pytest.mark.parametrize(
    ("start", "of"),
    [(BinlogPosition("bin.000007", 499), OF), (BinlogPosition("bin.000006", 4), OF), (None, OF), (START, ("", "db9"))],
    ids=["further back", "an earlier log", "no place", "another server's"],
)
def test_who_asks_for_something_else_gets_none_of_it(
    place: Path, start: BinlogPosition | None, of: tuple[str, str]
) -> None:
    assert begun(Host(), place).taken(start, of) is None


def test_what_could_not_be_copied_is_copied_anew() -> None:
    def fails() -> tuple[BinlogCopy, tuple[RemoteLog, ...]]:
        raise RemoteFileError("db1", "read it", "no such file")

    ahead = CopyAhead(Host(), OF, fails)  # type: ignore[arg-type]
    assert ahead.taken(START, OF) is None
    ahead.drop()


def test_what_is_made_when_nobody_wants_it_any_more_goes(place: Path) -> None:
    place.mkdir()
    may_end = threading.Event()

    def slow() -> tuple[BinlogCopy, tuple[RemoteLog, ...]]:
        may_end.wait(10)
        copy = BinlogCopy(place, ("bin.000007",), START, BinlogPosition("bin.000007", 800), 300)
        return copy, (RemoteLog("/var/lib/mysql/bin.000007", 800),)

    ahead = CopyAhead(Host(), OF, slow)  # type: ignore[arg-type]
    ahead.drop()
    may_end.set()
    assert ahead.taken(BinlogPosition("bin.000001", 4), OF) is None  # waits for it
    assert not place.exists()
