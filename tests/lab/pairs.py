"""Two faults: the primary dies, and in the middle of its failover somebody else does, or the manager, or it returns.

``python -m tests.lab.pairs [--seed N] [--pairs N] [--kind KIND] [--first STEP]``: each pair on a cluster of its own.
What was cut off or frozen is well again after a while, and a manager that is gone is started again, as by a supervisor.
The rest is the project's: in the end one primary without a person, no acknowledged row lost that a reachable disk
holds, never two that take writes. Exit 1 when anything of that was not so.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any

import pymysql
from rich.console import Console

from prefect_mha.replication.memory.journal import END
from tests.lab.cluster import Cluster
from tests.lab.dying import STEPS
from tests.lab.host import Host
from tests.lab.local_writer import Observers, Taken, two_writable
from tests.lab.schedule import PairStep, pairs
from tests.lab.seeded import MODES, WRONG, Spoiled, arguments, keep, until
from tests.lab.writer import Ack, Writer
from tests.scenarios.watching import Monitor

FIRSTS = ("kill -9", "power off")
SECONDS = [
    ("primary", "returns"),
    *((target, how) for target in ("chosen", "other") for how in ("killed", "frozen", "powered off", "cut off")),
    *(("manager", how) for how in ("killed", "frozen", "cut off")),
]
#: Seconds until what was frozen or cut off is well again: a server, and a manager (a virtual machine that was moved).
WELL, AWAKE = 15.0, 40.0
#: Seconds after the second fault within which one primary takes writes; and for which two may, while one look is taken.
IN_THE_END, ONE_LOOK = 120.0, 1.0
#: CR_CONN_HOST_ERROR, CR_SERVER_GONE_ERROR, CR_SERVER_LOST, ER_CONNECTION_KILLED: what a session says that was ended.
CUT = (2003, 2006, 2013, 1927)


@dataclass
class Pair:
    """One pair and what became of it.

    ``pause`` is the longest time (seconds) after the second fault in which nobody took a row; ``dark`` are rows that
    only a dark disk has; ``left`` replicas that people are told to fix; ``wrong`` the promises that were broken.
    """

    step: PairStep
    pause: float = float("nan")
    acknowledged: int = 0
    dark: int = 0
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Managed:
    """A manager on a host of its own, and what starts it again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._conf = cluster, cluster.write_cnf(candidate=2)
        self._number = cluster.n + 1
        self._namespace = cluster.subnet.attach(self._number)
        self.monitor = Monitor(cluster, self._conf, namespace=self._namespace)

    def look_after(self) -> None:
        """Start it again when it is gone."""
        if self.monitor.process.poll() is not None:
            self.monitor = Monitor(self._cluster, self._conf, sight=False, namespace=self._namespace)

    def strike(self, how: str) -> None:
        """It is gone at once, stands still, or reaches nobody; the applications do."""
        match how:
            case "killed":
                self.monitor.process.kill()
                self.monitor.process.wait(10)
            case "frozen":
                self.monitor.process.send_signal(signal.SIGSTOP)
            case _:
                self._cluster.subnet.link(self._number, up=False)

    def wake(self, how: str) -> None:
        """It stood still and does not know it; or it reaches everybody again."""
        if how == "frozen":
            self.monitor.process.send_signal(signal.SIGCONT)
        else:
            self._cluster.subnet.link(self._number, up=True)

    def has_come_to(self, step: str, event: str) -> bool:
        """Whether a journal says so, or that a failover is over."""
        words = f'"step": "{step}", "event": "{event}"'
        texts = [path.read_text() for path in self.monitor.workdir.glob("*.failover-*.journal")]
        return any(words in text or f'"step": "{END}"' in text for text in texts)


