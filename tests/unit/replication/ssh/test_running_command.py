"""A command whose output is another's input: exactly its bytes, and no end that is none."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from prefect_mha.replication.deadline import Deadline
from prefect_mha.replication.errors import CommandFailed, DeadlineExceeded, HostUnreachable
from prefect_mha.replication.ssh.framing import Frame
from prefect_mha.replication.ssh.streams import RunningCommand


class Channel:
    """What a host's sshd sends, piece by piece; None stands for silence."""

    def __init__(self, out: list[bytes | None], err: bytes = b"") -> None:
        self._out, self._err, self.sent = out, [err], b""

    def recv(self, _: int) -> bytes:
        data = self._out.pop(0) if self._out else b""
        if data is None:
            raise TimeoutError
        return data

    def recv_stderr(self, _: int) -> bytes:
        return self._err.pop(0) if self._err else b""

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def shutdown_write(self) -> None: ...


class Lease(contextlib.nullcontext[None]):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel


def running(frame: Frame, *out: bytes | None, err: bytes = b"") -> RunningCommand:
    lease: Any = Lease(Channel(list(out), err))
    return RunningCommand(lease, frame, "mha@db3:22", "dump its data", 1.0)


def all_of(command: RunningCommand, at_once: int = 7) -> bytes:
    return b"".join(iter(lambda: command.read(at_once), b""))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_its_bytes_and_nothing_of_what_is_around_them(size: int) -> None:
    frame, data = Frame(), bytes(range(256)) * 3
    whole = b"motd\n" + frame.begin + data + frame.end + b"0\n"
    command = running(frame, *(whole[at : at + size] for at in range(0, len(whole), size)))
    assert all_of(command) == data
    command.finish(Deadline(1.0))


def test_a_bad_end_is_told_to_who_reads_in_the_words_of_the_command() -> None:
    frame = Frame()
    err = frame.begin + b"mysqldump: Got error: 1045\n" + frame.end + b"2\n"
    with pytest.raises(CommandFailed, match="mha@db3:22: dump its data: mysqldump: Got error: 1045"):
        all_of(running(frame, frame.begin + b"half", frame.end + b"2\n", err=err))


def test_a_session_that_breaks_is_no_end() -> None:
    frame = Frame()
    with pytest.raises(HostUnreachable, match="the session broke"):
        all_of(running(frame, frame.begin + b"half of it"))


def test_who_says_nothing_is_not_waited_for() -> None:
    frame = Frame()
    with pytest.raises(DeadlineExceeded, match="it printed nothing"):
        all_of(running(frame, frame.begin + b"x", None))


@pytest.mark.parametrize("size", [50, 100])
def test_what_a_login_prints_is_no_data_however_long_it_is(size: int) -> None:
    frame = Frame()
    command = running(frame, b"Welcome! " * size, b"See you. " * size, frame.begin + b"data", frame.end + b"0\n")
    assert all_of(command) == b"data"


def test_who_holds_writes_waits_no_longer_than_they_may_wait() -> None:
    frame = Frame()
    channel = Channel([frame.begin + b"x", None])
    lease: Any = Lease(channel)
    command = RunningCommand(lease, frame, "mha@db3:22", "dump its data", 300.0)
    command.wait_at_most(15.0)
    assert channel.timeout == 15.0
    with pytest.raises(DeadlineExceeded, match="15"):
        all_of(command)
