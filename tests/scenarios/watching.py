"""What scenarios of a manager that goes on share: `mha monitor`, and waiting for its words."""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime
from pathlib import Path

from tests.lab.cluster import Cluster

#: A manager says so when it has had its first answer.
SIGHT = "waiting until MySQL doesn't respond"


class Monitor:
    """A running ``mha monitor``."""

    def __init__(self, cluster: Cluster, conf: Path, *, sight: bool = True, namespace: str = "") -> None:
        self.conf, self.workdir = conf, conf.with_suffix("")
        self._out = cluster.seat / ("monitor.out" if conf.stem == "app1" else f"{conf.stem}.out")
        before = self._read().count(SIGHT)
        words = ["-m", "prefect_mha.commands.mha", "monitor", "--conf", str(conf), "--last-failover-minute", "0"]
        with self._out.open("a") as out:
            self.process = cluster.run_there(sys.executable, *words, out=out, namespace=namespace)
        if sight:
            self.wait_for(SIGHT, before + 1, seconds=90.0)

    def log(self) -> str:
        """Everything that was logged so far, and what went wrong before there was a log."""
        return self._read() + self._out.read_text()

    def _read(self) -> str:
        path = self.workdir / "manager.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, words: str, times: int = 1, seconds: float = 40.0) -> None:
        """Wait until the log says that."""
        ends = time.monotonic() + seconds
        while self.log().count(words) < times:
            assert time.monotonic() < ends, f"not logged: {words}\n{self.log()}"
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def opened_at(self) -> float:
        """When the last failover opened the new primary (seconds since the epoch), by its journal."""
        journals = sorted(self.workdir.glob("*.failover-*.journal"))
        found = re.findall(
            r'"t": ([\d.]+), "step": "Open the new primary for writes", "event": "done"', _text(journals)
        )
        return float(found[-1])


def _text(paths: list[Path]) -> str:
    return "".join(path.read_text() for path in paths)


def clock(at: float) -> str:
    """For messages of assertions."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")
