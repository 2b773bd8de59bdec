"""``make chaos``: a cluster loses its primary in one way after the other, as a seed decides, and must survive each.

``python -m tests.lab.chaos [--seed N] [--minutes N] [--kind KIND] [--first STEP] [--slack SECONDS] [--seat SERVER]``.
After each fault: no acknowledged row is lost, the survivors hold the same, no two servers took writes at once, writes
are back in time, and the old primary, made a replica again or installed anew, is level with them and held no longer.
Exit 1 when anything of that was not so.

What a dark host alone had nobody can save; so before a power cut replication is made semi-synchronous, and what was
acknowledged then is on a replica. A kind that cannot do that is spared it.

With a seat the manager lives on that replica's host, as many have it; that server is never promoted, for a manager that
dies with its primary can replace nobody.
"""

from __future__ import annotations

import math
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.console import Console
from rich.table import Table

from tests.lab.acknowledging import MODERN
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.faults import DISK, FAULTS, broken
from tests.lab.host import Host
from tests.lab.kinds import KINDS
from tests.lab.local_writer import Observers, Taken, two_writable
from tests.lab.restoring import comes_level, release, works
from tests.lab.schedule import FaultStep, faults
from tests.lab.seeded import MODES, WRONG, Spoiled, arguments, held, keep, timed, until
from tests.lab.writer import Ack, Writer, gap
from tests.scenarios.watching import SIGHT, Monitor

DARK = ("power off",)
#: After these an old log may end in the middle of an event for good; who is installed anew could not read past it.
TORN = ("disk full",)
#: MiB of logs that a minute of writing leaves on every server.
A_MINUTE = 15


@dataclass
class Round:
    """One fault and what became of it; ``wrong`` are the promises that were broken.

    Seconds: ``opened`` from the fault until the new primary was open, by the manager's journal; ``back`` until the
    application had its first row there, which hangs two seconds on a disk that is stalled; ``restored`` until the old
    primary was a replica afterwards.
    """

    step: FaultStep
    opened: float = float("nan")
    back: float = float("nan")
    acknowledged: int = 0
    lost: int = 0
    restored: float = float("nan")
    wrong: list[str] = field(default_factory=list)


