"""``make bench-switch``: how long a planned switch holds writes, back and forth under load, on real servers.

``python -m tests.lab.bench_switch [--switches N] [--json FILE] [--only WORD]``. The block is what applications see:
from the last acknowledgement of the old primary to the first of the new one. Eight ordinary sessions, one with SUPER
and two with transactions of 50 ms write meanwhile; each keeps a connection to every server. A measurement: nothing
passes or fails, but rows that were acknowledged and are lost, or are not on every server, are counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.writer import Ack, Writer

MODES = (("mysql56", False), ("mysql97", False), ("mysql97", True), ("mariadb", False), ("mariadb", True))
LOAD = {"sessions": 8, "supers": 1, "transactions": 2, "interval": 0.05}


@dataclass(frozen=True)
class Switch:
    """One switch: its exit code, the block as applications saw it and its parts on the servers, in seconds."""

    code: int
    block: float
    parts: dict[str, float]
    steps: dict[str, float]


@dataclass(frozen=True)
class Run:
    """All switches of one mode, and what became of the rows."""

    mode: str
    switches: tuple[Switch, ...]
    acknowledged: int
    lost: int
    equal: bool


def switch(cluster: Cluster, conf: Path, to: int, *options: str) -> int:
    """One planned switch with the old primary as a replica; its exit code, its output in the manager's log."""
    done = cluster.command(
        "masterha_master_switch",
        "--master_state=alive",
        f"--conf={conf}",
        f"--new_master_host={cluster[to].ip}",
        "--orig_master_is_new_slave",
        "--interactive=0",
        *options,
    )
    if done.code:
        print(done.output, (conf.with_suffix("") / "manager.log").read_text()[-4000:])
    return done.code


def measure(kind: str, gtid: bool, switches: int) -> Run:
    """Boot a cluster, write, and switch between db1 and db2."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf()
        writer = Writer(cluster, seconds=30.0 + 30 * switches, **LOAD)
        time.sleep(1.0)
        codes = []
        for turn in range(switches):
            began = time.time()
            codes.append((began, switch(cluster, conf, 2 - turn % 2)))
            time.sleep(0.5)
        acks = writer.stop()
        result = account(acks, cluster.hosts)
        journals = sorted(conf.with_suffix("").glob("*.switch-*.journal"), key=lambda p: p.stat().st_mtime)
        ended = [began for began, _ in codes[1:]] + [time.time()]
        measured = [
            _one(acks, began, end, code, journal)
            for (began, code), end, journal in zip(codes, ended, journals, strict=True)
        ]
        return Run(cluster.name, tuple(measured), result.acknowledged, result.rows_lost, result.equal)


def block(acks: list[Ack], began: float, ended: float) -> float:
    """Seconds between the last row of one host and the first of the next, in that time; infinite when none changed."""
    seen = [ack for ack in acks if began <= ack.at <= ended]
    hosts = list(dict.fromkeys(ack.host for ack in seen))
    if len(hosts) != 2:
        return float("inf")
    return min(a.at for a in seen if a.host == hosts[1]) - max(a.at for a in seen if a.host == hosts[0])


def _one(acks: list[Ack], began: float, ended: float, code: int, journal: Path) -> Switch:
    steps: dict[str, float] = {}
    parts: dict[str, float] = {}
    for entry in read_journal(journal):
        if entry.step == "ended":
            steps = {each["step"]: each["seconds"] for each in entry.facts["steps"]}
        if entry.step == "handed over":
            parts = entry.facts
    return Switch(code, block(acks, began, ended), parts, steps)


def main() -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_switch", description=__doc__)
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write every switch there")
    parser.add_argument("--only", default="", help="only modes whose name holds this word")
    given = parser.parse_args()
    console = Console(width=120)
    modes = {f"{kind} {'gtid' if gtid else 'position'}": (kind, gtid) for kind, gtid in MODES}
    chosen = [mode for name, mode in modes.items() if given.only in name]
    if not chosen:
        parser.error(f"--only {given.only}: none of {', '.join(modes)}")
    runs = []
    for kind, gtid in chosen:
        runs.append(measure(kind, gtid, given.switches))
        _print(console, runs[-1:])
    if given.json:
        given.json.write_text(json.dumps([asdict(run) for run in runs], indent=2))
    return 0


def _print(console: Console, runs: list[Run]) -> None:
    table = Table(title="Planned switch: block of writes, milliseconds", title_justify="left")
    for heading in ("mode", "switches", "median", "worst", "on the servers", "rows", "lost", "equal", "exit"):
        table.add_column(heading, justify="left" if heading == "mode" else "right")
    for run in runs:
        blocks = [s.block * 1000 for s in run.switches]
        held = [sum(s.parts.values()) * 1000 for s in run.switches]
        table.add_row(
            run.mode,
            str(len(blocks)),
            f"{statistics.median(blocks):.0f}",
            f"{max(blocks):.0f}",
            f"{statistics.median(held):.0f}",
            str(run.acknowledged),
            str(run.lost),
            "yes" if run.equal else "NO",
            "/".join(sorted({str(s.code) for s in run.switches})),
        )
    console.print(table)
    steps = Table(title="Steps, milliseconds", title_justify="left")
    for heading in ("step", "median", "worst"):
        steps.add_column(heading, justify="left" if heading == "step" else "right")
    for name in dict.fromkeys(n for run in runs for s in run.switches for n in (*s.parts, *s.steps)):
        values = [
            v for run in runs for s in run.switches for v in [s.parts.get(name, s.steps.get(name))] if v is not None
        ]
        steps.add_row(name, f"{statistics.median(values) * 1000:.1f}", f"{max(values) * 1000:.1f}")
    console.print(steps)


if __name__ == "__main__":
    sys.exit(main())
