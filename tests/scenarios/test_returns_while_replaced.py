"""The old primary comes back at every step of the failover that replaces it, and applications write to what answers."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from prefect_mha.replication.memory.journal import END, Entry, read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.dying import STEPS
from tests.lab.host import Host
from tests.lab.local_writer import Observers, Taken, two_writable
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds
from tests.scenarios.moving import wait_until
from tests.scenarios.watching import SIGHT

#: The longest that a server which came back may take writes beside another, on a machine that runs several clusters.
WINDOW = 2.0
KINDS = [(kind, gtid) for kind in ("mariadb", "mysql97", "mysql56") for gtid in (True, False)]
#: Nobody knows how to hold this one off: it starts a server again whenever that ends.
UNKNOWN = (
    "perl -e 'while (1) {{ system(q({mysqld} --defaults-file=/etc/my.cnf --user=mysql >>/var/log/mysqld.err 2>&1)); "
    "sleep 1 }}'"
)
#: Said of an old primary that is back before anything was changed.
CALLED_OFF = "is not dead, and was left alone"
#: How it dies and comes back, and whether anybody gets into its host then.
WAYS = [(how, ssh) for how in ("reboot", "supervisor") for ssh in (True, False)]


class Paused:
    """A manager, and its failover that stands still at a place."""

    def __init__(self, cluster: Cluster, step: str, point: str, *options: str, default: str = "") -> None:
        self.conf = cluster.write_cnf(candidate=2, default=default)
        self.workdir = self.conf.with_suffix("")
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.place = cluster.seat / "place"
        self.place.mkdir(exist_ok=True)
        words = ["-m", "tests.lab.pausing", step, point, str(self.place), "masterha_manager", f"--conf={self.conf}"]
        with (self.workdir / "manager.out").open("ab") as out:
            self.process = cluster.run_there(sys.executable, *words, *options, out=out)
        wait_until(lambda: SIGHT in self.log(), "it watches", seconds=60.0)

    def log(self) -> str:
        path = self.workdir / "manager.log"
        return (path.read_text() if path.exists() else "") + (self.workdir / "manager.out").read_text()

    def reached(self, seconds: float = 60.0) -> None:
        ends = time.monotonic() + seconds
        while not (self.place / "reached").exists():
            assert time.monotonic() < ends, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)

    def go(self) -> int | None:
        """Its exit code; None when the failover was called off before its first effect, and it watches again."""
        (self.place / "go").touch()
        ends = time.monotonic() + 120
        while (code := self.process.poll()) is None:
            assert time.monotonic() < ends, self.log()
            if SIGHT in self.log().partition(CALLED_OFF)[2]:
                return None
            time.sleep(0.05)
        return code

    def ended(self) -> Entry:
        """What the journal says of its end."""
        (journal,) = self.workdir.glob("*.failover-*.journal")
        return next(e for e in read_journal(journal) if e.step == END)


@contextmanager
def paused(cluster: Cluster, step: str, point: str, *options: str, default: str = "") -> Iterator[Paused]:
    """Ended whatever happens."""
    manager = Paused(cluster, step, point, *options, default=default)
    try:
        yield manager
    finally:
        if manager.process.poll() is None:
            manager.process.kill()


def strike(host: Host, how: str, ssh: bool) -> None:
    """It dies: with its host, or alone; without ``ssh`` nobody gets into its host from then on."""
    if how == "reboot":
        host.power_off()
        return
    if not ssh:
        host.run("pkill -x sshd; true")
    host.signal_mysqld(signal.SIGKILL)


def come_back(host: Host, how: str, ssh: bool) -> None:
    """It is back, and takes writes for whoever comes."""
    if how == "reboot":
        host.power_on()
        if not ssh:
            host.run("pkill -x sshd; true")
    if how == "supervisor":
        host.start(UNKNOWN.format(mysqld=host.kind.mysqld))
    else:
        host.start_mysqld(wait=False)


def both_took(taken: Sequence[Taken], old: Host) -> float:
    """For how long the old one took writes after another had begun to (seconds)."""
    late = [t for t in two_writable(taken) if t.host == old.ip]
    return late[-1].at - late[0].sent if late else 0.0


def missing(taken: Sequence[Taken], survivors: Sequence[Host]) -> int:
    """How many acknowledged writes no survivor has."""
    rows = [row for host in survivors for row in host.sql("SELECT host, at FROM app.observed")]
    there = {(row["host"], round(row["at"], 4)) for row in rows}
    return sum((t.host, round(t.sent, 4)) not in there for t in taken)


def returns_at(
    kind: str, gtid: bool, how: str, ssh: bool, step: str, point: str, record_property: Any, default: str = ""
) -> int:
    """One failover that stands still there until its old primary is back and was seen by whoever looks.

    How many acknowledged rows no survivor has.
    """
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, step, point, default=default) as manager:
        old = cluster[1]
        writer, observers = Writer(cluster, interval=0.01), Observers(cluster)
        time.sleep(1.0)
        strike(old, how, ssh)
        manager.reached()
        come_back(old, how, ssh)
        ends = time.monotonic() + 20
        while time.monotonic() < ends and "while it is being replaced" not in manager.log():
            time.sleep(0.05)
        time.sleep(1.0)
        code = manager.go()
        time.sleep(1.0)
        acks, taken = writer.stop(), observers.stop()
        told = manager.log()
        if code is None:
            # Their receivers stood still for as long as the failover did.
            result = account(acks, cluster.hosts, seconds=30.0)
            assert result.equal and not result.rows_lost + missing(taken, cluster.hosts), told
            assert not two_writable(taken), told
            return 0
        end = manager.ended()
        # This command ends with its failover: whoever starts a server after that finds nobody who looks.
        acks, taken = [a for a in acks if a.at < end.at], [t for t in taken if t.at < end.at]
        window = both_took(taken, old)
        apart = [line for line in end.facts["ledger"] if line["fate"] == "apart"]
        unknown = [line for line in end.facts["ledger"] if line["fate"] in ("unknown", "lost")]
        result = account(acks, [cluster[2], cluster[3]], seconds=5.0)
        counted = sum(line["transactions"] or 0 for line in apart)
        lost = result.rows_lost + missing(taken, [cluster[2], cluster[3]])
        figures = {"code": code, "lost": lost, "counted": counted, "window": round(window, 2)}
        record_property("figures", json.dumps(figures))
        print(kind, gtid, how, ssh, step, point, figures)
        assert "while it is being replaced" in told
        assert window < WINDOW, told
        assert result.equal, told
        if lost and not unknown:
            assert counted >= lost, f"{apart}\n{told}"
        assert code == (10 if apart else 0), told
        assert "is no longer held read-only" not in told
        assert "the new one was opened at" in told
        return lost


LONG = "Execute what was received"
OPENED = "Open the new primary for writes"


@pytest.mark.parametrize(
    ("kind", "gtid", "how", "ssh", "step", "point"),
    [
        pytest.param("mariadb", True, "reboot", True, LONG, "began", id="mariadb-boots-before"),
        pytest.param("mariadb", True, "supervisor", False, OPENED, "done", id="mariadb-started-after"),
        *(
            pytest.param(*kind, how, ssh, step, point, id=f"{name}-{how}-{word}-{ssh}", marks=pytest.mark.slow)
            for name, kind in (("9.7-gtid", ("mysql97", True)), ("mariadb-position", ("mariadb", False)))
            for how, ssh, step, point, word in (
                ("reboot", False, LONG, "began", "before"),
                ("supervisor", True, OPENED, "began", "before"),
                ("supervisor", False, OPENED, "done", "after"),
            )
        ),
    ],
)
def test_it_is_closed_and_what_it_took_is_levelled_or_counted(
    kind: str, gtid: bool, how: str, ssh: bool, step: str, point: str, record_property: Any
) -> None:
    """It boots while a replica takes long, or is started by somebody unknown."""
    returns_at(kind, gtid, how, ssh, step, point, record_property)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [pytest.param(*kind, id=f"{kind[0]}-{kind[1]}") for kind in KINDS[:4]])
def test_what_it_took_once_right_before_the_opening_is_saved_too(kind: str, gtid: bool, record_property: Any) -> None:
    """Its log was copied beside its fencing and given to the new primary already; it is longer by now."""
    assert returns_at(kind, gtid, "once", True, OPENED, "began", record_property) == 0


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("kind", "gtid", "how", "ssh", "step"),
    [
        pytest.param(
            *KINDS[(number + turn) % len(KINDS)], how, ssh, step, id=f"{step}-{how}-{'ssh' if ssh else 'no-ssh'}"
        )
        for number, step in enumerate(STEPS)
        for turn, (how, ssh) in enumerate(WAYS)
    ],
)
def test_it_returns_at_every_step(kind: str, gtid: bool, how: str, ssh: bool, step: str, record_property: Any) -> None:
    """Server kinds and modes take turns, so that each meets each way at some steps."""
    returns_at(kind, gtid, how, ssh, step, "began", record_property)


@pytest.mark.parametrize(("kind", "gtid"), kinds("mariadb-gtid", slow=("9.7-position", "5.6-gtid")))
def test_one_that_was_only_cut_off_keeps_its_role_when_nothing_was_done_yet(kind: str, gtid: bool) -> None:
    """Its link heals before anything irreversible: it takes writes again, and the replicas receive from it."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, LONG, "began") as manager:
        old = cluster[1]
        writer = Writer(cluster, interval=0.01)
        time.sleep(1.0)
        old.cut_cable()
        manager.reached()
        old.mend_cable()
        wait_until(lambda: "while it is being replaced" in manager.log(), "it is closed", 30.0)
        (manager.place / "go").touch()
        wait_until(lambda: manager.log().count(SIGHT) == 2, "it is watched anew", 60.0)
        time.sleep(1.0)
        acks = writer.stop()
        told = manager.log()
        assert "takes writes again: it was never dead" in told
        assert {ack.host for ack in acks} == {old.ip}
        result = account(acks, cluster.hosts, seconds=15.0)
        assert result.rows_lost == 0, told
        assert result.equal, told
        assert manager.ended().facts["refusal"] == "primary-alive"
        assert not (manager.workdir / "app1.failover.error").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_one_that_was_closed_by_a_manager_which_then_died_is_opened_by_the_next(kind: str, gtid: bool) -> None:
    """No person closed it, and nobody else was opened: the next manager knows that from the journal."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, LONG, "began", default="start_checks=warn") as manager:
        old = cluster[1]
        writer = Writer(cluster, interval=0.01)
        time.sleep(1.0)
        old.cut_cable()
        manager.reached()
        old.mend_cable()
        wait_until(lambda: "while it is being replaced" in manager.log(), "it is closed", 30.0)
        manager.process.kill()
        manager.process.wait(10)
        died = time.time()
        follower = cluster.start_manager(manager.conf)
        try:
            wait_until(lambda: any(ack.at > died for ack in writer.acks()), "an application's row", 60.0)
            time.sleep(1.0)
        finally:
            follower.process.kill()
        acks, told = writer.stop(), manager.log()
        assert {ack.host for ack in acks} == {old.ip}, told
        result = account(acks, cluster.hosts, seconds=15.0)
        assert result.rows_lost == 0, told
        assert result.equal, told


@pytest.mark.parametrize(
    ("kind", "gtid"),
    [
        pytest.param("mariadb", True, id="mariadb-gtid"),
        *(
            pytest.param(kind, gtid, id=f"{kind}-{'gtid' if gtid else 'position'}", marks=pytest.mark.slow)
            for kind, gtid in KINDS
            if (kind, gtid) != ("mariadb", True)
        ),
    ],
)
def test_what_one_took_that_was_cut_off_is_counted_once_another_is_open(kind: str, gtid: bool) -> None:
    """An application on its own host wrote there all the time, which nobody can prevent: two histories, exit 10."""
    with Cluster(kind, gtid=gtid) as cluster, paused(cluster, OPENED, "done") as manager:
        old, observers = cluster[1], Observers(cluster)
        time.sleep(0.5)
        old.cut_cable()
        manager.reached()
        old.mend_cable()
        back = time.time()
        wait_until(lambda: "while it is being replaced" in manager.log(), "it is closed", 30.0)
        code = manager.go()
        taken, told = observers.stop(), manager.log()
        late = [t for t in taken if t.host == old.ip and t.at > back]
        # A second for the neighbours to find each other (ARP), and what it then took to close it.
        assert not late or late[-1].at - back < 1.0 + WINDOW
        lost = missing(taken, [cluster[2], cluster[3]])
        (line,) = [line for line in manager.ended().facts["ledger"] if line["fate"] == "apart"]
        print(kind, gtid, {"code": code, "lost": lost, "counted": line["transactions"]})
        assert lost > 0
        assert line["transactions"] >= lost
        # One at most was taken and not acknowledged any more.
        assert line["transactions"] <= lost + 1
        assert code == 10, told
        assert "Two histories: " in told


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [pytest.param("mariadb", True), pytest.param("mysql97", False)])
def test_what_it_took_between_two_managers_is_told_by_the_one_that_goes_on(kind: str, gtid: bool) -> None:
    """The first one dies after its opening; nobody looks while the old one is back; a person resumes."""
    with Cluster(kind, gtid=gtid) as cluster:
        conf, writer, observers = cluster.write_cnf(candidate=2), Writer(cluster), Observers(cluster)
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        by_hand = ("--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        words = ("-m", "tests.lab.dying", OPENED, "done", "masterha_master_switch", f"--conf={conf}")
        first = cluster.run_there(sys.executable, *words, *by_hand)
        first.communicate(timeout=60)
        assert first.returncode == -signal.SIGKILL
        back = time.time()
        cluster[1].start_mysqld()
        here = cluster[1].ip
        wait_until(lambda: any(t.host == here and t.at > back for t in observers.taken()), "it takes writes")
        done = cluster.command("mha", "failover", "--resume", f"--conf={conf}")
        told = done.output + (conf.with_suffix("") / "manager.log").read_text()
        writer.stop()
        lost = missing(observers.stop(), [cluster[2], cluster[3]])
        assert lost > 0
        assert done.code == 10, told
        assert "Two histories: " in told
        journals = sorted(conf.with_suffix("").glob("*.failover-*.journal"))
        end = next(e for e in read_journal(journals[-1]) if e.step == END)
        (line,) = [line for line in end.facts["ledger"] if line["fate"] == "apart"]
        print(kind, gtid, {"code": done.code, "lost": lost, "counted": line["transactions"]})
        assert lost <= line["transactions"] <= lost + 1
        # What it took beside the new primary is given to nobody.
        digests = account((), [cluster[2], cluster[3]]).digests
        assert digests["db2"] == digests["db3"], told
