"""Host keys and logins over SSH, against a real sshd."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.replication.errors import HostKeyMismatch, HostUnreachable, LoginRefused
from prefect_mha.replication.ssh.host import SshHost
from tests.scenarios.ssh.conftest import LOOPBACK, ME, Start, keygen, server, takes_at_most

pytestmark = pytest.mark.every_variant


def test_unknown_host_key_is_refused_and_the_hint_repairs_it(start: Start, home: Path) -> None:
    sshd = start()
    known = home / ".ssh" / "known_hosts"
    known.unlink()
    with pytest.raises(HostKeyMismatch, match="in no known_hosts file") as refusal:
        sshd.host().connect()
    assert not known.exists(), "a strict connection wrote a key"
    command = refusal.value.hint.split(": ", 1)[1]
    assert command.startswith("ssh-keyscan") and command.endswith(str(known))
    subprocess.run(command, shell=True, check=True, stderr=subprocess.DEVNULL)
    sshd.host().connect()


@pytest.mark.parametrize("checking", [None, "yes", "accept-new"])
def test_changed_host_key_is_never_accepted(start: Start, home: Path, keys: Path, checking: str | None) -> None:
    sshd = start()
    other = (keys / "stranger.pub").read_text()
    (home / ".ssh" / "known_hosts").write_text(f"# a comment\n[{LOOPBACK}]:{sshd.port} {other}")
    with pytest.raises(HostKeyMismatch, match=r"is not the one in .*known_hosts:2.*ssh-keygen -R"):
        sshd.host(options={"strict_host_key_checking": checking}).connect()


def test_revoked_host_key_is_not_accepted_even_without_checking(start: Start, home: Path) -> None:
    sshd = start()
    key = sshd.host_key("ed25519")
    (home / ".ssh" / "known_hosts").write_text(f"{LOOPBACK} {key}\n@revoked * {key}\n")
    with pytest.raises(HostKeyMismatch, match="marked revoked"):
        sshd.host(options={"strict_host_key_checking": "no"}).connect()


def test_accept_new_remembers_the_key_and_ssh_itself_agrees(start: Start, home: Path) -> None:
    sshd = start()
    known = home / ".ssh" / "known_hosts"
    known.write_text("elsewhere.example ssh-ed25519 AAAA")  # no line end, as people leave it
    sshd.host(options={"strict_host_key_checking": "accept-new"}).connect()
    assert known.read_text().startswith("elsewhere.example ssh-ed25519 AAAA\n[db1.example]:")
    sshd.host().connect()
    command = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        f"HostKeyAlias=[db1.example]:{sshd.port}",
        "-o",
        f"UserKnownHostsFile={known}",
    ]
    command += ["-i", str(home / ".ssh" / "id_ed25519"), "-p", str(sshd.port), LOOPBACK, "echo agreed"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=20).stdout == "agreed\n"


def test_no_checking_with_dev_null_connects_and_writes_nothing(start: Start, home: Path) -> None:
    sshd = start()
    (home / ".ssh" / "known_hosts").unlink()
    options = {"strict_host_key_checking": "no", "user_known_hosts_files": ("/dev/null",)}
    sshd.host(options=options).connect()
    assert not (home / ".ssh" / "known_hosts").exists()


@pytest.mark.parametrize(
    "listed", ["db1.example", LOOPBACK, "[db1.example]:{port}", "10.0.0.1,*.example", "!db2.example,db?.*"]
)
def test_only_the_rsa_key_is_known_under_any_name(start: Start, home: Path, listed: str) -> None:
    sshd = start()
    line = f"{listed.format(port=sshd.port)} {sshd.host_key('rsa')}\n"
    (home / ".ssh" / "known_hosts").write_text(line)
    sshd.host().connect()


def test_hashed_known_hosts_is_read(start: Start, home: Path) -> None:
    sshd = start()
    known = home / ".ssh" / "known_hosts"
    keygen("-H", "-f", known)
    assert known.read_text().startswith("|1|")
    sshd.host().connect()


# Logins


def test_refused_login_names_user_and_keys_but_no_secret(start: Start, home: Path, keys: Path) -> None:
    sshd = start()
    shutil.copy(keys / "stranger", home / ".ssh" / "id_ed25519")
    with pytest.raises(LoginRefused, match=f"user {ME} was not let in; offered {home}/.ssh/id_ed25519") as refusal:
        sshd.host().connect()
    assert "authorized_keys" in refusal.value.hint


def test_no_key_at_all_says_so(start: Start, home: Path) -> None:
    sshd = start()
    (home / ".ssh" / "id_ed25519").unlink()
    with pytest.raises(LoginRefused, match=r"there was no key to offer.*ssh-keygen"):
        sshd.host().connect()


def test_missing_encrypted_and_broken_keys_are_named(start: Start, home: Path, keys: Path) -> None:
    sshd = start()
    (home / ".ssh" / "id_ed25519").write_text("this is no key\n")
    options = {"identity_files": (str(keys / "locked"), "~/missing")}
    with pytest.raises(LoginRefused) as refusal:
        sshd.host(options=options).connect()
    assert f"{keys}/locked is encrypted and the agent does not hold it (run ssh-add)" in str(refusal.value)
    assert f"{home}/missing does not exist" in str(refusal.value)
    assert "id_ed25519 is no private key" in str(refusal.value)


@pytest.fixture
def agent(tmp_path: Path, home: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent that holds seven keys nobody knows, and then the right one."""
    socket_path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not socket_path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
    for number in range(7):
        keygen("-t", "ed25519", "-N", "", "-f", tmp_path / f"other{number}")
        subprocess.run(["ssh-add", "-q", str(tmp_path / f"other{number}")], check=True)
    subprocess.run(["ssh-add", "-q", str(keys / "user")], check=True)
    yield
    process.terminate()
    process.wait(10)


