"""Which files of a dead host are its logs, and what is taken when some of them are not there or cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.cutter import Cut
from prefect_mha.replication.binlog.events import EventType
from prefect_mha.replication.errors import LogError, RemoteFileError
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.rescue.finding import find_logs
from prefect_mha.replication.rescue.salvage import cut_from, mirror
from prefect_mha.replication.ssh.host import SshHost
from tests.scenarios.ssh.conftest import Start, takes_at_most
from tests.unit.replication.logs import HERE, LogBuilder

pytestmark = pytest.mark.every_variant

BASE = "mysql-bin"
Salvage = Callable[..., Cut]


@pytest.fixture
def host(start: Start) -> Iterator[SshHost]:
    yield start().host()


@pytest.fixture
def salvage(host: SshHost, tmp_path: Path) -> Salvage:
    def salvage(*directories: Path, first: str = f"{BASE}.000001") -> Cut:
        logs = find_logs(host, [str(each) for each in directories], first)
        begin = BinlogPosition(first, 4)
        return cut_from(mirror(host, logs, begin, tmp_path / "saved"), begin, lambda _: True, tmp_path / "cut")

    return salvage


def write(directory: Path, *numbers: int, index: str = "", age: int = 0, base: str = BASE) -> list[Path]:
    """Logs with these numbers, one transaction in each; all but the last one name the next. ``index`` is a prefix."""
    directory.mkdir(exist_ok=True)
    paths = [directory / f"{base}.{number:06d}" for number in numbers]
    for place, (number, path) in enumerate(zip(numbers, paths, strict=True)):
        builder = LogBuilder(created=1 if place == 0 else 0).transaction(number)
        if path != paths[-1]:
            builder.add(EventType.ROTATE, (4).to_bytes(8, "little") + paths[place + 1].name.encode())
        path.write_bytes(builder.data)
        os.utime(path, (1_700_000_000 - age,) * 2)
    if index:
        (directory / f"{base}.index").write_text("".join(f"{index}{path.name}\n" for path in paths))
    return paths


def taken(cut: Cut) -> str:
    return str(cut.gtids).rpartition("0000:")[2]


@pytest.mark.parametrize("index", ["", "./", "/moved/away/", "../elsewhere/"])
def test_logs_in_a_row_are_all_taken_whatever_the_index_calls_them(
    salvage: Salvage, tmp_path: Path, index: str
) -> None:
    write(tmp_path / "data", 1, 2, 3, index=index)
    result = salvage(tmp_path / "data")
    assert (taken(result), result.end_reason.kind) == ("1-3", "clean")


def test_a_leftover_file_makes_a_server_jump_and_names_get_longer(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2, 999_999, 1_000_000, index="./")
    (tmp_path / "data" / f"{BASE}.999998").write_bytes(LogBuilder().transaction(7).data)
    result = salvage(tmp_path / "data")
    assert taken(result) == "1-2:999999-1000000"
    assert result.end_reason.kind == "clean"


def test_without_an_index_a_gap_in_the_numbers_is_told(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2, 999_999)
    result = salvage(tmp_path / "data")
    assert taken(result) == "1-2"
    assert f"{BASE}.999999:0: {BASE}.000002 says that it follows" in str(result.end_reason)


def test_a_leftover_file_in_the_row_is_not_taken_for_what_follows(salvage: Salvage, tmp_path: Path) -> None:
    """Without an index only the log itself tells that another one comes next."""
    write(tmp_path / "data", 1, 2, 5)
    write(tmp_path / "data", 3)
    result = salvage(tmp_path / "data")
    assert taken(result) == "1-2"
    assert f"{BASE}.000005:0: {BASE}.000002 says that it follows" in str(result.end_reason)


def test_logs_of_another_name_and_other_files_are_left_alone(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2, index="./")
    write(tmp_path / "data", 3, base="mysql-bin.old")
    write(tmp_path / "data", 3, base="relay-bin")
    (tmp_path / "data" / f"{BASE}.000003.gz").write_bytes(b"no log")
    assert taken(salvage(tmp_path / "data")) == "1-2"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_directories_with_the_log_the_one_in_use_is_taken(salvage: Salvage, tmp_path: Path, order: int) -> None:
    write(tmp_path / "before_it_was_moved", 1, 2, 3, age=3600)
    write(tmp_path / "in_use", 1, 4, index="./")
    assert taken(salvage(*[tmp_path / "before_it_was_moved", tmp_path / "in_use"][::order])) == "1:4"


def test_an_index_that_lists_logs_in_another_directory_is_followed(salvage: Salvage, tmp_path: Path) -> None:
    (old,) = write(tmp_path / "old", 1)
    write(tmp_path / "new", 2)
    (tmp_path / "old" / f"{BASE}.index").write_text(f"./{old.name}\n{tmp_path}/new/{BASE}.000002\n")
    assert taken(salvage(tmp_path / "old")) == "1-2"


def test_an_index_of_other_logs_or_an_empty_one_is_not_believed(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2)
    for text in ("", "./mysql-bin.000044\n"):
        (tmp_path / "data" / f"{BASE}.index").write_text(text)
        assert taken(salvage(tmp_path / "data")) == "1-2"


@pytest.mark.parametrize("index", ["./", ""])
@pytest.mark.parametrize("lost", ["missing", "unreadable"])
def test_a_last_log_that_is_lost_is_told_and_those_before_it_are_taken(
    salvage: Salvage, tmp_path: Path, lost: str, index: str
) -> None:
    *_, last = write(tmp_path / "data", 1, 2, 3, index=index)
    last.unlink()
    if lost == "unreadable":
        last.mkdir()
    result = salvage(tmp_path / "data")
    assert taken(result) == "1-2"
    assert (result.end_reason.kind, result.end_reason.log) == ("unreadable", last.name)


def test_directories_that_cannot_be_read_are_each_named(host: SshHost, tmp_path: Path) -> None:
    write(tmp_path / "data", 5, 6)
    (tmp_path / "file").touch()
    with pytest.raises(RemoteFileError) as caught:
        find_logs(host, [str(tmp_path / name) for name in ("missing", "file", "data")], f"{BASE}.000001")
    for part in (f"list {tmp_path}/missing", f"list {tmp_path}/file", f"{tmp_path}/data has no {BASE}.000001"):
        assert part in str(caught.value)
    assert "set master_binlog_dir" in str(caught.value)


def test_an_encrypted_first_log_is_refused_and_an_encrypted_later_one_ends_the_cut(
    salvage: Salvage, tmp_path: Path
) -> None:
    first, second = write(tmp_path / "data", 1, 2)
    second.write_bytes((HERE / "mariadb-encrypted.000001").read_bytes())
    result = salvage(tmp_path / "data")
    assert taken(result) == "1"
    assert "is encrypted (encrypt_binlog): only a server with its keys can read it" in str(result.end_reason)
    first.write_bytes(second.read_bytes())
    with pytest.raises(LogError, match="is encrypted"):
        salvage(tmp_path / "data")


@pytest.mark.parametrize("what", ["a link", "a pipe", "a directory", "a hole of ten terabytes", "a chain of links"])
def test_what_is_no_log_in_place_of_one_is_not_read(salvage: Salvage, tmp_path: Path, what: str) -> None:
    """Who owns the data directory, as mysqld's user does, does not choose what root reads, nor how long."""
    write(tmp_path / "data", 1, 2, index="./")
    write(tmp_path / "elsewhere", 2)
    odd = tmp_path / "data" / f"{BASE}.000002"
    odd.unlink()
    match what:
        case "a link":
            odd.symlink_to(tmp_path / "elsewhere" / odd.name)
        case "a chain of links":
            (tmp_path / "data" / "next").symlink_to(tmp_path / "elsewhere" / odd.name)
            odd.symlink_to("next")
        case "a pipe":
            os.mkfifo(odd)
        case "a directory":
            odd.mkdir()
        case _:
            odd.touch()
            os.truncate(odd, 10 << 40)
    with takes_at_most(8.0):
        result = salvage(tmp_path / "data")
    assert taken(result) == "1"
    said = {"a hole of ten terabytes": "bytes long, and", "a link": "it is a link", "a chain of links": "it is a link"}
    assert said.get(what, "it is no file") in str(result.end_reason)
    saved = tmp_path / "saved" / odd.name
    assert not saved.exists() or saved.stat().st_size == 0


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_the_first_log_is_no_log_and_it_is_said(salvage: Salvage, tmp_path: Path, what: str) -> None:
    (tmp_path / "secret").write_bytes(b"\xfebin root's own words")
    (tmp_path / "data").mkdir()
    odd = tmp_path / "data" / f"{BASE}.000001"
    {"link": lambda: odd.symlink_to(tmp_path / "secret"), "pipe": lambda: os.mkfifo(odd), "directory": odd.mkdir}[
        what
    ]()
    with takes_at_most(8.0), pytest.raises(RemoteFileError, match=r"it is a link|it is no file"):
        salvage(tmp_path / "data")
    assert not any(b"root's own" in path.read_bytes() for path in (tmp_path / "saved").rglob("*") if path.is_file())


def test_an_index_names_no_file_that_is_no_log(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2, index="./")
    (tmp_path / "secret").write_text("root's own words")
    for entry in (f"{tmp_path}/secret", "/etc/shadow", f"/proc/self/root{tmp_path}/secret", "\x00/x", "²", "../secret"):
        (tmp_path / "data" / f"{BASE}.index").write_text(f"./{BASE}.000001\n{entry}\n")
        result = salvage(tmp_path / "data")
        assert taken(result) == "1"
        assert not any("root's own" in p.read_text("latin1") for p in (tmp_path / "saved").rglob("*") if p.is_file())


def test_names_that_no_server_gives_disturb_nobody(salvage: Salvage, tmp_path: Path) -> None:
    write(tmp_path / "data", 1, 2)
    for name in ("²", "٣", "3\n", "\n000003", "-rf", "$(touch x)", "9" * 200, "\u202e3", "000003\r"):
        (tmp_path / "data" / f"{BASE}.{name}").write_bytes(b"x")
    (tmp_path / "data" / "-rf\n$(id)").touch()
    os.close(os.open(os.fsencode(tmp_path / "data") + b"/\xff\xfe.000003", os.O_CREAT))
    assert taken(salvage(tmp_path / "data")) == "1-2"
