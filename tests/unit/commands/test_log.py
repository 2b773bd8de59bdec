"""The log: MHA's lines, no secret in any spelling, and never in the way of the manager."""

from __future__ import annotations

import json
import locale
import logging
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from prefect_mha.replication.notify import manager_log
from prefect_mha.replication.notify.manager_log import redact, register_secrets, setup_logging

SECRET = "\"'\\!=#&;` |*?$<>()[]{}"


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(manager_log, "_secrets", set())
    monkeypatch.setattr(manager_log, "_longest_first", ())
    factory = logging.getLogRecordFactory()
    loggers = [logging.getLogger(name) for name in ("mha", "paramiko")]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    yield
    logging.setLogRecordFactory(factory)
    for logger, level, propagate, handlers in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_lines_are_mhas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup_logging(tmp_path / "made" / "manager.log", "debug")
    log = logging.getLogger("mha")
    monkeypatch.setattr("time.time", lambda: 1478000000.0)
    log.info("Ping(%s) succeeded", "SELECT")
    log.warning("careful")
    log.debug("detail")
    log.error("broken")
    lines = (tmp_path / "made" / "manager.log").read_text().splitlines()
    date = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}"
    assert re.fullmatch(date + r" - \[info\] Ping\(SELECT\) succeeded", lines[0])
    assert re.fullmatch(date + r" - \[warning\] careful", lines[1])
    assert re.fullmatch(date + r" - \[debug\] detail", lines[2])
    assert re.fullmatch(date + r" - \[error\]\[test_log\.py, ln\d+\] broken", lines[3])


def test_names_of_days_do_not_follow_the_locale(tmp_path: Path) -> None:
    before = locale.setlocale(locale.LC_TIME)
    try:
        for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"):
            try:
                locale.setlocale(locale.LC_TIME, name)
                break
            except locale.Error:
                continue
        record = logging.LogRecord("mha", logging.INFO, "x.py", 1, "text", (), None)
        record.created = 951782400.0 + 12 * 3600
        assert manager_log.ManagerFormatter().format(record).startswith("Tue Feb 29 ")
    finally:
        locale.setlocale(locale.LC_TIME, before)


def test_only_the_first_line_of_a_report_is_prefixed(tmp_path: Path) -> None:
    setup_logging(tmp_path / "l")
    logging.getLogger("mha").info("\n----- Failover Report -----\n\napp1: failover\n")
    assert (tmp_path / "l").read_text().split(" - ", 1)[1] == (
        "[info] \n----- Failover Report -----\n\napp1: failover\n"
    )


def test_log_level_decides_what_is_written(tmp_path: Path) -> None:
    setup_logging(tmp_path / "l", "warning")
    logging.getLogger("mha").info("not this")
    logging.getLogger("mha.failover").warning("but this")
    assert "not this" not in (tmp_path / "l").read_text()
    assert "but this" in (tmp_path / "l").read_text()
    with pytest.raises(ValueError, match="log_level 'loud' is none of debug, info, warning, error"):
        setup_logging(tmp_path / "l", "loud")


def test_file_is_private_appended_to_and_not_doubled(tmp_path: Path) -> None:
    path = tmp_path / "l"
    for _ in range(2):
        setup_logging(path)
        logging.getLogger("mha").info("once each")
    assert path.read_text().count("once each") == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 & ~_umask()


def test_logrotate_moves_the_file_and_the_log_goes_on_in_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "l"
    setup_logging(path)
    logging.getLogger("mha").info("before")
    path.rename(tmp_path / "l.1")
    logging.getLogger("mha").info("after")
    assert "before" in (tmp_path / "l.1").read_text()
    assert "before" not in path.read_text()
    assert "after" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 & ~_umask()


