"""A binlog server whose primary means harm: that one is told of, in time, and the copying goes on with the next try."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.config import ServerConfig
from prefect_mha.replication.errors import ServerError, ServerOdd
from prefect_mha.replication.maintenance.binlog_server import health as copies
from prefect_mha.replication.maintenance.binlog_server.acknowledging import dump
from prefect_mha.replication.maintenance.binlog_server.acknowledging.dump import LogDump, Replica
from prefect_mha.replication.maintenance.binlog_server.acknowledging.feed import AcknowledgingFeed
from prefect_mha.replication.maintenance.binlog_server.archive import ArchivedLog, is_log_name, local_logs
from prefect_mha.replication.maintenance.binlog_server.source import read_logs
from prefect_mha.replication.mysql.known_servers import Key, remember
from prefect_mha.replication.mysql.server import Server
from tests.lab.hostile import NASTY, HostileServer, Way
from tests.unit.replication.mysql.test_hostile_servers import PASSWORD, config_of

ME = Replica(7, "db9")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "LOGIN", 0.6)
    monkeypatch.setattr(dump, "SILENCE", 1.0)


@pytest.mark.parametrize("asks", [False, True], ids=["as it is", "whose first answer counts"])
@pytest.mark.parametrize("way", list(Way), ids=lambda way: way.name.lower())
def test_each_hostile_primary_is_its_own_error_and_gets_no_password(
    way: Way, asks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if asks:
        monkeypatch.setattr(LogDump, "_settings", lambda *_, **__: ("SELECT 1",))
    with HostileServer(way) as hostile:
        config = config_of(hostile.port, tmp_path)
        remember(config.known_servers, config.address, Key("tls", "0" * 64))
        feed, began = AcknowledgingFeed(config, tmp_path / "logs", ME, acknowledges=True), time.monotonic()
        feed.make_ready()
        feed.start("", None, ArchivedLog("", 0))
        feed._thread.join(30.0)
        failure = feed.take()
        feed.close()
        assert time.monotonic() - began < 25.0
        assert isinstance(failure, ServerError), failure
        assert PASSWORD.encode() not in hostile.told
        assert local_logs(tmp_path / "logs") == ()
        assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "row",
    [
        {"Log_name": "mysql-bin.000001", "File_size": NASTY},
        {"Log_name": "mysql-bin.000001", "File_size": None},
        {"Log_name": "mysql-bin.000001"},
    ],
)
def test_a_list_of_logs_that_makes_no_sense_is_that_servers_error(row: dict[str, Any]) -> None:
    """It ended the binlog server, which tries again after any error that has a server."""
    server = Server(config_of(1))
    server.query = lambda *_, **__: [row]  # type: ignore[method-assign]
    with pytest.raises(ServerOdd, match="list its binary logs"):
        read_logs(server)


@pytest.mark.parametrize(
    "name", [f"x.{'9' * 5000}", "x" * 300 + ".000001", "a\n.000001", "\x1b[2J.000001", "a/b.000001"]
)
def test_a_log_has_a_name_that_files_have(name: str) -> None:
    assert not is_log_name(name)
    server: Any = SimpleNamespace(query=lambda *_, **__: [{"Log_name": name, "File_size": 1}])
    server.reading = Server(config_of(1)).reading
    assert read_logs(server) == ()


@pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 30_000, "1" * 60_000, "\x00", "null", "[]", '{"state": []}'])
def test_a_state_that_is_none_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / copies.FILE).write_text(text)
    assert copies.parse_health(text) is None
    assert copies.status_line(_block(tmp_path)).endswith("is not the state of a binlog server")
    assert copies.known_gaps(tmp_path) == ()


@pytest.mark.parametrize("what", ["pipe", "link", "directory"])
def test_what_is_no_file_in_place_of_a_state_is_not_read(tmp_path: Path, what: str) -> None:
    path = tmp_path / copies.FILE
    (tmp_path / "another").write_text("secret")
    {"pipe": os.mkfifo, "link": lambda at: at.symlink_to(tmp_path / "another"), "directory": Path.mkdir}[what](path)
    assert "its state is not known" in copies.status_line(_block(tmp_path))
    assert copies.known_gaps(tmp_path) == ()


def _block(root: Path) -> ServerConfig:
    return config_of(3306).model_copy(update={"block": "binlog1", "master_binlog_dir": (str(root),)})