def test_agent_signs_for_the_named_encrypted_key(start: Start, home: Path, keys: Path, agent: None) -> None:
    sshd = start()
    (home / ".ssh" / "id_ed25519").unlink()
    shutil.copy(keys / "user.pub", keys / "locked.pub")
    sshd.host(options={"identity_files": (str(keys / "locked"),)}).connect()


def test_too_many_agent_keys_are_explained(start: Start, home: Path, agent: None) -> None:
    sshd = start("MaxAuthTries 6")
    with pytest.raises(LoginRefused, match=r"it hung up; name the right key with -i"):
        sshd.host().connect()


def test_silent_agent_does_not_hang_the_login(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sshd = start()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
        dead.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "dead"))
        with takes_at_most(4):
            sshd.host().connect()


def test_ssh_config_with_include_supplies_what_the_cnf_leaves_open(start: Start, home: Path, keys: Path) -> None:
    sshd = start()
    (home / ".ssh" / "id_ed25519").unlink()
    (home / ".ssh" / "known_hosts").rename(home / "elsewhere")
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "config").write_text("Include conf.d/*.conf\nHost *\n  User nobody-by-that-name\n")
    (home / ".ssh" / "conf.d" / "db.conf").write_text(
        f"Host db1*\n  Port {sshd.port}\n  IdentityFile {keys}/user\n  UserKnownHostsFile ~/elsewhere\n  User {ME}\n"
    )
    host = SshHost(server(22))
    sshd.hosts.append(host)
    host.connect()
    assert host.name == f"{ME}@{LOOPBACK}:{sshd.port}"


def test_proxy_in_ssh_config_is_refused_in_words(start: Start, home: Path) -> None:
    sshd = start()
    (home / ".ssh" / "config").write_text("Host db1*\n  ProxyJump bastion\n")
    with pytest.raises(HostUnreachable, match="asks for a ProxyJump, which is not supported"):
        sshd.host().connect()


# Nobody there


def test_refused_connection_says_so_at_once(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        with takes_at_most(1), pytest.raises(HostUnreachable, match="connection refused"):
            SshHost(server(taken.getsockname()[1])).connect()


@pytest.mark.parametrize(
    ("says", "words"), [(None, "no answer within 1 s"), (b"220 mail ready\r\n" * 3, "connect over SSH")]
)
def test_a_port_that_is_no_sshd_never_hangs_us(home: Path, says: bytes | None, words: str) -> None:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()

        def talk() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.sendall(says or b"")
                held.append(connection)

        held: list[socket.socket] = []
        threading.Thread(target=talk, daemon=True).start()
        with takes_at_most(3.5), pytest.raises(HostUnreachable, match=words):
            SshHost(server(listener.getsockname()[1])).connect(timeout=1)
        for connection in held:
            connection.close()


def test_failed_logins_leave_no_socket_and_no_thread_behind(start: Start, home: Path, keys: Path) -> None:
    sshd = start()
    shutil.copy(keys / "stranger", home / ".ssh" / "id_ed25519")

    def open_files() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    files, threads = open_files(), set(threading.enumerate())
    for _ in range(10):
        with pytest.raises(LoginRefused):
            sshd.host().connect()
    (home / ".ssh" / "known_hosts").unlink()
    with pytest.raises(HostKeyMismatch):
        sshd.host().connect()
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(1)
    assert [thread for thread in left if thread.is_alive()] == []
    assert open_files() <= files


def test_frozen_sshd_is_unreachable_within_the_connection_timeout(start: Start) -> None:
    sshd = start()
    with sshd.frozen(), takes_at_most(2), pytest.raises(HostUnreachable, match="no answer within 1 s"):
        sshd.host(ssh_connection_timeout=1).connect()
