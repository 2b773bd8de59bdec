"""``make bench-commands``: how long the commands take that people and cron jobs start, as whole processes.

``python -m tests.lab.bench_commands [--runs N] [--kinds WORDS]``. Medians in seconds, imports included, on a healthy
cluster of three; a measurement, nothing passes or fails. Sources are compiled before, as an installation does it.
"""

from __future__ import annotations

import argparse
import compileall
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.lab.cluster import HOUSE, Cluster

CHECKS = ("masterha_check_repl", "masterha_check_ssh")
HELP = (
    "masterha_check_repl",
    "masterha_check_ssh",
    "masterha_check_status",
    "masterha_manager",
    "masterha_master_switch",
    "masterha_stop",
    "mha",
)


def seconds(cluster: Cluster, runs: int, cache: Path, module: str, *options: str, code: int = 0) -> float:
    """The median of that many runs. Raises AssertionError when one ends with another code."""
    env = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache)}
    times = []
    for _ in range(runs):
        began = time.monotonic()
        process = cluster.run_there(sys.executable, "-m", f"prefect_mha.commands.{module}", *options, env=env)
        output, _ = process.communicate(timeout=60)
        times.append(time.monotonic() - began)
        assert process.returncode == code, output
    return statistics.median(times)


def compiled(directory: Path) -> Path:
    """The sources' bytecode in a place of its own: the tree stays as it is."""
    for package in ("config", "replication", "tasks", "flows", "commands"):
        subprocess.run(
            [
                sys.executable,
                "-X",
                f"pycache_prefix={directory}",
                "-m",
                compileall.__name__,
                "-q",
                str(HOUSE / "src" / "prefect_mha" / package),
            ],
            check=True,
            env={"PATH": "/usr/bin:/bin"},
        )
    return directory


def main() -> None:
    """Boot a cluster of each kind, run the commands, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kinds", default="mysql97 mariadb mysql56")
    given = parser.parse_args()
    table = Table(title=f"seconds, median of {given.runs}")
    for heading in ("command", *given.kinds.split()):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    rows: dict[str, list[str]] = {}
    for kind in given.kinds.split():
        with Cluster(kind, gtid=True) as cluster:
            conf, cache = cluster.write_cnf(), compiled(cluster.directory / "bytecode")
            conf.with_suffix("").mkdir(exist_ok=True)
            for name in CHECKS:
                took = seconds(cluster, given.runs, cache, name, f"--conf={conf}")
                rows.setdefault(name, []).append(f"{took:.2f}")
            # Nobody watches, which is code 2.
            took = seconds(cluster, given.runs, cache, "masterha_check_status", f"--conf={conf}", code=2)
            rows.setdefault("masterha_check_status", []).append(f"{took:.2f}")
            for name in HELP:
                took = seconds(cluster, given.runs, cache, name, "--help")
                rows.setdefault(f"{name} --help", []).append(f"{took:.2f}")
    for name, values in rows.items():
        table.add_row(name, *values)
    Console().print(table)


if __name__ == "__main__":
    main()
