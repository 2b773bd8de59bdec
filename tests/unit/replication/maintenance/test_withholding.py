"""Who replaces a primary has its binlog server acknowledge nothing more of it: a lock that both hold to."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.deadline import Deadline
from prefect_mha.replication.errors import HostUnreachable, MhaError
from prefect_mha.replication.maintenance.binlog_server import withholding
from prefect_mha.replication.maintenance.binlog_server.acknowledging.permission import Permission
from prefect_mha.replication.maintenance.binlog_server.archive import archive_directory
from prefect_mha.replication.maintenance.binlog_server.withholding import Withheld
from prefect_mha.replication.ssh.framing import Frame
from prefect_mha.replication.ssh.session import GRACE, Lease
from prefect_mha.replication.ssh.streams import RunningCommand
from tests.lab.waiting import until


class Channel:
    """A command as over SSH, here; closing the channel ends its input."""

    def __init__(self) -> None:
        self.closed = False
        self._process: subprocess.Popen[bytes]

    def begin(self, command: str) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(["sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe)

    def settimeout(self, seconds: float) -> None: ...

    def recv(self, length: int) -> bytes:
        assert self._process.stdout is not None
        return os.read(self._process.stdout.fileno(), length)

    def recv_stderr(self, length: int) -> bytes:
        assert self._process.stderr is not None
        return self._process.stderr.read(length)

    @property
    def eof_received(self) -> bool:
        return self.exit_status_ready()

    def exit_status_ready(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self.closed = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class Host:
    """One host, reached over a session of its own. A transport that is closed ends all that runs in it."""

    name = "log1"

    def __init__(self, *, dark: bool) -> None:
        self._dark, self.channels, self.transport_open = dark, list[Channel](), True

    def connect(self, _: float) -> None:
        if self._dark:
            raise HostUnreachable("log1", "ask", "no route", "")

    def started(self, command: str, *, action: str, timeout: float, silence: float) -> RunningCommand:
        channel: Any = Channel()
        session: Any = SimpleNamespace(
            transport=SimpleNamespace(is_active=lambda: self.transport_open, close=self.close),
            give_up=lambda channel: channel.close(),
        )
        frame = Frame()
        channel.begin(frame.around(command))
        self.channels.append(channel)
        return RunningCommand(Lease(session, channel, Deadline(timeout)), frame, self.name, action, silence)

    def alive(self, _: float) -> bool:
        return self.transport_open

    def close(self) -> None:
        self.transport_open = False
        for channel in self.channels:
            channel.close()


class Sessions:
    """The hosts of binlog servers; one that is ``dark`` cannot be asked."""

    def __init__(self, *, dark: bool = False) -> None:
        self._dark, self.hosts = dark, list[Host]()

    @property
    def begun(self) -> int:
        return len(self.hosts)

    def host_of(self, _block: object) -> Any:
        self.hosts.append(Host(dark=self._dark))
        return self.hosts[-1]

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


@pytest.fixture
def directory(config: Any) -> Path:
    path = Path(archive_directory(config.binlog_servers[0], config.servers[0]))
    path.mkdir()
    return path


def test_nothing_is_acknowledged_between_the_begin_and_the_end(config: Any, directory: Path) -> None:
    sessions = Sessions()
    reader, withheld = Permission(directory), Withheld(sessions.host_of)
    assert given(reader)
    begun(withheld, config, sessions)
    assert not given(reader)
    begun(withheld, config, sessions)
    assert sessions.begun == 1, "what is withheld already is not asked for again"
    assert withheld.unbroken() == {"binlog1"}
    withheld.end()
    assert withheld.unbroken() == {"binlog1"}, "it was so up to the end"
    until(lambda: given(reader))
    reader.close()


def test_it_lasts_longer_than_the_asking_may_take(
    config: Any, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withholding, "WITHIN", 1.0)
    sessions = Sessions()
    reader, withheld = Permission(directory), Withheld(sessions.host_of)
    begun(withheld, config, sessions)
    ends = time.monotonic() + 1.0 + GRACE + 0.5
    while time.monotonic() < ends:
        assert not given(reader)
        time.sleep(0.05)
    assert withheld.unbroken() == {"binlog1"}
    withheld.end()
    assert not sessions.hosts[0].transport_open, "its session is its own"
    reader.close()


def test_one_that_is_lost_is_taken_again_and_no_more_counted_on(config: Any, directory: Path) -> None:
    sessions = Sessions()
    reader, withheld = Permission(directory), Withheld(sessions.host_of)
    begun(withheld, config, sessions)
    assert withheld.asked() == {"binlog1"}
    sessions.hosts[0].close()
    until(lambda: given(reader))
    assert withheld.asked() == frozenset()
    assert not given(reader), "what it acknowledged from then on is not in what is read now"
    assert sessions.begun == 2
    assert "binlog1" in withheld.go_on
    withheld.end()
    assert withheld.unbroken() == frozenset()
    reader.close()


def test_it_waits_for_an_acknowledgement_that_is_under_way(config: Any, directory: Path) -> None:
    sessions = Sessions()
    reader, withheld = Permission(directory), Withheld(sessions.host_of)
    with reader.asked() as answer:
        assert answer
        begun(withheld, config, sessions)
    assert withheld.go_on.keys() == {"binlog1"}, "the lock was had while somebody acknowledged"
    assert withheld.unbroken() == frozenset()
    withheld.end()
    reader.close()


def test_a_log_that_never_copied_it_has_nothing_to_acknowledge(config: Any) -> None:
    sessions = Sessions()
    withheld = Withheld(sessions.host_of)
    begun(withheld, config, sessions)
    assert not withheld.go_on
    assert withheld.unbroken() == frozenset(), "it may begin to copy it"
    withheld.end()
    assert not Path(archive_directory(config.binlog_servers[0], config.servers[0])).exists()


def test_a_dark_log_is_named(config: Any) -> None:
    sessions = Sessions(dark=True)
    withheld = Withheld(sessions.host_of)
    begun(withheld, config, sessions)
    assert "no route" in withheld.go_on["binlog1"]
    withheld.end()
