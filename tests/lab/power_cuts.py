"""``make power-cuts``: of two servers the primary loses its power, and the only replica had stopped receiving.

``python -m tests.lab.power_cuts [--seed N] [--cuts N] [--kind KIND] [--plain]``. Five seconds before each cut the
replica's receiver stops, while 8 sessions write; what they were told since lies on the dark disk, and where our binlog
server acknowledges (``semi_sync=require``) on a third host's. With ``--plain`` nobody acknowledges and nobody copies:
how much that loses is counted, and is no failure. After each cut the other server is promoted by the manager, which
goes on; the old one is installed anew, follows, and is the next to be promoted.
Exit 1 when an acknowledged row was lost that somebody had to have, or two took writes, or nobody was promoted.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from dataclasses import dataclass, field

from rich.console import Console

from tests.lab.acknowledging import acknowledged, demand, only_a_disk, plugins
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.copying import Copier, logs_of, plain
from tests.lab.host import Host
from tests.lab.local_writer import Observers, two_writable
from tests.lab.restoring import comes_level, release
from tests.lab.seeded import MODES, WRONG, Spoiled, arguments, held, keep, until
from tests.lab.writer import Writer, gap
from tests.scenarios.watching import SIGHT, Monitor

#: Seconds without a receiver before the cut; a part of a second more, so that it comes anywhere between two commits.
STOPPED = 5.0


@dataclass
class Cut:
    """One power cut: after ``quiet`` seconds of writing, and a new log ``turns`` seconds into the stop (None: none).

    ``late`` are acknowledged rows that the replica had not received; ``back`` seconds until a row was taken again.
    """

    number: int
    quiet: float
    stopped: float
    turns: float | None
    old: str = ""
    acknowledged: int = 0
    late: int = 0
    lost: int = 0
    back: float = float("nan")
    wrong: list[str] = field(default_factory=list)


def cut_of(seed: int, number: int) -> Cut:
    """What the seed decides."""
    dice = random.Random(f"cut {seed} {number}")
    turns = round(dice.uniform(0.2, 4.8), 2) if dice.random() < 0.5 else None
    return Cut(number, round(dice.uniform(0.3, 1.5), 2), STOPPED + round(dice.random(), 3), turns)


class PowerCuts:
    """Two servers, a third host, a manager that goes on."""

    def __init__(self, cluster: Cluster, *, acknowledging: bool) -> None:
        self.cluster, self._pair = cluster, [cluster[1], cluster[2]]
        log = cluster[3]
        only_a_disk(cluster, log)
        self.copier: Copier | None = None
        default = f"witness={log.ip}"
        if acknowledging:
            self.copier = Copier(cluster, block="binlog_ack=1", default=f"{default}\nsemi_sync=require", on=log).start()
            self.copier.wait(lambda: self._copier.health().get("behind") == 0, "level", 60.0)
            demand(cluster[1])
            conf = self.copier.manager_conf
        else:
            conf = cluster.write_cnf(apart=[3], candidate=2, default=f"{default}\nstart_checks=warn")
        self.monitor = Monitor(cluster, conf)
        self._sights = 1
        try:
            self.monitor.wait_for(f"The witness {log.ip} reaches")
        except AssertionError:
            self.stop()
            raise

    @property
    def _copier(self) -> Copier:
        assert self.copier is not None
        return self.copier

    def stop(self) -> None:
        """End what was started."""
        self.monitor.stop()
        if self.copier is not None:
            self.copier.stop()

    def cut(self, done: Cut) -> None:
        """Cut the primary's power, judge, and put it in order again. Raises Spoiled and what the lab raises."""
        old, new = sorted(self._pair, key=lambda h: int(h.sql("SELECT @@global.read_only AS r")[0]["r"]))
        done.old = old.name
        if self.copier is not None:
            acknowledged(self.copier, old)
        for table in ("rows_written", "observed"):
            old.sql(f"DROP TABLE IF EXISTS app.{table}")
        writer = Writer(self.cluster, sessions=8, prefer=old.number, interval=0.01)
        observers = Observers(self.cluster, primary=old.number, interval=0.02)
        try:
            time.sleep(done.quiet)
            self.cluster.stop_receiver(new)
            received = time.time()
            if done.turns is not None:
                time.sleep(done.turns)
                old.sql("FLUSH LOGS")
            time.sleep(received + done.stopped - time.time())
            struck = time.time()
            old.power_off()
            until(lambda: self._watched() > self._sights, "no new primary is watched", seconds=90.0)
            until(lambda: gap(writer.acks(), struck) < 3600, "writes are not back", seconds=30.0)
            time.sleep(0.5)
        finally:
            acks, taken = writer.stop(), observers.stop()
        self._sights = self._watched()
        done.back = gap(acks, struck)
        found = account(acks, [new])
        done.acknowledged, done.lost = found.acknowledged, found.rows_lost
        done.late = sum(a.host == old.ip and a.at > received + 0.2 for a in acks)
        if done.lost and self.copier is not None:
            done.wrong.append(f"{done.lost} acknowledged rows lost")
        if done.lost > done.late + 1000:
            done.wrong.append("more is lost than came after the stop")
        if found.split or writers_overlap(acks) or two_writable(taken):
            done.wrong.append("two servers took writes")
        if self.copier is not None:
            done.wrong += [f"{name} is not as on {old.name}" for name in self._differ(old)]
        self._restore(old, new)

    def _watched(self) -> int:
        if self.monitor.process.poll() is not None:
            raise Spoiled("the monitor ended")
        return self.monitor.log().count(SIGHT)

    def _differ(self, old: Host) -> list[str]:
        """Logs of which the copy is not what the dead disk holds; of the last one its beginning."""
        logs, here = logs_of(old), self._copier.directory(old)
        copies = [(log, plain(here / log.name)) for log in logs if (here / log.name).exists()]
        return [
            log.name
            for log, copy in copies
            if not plain(log).startswith(copy) or (log != logs[-1] and len(copy) != log.stat().st_size)
        ]

    def _restore(self, old: Host, new: Host) -> None:
        release(self.cluster, self.monitor.conf, old)
        self.cluster.rebuild(old, new)
        comes_level(old, new)
        until(lambda: not held(self.monitor.workdir), f"{old.name} is still held", seconds=20.0)


