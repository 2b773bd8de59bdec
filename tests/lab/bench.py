"""``make bench``: how long a failover takes, step by step, on real servers. A measurement: nothing passes or fails.

``python -m tests.lab.bench [--runs N] [--json FILE] [--only WORD]``. Medians of N runs; what is compared runs in turns,
so that a noisy machine is unfair to nobody.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prefect_mha.replication.memory.journal import Entry, read_journal
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster, Manager
from tests.lab.faults import FAULTS, broken
from tests.lab.prefect_server import PrefectServer, refused_port, slow_port, standing_run
from tests.lab.writer import Writer, gap

MODES = (
    ("mysql56", False),
    ("mysql56", True),
    ("mysql97", False),
    ("mysql97", True),
    ("mariadb", False),
    ("mariadb", True),
)
#: The modes that every fault is measured in; kill -9 is in all of them.
MEASURED = (("mysql97", True), ("mysql56", False), ("mariadb", True))
#: Seconds that a slow API takes for an answer.
SLOW = 5.0


@dataclass(frozen=True)
class Run:
    """One failover, in seconds: ``detect`` and ``writes_back`` count from the fault."""

    case: str
    writes_back: float
    detect: float
    verdict_to_writes: float
    steps: dict[str, float]
    rows: int
    lost: int
    equal: bool
    split: bool
    exit_code: int


def measure(kind: str, gtid: bool, fault: str, prefect: str = "") -> Run:
    """Boot a cluster, write, break the primary, and read off what happened; with ``prefect`` its API in that state."""
    disk = {1: FAULTS[fault].disk} if FAULTS[fault].disk else None
    with Cluster(kind, gtid=gtid, disk=disk) as cluster, _prefect(cluster, prefect) as (env, server):
        manager = cluster.start_manager(cluster.write_cnf(), env=env)
        if server is not None and prefect != "slow":
            standing_run(server.api_url)
        writer = Writer(cluster)
        time.sleep(2.5)
        with broken(cluster[1], fault) as struck:
            if prefect in ("killed", "stopped") and server is not None:
                _once_begun(manager, server.kill if prefect == "killed" else server.freeze)
            code = manager.wait(60)
            # The application's session, and each new one, hangs two seconds on a server whose disk hangs.
            time.sleep(5.0 if fault == "disk stalled" else 1.0)
            acks = writer.stop()
        # Nobody can save what only a dark host has: then there is no use in waiting for it.
        result = account(acks, [cluster[2], cluster[3]], seconds=3.0 if fault == "power off" else 15.0)
        (journal,) = manager.workdir.glob("*.journal")
        entries = list(read_journal(journal))
        verdict = next(e.at for e in entries if e.step == "verdict")
        opened = next(e.at for e in entries if e.step.startswith("Open") and e.event == "done")
        return Run(
            f"{fault}, {cluster.name}",
            gap(acks, struck),
            verdict - struck,
            opened - verdict,
            _steps(entries),
            len(acks),
            result.rows_lost,
            result.equal,
            result.split or writers_overlap(acks),
            code,
        )


def _steps(entries: list[Entry]) -> dict[str, float]:
    began: dict[tuple[str, str], float] = {}
    took: dict[str, float] = {}
    for entry in entries:
        if entry.event == "began":
            began[entry.step, entry.server] = entry.at
        elif entry.event == "done" and (entry.step, entry.server) in began:
            seconds = entry.at - began.pop((entry.step, entry.server))
            took[entry.step] = max(took.get(entry.step, 0.0), seconds)
    return took


def _once_begun(manager: Manager, call: Callable[[], object]) -> None:
    """Do it in the middle of the failover: when its journal is there."""
    ends = time.monotonic() + 30.0
    while not list(manager.workdir.glob("*.failover-*.journal")) and time.monotonic() < ends:
        time.sleep(0.005)
    call()


@contextlib.contextmanager
def _prefect(cluster: Cluster, state: str) -> Iterator[tuple[dict[str, str], PrefectServer | None]]:
    """The environment of a manager whose Prefect API, in its own network, is in that state; and its server."""
    with cluster.in_manager_net(), contextlib.ExitStack() as stack:
        server = stack.enter_context(PrefectServer()) if state in ("healthy", "slow", "stopped", "killed") else None
        if state in ("", "unset"):
            yield {}, None
            return
        if state == "refused":
            port = stack.enter_context(refused_port())
        else:
            assert server is not None
            port = stack.enter_context(slow_port(server.port, SLOW)) if state == "slow" else server.port
        yield {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}, server


def _cases(only: str) -> Iterator[tuple[str, Callable[[], Run]]]:
    for kind, gtid in MODES:
        yield f"kill -9 {kind} {gtid}", lambda k=kind, g=gtid: measure(k, g, "kill -9")  # type: ignore[misc]
    for fault in FAULTS:
        for kind, gtid in MEASURED if fault != "kill -9" else ():
            yield f"{fault} {kind}", lambda k=kind, g=gtid, f=fault: measure(k, g, f)  # type: ignore[misc]


def main() -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every run there")
    parser.add_argument("--only", default="", help="only cases whose name holds this word")
    given = parser.parse_args()
    console = Console(width=120)
    runs: list[Run] = []
    cases = [(name, run) for name, run in _cases(given.only) if given.only in name]
    for turn in range(given.runs):
        for name, run in cases:
            console.print(f"run {turn + 1} of {given.runs}: {name}", style="dim", highlight=False)
            runs.append(run())
            console.print(f"  writes back after {runs[-1].writes_back:.2f} s", style="dim", highlight=False)
    _print(console, runs)
    if given.json:
        given.json.write_text(json.dumps([asdict(run) for run in runs], indent=2))
    return 0


def _print(console: Console, runs: list[Run]) -> None:
    table = Table(title="Seconds, medians", title_justify="left")
    for heading in (
        "case",
        "runs",
        "writes back",
        "at most",
        "worst",
        "detect",
        "verdict to writes",
        "rows lost",
        "equal",
        "split",
        "exit",
    ):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.case, []).append(run)
    for case, each in groups.items():
        back = [r.writes_back for r in each]
        table.add_row(
            case,
            str(len(each)),
            f"{statistics.median(back):.2f}",
            _bound(case, statistics.median(back)),
            f"{max(back):.2f}",
            f"{statistics.median(r.detect for r in each):.2f}",
            f"{statistics.median(r.verdict_to_writes for r in each):.3f}",
            str(sum(r.lost for r in each)),
            "yes" if all(r.equal for r in each) else "NO",
            "YES" if any(r.split for r in each) else "no",
            "/".join(sorted({str(r.exit_code) for r in each})),
        )
    console.print(table)
    if any(run.lost for run in runs if run.case.startswith("power off")):
        console.print("Lost after a power cut: rows that no replica had received when the host went dark.")
    _print_steps(console, groups)


def _bound(case: str, median: float) -> str:
    """What a fault's median is to stay within, and whether it does."""
    fault = FAULTS.get(case.split(",")[0])
    if fault is None or fault.back is None:
        return ""
    return f"{fault.back:g}{'' if median <= fault.back else ' MISSED'}"


def _print_steps(console: Console, groups: dict[str, list[Run]]) -> None:
    steps = list(dict.fromkeys(step for runs in groups.values() for run in runs for step in run.steps))
    table = Table(title="Seconds a step, medians over all cases", title_justify="left")
    table.add_column("step")
    table.add_column("median", justify="right")
    table.add_column("worst", justify="right")
    for step in steps:
        seconds = [run.steps[step] for runs in groups.values() for run in runs if step in run.steps]
        table.add_row(step, f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
