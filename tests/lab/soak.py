"""``make test-soak``: troubles that are no death, one after the other as a seed decides; there must be no failover.

``python -m tests.lab.soak [--seed N] [--minutes N] [--kind KIND] [--first STEP]``. After each trouble: no failover was
begun, no replica was touched, the same manager goes on by itself. At the end the primary is killed, and the manager
that went through all this must fail over without losing a row. Exit 1 when anything of that was not so.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rich.console import Console
from rich.table import Table

from prefect_mha.replication.memory.health_file import ManagerStatus, parse_health
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.faults import TROUBLES, broken
from tests.lab.schedule import TroubleStep, troubles
from tests.lab.seeded import MODES, WRONG, Spoiled, arguments, keep, timed, until
from tests.lab.writer import Writer
from tests.scenarios.watching import SIGHT, Monitor

#: What shows that somebody touched a replica.
TOUCHED = ("Source_Host", "Replica_IO_Running", "Replica_SQL_Running", "Auto_Position", "Using_Gtid", "SQL_Delay")
#: Seconds within which a trouble that is over is over for the manager and the replicas, too; a receiver takes up to 60
#: (slave_net_timeout) to find that its link was cut.
OVER = 90.0


@dataclass
class Turn:
    """One trouble; ``told``: lines of warning it cost, ``wrong``: what it must not have done."""

    step: TroubleStep
    told: int = 0
    wrong: list[str] = field(default_factory=list)


class Soak:
    """One cluster whose primary is db1, and stays it, watched by one ``mha monitor``."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.monitor = Monitor(cluster, cluster.write_cnf())
        self._before = self._settings()

    def turn(self, done: Turn) -> None:
        """Do the step, and see that nothing came of it. Raises Spoiled and what the lab raises."""
        step = done.step
        time.sleep(step.quiet)
        told = self._warnings()
        TROUBLES[step.name](self.cluster, self.monitor.process.pid, self.cluster.hosts[1 + step.replica], step.seconds)
        self.nothing_done()
        until(lambda: self._settings() == self._before, "the replicas are not as they were", seconds=OVER)
        until(self._watches, "the manager does not watch again", seconds=OVER)
        self.nothing_done()
        done.told = self._warnings() - told

    def nothing_done(self) -> None:
        """No failover was begun, and the manager lives."""
        if self.monitor.process.poll() is not None:
            raise Spoiled(f"the manager ended with {self.monitor.process.returncode}")
        if found := sorted(path.name for path in self.monitor.workdir.glob("*.journal")):
            raise Spoiled(f"a failover was begun: {found}")

    def dies(self) -> int:
        """The end: a death is seen, and nothing is lost. How many rows were acknowledged."""
        writer = Writer(self.cluster)
        try:
            time.sleep(3.0)
            with broken(self.cluster[1], "kill -9"):
                until(lambda: bool(self._primary_after()), "no failover of a primary that is dead", seconds=60.0)
                time.sleep(2.0)
        finally:
            acks = writer.stop()
        result = account(acks, self.cluster.hosts[1:])
        if result.rows_lost or not result.equal or writers_overlap(acks):
            raise Spoiled(f"after the death: {result}")
        return result.acknowledged

    def _primary_after(self) -> str:
        log = self.monitor.log()
        health = parse_health(self._health(), 0.0)
        watched = health is not None and health.primary in [host.ip for host in self.cluster.hosts[1:]]
        return health.primary if health and watched and SIGHT in log and health.status is ManagerStatus.PING_OK else ""

    def _watches(self) -> bool:
        health = parse_health(self._health(), 0.0)
        return health is not None and health.status is ManagerStatus.PING_OK and health.primary == self.cluster[1].ip

    def _health(self) -> str:
        workdir = self.monitor.workdir
        path = workdir / f"{workdir.name}.master_status.health"
        return path.read_text() if path.exists() else ""

    def _settings(self) -> list[dict[str, Any]]:
        """What a failover would change on the replicas."""
        found = []
        for host in self.cluster.hosts[1:]:
            status = host.replica_status()
            row = host.sql("SELECT @@global.read_only AS read_only, @@global.server_id AS server_id")[0]
            found.append({**{name: status.get(name) for name in TOUCHED}, **row})
        return found

    def _warnings(self) -> int:
        return sum("[warning]" in line or "[error]" in line for line in self.monitor.log().splitlines())


def run(kind: str, seed: int, minutes: float, *, first: int = 1, console: Console) -> tuple[list[Turn], str]:
    """Turn after turn, at least one, none after ``minutes``, to the first that went wrong; and the end in words."""
    server, gtid = MODES[kind]
    steps = islice(troubles(seed, list(TROUBLES)), first - 1, None)
    ends = time.monotonic() + 60 * minutes
    turns: list[Turn] = []
    with Cluster(server, gtid=gtid, extra={1: "max_connections=20"}, weather=True) as cluster:
        soak = Soak(cluster)
        try:
            while time.monotonic() < ends or not turns:
                turns.append(Turn(next(steps)))
                soak.turn(turns[-1])
                step = turns[-1].step
                console.print(f"{step.number:3} {step.name}, {step.seconds:g} s: told in {turns[-1].told} lines")
            return turns, f"killed at the end: failed over, {soak.dies()} rows, 0 lost"
        except (Spoiled, *WRONG) as error:
            turns[-1].wrong.append(str(error))
            console.print(f"WRONG in step {turns[-1].step}:\n      {str(error)[-3000:]}", markup=False)
            return turns, f"kept: {keep(cluster, soak.monitor.workdir, f'soak-{kind}-{seed}')}"
        finally:
            soak.monitor.stop()


def tally(turns: Sequence[Turn]) -> Table:
    """A line a trouble."""
    table = Table(title="Troubles that are no death", title_justify="left")
    for column in ("trouble", "times", "seconds", "told in lines", "wrong"):
        table.add_column(column, justify="left" if column == "trouble" else "right")
    for name, times in Counter(turn.step.name for turn in turns).items():
        each = [turn for turn in turns if turn.step.name == name]
        seconds, told = sum(t.step.seconds for t in each), sum(t.told for t in each)
        table.add_row(name, str(times), f"{seconds:.0f}", str(told), str(sum(bool(t.wrong) for t in each)))
    return table


def main() -> int:
    """Do what was asked for; 1 when anything was done to the cluster."""
    given = timed(arguments("python -m tests.lab.soak", __doc__ or "")).parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    console = Console(width=120, highlight=False)
    console.print(f"SEED={given.seed} KIND={given.kind} MINUTES={given.minutes:g}")
    turns, end = run(given.kind, given.seed, given.minutes, first=given.first, console=console)
    console.print(tally(turns))
    wrong = sum(bool(turn.wrong) for turn in turns)
    console.print(f"{len(turns)} troubles, {wrong} went wrong; {end}; SEED={given.seed} replays it.", markup=False)
    return 1 if wrong or not turns else 0


if __name__ == "__main__":
    sys.exit(main())
