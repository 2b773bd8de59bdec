"""Commands over SSH: results, deadlines, frozen hosts and broken sessions, against a real sshd."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_EOF

from prefect_mha.replication.errors import CommandFailed, DeadlineExceeded, HostError, HostUnreachable, RemoteFileError
from prefect_mha.replication.ssh.host import SshHost
from prefect_mha.replication.ssh.streams import OUTPUT_LIMIT
from tests.scenarios.ssh.conftest import Start, takes_at_most

pytestmark = pytest.mark.every_variant


def test_exit_code_output_and_binary_stdin_come_back_exactly(start: Start) -> None:
    host = start().host()
    data = random.Random(1).randbytes(3_000_000)
    done = host.run("sha256sum; echo to stderr >&2; exit 7", action="count", timeout=20, stdin=data, ok=(7,))
    assert done.exit_code == 7
    assert done.stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert done.stderr == "to stderr\n"


def test_unexpected_exit_names_the_action_and_the_last_words_but_not_the_command(start: Start) -> None:
    host = start().host()
    with pytest.raises(CommandFailed) as failure:
        host.run("echo first >&2; echo last >&2; : hidden; exit 3", action="list the binary logs", timeout=10)
    assert "list the binary logs: exit 3: last" in str(failure.value)
    assert "hidden" not in str(failure.value)


def test_command_killed_by_a_signal_is_a_failure(start: Start) -> None:
    with pytest.raises(CommandFailed, match="ended by a signal"):
        start().host().run("kill -9 $$", action="die", timeout=10)


def test_missing_program_has_a_hint(start: Start) -> None:
    with pytest.raises(CommandFailed, match=r"exit 127.*install the program"):
        start().host().run("no-such-program", action="look", timeout=10)


def test_command_that_reads_no_input_is_not_an_error(start: Start) -> None:
    assert start().host().run("exit 0", action="ignore it", timeout=20, stdin=bytes(20_000_000)).exit_code == 0


def test_flood_of_output_keeps_its_head_and_tail(start: Start) -> None:
    text = (
        start().host().run("echo HEAD; head -c 20000000 /dev/zero; echo; echo TAIL", action="flood", timeout=60).stdout
    )
    assert text.startswith("HEAD\n") and text.endswith("\nTAIL\n")
    assert len(text) < OUTPUT_LIMIT + 100
    left_out = re.search(r"\[(\d+) bytes left out\]", text)
    assert left_out and int(left_out[1]) == 20_000_000 + len("HEAD\n\nTAIL\n") - OUTPUT_LIMIT


def test_child_in_the_background_does_not_hold_the_command_up(start: Start) -> None:
    host = start().host()
    with takes_at_most(5):
        assert host.run("sleep 60 & echo started", action="start", timeout=30).stdout == "started\n"


def test_command_that_outlives_its_deadline_loses_only_its_own_channel(start: Start) -> None:
    host = start().host()
    other: list[str] = []
    beside = threading.Thread(
        target=lambda: other.append(host.run("sleep 1.5; echo fine", action="go on", timeout=20).stdout)
    )
    host.connect()
    beside.start()
    with takes_at_most(1.5), pytest.raises(DeadlineExceeded, match=r"wait: not within 0.5 s; last seen: so far"):
        host.run("echo so far; exec sleep 60", action="wait", timeout=0.5)
    beside.join(20)
    assert other == ["fine\n"]


@pytest.mark.parametrize("allowed", [None, 2, 1])
def test_twenty_commands_at_once_whatever_sshd_allows(start: Start, allowed: int | None) -> None:
    sshd = start(*([f"MaxSessions {allowed}"] if allowed else []))
    host = sshd.host()
    host.stat("/")  # leaves an SFTP channel behind, which takes one of the places
    results: list[object] = []

    def one(number: int) -> None:
        try:
            results.append(int(host.run(f"sleep 0.05; echo {number}", action="count", timeout=30).stdout))
        except HostError as error:
            results.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert sorted(results, key=str) == sorted(range(20), key=str)
    assert host.stat("/").is_dir


# Frozen and broken sessions


def test_sshd_frozen_while_a_command_runs_ends_at_the_deadline(start: Start) -> None:
    sshd = start()
    host = sshd.host()
    host.connect()
    threading.Timer(0.3, sshd.freeze_children).start()
    with takes_at_most(2.5), pytest.raises(DeadlineExceeded):
        host.run("sleep 60", action="wait", timeout=1)
    for pid in sshd.children():
        os.kill(pid, signal.SIGCONT)


def test_alive_is_honest_and_quick_when_the_far_side_freezes_and_returns(start: Start) -> None:
    sshd = start()
    host = sshd.host()
    assert not host.alive()
    host.connect()
    assert host.alive()
    with sshd.frozen():
        for _ in range(3):
            with takes_at_most(0.5):
                assert not host.alive(timeout=0.3)
    assert host.alive(timeout=5)
    sshd.cut_connections()
    with takes_at_most(2):
        assert not host.alive()


def test_upload_into_a_frozen_host_ends_at_its_deadline_and_the_next_command_works(
    start: Start, tmp_path: Path
) -> None:
    sshd = start()
    host = sshd.host()
    host.connect()
    with sshd.frozen(), takes_at_most(4), pytest.raises((DeadlineExceeded, HostUnreachable)):
        host.put(bytes(60_000_000), str(tmp_path / "target"), timeout=2)
    assert host.run("echo back", action="try again", timeout=10).stdout == "back\n"
    assert not (tmp_path / "target").exists()


def test_upload_whose_host_freezes_midway_ends_at_its_deadline(start: Start, tmp_path: Path) -> None:
    sshd = start()
    host = sshd.host()
    host.connect()
    threading.Timer(0.4, sshd.freeze_children).start()
    # Far more than socket buffers and SSH windows hold: paramiko by itself would block in a write for ever.
    with takes_at_most(4), pytest.raises(DeadlineExceeded):
        host.run("sleep 0.8; cat >/dev/null", action="send", timeout=2, stdin=bytes(60_000_000))
    for pid in sshd.children():
        os.kill(pid, signal.SIGCONT)


def test_session_broken_between_commands_is_opened_again(start: Start) -> None:
    sshd = start()
    host = sshd.host()
    for _ in range(3):
        assert host.run("echo here", action="speak", timeout=10).stdout == "here\n"
        assert host.listdir("/etc/ssh")
        sshd.cut_connections()


def test_session_broken_during_a_command_is_not_repeated(start: Start, tmp_path: Path) -> None:
    sshd = start()
    host = sshd.host()
    host.connect()
    threading.Timer(0.4, sshd.cut_connections).start()
    with takes_at_most(5), pytest.raises(HostUnreachable, match="not known whether it took effect"):
        host.run(f"echo ran >> {tmp_path}/effects; sleep 60", action="act", timeout=20)
    assert (tmp_path / "effects").read_text() == "ran\n"


def test_host_that_went_away_is_unreachable_not_a_hang(start: Start) -> None:
    sshd = start()
    host = sshd.host()
    host.connect()
    sshd.process.terminate()
    sshd.process.wait(10)
    sshd.cut_connections()
    host.close()
    with takes_at_most(2), pytest.raises(HostUnreachable):
        host.run("echo", action="speak", timeout=10)


def test_no_shell_and_no_sftp_are_explained(start: Start) -> None:
    host = start("ForceCommand /bin/false").host()
    with pytest.raises(HostError):
        host.run("echo", action="speak", timeout=10)
    with pytest.raises(RemoteFileError, match=r"offers no SFTP.*Subsystem sftp"):
        host.stat("/")


# The login shell, and what is sent too late


NOISE = "echo server greeted; echo done; echo 'process 1 S'; echo nonsense >&2"


@pytest.mark.parametrize(
    "around", [f'{NOISE}; eval "$SSH_ORIGINAL_COMMAND"', f'sh -vxc "$SSH_ORIGINAL_COMMAND"; {NOISE}']
)
def test_what_login_files_print_is_no_answer(start: Start, tmp_path: Path, around: str) -> None:
    """A greeting before, a farewell after, a shell that shows what it executes, and an exit code that is not ours."""
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f"#!/bin/sh\n{around}\nexit 0\n")
    wrapper.chmod(0o755)
    host = start(f"ForceCommand {wrapper}").host()
    done = host.run("cat; echo to stderr >&2; exit 7", action="count", timeout=20, stdin=b"in\n", ok=(7,))
    assert (done.exit_code, done.stdout) == (7, "in\n")
    assert done.stderr.replace("+", "").split("\n")[-2].endswith("to stderr")
    path = str(tmp_path / "file")
    digest = host.put(b"content", path)
    assert (Path(path).read_bytes(), digest) == (b"content", hashlib.sha256(b"content").hexdigest())


@pytest.mark.parametrize(
    "shell", ["echo This account is currently not available.; exit 1", "echo done; exit 0", "exit 0"]
)
def test_a_login_shell_that_runs_nothing_is_an_error_and_no_answer(start: Start, shell: str) -> None:
    host = start(f"ForceCommand {shell}").host()
    with pytest.raises(CommandFailed, match="the login shell of this user ran no command"):
        host.run("echo hello", action="look", timeout=10, ok=range(256))


def test_an_end_of_input_that_comes_too_late_ends_nobody_elses_command(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """paramiko makes a message and sends it later: sshd, which closed the channel, would end the whole session."""
    host, others = start().host(), []
    host.connect()
    send = paramiko.Transport._send_user_message  # type: ignore[attr-defined]

    def late(transport: paramiko.Transport, message: paramiko.Message) -> None:
        if message.asbytes()[:1] == cMSG_CHANNEL_EOF:
            time.sleep(0.4)
        send(transport, message)

    beside = threading.Thread(
        target=lambda: others.append(host.run("sleep 1.2; echo fine", action="go on", timeout=20).stdout)
    )
    beside.start()
    monkeypatch.setattr(paramiko.Transport, "_send_user_message", late)
    assert host.run("exit 0", action="end at once", timeout=20).exit_code == 0
    beside.join(20)
    assert others == ["fine\n"]
    assert host.alive()


def test_commands_and_files_at_once_on_a_busy_machine_end_no_session(start: Start) -> None:
    """Fourteen at once in one session, with input and without, while every processor is taken."""
    burners = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4)]
    sshd, troubles, ends = start(), [], time.monotonic() + 6.0

    def one(host: SshHost, number: int) -> None:
        try:
            if number % 4 == 0:
                host.stat("/")
            elif number % 4 == 1:
                host.run("exit 0", action="end at once", timeout=20, stdin=bytes(100_000))
            else:
                assert host.run("sh -s", action="say", timeout=20, stdin=b"echo hi").stdout == "hi\n"
        except (HostError, DeadlineExceeded) as error:
            troubles.append(str(error))

    try:
        while time.monotonic() < ends:
            host = sshd.host()
            threads = [threading.Thread(target=one, args=(host, number)) for number in range(14)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            host.close()
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert troubles == []


def test_a_command_that_sshd_had_no_process_for_is_begun_once_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it was executed; a second refusal is believed."""
    host, refusals = start().host(), [1]
    begin = paramiko.Channel.exec_command

    def refused(channel: paramiko.Channel, command: str) -> None:
        if refusals and refusals.pop():
            channel.refused = True  # type: ignore[attr-defined]
            raise paramiko.SSHException("Channel closed.")
        begin(channel, command)

    monkeypatch.setattr(paramiko.Channel, "exec_command", refused)
    assert host.run("echo fine", action="say", timeout=20).stdout == "fine\n"
    refusals.extend((1, 1))
    with pytest.raises(CommandFailed, match="sshd runs no command for this user"):
        host.run("echo fine", action="say", timeout=20)