class Chaos:
    """One cluster, watched by one ``mha monitor``, for as many rounds as it survives.

    ``seat`` is the number of the replica on whose host the manager runs; 0 for a host of its own.
    """

    def __init__(self, cluster: Cluster, slack: float, seat: int = 0) -> None:
        self.cluster, self._slack = cluster, slack
        conf = cluster.write_cnf(servers={seat: "no_master=1"})
        self.monitor = Monitor(cluster, conf, namespace=cluster.subnet.host(seat) if seat else "")
        self._failovers = 0
        self._sights = 1

    def round(self, done: Round) -> None:
        """Do the step, judge it, and put the cluster in order again. Raises Spoiled and what the lab raises."""
        step = done.step
        old, replicas = self._roles(self.cluster.hosts)
        self._fresh_tables(old)
        if step.name in DARK:
            self.cluster.make_semi_synchronous(old, replicas)
        writer = Writer(self.cluster, prefer=old.number, interval=0.005)
        observers = Observers(self.cluster, primary=old.number, interval=0.02)
        try:
            time.sleep(step.quiet - step.behind_for)
            for index in step.behind:
                self.cluster.stop_receiver(replicas[index])
            time.sleep(step.behind_for)
            with broken(old, step.name) as struck:
                self._failed_over()
                until(lambda: gap(writer.acks(), struck) < 3600, "writes are not back", seconds=20.0)
            if step.name not in DARK:
                self._wakes(old)
            time.sleep(1.0)
        finally:
            acks, taken = writer.stop(), observers.stop()
        done.opened, done.back = self.monitor.opened_at() - struck, gap(acks, struck)
        new, others = self._roles(replicas)
        self._judge(done, acks, taken, replicas)
        self._follows(others, new)
        began = time.monotonic()
        self._restore(old, new, rejoin=self.rejoins(step))
        after = account(acks, self.cluster.hosts)
        if after.rows_lost or not after.equal:
            raise Spoiled(f"with the old primary back: {after}")
        self._follows([*others, old], new)
        done.restored = time.monotonic() - began

    def rejoins(self, step: FaultStep) -> bool:
        """Whether the old primary is made a replica as it is: where the seed says so, and it can be."""
        return step.rejoin and self.cluster.gtid and step.name not in TORN

    # judging -----------------------------------------------------------------------------------------------------

    def _failed_over(self) -> None:
        """The failover is done, and the new primary is watched; once."""
        until(lambda: self._count(SIGHT) > self._sights or self._over(), "no new primary is watched", seconds=60.0)
        if self._over():
            raise Spoiled("the monitor ended")
        self._sights = self._count(SIGHT)
        found = len(list(self.monitor.workdir.glob("*.failover-*.journal")))
        if found != self._failovers + 1:
            raise Spoiled(f"{found - self._failovers} failovers for one fault")
        self._failovers = found

    def _wakes(self, old: Host) -> None:
        """What was frozen, or hung in the kernel, runs on, while everybody still tries to write; it must be fenced."""
        old.run("pkill -CONT -x 'mysqld|mariadbd'", check=False)
        until(lambda: not old.mysqld_pids(), f"mysqld on {old.name} was not fenced", seconds=15.0)

    def _judge(self, done: Round, acks: list[Ack], taken: list[Taken], survivors: Sequence[Host]) -> None:
        result = account(acks, survivors)
        done.acknowledged, done.lost = result.acknowledged, result.rows_lost
        if result.rows_lost:
            done.wrong.append(f"acknowledged rows lost: {result.lost}")
        if not result.equal:
            done.wrong.append("the survivors differ")
        if result.split or writers_overlap(acks):
            done.wrong.append("two servers took the application's rows in turns")
        if late := two_writable(taken):
            done.wrong.append(f"two writable: {len(late)} writes taken too late, such as {late[0]}")
        bound = FAULTS[done.step.name].back
        if bound is not None and done.back > bound + self._slack:
            done.wrong.append(f"writes back after {done.back:.2f} s, not {bound + self._slack:g}")

    def _follows(self, replicas: Sequence[Host], primary: Host) -> None:
        """Each is a read-only replica that works."""
        for host in replicas:
            until(
                lambda host=host: works(host, primary),  # type: ignore[misc]
                f"{host.name} is no working replica of {primary.name}",
                seconds=15.0,
            )

    def _roles(self, hosts: Sequence[Host]) -> tuple[Host, list[Host]]:
        """The one that takes writes, and the others."""
        open_ = [h for h in hosts if not int(h.sql("SELECT @@global.read_only AS r")[0]["r"])]
        if len(open_) != 1 or open_[0].replica_status():
            raise Spoiled(f"{[h.name for h in open_]} take writes")
        return open_[0], [h for h in hosts if h is not open_[0]]

    # before and after --------------------------------------------------------------------------------------------

    def _fresh_tables(self, primary: Host) -> None:
        """An account is of one round; writers number their rows from 1."""
        for table in ("rows_written", "observed"):
            primary.sql(f"DROP TABLE IF EXISTS app.{table}")

    def _restore(self, old: Host, new: Host, *, rejoin: bool) -> None:
        """The old primary is a replica of the new one; nobody holds it."""
        if rejoin:
            self._rejoin(old, new)
        else:
            release(self.cluster, self.monitor.conf, old)
            self.cluster.rebuild(old, new)
        comes_level(old, new)
        until(lambda: not held(self.monitor.workdir), f"{old.name} is still held", seconds=20.0)

    def _rejoin(self, old: Host, new: Host) -> None:
        """As a person would who knows that the failover rescued all of its log: nothing of it is thrown away."""
        if old.disk:
            old.free_disk()
        old.start_mysqld("--read-only=1")
        # The manager ends whoever is connected at the moment in which it closes the server.
        until(lambda: self._follows_on(old, new), f"{old.name} cannot be made a replica", seconds=20.0)

    def _follows_on(self, old: Host, new: Host) -> bool:
        """Make it a replica from where its own log ends, unless that was done."""
        if old.replica_status().get("Replica_IO_Running", "No") != "No":
            return True
        if self.cluster.kind.mariadb:
            # It is held, and writes of a session that does not ask for it are refused.
            with old.connect() as session, session.cursor() as cursor:
                cursor.execute("SET SESSION TRANSACTION READ WRITE")
                cursor.execute("SET GLOBAL gtid_slave_pos=@@global.gtid_binlog_pos")
        self.cluster.follow(old, new)
        return True

    def _count(self, words: str) -> int:
        return self.monitor.log().count(words)

    def _over(self) -> bool:
        return self.monitor.process.poll() is not None


def names_for(kind: str) -> list[str]:
    """The faults that this kind can be asked to survive without a loss."""
    return [name for name in FAULTS if name not in DARK or _extra(kind) is not None]


