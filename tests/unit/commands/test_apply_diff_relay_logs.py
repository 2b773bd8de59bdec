"""apply_diff_relay_logs: what it finds and generates from relay logs, how it merges, and how it says no."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefect_mha.commands.apply_diff_relay_logs import main, parser, slave_config
from prefect_mha.config import ConfigError
from prefect_mha.replication.binlog.reader import LogReader, Transaction
from prefect_mha.replication.binlog.sequence import LogSequence
from prefect_mha.replication.errors import ApplyFailed, DeadlineExceeded, LogError
from prefect_mha.replication.maintenance.node.apply import MissingPart, _run, merge
from prefect_mha.replication.maintenance.node.logs import relay_logs_by_info
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import Vendor
from tests.unit.commands.conftest import ROOT, environment
from tests.unit.replication.build import UUID, channel, server
from tests.unit.replication.logs import HERE, RELAYED, LogBuilder, content, logs


def diff(
    command: str, directory: Path, target: BinlogPosition, latest: BinlogPosition, out: Path, *options: str
) -> int:
    return main(
        [
            f"--command={command}",
            f"--relay_dir={directory}",
            f"--current_relay_log={sorted(p.name for p in directory.glob('relay-bin.0*'))[-1]}",
            f"--target_mlf={target.file}",
            f"--target_rmlp={target.pos}",
            f"--latest_mlf={latest.file}",
            f"--latest_rmlp={latest.pos}",
            f"--diff_file_readtolatest={out}",
            *options,
        ]
    )


def source(directory: str) -> list[tuple[Transaction, bytes]]:
    """The source's own transactions, byte for byte."""
    files = logs(directory, "mysql-bin")
    data = {log.name: log.open().read() for log in files}
    return [(t, data[t.log][t.start : t.end]) for t in LogSequence(files)]


def place(transaction: Transaction) -> BinlogPosition:
    return BinlogPosition(transaction.log, transaction.start)


def events(file: Path) -> list[bytes]:
    """The transactions of a generated file; it must be a log that reads to its end."""
    data = file.read_bytes()
    reader = LogReader(io.BytesIO(data), name=file.name)
    found = [data[t.start : t.end] for t in reader.transactions()]
    assert reader.stop is not None
    assert reader.stop.kind == "clean"
    return found


@pytest.mark.parametrize("directory", RELAYED)
def test_between_any_two_places_lies_what_the_source_has_there(directory: str, tmp_path: Path) -> None:
    whole, out = source(directory), tmp_path / "diff"
    for first in range(len(whole)):
        target = place(whole[first][0])
        assert diff("find", HERE / directory, target, whole[-1][0].end_position, out) == 0
        for last in range(first, len(whole)):
            assert diff("generate", HERE / directory, target, whole[last][0].end_position, out) == 0
            assert events(out) == [data for _, data in whole[first : last + 1]], (first, last)


