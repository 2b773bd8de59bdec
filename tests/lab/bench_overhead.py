"""``make bench-overhead``: what Prefect costs a failover, the same steps in three ways, in turns.

``python -m tests.lab.bench_overhead [--runs N] [--json FILE]``. Without Prefect; in a run that a
command enters while it looks at the servers; and in the flow run of a deployment that a person starts. By the
journal, from a failover's beginning; a measurement, nothing passes or fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prefect_mha.replication.memory.journal import BEGIN, END, read_journal
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer
from tests.lab.writer import Writer

_PLAIN = (
    "from prefect_mha.flows.clusters import load_named; from prefect_mha.flows.forms import FailoverRequest; "
    "from prefect_mha.flows.deeds.failover import fail_over_by_hand; "
    "fail_over_by_hand(load_named('app1')[0], FailoverRequest().options())"
)
_FLOW = "from prefect_mha.flows.failover import failover; failover('app1', {'ask_first': False}, return_state=True)"
#: Name, program, whether there is a Prefect API. The first is what the others are compared with.
WAYS = (("without Prefect", _PLAIN, False), ("in a run of its own", _PLAIN, True), ("in a flow run", _FLOW, True))


@dataclass(frozen=True)
class Run:
    """One failover: seconds from its beginning until the new primary took writes, and until its end."""

    way: str
    writes: float
    ended: float
    steps: int


def measure(way: str, program: str, prefect: bool) -> Run:
    """Boot a cluster, write, kill the primary, fail over."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster("mariadb", gtid=True))
        stack.enter_context(cluster.in_manager_net())
        env = {"MHA_CONF_DIR": str(cluster.seat)}
        if prefect:
            env["PREFECT_API_URL"] = stack.enter_context(PrefectServer()).api_url
        conf = cluster.write_cnf()
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        process = cluster.run_there(sys.executable, "-c", program, env=env)
        output, _ = process.communicate(timeout=120)
        writer.stop()
        (journal,) = conf.with_suffix("").glob("*.failover-*.journal")
        entries = list(read_journal(journal))
        if process.returncode or entries[-1].facts.get("exit_code") != 0:
            raise RuntimeError(f"the failover {way} failed:\n{output}")
        began = next(e.at for e in entries if e.step == BEGIN)
        opened = next(e.at for e in entries if e.step.startswith("Open") and e.event == "done")
        ended = next(e.at for e in entries if e.step == END)
        return Run(way, opened - began, ended - began, sum(e.event == "began" for e in entries) - 1)


def main() -> int:
    """Run all three ways in turns, and print medians and differences."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_overhead", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every run there")
    given = parser.parse_args()
    runs = [measure(*way) for _ in range(given.runs) for way in WAYS]
    _print(Console(width=120), runs)
    if given.json:
        given.json.write_text(json.dumps([asdict(run) for run in runs], indent=2))
    return 0


def _print(console: Console, runs: list[Run]) -> None:
    table = Table(title="A failover's own time, milliseconds, medians", title_justify="left")
    for heading in ("steps run", "runs", "steps", "to writes", "more", "fastest", "slowest", "to the end", "more"):
        table.add_column(heading, justify="left" if heading == "steps run" else "right")
    plain: tuple[float, float] | None = None
    for way, *_ in WAYS:
        own = [run for run in runs if run.way == way]
        writes, ended = (1000 * statistics.median(t) for t in ([r.writes for r in own], [r.ended for r in own]))
        plain = plain or (writes, ended)
        table.add_row(
            way,
            str(len(own)),
            str(own[0].steps),
            f"{writes:.0f}",
            f"{writes - plain[0]:+.0f}",
            f"{1000 * min(r.writes for r in own):.0f}",
            f"{1000 * max(r.writes for r in own):.0f}",
            f"{ended:.0f}",
            f"{ended - plain[1]:+.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