def test_a_directory_that_vanishes_does_not_stop_the_manager(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "d"
    setup_logging(directory / "l", secrets=["hunter22"])
    (directory / "l").unlink()
    directory.rmdir()
    logging.getLogger("mha").info("one hunter22")
    logging.getLogger("mha").info("two")
    told = capsys.readouterr().err
    assert told.count("The log cannot be written") == 1
    assert "one xxx" in told
    assert "two" in told
    directory.mkdir()
    logging.getLogger("mha").info("three")
    assert "three" in (directory / "l").read_text()


def test_a_full_disk_does_not_stop_the_manager(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(Path("/dev/full"))
    logging.getLogger("mha").error("lost?")
    assert "No space left on device" in (told := capsys.readouterr().err)
    assert "lost?" in told
    setup_logging(None)
    logging.getLogger("mha").error("found")
    assert "found" in capsys.readouterr().err


def test_an_entry_that_cannot_be_formatted_is_told_without_its_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(tmp_path / "l")
    entry = logging.LogRecord("mha", logging.INFO, "x.py", 1, "%d rows", ("s3cr3t",), None)
    next(h for h in logging.getLogger("mha").handlers if h.get_name() == "mha-log").handle(entry)
    told = capsys.readouterr().err
    assert "'%d rows' cannot be written" in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize(
    "secret", ["plainpassword", SECRET, "with space", "quo'te", "ünïcode!", "line\nbreak", "  p w  "]
)
def test_a_secret_is_hidden_however_it_was_quoted(secret: str) -> None:
    register_secrets([secret, "other secret"])
    spellings = [secret, shlex.quote(secret), repr(secret), json.dumps(secret), quote(secret), quote(secret, safe="")]
    spellings.append("".join(c if re.match(r"\w", c, re.ASCII) else "\\" + c for c in secret))
    for spelling in spellings:
        text = redact(f"--password={spelling} end")
        assert spelling not in text
        assert text.startswith("--password=")
        assert text.endswith(" end")
        assert "xxx" in text


def test_the_longer_secret_is_hidden_whole() -> None:
    register_secrets(["pass", "password1"])
    assert redact("is password1 or pass") == "is xxx or xxx"


def test_short_values_are_not_hidden() -> None:
    register_secrets(["", "abc", "   "])
    assert redact("abc   abc") == "abc   abc"


def test_no_handler_of_any_logger_sees_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    setup_logging(tmp_path / "l", secrets=[SECRET])
    logging.getLogger("mha").addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("mha").info("argument %s", SECRET)
        logging.getLogger("prefect.flow_runs").warning("message %s" % SECRET)  # noqa: UP031
        try:
            raise ValueError(f"access denied, using {SECRET}")
        except ValueError:
            logging.getLogger("mha").exception("failed")
            logging.getLogger("paramiko.transport").exception("failed too")
    logging.getLogger("mha").removeHandler(caplog.handler)
    everything = caplog.text + (tmp_path / "l").read_text()
    assert SECRET not in everything
    assert "access denied, using xxx" in (tmp_path / "l").read_text()
    assert "message xxx" in caplog.text


def test_paramiko_speaks_from_warning_on(tmp_path: Path) -> None:
    setup_logging(tmp_path / "l", "debug")
    logging.getLogger("paramiko.transport").info("Connected")
    logging.getLogger("paramiko.transport").warning("Oops")
    assert "Connected" not in (tmp_path / "l").read_text()
    assert "Oops" in (tmp_path / "l").read_text()


def test_without_a_file_the_terminal_gets_it(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging(None)
    logging.getLogger("mha").info("hello")
    captured = capsys.readouterr()
    assert captured.err.endswith(" - [info] hello\n")
    assert captured.out == ""


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_account_whose_password_is_its_name_keeps_the_name_in_grants() -> None:
    register_secrets(["repl"])
    told = "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'; MASTER_PASSWORD='repl', mysql://repl:repl@db1 --password=repl"
    hidden = "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'; MASTER_PASSWORD='xxx', mysql://xxx:xxx@db1 --password=xxx"
    assert redact(told) == hidden


def test_a_terminal_gets_the_log_beside_the_file_only_where_it_is_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging(tmp_path / "log")
    logging.getLogger("mha").info("only there")
    assert capsys.readouterr().err == ""
    assert manager_log.in_file() and not manager_log.on_terminal()
    setup_logging(tmp_path / "log", speak=True)
    logging.getLogger("mha").info("in both")
    assert "in both" in capsys.readouterr().err
    assert manager_log.in_file() and manager_log.on_terminal()
    text = (tmp_path / "log").read_text()
    assert "only there" in text and "in both" in text


def test_a_log_that_cannot_be_written_names_the_parameter(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="manager_log cannot be written"):
        setup_logging(tmp_path / "file" / "manager.log")
