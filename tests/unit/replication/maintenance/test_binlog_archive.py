"""Where a binlog server's copies lie, where it goes on, what it removes, and that no copy is given up for less."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.config import ServerConfig
from prefect_mha.replication.maintenance.binlog_server.archive import (
    ArchivedLog,
    Intake,
    OtherHistoryError,
    Resume,
    archive_directories,
    archive_directory,
    bytes_behind,
    expired,
    local_logs,
    resume_point,
    set_aside,
)
from prefect_mha.replication.model.position import BinlogPosition


def config(hostname: str = "db1", port: int = 3306, directories: tuple[str, ...] = ("/srv/binlog",)) -> ServerConfig:
    return ServerConfig(
        block="binlog1",
        hostname=hostname,
        ip="10.0.0.1",
        port=port,
        ssh_host=hostname,
        ssh_ip="10.0.0.1",
        master_binlog_dir=directories,
    )


def logs(*sizes: int, first: int = 1) -> tuple[ArchivedLog, ...]:
    """mysql-bin.000001 and the following, of these sizes."""
    return tuple(ArchivedLog(f"mysql-bin.{n:06d}", size) for n, size in enumerate(sizes, first))


def name(number: int) -> str:
    return f"mysql-bin.{number:06d}"


def test_a_directory_each_server_named_by_the_configuration_alone():
    assert archive_directory(config("archive"), config("db1", 3307)) == "/srv/binlog/db1_3307"
    assert archive_directory(config("archive"), config("fe80::1")) == "/srv/binlog/fe80__1_3306"


def test_where_a_rescue_looks_its_own_directories_first_then_those_of_people():
    found = archive_directories(config("archive", directories=("/a", "/b")), config("db1"))
    assert found == ("/a/db1_3306", "/b/db1_3306", "/a", "/b")


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        pytest.param((), logs(100, 50), Resume(name(1)), id="nothing here: the oldest"),
        pytest.param(logs(100, 40), logs(100, 50), Resume(name(2)), id="the newest one here"),
        pytest.param(logs(100, 50), logs(100, 50), Resume(name(2)), id="level: the newest again"),
        pytest.param(logs(100, 50), logs(100, 50, 30), Resume(name(3)), id="the newest here is whole: the next"),
        pytest.param(logs(90, 50), logs(100, 50), Resume(name(1)), id="an older one was cut: from there"),
        pytest.param((*logs(100), *logs(70, first=3)), logs(100, 50, 70), Resume(name(2)), id="one is missing"),
        pytest.param(logs(50, first=2), logs(100, 50), Resume(name(2)), id="removed ones stay removed"),
        pytest.param(logs(100, 80), logs(100, 60, 30), Resume(name(3)), id="the server lost an end that is here"),
        pytest.param(logs(100), logs(50, first=2), Resume(name(2)), id="purged up to what is here"),
        pytest.param(logs(100), logs(9, first=5), Resume(name(5), gap=(name(2), name(4))), id="purged too early"),
        pytest.param(logs(9, 9, 9), logs(9), Resume(name(1), reset=True), id="begun anew"),
        pytest.param((ArchivedLog("other.000009", 5),), logs(9, 9), Resume(name(1)), id="another base name"),
    ],
)
def test_where_it_goes_on(local, remote, expected):
    assert resume_point(local, remote) == expected


def test_an_empty_directory_may_begin_with_the_current_log():
    assert resume_point((), logs(100, 50), from_current=True).start == name(2)
    assert resume_point(logs(40), logs(100, 50), from_current=True).start == name(1)


def test_the_seventh_digit_comes_after_the_sixth():
    here = (ArchivedLog("b.999999", 5), ArchivedLog("b.1000000", 3))
    there = (ArchivedLog("b.999999", 5), ArchivedLog("b.1000000", 9))
    assert resume_point(here, there).start == "b.1000000"


@pytest.mark.parametrize(
    ("newest", "end", "behind"),
    [
        (None, 50, 150),
        (ArchivedLog(name(2), 50), 50, 0),
        (ArchivedLog(name(2), 20), 50, 30),
        (ArchivedLog(name(1), 90), 50, 60),
        (ArchivedLog(name(2), 60), 50, 0),
    ],
)
def test_bytes_behind(newest, end, behind):
    assert bytes_behind(newest, BinlogPosition(name(2), end), logs(100, 40)) == behind


DAY = 86400.0


def aged(*ages: float) -> tuple[ArchivedLog, ...]:
    return tuple(ArchivedLog(name(n), 100, 1000 * DAY - age * DAY) for n, age in enumerate(ages, 1))


@pytest.mark.parametrize(
    ("files", "days", "size", "gone"),
    [
        (aged(9, 8, 1), 7, 0, 2),
        (aged(9, 8, 8), 7, 0, 2),
        (aged(9, 8, 1), 0, 0, 0),
        (aged(1, 1, 1), 0, 250, 1),
        (aged(1, 1, 1), 0, 1, 2),
        (aged(1, 9, 1), 7, 0, 0),
        ((), 7, 1, 0),
    ],
)
def test_what_is_removed_the_oldest_first_and_never_the_newest(files, days, size, gone):
    assert expired(files, 1000 * DAY, keep_days=days, keep_bytes=size) == files[:gone]


# what comes in ---------------------------------------------------------------------------------------------------


@pytest.fixture
def intake(tmp_path):
    made = Intake(tmp_path / "db1_3306")
    made.make_ready()
    return made


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def held(intake: Intake) -> dict[str, bytes]:
    return {f.name: (intake.directory / f.name).read_bytes() for f in local_logs(intake.directory)}


def test_a_new_log_has_its_place_at_once_and_grows_there(intake):
    with (intake.incoming / name(1)).open("wb", buffering=0) as writer:
        writer.write(b"abc")
        intake.take()
        assert held(intake) == {name(1): b"abc"}
        writer.write(b"def")
        assert held(intake) == {name(1): b"abcdef"}
        intake.sync()


def test_a_log_that_comes_again_replaces_its_copy_when_it_is_as_long(intake):
    put(intake.directory / name(1), b"abcdef")
    with (intake.incoming / name(1)).open("wb", buffering=0) as writer:
        for piece in (b"", b"ab", b"cde"):
            writer.write(piece)
            intake.take()
            assert held(intake) == {name(1): b"abcdef"}
            assert (intake.incoming / name(1)).exists()
        writer.write(b"fgh")
        intake.take()
        writer.write(b"i")
    assert held(intake) == {name(1): b"abcdefghi"}


@pytest.mark.parametrize("how", ["the stream ended", "the next log has begun"])
def test_a_shorter_one_never_replaces_a_copy(intake, how):
    put(intake.directory / name(1), b"abcdef")
    put(intake.incoming / name(1), b"abc")
    if how == "the next log has begun":
        put(intake.incoming / name(2), b"xyz")
    intake.take(ended=how == "the stream ended")
    assert held(intake)[name(1)] == b"abcdef"
    assert local_logs(intake.incoming) == ()


def test_a_copy_that_has_grown_meanwhile_counts_with_its_new_length(intake):
    for upto in (3, 1, 5, 3):
        put(intake.incoming / name(1), b"abcdef"[:upto])
        intake.take()
    assert held(intake) == {name(1): b"abcde"}


def test_what_a_killed_run_left_is_taken_over_by_the_next(intake):
    put(intake.directory / name(1), b"abc")
    put(intake.incoming / name(1), b"abcd")
    put(intake.incoming / name(2), b"new")
    Intake(intake.directory).make_ready()
    assert held(intake) == {name(1): b"abcd", name(2): b"new"}


def test_another_log_under_the_same_name_replaces_nothing(intake):
    put(intake.directory / name(1), b"abcdef")
    put(intake.incoming / name(1), b"abX")
    with pytest.raises(OtherHistoryError, match="at byte 2"):
        intake.take()
    former = set_aside(intake.directory, now=0.0)
    assert former.name == "former-19700101T000000"
    assert (former / name(1)).read_bytes() == b"abcdef"
    assert set_aside(intake.directory, now=0.0).name == "former-19700101T000000-2"
    # What came of the new one is kept, too.
    intake.make_ready()
    assert held(intake) == {name(1): b"abX"}


def test_zeros_that_a_power_cut_left_at_the_end_are_no_other_log(intake):
    put(intake.directory / name(1), b"abc" + b"\0" * 100)
    put(intake.incoming / name(1), b"ab")
    intake.take()
    put(intake.incoming / name(1), b"abcdef")
    intake.take()
    assert held(intake) == {name(1): b"abcdef"}


@settings(deadline=None)  # it syncs to a disk that others use, too
@given(log=st.binary(min_size=1, max_size=60), cuts=st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=12))
def test_whatever_comes_in_whatever_pieces_and_whenever_it_ends_no_byte_is_lost(tmp_path_factory, log, cuts):
    """Invariant: what is held is always a beginning of the server's log, and never gets shorter."""
    intake = Intake(tmp_path_factory.mktemp("a") / "s")
    intake.make_ready()
    longest = b""
    for upto, ended in cuts:
        put(intake.incoming / name(1), log[:upto])
        intake.take(ended=ended)
        if ended:
            intake.make_ready()
        now = held(intake).get(name(1), b"")
        assert log.startswith(now)
        assert len(now) >= len(longest)
        longest = now
