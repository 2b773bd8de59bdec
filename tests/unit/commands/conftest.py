"""Little managers to look at and to stop: real processes that write real state files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# Arguments: workdir, app, status, primary, lock (0 or 1), what to do with SIGTERM.
_MANAGER = """
import signal, sys
from pathlib import Path
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.manager_lock import ManagerLock
workdir, app, status, primary, lock, on_term = sys.argv[1:7]
health = HealthFile(Path(workdir), app)
if lock == "1":
    ManagerLock(Path(workdir), app).acquire()
def leave(*_):
    health.remove()
    raise SystemExit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if on_term == "ignore" else leave)
if status != "none":
    health.write(ManagerStatus[status], primary)
print("ready", flush=True)
while True:
    signal.pause()
"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


def run_command(name: str, *arguments: str) -> Result:
    """Run one of our commands as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"prefect_mha.commands.{name}", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """This environment, with our packages found from anywhere."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


class ManagerMaker:
    """Starts managers, and ends them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.started: list[subprocess.Popen[str]] = []

    def __call__(
        self,
        app: str = "app1",
        status: str = "PING_OK",
        primary: str = "db1",
        lock: bool = True,
        on_term: str = "leave",
        own_group: bool = True,
    ) -> subprocess.Popen[str]:
        """A running manager. Without the lock it is like MHA's: only its command line tells what it is."""
        program = self.directory / "masterha_manager"
        program.write_text(_MANAGER)
        manager = subprocess.Popen(
            [
                sys.executable,
                program,
                self.directory,
                app,
                status,
                primary,
                str(int(lock)),
                on_term,
                f"--conf={app}.cnf",
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=own_group,
        )
        self.started.append(manager)
        assert manager.stdout is not None
        assert manager.stdout.readline() == "ready\n"
        return manager

    def end(self) -> None:
        """Kill what still runs."""
        for manager in self.started:
            manager.kill()
            manager.wait(10)
            assert manager.stdout is not None
            manager.stdout.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ManagerMaker]:
    """A maker of managers whose files are in tmp_path."""
    maker = ManagerMaker(tmp_path)
    yield maker
    maker.end()


@pytest.fixture
def conf(tmp_path: Path) -> Callable[..., Path]:
    """Writes an application's configuration file whose manager_workdir is tmp_path."""

    def write(app: str = "app1", **parameters: str) -> Path:
        lines = {"manager_workdir": str(tmp_path), "user": "mha", **parameters}
        path = tmp_path / f"{app}.cnf"
        path.write_text(
            "[server default]\n"
            + "".join(f"{name}={value}\n" for name, value in lines.items())
            + "[server1]\nhostname=db1.invalid\n[server2]\nhostname=db2.invalid\n"
        )
        return path

    return write


def ended_by(process: subprocess.Popen[str]) -> signal.Signals | None:
    """The signal that ended a process, or None when it left by itself."""
    code = process.wait(10)
    return signal.Signals(-code) if code < 0 else None
