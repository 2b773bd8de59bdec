"""Every single fault of two servers, a log and a manager has one right outcome: the table of the guide, row by row.

The manager lives on the replica's host, or on one of its own. An application writes on each host itself, whatever is
cut: so two that take writes show, and so does an isolated primary that acknowledges.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.lab.local_writer import two_writable
from tests.lab.two_servers import APART, BESIDE, TwoServers, closed, two_servers
from tests.lab.waiting import until
from tests.scenarios.failing_over import kinds

pytestmark = pytest.mark.slow

KINDS = kinds("mariadb-gtid", "9.7-gtid", "11.8-gtid")
SEATS = [pytest.param(BESIDE, id="beside-the-replica"), pytest.param(APART, id="on-its-own-host")]
#: Seconds that nothing may happen: a dark host is replaced within 8, on a busy machine.
LASTS = 12.0

Step = Callable[[TwoServers], object]


@dataclass(frozen=True)
class Harmless:
    """A fault upon which nobody is promoted, and how it ends. ``writes``: db1 acknowledges while it lasts."""

    name: str
    begin: Step
    end: Step
    writes: bool = True


def cut(one: int, other: int, *more: tuple[int, int]) -> tuple[Step, Step]:
    links = [(one, other), *more]
    return lambda two: [two.cut(*link) for link in links], lambda two: [two.fix(*link) for link in links]


def dark(number: int) -> tuple[Step, Step]:
    return lambda two: two.cable(number, up=False), lambda two: two.cable(number, up=True)


def server(number: int, begin: signal.Signals, end: Step) -> tuple[Step, Step]:
    return lambda two: two.cluster[number].signal_mysqld(begin), end


def started_again(two: TwoServers) -> None:
    db2 = two.cluster[2]
    db2.start_mysqld("--read-only=1", f"--rpl-semi-sync-{db2.kind.word('replica', 'slave')}-enabled=1")
    db2.sql(f"START {db2.kind.word('REPLICA', 'SLAVE')}")


def copying(two: TwoServers, number: signal.Signals) -> None:
    assert two.copier.process is not None
    os.killpg(two.copier.process.pid, number)


LOG_FROZEN = (lambda two: copying(two, signal.SIGSTOP), lambda two: copying(two, signal.SIGCONT))
LOG_KILLED = (lambda two: copying(two, signal.SIGKILL), lambda two: two.copier.start())
DB2_KILLED = server(2, signal.SIGKILL, started_again)
DB2_FROZEN = server(2, signal.SIGSTOP, lambda two: two.cluster[2].signal_mysqld(signal.SIGCONT))

#: The manager on the replica's host, and on its own.
HARMLESS = {
    BESIDE: (
        Harmless("db1 and db2, with the manager, cut off from each other", *cut(1, 2)),
        Harmless("db1 and the log cut off from each other", *cut(1, 3)),
        Harmless("db2, with the manager, and the log cut off from each other", *cut(2, 3)),
        Harmless("db2's host dark, and the manager with it", *dark(2)),
        Harmless("db2's server killed", *DB2_KILLED),
        Harmless("db2's server frozen", *DB2_FROZEN),
        Harmless("the log's host dark", *dark(3)),
        Harmless("the binlog server killed", *LOG_KILLED),
        Harmless("the binlog server frozen", *LOG_FROZEN),
    ),
    APART: (
        Harmless("db1 and db2 cut off from each other", *cut(1, 2)),
        Harmless("db1 and the manager cut off from each other", *cut(1, APART)),
        Harmless("db1 and the log cut off from each other", *cut(1, 3)),
        Harmless("db2 and the manager cut off from each other", *cut(2, APART)),
        Harmless("the log and the manager cut off from each other", *cut(3, APART)),
        Harmless("the manager cut off from all", *dark(APART)),
        Harmless("db1 reaches the log alone", *cut(1, 2, (1, APART))),
        Harmless("db1 reaches db2 alone", *cut(1, 3, (1, APART))),
        Harmless("db1 reaches the manager alone", *cut(1, 2, (1, 3)), writes=False),
        Harmless("db2's host dark", *dark(2)),
        Harmless("the log's host dark", *dark(3)),
    ),
}


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_nobody_is_promoted_and_all_goes_on_when_it_is_over(kind: str, gtid: bool, seat: int) -> None:
    with two_servers(kind, gtid=gtid, seat=seat) as two:
        db1 = two.cluster[1]
        for fault in HARMLESS[seat]:
            began = time.time()
            fault.begin(two)
            # What was under way before that may still be told.
            settled = began + 3.0
            time.sleep(LASTS)
            wrote = bool(two.taken_by(db1, settled))
            fault.end(two)
            two.in_order()
            assert wrote is fault.writes, f"{fault.name}: db1 {'took' if wrote else 'took no'} writes"
            assert two.monitor.process.poll() is None, fault.name
            begun = list(two.monitor.workdir.glob("*.failover-*.journal"))
            assert not begun, f"{fault.name}: {two.monitor.log()}"
            print(f"held: {fault.name}")
        assert not two_writable(two.observers.stop())


FATAL: dict[str, Step] = {
    "killed": lambda two: two.cluster[1].signal_mysqld(signal.SIGKILL),
    "frozen": lambda two: two.cluster[1].signal_mysqld(signal.SIGSTOP),
    "power-off": lambda two: two.cluster[1].power_off(),
}


@pytest.mark.parametrize("how", FATAL)
@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_the_primary_is_replaced(kind: str, gtid: bool, seat: int, how: str) -> None:
    with two_servers(kind, gtid=gtid, seat=seat) as two:
        began = time.time()
        FATAL[how](two)
        db2 = two.cluster[2]
        until(lambda: not closed(db2) and two.taken_by(db2, began), "db2 takes writes")
        assert not two_writable(two.observers.stop())


#: Seconds for which an isolated primary is isolated: until the new one is open, and until its log has left it, too.
SHORT, LONG = 0.0, 60.0


@pytest.mark.parametrize("lasts", [pytest.param(SHORT, id="until-the-other-is-open"), pytest.param(LONG, id="longer")])
@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_isolated_primary_acknowledges_nothing_and_is_out_of_the_way_when_it_is_back(
    kind: str, gtid: bool, seat: int, lasts: float
) -> None:
    """Back, it finds the binlog server that acknowledged: whose word then must not let its commits go."""
    with two_servers(kind, gtid=gtid, seat=seat) as two:
        db1, db2 = two.cluster[1], two.cluster[2]
        cut_at = time.time()
        two.cable(1, up=False)
        until(lambda: not closed(db2), "db2 is opened")
        time.sleep(lasts)
        two.cable(1, up=True)
        # Back within the failover it is killed, later it is made read-only.
        until(lambda: not db1.mysqld_pids() or closed(db1), "db1 is out of the way")
        until(lambda: two.taken_by(db2, cut_at), "db2 takes writes")
        time.sleep(2.0)
        taken = two.observers.stop()
        there = [t for t in taken if t.host == db1.ip and t.at > cut_at + 0.5]
        assert there == [], there[:5]
        assert not two_writable(taken)


@pytest.mark.parametrize("seat", SEATS)
@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_an_isolated_primary_that_its_log_still_hears_is_acknowledged_nothing(kind: str, gtid: bool, seat: int) -> None:
    """The log's host gets no new connection to it, so the witness calls it dark, and its binlog server reads on."""
    with two_servers(kind, gtid=gtid, seat=seat) as two:
        db1, db2 = two.cluster[1], two.cluster[2]
        two.no_new_connections(1, 3)
        two.cut(1, seat)
        if seat != 2:
            two.cut(1, 2)
        until(lambda: not closed(db2), "db2 is opened")
        opened = time.time()
        until(lambda: two.taken_by(db2, opened), "db2 takes writes")
        time.sleep(5.0)
        taken = two.observers.stop()
        assert not two_writable(taken)
        there = {round(t.sent, 5) for t in taken if t.host == db1.ip}
        rows = db2.sql("SELECT at FROM app.observed WHERE host=%s", (db1.ip,))
        assert not there - {round(float(row["at"]), 5) for row in rows}, "acknowledged rows are on db1 alone"
