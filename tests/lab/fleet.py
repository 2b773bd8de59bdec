"""One process that watches many clusters of the lab, and what it cost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster import Cluster

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a process has used so far: seconds of processor time, and now: MiB, threads, descriptors."""

    cpu: float
    mib: float
    threads: int
    files: int


class FleetMonitor:
    """A running ``mha monitor`` of several clusters, on the manager's host of the first one."""

    def __init__(self, seat: Cluster, confs: Sequence[Path], *options: str) -> None:
        self.workdirs = {conf.stem: conf.with_suffix("") for conf in confs}
        self.out = seat.seat / "fleet.out"
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--last-failover-minute", "0", *options]
        with self.out.open("a") as out:
            self.process = seat.run_there(sys.executable, *words, out=out)

    def log(self, name: str) -> str:
        """Everything that was logged of one cluster so far."""
        path = self.workdirs[name] / "manager.log"
        return path.read_text() if path.exists() else ""

    def status(self, name: str) -> str:
        """The status file of one cluster; empty when there is none."""
        path = self.workdirs[name] / f"{name}.master_status.health"
        try:
            return path.read_text()
        except FileNotFoundError:
            return ""

    def watching(self) -> list[str]:
        """The clusters whose primary answers pings."""
        return [name for name in self.workdirs if "PING_OK" in self.status(name)]

    def wait_until_watching(self, names: Sequence[str] | None = None, seconds: float = 60.0) -> None:
        """Wait until every one of these does, or all."""
        wanted, ends = set(names or self.workdirs), time.monotonic() + seconds
        while missing := wanted - set(self.watching()):
            assert self.process.poll() is None, self.out.read_text()[-4000:]
            if time.monotonic() > ends:
                name = min(missing)
                raise AssertionError(f"{len(missing)} are not watched: {name}\n{self.log(name)}{self.out.read_text()}")
            time.sleep(0.1)

    def wait_for(self, name: str, words: str, seconds: float = 40.0) -> None:
        """Wait until a cluster's log says that."""
        ends = time.monotonic() + seconds
        while words not in self.log(name):
            assert time.monotonic() < ends, f"not logged: {words}\n{self.log(name)[-4000:]}{self.out.read_text()}"
            assert self.process.poll() is None, self.out.read_text()[-4000:]
            time.sleep(0.02)

    def journal(self, name: str) -> str:
        """All journals of one cluster, in order."""
        return "".join(path.read_text() for path in sorted(self.workdirs[name].glob("*.failover-*.journal")))

    def verdict_at(self, name: str) -> float | None:
        """When the last failover of a cluster was given its verdict and its turn (seconds since the epoch)."""
        return _last(self.journal(name), r'"t": ([\d.]+), "step": "verdict"')

    def opened_at(self, name: str) -> float | None:
        """When the last failover of a cluster opened the new primary."""
        return _last(self.journal(name), r'"t": ([\d.]+), "step": "Open the new primary for writes", "event": "done"')

    def cost(self) -> Cost:
        """What it has used and uses."""
        proc = Path(f"/proc/{self.process.pid}")
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        status = (proc / "status").read_text()
        kib = re.search(r"VmRSS:\s+(\d+)", status)
        threads = re.search(r"Threads:\s+(\d+)", status)
        assert kib
        assert threads
        cpu = (int(fields[11]) + int(fields[12])) / TICK
        return Cost(cpu, int(kib[1]) / 1024, int(threads[1]), len(list((proc / "fd").iterdir())))

    def stop(self) -> int | None:
        """End it as an operator does, or whatever it does after 20 seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        return self.process.returncode


def _last(text: str, pattern: str) -> float | None:
    found = re.findall(pattern, text)
    return float(found[-1]) if found else None
