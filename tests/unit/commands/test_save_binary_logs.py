"""save_binary_logs: options, exit codes, and that what it saves is exactly what the logs hold from the place on."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from prefect_mha.commands.save_binary_logs import main
from prefect_mha.replication.binlog.events import CONTROL
from prefect_mha.replication.binlog.reader import LogReader, Transaction
from prefect_mha.replication.binlog.sequence import LogSequence
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.maintenance.node.logs import binary_logs, save_from
from prefect_mha.replication.model.position import BinlogPosition
from tests.unit.replication.logs import HERE, RELAYED, LogBuilder, content, logs


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for logs."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def save(place: Path, start: str, pos: int, *options: str) -> int:
    out = f"--output_file={place.parent / 'saved.binlog'}"
    return main(
        ["--command=save", f"--binlog_dir={place}", f"--start_file={start}", f"--start_pos={pos}", out, *options]
    )


def saved_events(place: Path) -> list[bytes]:
    """The transactions of the saved file, byte for byte; it must be a log that reads to its end."""
    data = (place.parent / "saved.binlog").read_bytes()
    reader = LogReader(io.BytesIO(data), name="saved.binlog")
    found = [data[t.start : t.end] for t in reader.transactions()]
    assert reader.stop is not None
    assert reader.stop.kind == "clean"
    return found


def held(directory: str) -> list[tuple[Transaction, bytes]]:
    files = {log.name: log for log in logs(directory, "mysql-bin")}
    return [(t, files[t.log].open().read()[t.start : t.end]) for t in LogSequence(list(files.values()))]


@pytest.mark.parametrize("directory", RELAYED)
def test_every_transaction_is_a_place_to_begin_at(directory: str, place: Path) -> None:
    whole = held(directory)
    for log in (HERE / directory).glob("mysql-bin.*"):
        shutil.copy(log, place)
    for number, (transaction, _) in enumerate(whole):
        assert save(place, transaction.log, transaction.start) == 0
        assert saved_events(place) == [data for _, data in whole[number:]]


@pytest.mark.parametrize("name", ["mysql56-pos.000001", "mysql56-nocrc.000001", "mariadb-nocrc.000001"])
def test_any_other_offset_is_refused(name: str, place: Path) -> None:
    shutil.copy(HERE / name, place)
    row = binary_logs([place], name)
    reader = LogReader(io.BytesIO(content(name)), name=name)
    borders = {e.offset for e in reader.events() if e.type in CONTROL}
    borders |= {len(content(name))} | {t.start for t in reader.transactions()} | {t.end for t in reader.transactions()}
    for pos in range(4, row.files[0].size + 2):
        if pos in borders:
            save_from(row, BinlogPosition(name, pos), io.BytesIO())
            continue
        with pytest.raises(LogError):
            save_from(row, BinlogPosition(name, pos), io.BytesIO())


def test_nothing_behind_the_place_is_ten(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = LogBuilder().transaction(1)
    (place / "bin.000001").write_bytes(log.data)
    older = place.parent / "saved.binlog"
    older.write_text("of another day")
    assert save(place, "bin.000001", len(log.data)) == 10
    assert capsys.readouterr().out.startswith("Event not exists.")
    assert older.read_text() == "of another day"
    assert sorted(p.name for p in place.parent.iterdir()) == ["data", "saved.binlog"]


@pytest.mark.parametrize("rest", [1, 30, 80, 120])
def test_a_torn_end_is_told_and_left_out(rest: int, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, both = LogBuilder().transaction(1), LogBuilder().transaction(1).transaction(2)
    (place / "bin.000001").write_bytes(both.data[: len(first.data) + rest])
    assert save(place, "bin.000001", 4) == 0
    assert len(saved_events(place)) == 1
    told = capsys.readouterr()
    assert "what is whole before that counts" in told.err
    assert f"to bin.000001:{len(first.data)} " in told.out
    assert save(place, "bin.000001", len(first.data)) == 10


def test_damage_that_hides_later_logs_is_an_error_and_what_is_whole_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, log = LogBuilder().transaction(1), bytearray(LogBuilder().transaction(1).transaction(2).data)
    log[len(one.data) + 40] ^= 1
    (place / "bin.000001").write_bytes(log)
    (place / "bin.000002").write_bytes(LogBuilder(created=0).transaction(3).data)
    assert save(place, "bin.000001", 4) == 1
    assert len(saved_events(place)) == 1
    assert "later logs are NOT saved" in capsys.readouterr().err
    assert save(place, "bin.000001", len(one.data)) == 1
    assert "nothing can be read from bin.000001:" in capsys.readouterr().err


def test_a_missing_log_ends_the_row_and_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 4):
        (place / f"bin.{number:06d}").write_bytes(LogBuilder(created=0).transaction(number).data)
    (place / "bin.index").write_text("")
    (place / "other.000009").write_text("")
    assert save(place, "bin.000001", 4) == 0
    assert len(saved_events(place)) == 2
    assert "a log after bin.000002 is missing; NOT saved: bin.000004" in capsys.readouterr().err


def test_the_logs_themselves_are_never_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = place / "bin.000001"
    log.write_bytes(LogBuilder().transaction(1).data)
    link = place.parent / "link"
    link.symlink_to(log)
    for out in (log, link):
        assert save(place, "bin.000001", 4, f"--output_file={out}") == 1
        assert "is one of the logs that are read" in capsys.readouterr().err
    assert log.read_bytes() == LogBuilder().transaction(1).data


def test_every_directory_that_was_searched_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert save(place, "bin.000001", 4, f"--binlog_dir=/nowhere,{place}") == 1
    told = capsys.readouterr().err
    assert f"no binary log bin.000001: /nowhere: No such file or directory; {place} has no bin.000001" in told
    (place / "bin.000001").write_bytes(LogBuilder().transaction(1).data)
    assert save(place, "bin.000001", 4, "--binlog_dir=nowhere,data", f"--datadir={place.parent}") == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (content("mariadb-encrypted.000001"), "is encrypted (encrypt_binlog)"),
        (b"not a log", "is not a binary log"),
        (b"", "has 0 bytes, so nothing begins at 4"),
        (LogBuilder().data[:30], "ends within its format description"),
    ],
)
def test_what_is_no_readable_log_is_one_sentence(
    data: bytes, says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "bin.000001").write_bytes(data)
    assert save(place, "bin.000001", 4) == 1
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_where_the_output_cannot_go_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bin.000001").write_bytes(LogBuilder().transaction(1).data)
    assert save(place, "bin.000001", 4, f"--output_file={place}/none/saved") == 1
    assert f"there is no directory {place}/none" in capsys.readouterr().err
    assert save(place, "bin.000001", 4, f"--output_file={place}") == 1
    assert f"{place} is there already and is not a file" in capsys.readouterr().err
    assert save(place, "bin.000001", 4, "--output_file=/dev/full") == 1


def test_text_is_what_mysqlbinlog_says(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bin.000001").write_bytes(LogBuilder().transaction(1).data)
    program = place.parent / "mysqlbinlog"
    options = ("--handle_raw_binlog=0", "--disable_log_bin=1", f"--client_bindir={place.parent}")
    program.write_text('#!/bin/sh\necho "$1 $2"\n')
    program.chmod(0o755)
    assert save(place, "bin.000001", 4, *options) == 0
    assert (place.parent / "saved.binlog").read_text() == "--no-defaults --disable-log-bin\n"
    program.write_text("#!/bin/sh\necho ERROR: no >&2\nexit 3\n")
    assert save(place, "bin.000001", 4, *options) == 1
    assert f"{program} ended with 3: ERROR: no" in capsys.readouterr().err
    assert (place.parent / "saved.binlog").read_text() == "--no-defaults --disable-log-bin\n"
    assert sorted(p.name for p in place.parent.iterdir()) == ["data", "mysqlbinlog", "saved.binlog"]


def test_the_test_tells_the_newest_log(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (999999, 1000000):
        (place / f"bin.{number}").write_bytes(LogBuilder().data)
    words = ["--command=test", f"--binlog_dir={place}", f"--output_file={place.parent}/out", "--start_pos=4"]
    assert main([*words, "--binlog_prefix=bin"]) == 0
    assert "up to bin.1000000" in capsys.readouterr().out
    assert main([*words, "--start_file=bin.999999"]) == 0
    assert main([*words, "--binlog_prefix=none"]) == 1
    assert not (place.parent / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--command=test|save must be set."),
        (["--command=save"], "--start_file=<binary log> must be set."),
        (["--command=test"], "--start_file=<binary log> must be set."),
        (["--command=save", "--start_file=a.1"], "--start_pos=<place in the binary log> must be set."),
        (["--command=save", "--start_file=a.1", "--start_pos=4"], "--output_file=<file to write> must be set."),
        (["--command=test", "--start_file=a.1", "--binlog_prefix=b", "--output_file=x"], "is not a log of"),
        (["--command=save", "--start_file=a", "--start_pos=4", "--output_file=x"], "does not end in .NUMBER"),
        (["--command=save", "--start_file=/d/a.1", "--start_pos=4", "--output_file=x"], "is a path"),
    ],
)
def test_what_is_missing_is_named(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 1
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_options_without_effect_are_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "bin.000001").write_bytes(LogBuilder().transaction(1).data)
    old = ["--relay_log_info=/x", "--oldest_version=5.6.1", "--manager_version=0.58", "--skip_filter=1", "--debug"]
    assert save(place, "bin.000001", 4, *old, "--handle_raw_binlog=1", "--disable_log_bin=0") == 0
    told = capsys.readouterr().err
    assert told == (
        "No effect any more, accepted: --relay_log_info, --oldest_version, --manager_version, --skip_filter, --debug\n"
    )
