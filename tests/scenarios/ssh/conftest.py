"""A real sshd on loopback, with keys and a home of its own, for hosts over SSH."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from prefect_mha.config import ServerConfig, SshOptions
from prefect_mha.replication.ssh.host import SshHost

LOOPBACK = "127.0.0.1"
ME = getpass.getuser()


@dataclass
class Sshd:
    """A running sshd, its folder and its two host keys."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    hosts: list[SshHost] = field(default_factory=list)

    def host_key(self, kind: str) -> str:
        return (self.folder / f"host_{kind}.pub").read_text().rsplit(" ", 1)[0]

    def host(self, **changes: object) -> SshHost:
        """A host that logs in here; ``options`` are fields of SshOptions, the rest of ServerConfig."""
        found = SshHost(server(self.port, **changes))
        self.hosts.append(found)
        return found

    def children(self) -> list[int]:
        """Every process under sshd: its connections' own, and the commands in them."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(FileNotFoundError):
                inner = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
                found += inner
                todo += inner
        return found

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        pids = [self.process.pid, *self.children()]
        send(signal.SIGSTOP, pids)
        try:
            yield
        finally:
            send(signal.SIGCONT, pids)

    def freeze_children(self) -> None:
        send(signal.SIGSTOP, self.children())

    def cut_connections(self) -> None:
        send(signal.SIGKILL, self.children())


def send(number: signal.Signals, pids: list[int]) -> None:
    """To all of them that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def server(port: int, options: dict[str, object] | None = None, **changes: object) -> ServerConfig:
    fields: dict[str, object] = {
        "block": "server1",
        "hostname": "db1.example",
        "ip": LOOPBACK,
        "ssh_host": "db1.example",
        "ssh_ip": LOOPBACK,
        "ssh_port": port,
        "ssh_options": SshOptions(**(options or {})),
    }
    return ServerConfig(**{**fields, **changes})


def keygen(*arguments: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("user", "ed25519"), ("stranger", "ed25519")):
        keygen("-t", kind, "-N", "", "-f", folder / name)
    shutil.copy(folder / "user", folder / "locked")
    keygen("-p", "-N", "a passphrase", "-f", folder / "locked")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


Start = Callable[..., Sshd]


@pytest.fixture
def start(keys: Path, home: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts an sshd that lets the key of ``home`` in and is in its known_hosts, unless ``prepared`` is False."""
    running: list[Sshd] = []

    def start(*lines: str, prepared: bool = True) -> Sshd:
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        allowed = tmp_path / "authorized_keys"
        allowed.write_text((keys / "user.pub").read_text())
        settings = [
            *lines,
            f"Port {port}",
            f"ListenAddress {LOOPBACK}",
            f"HostKey {keys}/host_ed25519",
            f"HostKey {keys}/host_rsa",
            f"AuthorizedKeysFile {allowed}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PermitRootLogin yes",
            "MaxStartups 100",
            "Subsystem sftp internal-sftp",
            "SetEnv SHLVL=2",  # bash then leaves the .bashrc of whoever runs the tests alone
        ]
        config = tmp_path / f"sshd_{port}.conf"
        config.write_text("\n".join(settings) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"]) or "sshd"
        log = (tmp_path / f"sshd_{port}.log").open("wb")
        process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=log)
        log.close()
        _await_port(port, process)
        sshd = Sshd(keys, port, process)
        running.append(sshd)
        if prepared:
            shutil.copy(keys / "user", home / ".ssh" / "id_ed25519")
            (home / ".ssh" / "known_hosts").write_text(f"[{LOOPBACK}]:{port} {sshd.host_key('ed25519')}\n")
        return sshd

    yield start
    for sshd in running:
        for host in sshd.hosts:
            host.close()
        left = sshd.children()
        sshd.process.terminate()
        sshd.process.wait(10)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("sshd did not start")


@contextlib.contextmanager
def takes_at_most(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took <= seconds, f"it took {took:.2f} s"