@pytest.mark.parametrize("directory", RELAYED)
def test_the_beginning_of_a_transaction_is_not_generated(
    directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = source(directory), tmp_path / "diff"
    last = whole[-1][0]
    latest = BinlogPosition(last.log, last.end - 1)
    assert diff("generate", HERE / directory, place(whole[0][0]), latest, out) == 0
    assert events(out) == [data for _, data in whole[:-1]]
    assert f"save_binary_logs goes on at {whole[-2][0].end_position}" in capsys.readouterr().err


@pytest.mark.parametrize("directory", RELAYED)
def test_more_than_was_received_is_an_error(directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, out = source(directory), tmp_path / "diff"
    end = BinlogPosition("mysql-bin.000009", 4)
    assert diff("generate", HERE / directory, place(whole[0][0]), end, out) == 1
    assert "hold the source's log up to mysql-bin.000003:" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("directory", RELAYED)
def test_relay_logs_that_were_purged_or_are_damaged(
    directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = source(directory), tmp_path / "diff"
    some = tmp_path / "some"
    shutil.copytree(HERE / directory, some)
    end = whole[-1][0].end_position
    for log in sorted(some.glob("relay-bin.0*"))[:5]:
        log.unlink()
    assert diff("find", some, place(whole[0][0]), end, out) == 1
    told = capsys.readouterr().err
    assert "do not reach back to mysql-bin.000001:" in told
    assert "(code 10)" in told
    newest = sorted(some.glob("relay-bin.0*"))[-1]
    newest.write_bytes(newest.read_bytes()[:-60])
    assert diff("generate", some, place(whole[-2][0]), end, out) == 1
    assert "hold the source's log up to mysql-bin.000003:" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", ["find", "generate"])
def test_a_place_within_a_transaction_is_no_place(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = source("relay-mysql97")
    inside = BinlogPosition(whole[2][0].log, whole[2][0].start + 1)
    end = whole[-1][0].end_position
    assert diff(command, HERE / "relay-mysql97", inside, end, tmp_path / "diff") == 1
    told = capsys.readouterr().err
    assert f"from {place(whole[2][0])} to {whole[2][0].end_position}" in told
    assert "(code 12)" in told
    assert told.count("\n") == 1


def test_a_target_that_has_everything_gets_an_empty_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end, out = source("relay-mysql56")[-1][0].end_position, tmp_path / "diff"
    for target in (end, BinlogPosition(end.file, end.pos + 1000)):
        assert diff("generate", HERE / "relay-mysql56", target, end, out) == 0
        assert events(out) == []
        assert "has everything" in capsys.readouterr().out
    assert diff("find", HERE / "relay-mysql56", end, end, out) == 0


def test_no_transaction_between_two_logs_of_the_source_is_everything(tmp_path: Path) -> None:
    whole, out = source("relay-mysql97"), tmp_path / "diff"
    at = next(n for n, (t, _) in enumerate(whole) if t.log.endswith("2"))
    assert diff("generate", HERE / "relay-mysql97", whole[at - 1][0].end_position, place(whole[at][0]), out) == 0
    assert events(out) == []


@pytest.mark.parametrize(
    "text",
    [
        "./relay-bin.000002\n4\nmysql-bin.000001\n4\n",
        "7\n./relay-bin.000002\n4\nmysql-bin.000001\n4\n",
        "5\nrelay-bin.000011\n",
        "{directory}/relay-bin.000003\n4\n",
    ],
)
def test_relay_log_info_of_every_age_names_the_logs(text: str, tmp_path: Path) -> None:
    shutil.copytree(HERE / "relay-mysql56", tmp_path / "data")
    info = tmp_path / "data" / "relay-log.info"
    info.write_text(text.format(directory=info.parent))
    row = relay_logs_by_info(info)
    assert [log.name for log in row.files] == [f"relay-bin.{n:06d}" for n in range(1, 12)]


@pytest.mark.parametrize("text", ["", "7\n", "garbage\n", "7\ngarbage\n"])
def test_relay_log_info_that_names_none(text: str, tmp_path: Path) -> None:
    info = tmp_path / "relay-log.info"
    info.write_text(text)
    with pytest.raises(LogError, match="give --relay_dir and --current_relay_log instead"):
        relay_logs_by_info(info)
    info.write_text("./relay-bin.000002\n")
    with pytest.raises(LogError, match=r"has no relay log relay-bin.000002 \(code 10\)"):
        relay_logs_by_info(info)


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        ([], "--command=test|find|generate|generate_and_send|apply must be set."),
        (["--command=find"], "--target_mlf must be set for --command=find."),
        (["--command=apply"], "--apply_files must be set for --command=apply."),
    ):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 1
        assert capsys.readouterr().err == f"{says}\n"
    places = ["--target_mlf=a.1", "--target_rmlp=4", "--latest_mlf=a.1", "--latest_rmlp=9"]
    assert main(["--command=find", *places]) == 1
    assert "--relay_log_info, or --relay_dir and --current_relay_log, must be set" in capsys.readouterr().err
    words = ["--relay_log_info=/nowhere/relay-log.info", "--target_mlf=a"]
    assert main(["--command=find", *places, *words]) == 1
    assert capsys.readouterr().err == "/nowhere/relay-log.info: No such file or directory\n"


def test_every_option_of_mha_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    end = source("relay-mysql56")[-1][0].end_position
    old = (
        "--server_id=1 --scp_user=u --scp_host=h --scp_port=22 --slave_user=u --slave_host=h --slave_ip=10.0.0.1 "
        "--slave_port=1 --apply_files=x --timestamp=1 --workdir=/tmp --target_version=5.6.24 --handle_raw_binlog=1 "
        "--disable_log_bin=0 --no_apply --manager_version=0.58 --client_bindir=/x --client_libdir=/y --debug"
    )
    assert diff("find", HERE / "relay-mysql56", end, end, tmp_path / "diff", *old.split()) == 0
    assert capsys.readouterr().err == (
        "No effect any more, accepted: --server_id, --target_version, --manager_version, --debug\n"
    )


# passwords -------------------------------------------------------------------------------------------------------


def password(*words: str) -> str:
    return slave_config(parser().parse(["--slave_host=127.0.0.1", *words])).password.get_secret_value()


def test_where_the_password_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    assert password() == ""
    monkeypatch.setenv("MHA_SLAVE_PASSWORD", "env:of ours")
    monkeypatch.setenv("OTHER", "of another")
    assert password() == "env:of ours"
    assert password(f"--slave_pass=file:{secret}") == "from a file"
    assert password("--slave_pass=env:OTHER") == "of another"
    assert capsys.readouterr().err == ""
    assert password("--slave_pass=seen") == "seen"
    told = capsys.readouterr().err
    assert "shows the password to everybody" in told
    assert "seen" not in told
    with pytest.raises(ConfigError, match="--slave_pass: password names the file /nowhere/x, which cannot be read"):
        password("--slave_pass=file:/nowhere/x")


# merging and applying --------------------------------------------------------------------------------------------


def everything(_: Transaction) -> bool:
    return True


def files(tmp_path: Path, *data: bytes) -> list[Path]:
    paths = [tmp_path / f"cut{number}" for number in range(len(data))]
    for path, each in zip(paths, data, strict=True):
        path.write_bytes(each)
    return paths


def test_several_files_become_one_log(tmp_path: Path) -> None:
    one, two = LogBuilder(created=0), LogBuilder(created=5, version="8.0.30", checksum=False)
    paths = files(tmp_path, one.transaction(1).data, LogBuilder().data, two.transaction(2).transaction(3).data)
    done = merge(paths, tmp_path / "total", everything, torn_end=False)
    assert (done.transactions, done.end_reason.kind) == (3, "clean")
    assert len(events(tmp_path / "total")) == 3


@pytest.mark.parametrize("torn", [0, 1])
@pytest.mark.parametrize("less", [1, 27, 60])
def test_a_file_that_is_not_whole_is_not_applied(torn: int, less: int, tmp_path: Path) -> None:
    data = [LogBuilder(created=number).transaction(number).transaction(number + 2).data for number in (1, 2)]
    data[torn] = data[torn][:-less]
    paths, total = files(tmp_path, *data), tmp_path / "total"
    with pytest.raises(LogError, match=f"nothing was applied: {paths[torn]} is "):
        merge(paths, total, everything, torn_end=False)
    assert not total.exists()
    if torn:
        done = merge(paths, total, everything, torn_end=True)
        assert done.transactions == 3
        assert done.end_reason.kind in ("torn", "in_transaction")
    else:
        with pytest.raises(LogError):
            merge(paths, total, everything, torn_end=True)


def test_the_file_to_apply_is_not_written_over(tmp_path: Path) -> None:
    path = files(tmp_path, LogBuilder().transaction(1).data)[0]
    with pytest.raises(LogError, match="is one of the logs that are read"):
        merge([path], path, everything, torn_end=False)


def test_gtids_tell_what_is_lacking() -> None:
    mysql = [t for t in LogReader(io.BytesIO(content("mysql97-gtid.000001")), name="x").transactions() if t.gtid]
    has = GtidSet.parse(str(mysql[0].gtid))
    by_gtid = MissingPart(server(2, channel(), gtid_executed=has))
    assert [by_gtid(t) for t in mysql[:3]] == [False, True, True]
    assert UUID not in str(has)
    mariadb = list(LogReader(io.BytesIO(content("mariadb-gtid.000001")), name="x").transactions())
    state = {"vendor": Vendor.MARIADB, "gtid_executed": None}
    state["mariadb_gtid"] = MariadbGtidPosition([mariadb[1].gtid])  # type: ignore[list-item]
    following = MissingPart(server(2, channel(using_gtid="Slave_Pos"), **state))
    assert [following(t) for t in mariadb[:3]] == [False, False, True]
    by_position = MissingPart(server(2, channel(using_gtid="No"), **state))
    assert all(by_position(t) for t in mariadb)


def test_how_the_client_ends(tmp_path: Path) -> None:
    errors = tmp_path / "err.log"

    def run(script: str, seconds: float = 10.0) -> None:
        _run(["sh", "-c", script], b"", errors, seconds)

    run("cat; echo warned >&2")
    assert errors.read_text() == "warned\n"
    assert errors.stat().st_mode & 0o777 == 0o640
    with pytest.raises(ApplyFailed, match=rf"ended with 1: ERROR 1062 .*\(all it said is in {errors}\)"):
        run("echo 'ERROR 1062 (23000): Duplicate' >&2; echo more >&2; exit 1")
    with pytest.raises(LogError, match="ended with 93: none of mysql"):
        run("echo none of mysql >&2; exit 93")
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        run("sleep 60 | cat", 0.3)
    assert time.monotonic() - began < 5


# filter_mysqlbinlog, and all three -------------------------------------------------------------------------------


def test_the_filter_passes_everything_on() -> None:
    data = bytes(range(256)) * 5000 + b"ROLLBACK /* added by mysqlbinlog */;\n"
    done = subprocess.run(
        [sys.executable, "-m", "prefect_mha.commands.filter_mysqlbinlog"],
        input=data,
        capture_output=True,
        env=environment(),
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, data)
    assert done.stderr == b"filter_mysqlbinlog is obsolete: it passes its input on unchanged.\n"


@pytest.mark.parametrize("name", ["save_binary_logs", "apply_diff_relay_logs", "filter_mysqlbinlog"])
def test_nothing_heavy_is_imported_to_cut_a_log(name: str) -> None:
    heavy = "{'prefect', 'pydantic', 'paramiko', 'pymysql', 'cryptography'} & set(sys.modules)"
    program = f"import sys, prefect_mha.commands.{name}; print(*{heavy})"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