def _extra(kind: str) -> str | None:
    """What makes semi-synchronous replication possible; None where the lab's server has no such plugin."""
    if KINDS[kind].mariadb:
        return ""
    return MODERN if KINDS[kind].modern else None


def run(
    kind: str, seed: int, minutes: float, *, first: int = 1, slack: float = 0.0, seat: int = 0, console: Console
) -> list[Round]:
    """Step after step, at least one, none begun after ``minutes``. A spoiled cluster is replaced by a new one."""
    server, gtid = MODES[kind]
    steps = islice(faults(seed, names_for(server), DARK), first - 1, None)
    ends = time.monotonic() + 60 * minutes
    disk = int(DISK + A_MINUTE * minutes)
    rounds: list[Round] = []
    while time.monotonic() < ends or not rounds:
        extra = {0: _extra(server) or ""}
        with Cluster(server, gtid=gtid, extra=extra, disk=dict.fromkeys((1, 2, 3), disk)) as cluster:
            chaos = Chaos(cluster, slack, seat)
            try:
                while time.monotonic() < ends or not rounds:
                    rounds.append(Round(next(steps)))
                    spoiled = _one(chaos, rounds[-1], f"chaos-{kind}-{seed}", console)
                    if spoiled:
                        break
            finally:
                chaos.monitor.stop()
    return rounds


def _one(chaos: Chaos, done: Round, name: str, console: Console) -> bool:
    spoiled = False
    try:
        chaos.round(done)
    except (Spoiled, *WRONG) as error:
        done.wrong.append(str(error))
        spoiled = True
    step = done.step
    restored = "rejoined" if chaos.rejoins(step) else "rebuilt"
    told = f"open after {done.opened:.2f} s, writes back after {done.back:.2f} s"
    rows = f"{done.acknowledged} rows, {done.lost} lost"
    in_order = f"in order again after {done.restored:.1f} s"
    console.print(f"{step.number:3} {step}, {restored}: {told}, {rows}, {in_order}{': WRONG' if done.wrong else ''}")
    for line in done.wrong:
        console.print(f"      {line[-3000:]}", markup=False)
    if done.wrong:
        console.print(f"      kept: {keep(chaos.cluster, chaos.monitor.workdir, f'{name}-{step.number}')}")
    return spoiled


def tally(rounds: Sequence[Round], slack: float) -> Table:
    """A line a fault."""
    table = Table(title="Faults survived", title_justify="left")
    columns = (
        "fault",
        "times",
        "open, median",
        "writes back, median",
        "worst",
        "at most",
        "rows acknowledged",
        "lost",
        "wrong",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name in dict.fromkeys(r.step.name for r in rounds):
        each = [r for r in rounds if r.step.name == name]
        back = [r.back for r in each if not math.isnan(r.back)]
        bound = FAULTS[name].back
        table.add_row(
            name,
            str(len(each)),
            _median([r.opened for r in each]),
            _median(back),
            f"{max(back):.2f}" if back else "",
            "" if bound is None else f"{bound + slack:g}",
            str(sum(r.acknowledged for r in each)),
            str(sum(r.lost for r in each)),
            str(sum(bool(r.wrong) for r in each)),
        )
    return table


def _median(seconds: Sequence[float]) -> str:
    known = [each for each in seconds if not math.isnan(each)]
    return f"{statistics.median(known):.2f}" if known else ""


def main() -> int:
    """Do what was asked for; 1 when a promise was broken."""
    parser = timed(arguments("python -m tests.lab.chaos", __doc__ or ""))
    parser.add_argument("--slack", type=float, default=0.0, help="seconds added to every bound, on a busy machine (0)")
    parser.add_argument(
        "--seat", type=int, choices=(0, 2, 3), default=0, help="the replica beside the manager (0: none)"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    console = Console(width=160, highlight=False)
    console.print(f"SEED={given.seed} KIND={given.kind} MINUTES={given.minutes:g} SEAT={given.seat}")
    minutes, first, slack, seat = given.minutes, given.first, given.slack, given.seat
    rounds = run(given.kind, given.seed, minutes, first=first, slack=slack, seat=seat, console=console)
    console.print(tally(rounds, given.slack))
    wrong = [r for r in rounds if r.wrong]
    lost = sum(r.lost for r in rounds)
    console.print(
        f"{len(rounds)} faults, {lost} acknowledged rows lost, {len(wrong)} went wrong; SEED={given.seed} replays it."
    )
    return 1 if wrong or not rounds else 0


if __name__ == "__main__":
    sys.exit(main())
