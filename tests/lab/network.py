"""Networks of their own: a cluster's private addresses exist inside its namespaces and nowhere else."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tests.lab.weather import Weather

LOCKS = Path("/run/mha-lab")
DIRECTORIES = Path("/var/tmp")
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL("libc.so.6", use_errno=True)


def sh(command: str, *, check: bool = True, data: str | None = None, timeout: float = 120.0) -> str:
    """Run a shell command on this machine and return what it printed."""
    done = subprocess.run(
        ["sh", "-c", command],
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if check and done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


class Subnet:
    """One of 200 numbered subnets 10.77.N.0/24 with a working directory, this process's alone until it is released.

    A leftover of a process that died, namespaces and directory, is found by its free lock and cleared away.
    """

    def __init__(self) -> None:
        for number in range(1, 201):
            lock = _claim(number)
            if lock is not None:
                self._own(number, lock)
                self.clear()
                self.label({})
                return
        raise RuntimeError("all 200 subnets of the lab are taken")

    def _own(self, number: int, lock: IO[str]) -> None:
        self._lock = lock
        self.number = number
        self.prefix = f"10.77.{number}"
        self.directory = DIRECTORIES / f"mha-lab-{number}"
        self.weather: Weather | None = None

    @classmethod
    def abandoned(cls) -> Iterator[Subnet]:
        """Claim, one by one, those that a dead process left something of."""
        for number in _used():
            lock = _claim(number)
            if lock is not None:
                subnet = cls.__new__(cls)
                subnet._own(number, lock)
                yield subnet

    def label(self, facts: dict[str, Any]) -> None:
        """Let other processes know whose this is and what runs here; `labels` reads it."""
        _label(self.number).write_text(json.dumps({"pid": os.getpid(), **facts}))

    @property
    def manager(self) -> str:
        """The manager's namespace, which owns the bridge."""
        return f"lab{self.number}m"

    def host(self, number: int) -> str:
        """A host's namespace."""
        return f"lab{self.number}h{number}"

    def address(self, number: int) -> str:
        """A host's address; the manager's is .1."""
        return f"{self.prefix}.{10 + number}"

    def make(self, hosts: int, *, weather: bool = False) -> None:
        """The manager's namespace with a bridge, and one namespace a host on a cable to it; an empty directory.

        ``weather``: these cables run through a relay that delays and loses as it is told; see `weather`.
        """
        self.directory.mkdir(mode=0o700)
        inside = f"ip netns exec {self.manager}"
        sh(
            f"ip netns add {self.manager} && {inside} ip link set lo up && {inside} ip link add br0 type bridge && "
            f"{inside} ip addr add {self.prefix}.1/24 dev br0 && {inside} ip link set br0 up"
        )
        numbers = range(1, hosts + 1)
        if weather:
            for n in numbers:
                sh(f"ip netns add {self.host(n)}")
            links = [(self.host(n), self.manager, f"v{n}") for n in numbers]
            self.weather = Weather(self.directory, links)
        for n in numbers:
            self.attach(n)

    def attach(self, number: int) -> str:
        """A namespace on a cable to the bridge, whose name is returned: for a host to boot in, or a second manager."""
        inside, there = f"ip netns exec {self.manager}", f"ip netns exec {self.host(number)} ip"
        if self.host(number) not in _namespaces():
            sh(
                f"ip netns add {self.host(number)} && ip link add v{number} netns {self.manager} type veth "
                f"peer name eth0 netns {self.host(number)}"
            )
        sh(
            f"{inside} ip link set v{number} master br0 up && {there} link set lo up && "
            f"{there} addr add {self.address(number)}/24 dev eth0 && {there} link set eth0 up"
        )
        return self.host(number)

    def reach(self, other: Subnet) -> None:
        """A cable from this manager's namespace into another subnet, where it is .2: its manager watches both."""
        mine, theirs = f"to{other.number}", f"from{self.number}"
        there, here = f"ip netns exec {other.manager} ip", f"ip netns exec {self.manager} ip"
        sh(
            f"ip link add {mine} netns {self.manager} type veth peer name {theirs} netns {other.manager} && "
            f"{there} link set {theirs} master br0 up && {here} addr add {other.prefix}.2/24 dev {mine} && "
            f"{here} link set {mine} up"
        )

    def forget(self, number: int) -> None:
        """A host without power has no addresses but those it boots with; its namespace would keep them."""
        there = f"ip -n {self.host(number)} addr"
        sh(f"{there} flush dev eth0 && {there} add {self.address(number)}/24 dev eth0")

    def link(self, number: int, *, up: bool) -> None:
        """Plug a host's cable in or out: packets vanish, nobody is told."""
        sh(f"ip netns exec {self.manager} ip link set v{number} {'up' if up else 'down'}")

    def clear(self) -> None:
        """End everything that runs in this subnet's namespaces, and remove them and the directory."""
        names = [n for n in _namespaces() if n == self.manager or n.startswith(f"lab{self.number}h")]
        ends = time.monotonic() + 10
        while living := [pid for name in names for pid in _processes(name)]:
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > ends:
                raise RuntimeError(f"processes {living} in the namespaces of {self.manager} cannot be ended")
            # Their mounts and open files are in the way until they are gone.
            time.sleep(0.01)
        for name in names:
            sh(f"ip netns del {name}")
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def virtual(self, number: int, prefix_length: int = 24) -> str:
        """An address that no host boots with, as a configuration names it."""
        return f"{self.prefix}.{100 + number}/{prefix_length}"

    def virtual6(self, number: int) -> str:
        """The same of IPv6."""
        return f"fd77:{self.number:x}::{100 + number:x}/64"

    def release(self) -> None:
        """Give the number back; what was in use is cleared."""
        if self._lock.closed:
            return
        if self.weather is not None:
            self.weather.end()
        self.clear()
        _label(self.number).unlink(missing_ok=True)
        self._lock.close()


def labels() -> dict[int, dict[str, Any]]:
    """What every subnet in use was labelled with, by number; empty for what a dead process left."""
    found: dict[int, dict[str, Any]] = {}
    for number in _used():
        lock = _claim(number)
        if lock is not None:
            lock.close()
            found[number] = {}
            continue
        # Its owner may give it back between the two looks.
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found[number] = json.loads(_label(number).read_text())
    return found


def _label(number: int) -> Path:
    return LOCKS / f"{number}.json"


def _claim(number: int) -> IO[str] | None:
    """The lock of a subnet, or None when a living process holds it."""
    LOCKS.mkdir(exist_ok=True)
    lock = (LOCKS / str(number)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _used() -> list[int]:
    """Numbers of which anything exists: a namespace, or a directory."""
    names = [name for name in _namespaces() if name.startswith("lab") and name.endswith("m")]
    numbers = {name[3:-1] for name in names} | {path.name[8:] for path in DIRECTORIES.glob("mha-lab-*")}
    return sorted(int(number) for number in numbers if number.isdigit())


def _namespaces() -> list[str]:
    return [line.split()[0] for line in sh("ip netns list").splitlines() if line]


def _processes(namespace: str) -> list[int]:
    # This process is listed too while one of its threads visits the namespace.
    return [int(p) for p in sh(f"ip netns pids {namespace}", check=False).split() if int(p) != os.getpid()]


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Put this thread into a network namespace: sockets it opens belong there, and so do threads it starts.

    A socket stays where it was opened. Threads that exist already are not moved.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if _libc.setns(away, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(away)