class Scene:
    """One cluster, one pair."""

    def __init__(self, cluster: Cluster, done: Pair) -> None:
        self.cluster, self.done, self.step = cluster, done, done.step
        self.managed = Managed(cluster)
        self._off: set[int] = set()
        self._dead: set[int] = set()

    def play(self) -> None:
        """Both faults, until one takes writes; then judge. Raises Spoiled and what the lab raises."""
        writer, observers = Writer(self.cluster, interval=0.01, seconds=400.0), Observers(self.cluster, interval=0.02)
        try:
            self._part_ways()
            self._first()
            self._wait_for_the_place()
            struck = time.time()
            self._second()
            self._settle(writer, struck)
        finally:
            acks, taken = writer.stop(), observers.stop()
        self._judge(acks, taken)

    # what befalls it -----------------------------------------------------------------------------------------------

    def _part_ways(self) -> None:
        time.sleep(0.6)
        donor = self.step.donor
        self.cluster.stop_receiver(self.cluster[5 - donor])
        time.sleep(0.3)
        self.cluster.stop_receiver(self.cluster[donor])
        time.sleep(0.3)

    def _first(self) -> None:
        if self.step.first == "power off":
            self._off.add(1)
            self.cluster[1].power_off()
        else:
            self.cluster[1].signal_mysqld(signal.SIGKILL)
        self._dead.add(1)

    def _wait_for_the_place(self) -> None:
        ends = time.monotonic() + 60
        while not self.managed.has_come_to(self.step.step, self.step.event):
            if time.monotonic() > ends or self.managed.monitor.process.poll() is not None:
                raise Spoiled(f"the failover did not come to {self.step.step!r}\n{self.managed.monitor.log()}")
            time.sleep(0.002)

    def _second(self) -> None:
        how = self.step.how
        if self.step.target == "manager":
            self.managed.strike(how)
        elif self.step.target == "primary":
            if 1 in self._off:
                self.cluster[1].power_on()
            self.cluster[1].start_mysqld(wait=False)
            self._dead.discard(1)
        else:
            self._strike(self.cluster[2 if self.step.target == "chosen" else 3], how)

    def _strike(self, host: Host, how: str) -> None:
        match how:
            case "killed":
                self._dead.add(host.number)
                host.signal_mysqld(signal.SIGKILL)
            case "frozen":
                host.signal_mysqld(signal.SIGSTOP)
            case "powered off":
                self._dead.add(host.number)
                self._off.add(host.number)
                host.power_off()
            case _:
                host.cut_cable()

    def _well_again(self) -> None:
        host = self.cluster[2 if self.step.target == "chosen" else 3]
        if self.step.how == "cut off":
            host.mend_cable()
        else:
            # The manager may have killed it.
            host.run("pkill -CONT -x 'mysqld|mariadbd'", check=False)

    def _settle(self, writer: Writer, struck: float) -> None:
        """Until one server takes the application's rows, and has for a moment."""
        began, fixed = time.monotonic(), self.step.how not in ("cut off", "frozen")
        manager = self.step.target == "manager"
        while True:
            at = time.monotonic() - began
            if not fixed and at > (AWAKE if manager else WELL):
                fixed = True
                self.managed.wake(self.step.how) if manager else self._well_again()
            self.managed.look_after()
            late = [ack for ack in writer.acks() if ack.at > time.time() - 2.0 and ack.at > struck]
            if late and at > 6.0 and fixed and self.managed.monitor.log().count("waiting until MySQL") > 1:
                times = [struck, *sorted(ack.at for ack in writer.acks() if ack.at > struck)]
                self.done.pause = max(later - earlier for earlier, later in pairwise(times))
                return
            if at > IN_THE_END:
                raise Spoiled(f"nobody takes writes {IN_THE_END:g} s after the second fault")
            time.sleep(0.2)

    # judging ---------------------------------------------------------------------------------------------------------

    def _judge(self, acks: list[Ack], taken: list[Taken]) -> None:
        done = self.done
        living = [h for h in self.cluster.hosts if h.number not in self._dead]
        living = [h for h in living if h.mysqld_pids()]
        open_ = [h for h in living if not int(asked(h, "SELECT @@global.read_only AS r")[0]["r"])]
        if len(open_) != 1:
            raise Spoiled(f"{[h.name for h in open_]} are open")
        late = two_writable(taken)
        if late and late[-1].at - late[0].sent > ONE_LOOK:
            done.wrong.append(f"two took writes for {late[-1].at - late[0].sent:.2f} s, from {late[0]}")
        wanted = {(a.writer, a.id) for a in acks}
        done.acknowledged = len(wanted)
        lost = wanted - rows(open_[0])
        if lost:
            self._where(set(lost), open_[0])
        # A receiver notices that its link was cut when nothing has come for slave_net_timeout.
        patience = 90.0 if self.step.how == "cut off" else 20.0
        for host in living:
            if host is open_[0] or host.number == 1:
                continue
            try:
                until(lambda host=host: not wanted - lost - rows(host), f"{host.name} lacks rows", seconds=patience)  # type: ignore[misc]
            except Spoiled:
                if not self._told_of(host):
                    raise
                done.left.append(host.name)

    def _told_of(self, host: Host) -> bool:
        """Whether the manager says that this replica is left to people."""
        log, name = self.managed.monitor.log(), f"{host.ip}({host.ip}:3306)"
        words = (f"Left open by a failover: {name}", f"\n{name}: ERROR:", f"{name} was left out by the failover: ")
        return any(each in log for each in words)

    def _where(self, lost: set[tuple[int, int]], primary: Host) -> None:
        """On whose disk the rows are that the primary lacks; only a dark one may be the only one that has them."""
        for host in self.cluster.hosts:
            if host is primary:
                continue
            if host.number in self._off and host.number in self._dead:
                host.power_on()
            if not host.mysqld_pids():
                skip = "--skip-replica-start" if host.kind.modern else "--skip-slave-start"
                host.start_mysqld("--read-only=1", skip)
            there = lost & rows(host)
            if there and host.number in self._off:
                self.done.dark += len(there)
                lost -= there
            elif there:
                self.done.wrong.append(f"{len(there)} acknowledged rows are on {host.name} only, such as {min(there)}")
                lost -= there
        if lost:
            self.done.wrong.append(f"{len(lost)} acknowledged rows are nowhere, such as {min(lost)}")


