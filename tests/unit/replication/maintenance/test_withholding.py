"""Who replaces a primary has its binlog server acknowledge nothing more of it: a lock that both hold to."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.errors import HostUnreachable, MhaError
from prefect_mha.replication.maintenance.binlog_server.acknowledging.permission import Permission
from prefect_mha.replication.maintenance.binlog_server.archive import archive_directory
from prefect_mha.replication.maintenance.binlog_server.withholding import Withheld


class Running:
    """A command as over SSH, here; closing the channel ends its input."""

    def __init__(self, command: str) -> None:
        self._process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, length: int) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.read(length)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


class Sessions:
    """The hosts of binlog servers; one that is ``dark`` cannot be asked."""

    def __init__(self, *, dark: bool = False) -> None:
        self._dark, self.begun = dark, 0

    def binlog_host(self, _block: str) -> Any:
        return SimpleNamespace(name="log1", started=self._started)

    def _started(self, command: str, **_: object) -> Running:
        if self._dark:
            raise HostUnreachable("log1", "ask", "no route", "")
        self.begun += 1
        return Running(command)

    def each(self, work: Callable[[Any], Any], items: list[Any], timeout: float) -> list[tuple[Any, Any]]:
        assert timeout < 5
        done = []
        for item in items:
            try:
                done.append((item, work(item)))
            except MhaError as error:
                done.append((item, error))
        return done


@pytest.fixture
def config(tmp_path: Path) -> Any:
    path = tmp_path / "app1.cnf"
    path.write_text(
        "[server default]\nuser=mha\n[server1]\nhostname=10.0.0.1\n[server2]\nhostname=10.0.0.2\n"
        f"[binlog1]\nhostname=10.0.0.3\nmaster_binlog_dir={tmp_path}\nbinlog_ack=1\n"
        f"[binlog2]\nhostname=10.0.0.3\nmaster_binlog_dir={tmp_path}/other\n"
    )
    return load_cluster(path, None)


def given(permission: Permission) -> bool:
    with permission.asked() as answer:
        return answer


def begun(withheld: Withheld, config: Any, sessions: Sessions) -> None:
    withheld.begin(config, sessions, config.servers[0])  # type: ignore[arg-type]
    withheld.asked()


def test_nothing_is_acknowledged_between_the_begin_and_the_end(config: Any) -> None:
    old = config.servers[0]
    directory = Path(archive_directory(config.binlog_servers[0], old))
    directory.mkdir()
    reader, withheld, sessions = Permission(directory), Withheld(), Sessions()
    assert given(reader)
    begun(withheld, config, sessions)
    assert not given(reader)
    begun(withheld, config, sessions)
    assert sessions.begun == 1, "what is withheld already is not asked for again"
    withheld.end()
    ends = time.monotonic() + 10
    while not given(reader):
        assert time.monotonic() < ends
        time.sleep(0.01)
    reader.close()


def test_it_waits_for_an_acknowledgement_that_is_under_way(config: Any) -> None:
    old = config.servers[0]
    directory = Path(archive_directory(config.binlog_servers[0], old))
    directory.mkdir()
    reader, withheld = Permission(directory), Withheld()
    with reader.asked() as answer:
        assert answer
        begun(withheld, config, Sessions())
    assert withheld.go_on.keys() == {"binlog1"}, "the lock was had while somebody acknowledged"
    reader.close()


def test_a_log_that_never_copied_it_has_nothing_to_acknowledge(config: Any) -> None:
    withheld = Withheld()
    begun(withheld, config, Sessions())
    assert not withheld.go_on
    withheld.end()
    assert not Path(archive_directory(config.binlog_servers[0], config.servers[0])).exists()


def test_a_dark_log_is_named(config: Any) -> None:
    withheld = Withheld()
    begun(withheld, config, Sessions(dark=True))
    assert "no route" in withheld.go_on["binlog1"]
