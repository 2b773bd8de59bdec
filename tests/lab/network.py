"""Networks of their own: a cluster's private addresses exist inside its namespaces and nowhere else."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCKS = Path("/run/mha-lab")
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
    """One of 200 numbered subnets 10.77.N.0/24, this process's alone until it is released.

    A leftover of a process that died is found by its free lock and cleared away.
    """

    def __init__(self) -> None:
        LOCKS.mkdir(exist_ok=True)
        for number in range(1, 201):
            lock = (LOCKS / str(number)).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self._lock: IO[str] = lock
            self.number = number
            self.prefix = f"10.77.{number}"
            self.clear()
            return
        raise RuntimeError("all 200 subnets of the lab are taken")

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

    def make(self, hosts: int) -> None:
        """The manager's namespace with a bridge, and one namespace a host on a cable to it."""
        inside = f"ip netns exec {self.manager}"
        sh(
            f"ip netns add {self.manager} && {inside} ip link set lo up && {inside} ip link add br0 type bridge && "
            f"{inside} ip addr add {self.prefix}.1/24 dev br0 && {inside} ip link set br0 up"
        )
        for n in range(1, hosts + 1):
            there = f"ip netns exec {self.host(n)} ip"
            sh(
                f"ip netns add {self.host(n)} && ip link add v{n} netns {self.manager} type veth peer name eth0 netns "
                f"{self.host(n)} && {inside} ip link set v{n} master br0 up && {there} link set lo up && "
                f"{there} addr add {self.address(n)}/24 dev eth0 && {there} link set eth0 up"
            )

    def link(self, number: int, *, up: bool) -> None:
        """Plug a host's cable in or out: packets vanish, nobody is told."""
        sh(f"ip netns exec {self.manager} ip link set v{number} {'up' if up else 'down'}")

    def clear(self) -> None:
        """End everything that runs in this subnet's namespaces and remove them."""
        for name in sh("ip netns list", check=False).split():
            if name == self.manager or name.startswith(f"lab{self.number}h"):
                # This process is listed too while one of its threads visits the namespace.
                for pid in {int(p) for p in sh(f"ip netns pids {name}", check=False).split()} - {os.getpid()}:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                sh(f"ip netns del {name}", check=False)

    def release(self) -> None:
        """Give the number back."""
        self.clear()
        self._lock.close()


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