def run(kind: str, seed: int, cuts: int, *, first: int, acknowledging: bool, console: Console) -> list[Cut]:
    """Every cut; a spoiled cluster is replaced by a new one."""
    server, gtid = MODES[kind]
    left = [cut_of(seed, number) for number in range(first, first + cuts)]
    done: list[Cut] = []
    while left:
        with Cluster(server, gtid=gtid, n=3, extra={0: plugins(server)}) as cluster:
            made = PowerCuts(cluster, acknowledging=acknowledging)
            try:
                spoiled = False
                while left and not spoiled:
                    done.append(left.pop(0))
                    spoiled = _one(made, done[-1], f"power-cuts-{kind}-{seed}", console)
            finally:
                made.stop()
    return done


def _one(made: PowerCuts, done: Cut, name: str, console: Console) -> bool:
    spoiled = False
    try:
        made.cut(done)
    except (Spoiled, *WRONG) as error:
        done.wrong.append(str(error)[-3000:])
        spoiled = True
    rows = f"{done.acknowledged} rows acknowledged, {done.late} behind the replica, {done.lost} lost"
    console.print(f"{done.number:3} {done.old}: {rows}, writes back after {done.back:.2f} s", *done.wrong, markup=False)
    if done.wrong:
        console.print(f"    kept: {keep(made.cluster, made.monitor.workdir, f'{name}-{done.number}')}")
    return spoiled


def main() -> int:
    """Do what was asked for; 1 when a promise was broken."""
    parser = arguments("python -m tests.lab.power_cuts", __doc__ or "")
    parser.add_argument("--cuts", type=int, default=20, help="how many (20)")
    parser.add_argument("--plain", action="store_true", help="nobody acknowledges, for comparison")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    console = Console(width=160, highlight=False)
    console.print(f"SEED={given.seed} KIND={given.kind} {'asynchronous' if given.plain else 'our log acknowledges'}")
    cuts = run(given.kind, given.seed, given.cuts, first=given.first, acknowledging=not given.plain, console=console)
    wrong, lost = sum(bool(c.wrong) for c in cuts), sum(c.lost for c in cuts)
    late = sum(c.late for c in cuts)
    console.print(f"{len(cuts)} power cuts, {late} acknowledged rows behind the replica, {lost} lost, {wrong} wrong")
    return 1 if wrong or not cuts else 0


if __name__ == "__main__":
    sys.exit(main())