def rows(host: Host) -> set[tuple[int, int]]:
    """What it holds of the application's."""
    return {(r["writer"], r["id"]) for r in asked(host, "SELECT writer, id FROM app.rows_written")}


def asked(host: Host, question: str) -> list[dict[str, Any]]:
    """The answer, however often the manager ends our session: whom it holds or closes it ends the sessions of."""
    ends = time.monotonic() + 20.0
    while True:
        try:
            return host.sql(question)
        except pymysql.OperationalError as error:
            if error.args[0] not in CUT or time.monotonic() > ends:
                raise
        time.sleep(0.2)


def run(kind: str, seed: int, count: int, *, first: int = 1, console: Console) -> list[Pair]:
    """So many pairs, one after the other."""
    server, gtid = MODES[kind]
    played: list[Pair] = []
    for step in islice(pairs(seed, FIRSTS, STEPS, SECONDS), first - 1, first - 1 + count):
        played.append(Pair(step))
        _one(server, gtid, played[-1], f"pairs-{kind}-{seed}-{step.number}", console)
    return played


def _one(server: str, gtid: bool, done: Pair, name: str, console: Console) -> None:
    with Cluster(server, gtid=gtid) as cluster:
        scene = Scene(cluster, done)
        try:
            scene.play()
        except (Spoiled, *WRONG) as error:
            done.wrong.append(str(error))
        finally:
            scene.managed.monitor.stop()
        rows_told = f"{done.acknowledged} rows, {done.dark} on a dark disk only"
        rows_told += f", left to people: {', '.join(done.left)}" if done.left else ""
        verdict = ": WRONG" if done.wrong else ""
        console.print(f"{done.step.number:3} {done.step}: nobody wrote for {done.pause:.2f} s, {rows_told}{verdict}")
        for line in done.wrong:
            console.print(f"      {line[-3000:]}", markup=False)
        if done.wrong or done.pause > AWAKE:
            console.print(f"      kept: {keep(cluster, scene.managed.monitor.workdir, name)}")


def main() -> int:
    """Do what was asked for; 1 when a promise was broken."""
    parser = arguments("python -m tests.lab.pairs", __doc__ or "")
    parser.add_argument("--pairs", type=int, default=20, help="how many (20)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    console = Console(width=200, highlight=False)
    console.print(f"SEED={given.seed} KIND={given.kind} PAIRS={given.pairs}")
    played = run(given.kind, given.seed, given.pairs, first=given.first, console=console)
    wrong = [p for p in played if p.wrong]
    dark = sum(p.dark for p in played)
    console.print(
        f"{len(played)} pairs, {dark} rows on dark disks only, {len(wrong)} went wrong; SEED={given.seed} replays it."
    )
    return 1 if wrong or not played else 0


if __name__ == "__main__":
    sys.exit(main())
