"""``make bench-overhead``: what Prefect costs a failover. A measurement: it says what is met, nothing passes or fails.

``python -m tests.lab.bench_overhead [--runs N] [--json FILE] [--only states|ways]``. First a manager's failovers with
its API in each state, from the kill until an application's row gets in, against an API that was never there; then the
same steps without Prefect, in a run that a command enters while it looks at the servers, and in the flow run of a
deployment that a person starts, by the journal, from a failover's beginning. All of a part run in turns.
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
from tests.lab import bench
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer
from tests.lab.writer import Writer

#: A name, as `bench.measure` has it, and what it means. The first is what the others are compared with.
STATES = (
    ("unset", "never there"),
    ("healthy", "healthy"),
    ("refused", "refused from the start"),
    ("stopped", "stopped at the verdict"),
    ("killed", "killed at the verdict"),
    ("slow", f"answering after {bench.SLOW:g} s"),
)
KINDS = ("mariadb", "mysql97")
#: How far the medians may lie apart, and how many milliseconds a healthy API may cost.
APART, HEALTHY = 0.15, 80.0

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
    """Run what was asked for in turns, and print medians, differences, and what is met."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_overhead", description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write every run there")
    parser.add_argument("--only", choices=("states", "ways"), help="one part of it")
    given = parser.parse_args()
    console, written = Console(width=120), []
    for kind in KINDS if given.only != "ways" else ():
        failovers = [
            (state, bench.measure(kind, True, "kill -9", state)) for _ in range(given.runs) for state, _ in STATES
        ]
        _print_states(console, failovers)
        written += [{"state": state, **asdict(run)} for state, run in failovers]
    if given.only != "states":
        runs = [measure(*way) for _ in range(given.runs) for way in WAYS]
        _print(console, runs)
        written += [asdict(run) for run in runs]
    if given.json:
        given.json.write_text(json.dumps(written, indent=2))
    return 0


def _print_states(console: Console, failovers: list[tuple[str, bench.Run]]) -> None:
    by_state = {state: [run for of, run in failovers if of == state] for state, _ in STATES}
    medians = {state: statistics.median(run.writes_back for run in runs) for state, runs in by_state.items()}
    table = Table(title=f"{failovers[0][1].case}: writes back, seconds after it, medians", title_justify="left")
    for heading in ("Prefect's API", "runs", "writes back", "of never there", "ms more", "fastest", "slowest", "lost"):
        table.add_column(heading, justify="left" if heading == "Prefect's API" else "right")
    for state, meaning in STATES:
        runs, median, plain = by_state[state], medians[state], medians["unset"]
        table.add_row(
            meaning,
            str(len(runs)),
            f"{median:.3f}",
            f"{100 * median / plain:.0f} %",
            f"{1000 * (median - plain):+.0f}",
            f"{min(run.writes_back for run in runs):.3f}",
            f"{max(run.writes_back for run in runs):.3f}",
            str(sum(run.lost for run in runs)),
        )
    console.print(table)
    apart, more = max(medians.values()) / min(medians.values()) - 1, 1000 * (medians["healthy"] - medians["unset"])
    lost = sum(run.lost for _, run in failovers)
    for what, met in (
        (f"medians within {100 * apart:.0f} % of each other ({100 * APART:.0f} %)", apart <= APART),
        (f"healthy {more:+.0f} ms ({HEALTHY:.0f} ms)", more <= HEALTHY),
        (f"{lost} rows lost (0)", not lost),
    ):
        console.print(f"{'met' if met else 'MISSED'}: {what}", highlight=False)


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
