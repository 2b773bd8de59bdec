"""A binlog server in the manager's seat, and how its copies compare with its server's logs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.programs import reader_bindir

IN_USE = 21  # the byte of the flag that only a log which is being written has


class Copier:
    """A binlog server that runs in the manager's seat, which is the host of [binlog1].

    With ``on`` that host is the one whose network it uses, whose disk it writes to, and over whose SSH a manager reads,
    by ``manager_conf``.
    """

    def __init__(
        self, cluster: Cluster, *, block: str = "", default: str = "", name: str = "app1", on: Host | None = None
    ) -> None:
        self.cluster, self.root = cluster, cluster.seat / f"{name}-binlog"
        self._namespace = "" if on is None else cluster.subnet.host(on.number)
        # It is started after its manager, which checks it.
        apart = () if on is None else (on.number,)
        conf = cluster.write_cnf(name, default=f"{default}\nstart_checks=warn", candidate=2, apart=apart)
        self.conf = self.manager_conf = conf
        text, host = conf.read_text(), f"{cluster.subnet.prefix}.1"
        if on is not None:
            on.run("mkdir -p /srv/binlog")
            self.root, host = Path(f"/proc/{on.pid}/root/srv/binlog"), on.ip
            self.conf = conf.with_name(f"{name}-here.cnf")
            conf.write_text(f"{text}\n[binlog1]\nhostname={host}\nmaster_binlog_dir=/srv/binlog\n{block}\n")
        lines = f"hostname={host}\nmaster_binlog_dir={self.root}\nclient_bindir={reader_bindir(cluster)}"
        self.conf.write_text(f"{text}\n[binlog1]\n{lines}\n{block}\n")
        self.out = cluster.seat / f"{name}-binlog.out"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str, before: str = "") -> Copier:
        """``before`` is Python that the program runs first."""
        with self.out.open("ab") as out:
            run = "import runpy; runpy.run_module('prefect_mha.commands.mha', run_name='__main__', alter_sys=True)"
            program = ("-c", f"{before}\n{run}") if before else ("-m", "prefect_mha.commands.mha")
            words = (sys.executable, *program, "binlog-server", f"--conf={self.conf}", *options)
            self.process = self.cluster.run_there(*words, out=out, namespace=self._namespace)
        return self

    def run(self, *options: str) -> Done:
        return self.cluster.command("mha", "binlog-server", f"--conf={self.conf}", *options)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(15)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def readers(self) -> list[int]:
        """Processes of mysqlbinlog that write below the root."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes()
            except OSError:
                continue
            if f"--result-file={self.root}".encode() in words and b"prctl" not in words:
                found.append(int(path.parent.name))
        return found

    def health(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.root / "binlog-server.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    @property
    def acknowledges(self) -> bool:
        """It says so itself, and not one of before that was killed."""
        told = self.health()
        return self.process is not None and told.get("pid") == self.process.pid and bool(told.get("acknowledges"))

    def log(self) -> str:
        return self.out.read_text()

    def directory(self, host: Host) -> Path:
        return self.root / f"{host.ip}_3306"

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        ends = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < ends, f"{what}: not within {seconds:g} s\n{self.health()}\n{self.log()}"
            time.sleep(0.05)

    def wait_says(self, text: str, seconds: float = 20.0) -> None:
        self.wait(lambda: text.lower() in self.health().get("trouble", "").lower(), f"'{text}'", seconds)

    def wait_equal(self, host: Host, seconds: float = 20.0) -> None:
        self.wait(lambda: self.differences(host) == [], f"equal to {host.name}: {self.differences(host)}", seconds)

    def differences(self, host: Host) -> list[str]:
        """What of the server's logs is not here byte for byte."""
        return differences(self.directory(host), host)

    def status(self) -> str:
        done = self.cluster.command("mha", "status", f"--conf={self.conf}")
        return next(line for line in done.output.splitlines() if line.startswith("binlog1"))


def logs_of(host: Host) -> list[Path]:
    # MariaDB 11 has an index (.idx) beside each.
    return sorted((host.upper / "var/lib/mysql").glob("mysql-bin.[0-9]*[0-9]"))


def plain(log: Path) -> bytes:
    """A log's bytes without the flag that its server alone sets."""
    data = bytearray(log.read_bytes()) if log.exists() else bytearray()
    data[IN_USE : IN_USE + 1] = b"\0" * len(data[IN_USE : IN_USE + 1])
    return bytes(data)


def differences(directory: Path, host: Host) -> list[str]:
    found = []
    for theirs in logs_of(host):
        a, b = plain(directory / theirs.name), plain(theirs)
        if a != b:
            found.append(f"{theirs.name}: {len(a)} of {len(b)} bytes")
    return found


def write(host: Host, rows: int = 20, size: int = 100) -> None:
    host.sql("CREATE TABLE IF NOT EXISTS app.filled (id INT AUTO_INCREMENT PRIMARY KEY, d LONGBLOB)")
    for _ in range(rows):
        host.sql("INSERT INTO app.filled (d) VALUES (REPEAT('x', %s))", (size,))
