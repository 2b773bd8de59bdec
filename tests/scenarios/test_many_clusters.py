"""One process watches several clusters: what happens to one must not be felt by another.

Each cluster has a network of its own; the process sits on the manager's host of the first one, which reaches all.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.fleet import FleetMonitor
from tests.lab.waiting import until

#: Seconds that a kill may take to be a verdict where several clusters share the machine.
SOON = 3.0


@contextlib.contextmanager
def clusters(count: int) -> Iterator[list[Cluster]]:
    """So many, all within reach of the first one's manager."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(Cluster("mariadb", gtid=True)) for _ in range(count)]
        for other in made[1:]:
            made[0].subnet.reach(other.subnet)
        yield made


@contextlib.contextmanager
def watched(seat: Cluster, confs: list[Path], *options: str) -> Iterator[FleetMonitor]:
    fleet = FleetMonitor(seat, confs, *(word for conf in confs for word in ("--conf", str(conf))), *options)
    try:
        fleet.wait_until_watching()
        yield fleet
    finally:
        fleet.stop()


def kill(cluster: Cluster) -> float:
    cluster[1].signal_mysqld(signal.SIGKILL)
    return time.time()


def writable(cluster: Cluster) -> list[str]:
    """The hosts of a cluster that take writes."""
    living = [host for host in cluster.hosts if host.mysqld_pids()]
    return [host.name for host in living if not host.sql("SELECT @@GLOBAL.read_only AS closed")[0]["closed"]]


def wait_until_opened(fleet: FleetMonitor, name: str, since: float, seconds: float = 30.0) -> float:
    ends = time.monotonic() + seconds
    while (opened := fleet.opened_at(name) or 0.0) < since:
        assert time.monotonic() < ends, fleet.log(name)
        time.sleep(0.05)
    return opened


def one_goes_dark_and_the_other_crashes(dark: Cluster, crashed: Cluster, fleet: FleetMonitor) -> tuple[float, float]:
    """A primary's host goes dark, which takes seconds to prove, and another's is killed meanwhile: when each was."""
    time.sleep(1.0)
    dark[1].power_off()
    off = time.time()
    time.sleep(0.5)
    killed = kill(crashed)
    wait_until_opened(fleet, "crashed", killed)
    verdict = fleet.verdict_at("crashed")
    assert verdict is not None
    assert verdict - killed < SOON
    assert writable(crashed) == ["db2"]
    assert dark[1].ip not in fleet.log("crashed")
    return off, verdict


def test_a_dead_host_of_one_cluster_delays_no_other() -> None:
    with (
        clusters(2) as (dark, crashed),
        watched(dark, [dark.write_cnf("dark"), crashed.write_cnf("crashed")]) as fleet,
    ):
        one_goes_dark_and_the_other_crashes(dark, crashed, fleet)


@pytest.mark.slow
def test_both_are_failed_over_and_each_is_stopped_alone() -> None:
    with clusters(2) as (dark, crashed):
        confs = [dark.write_cnf("dark"), crashed.write_cnf("crashed")]
        with watched(dark, confs) as fleet:
            off, verdict = one_goes_dark_and_the_other_crashes(dark, crashed, fleet)
            opened = wait_until_opened(fleet, "dark", off)
            assert verdict < (fleet.verdict_at("dark") or 0.0) < opened
            assert writable(dark) == ["db2"]
            fleet.wait_until_watching()
            stopped = dark.command("masterha_stop", f"--conf={confs[0]}")
            assert stopped.code == 0, stopped
            assert dark.command("masterha_check_status", f"--conf={confs[0]}").code == 2
            assert dark.command("masterha_check_status", f"--conf={confs[1]}").code == 0
            assert fleet.stop() == 0
            assert dark.command("masterha_check_status", f"--conf={confs[1]}").code == 2


@pytest.mark.slow
def test_one_place_is_given_by_priority_and_who_waited_is_looked_at_again() -> None:
    """Three die at once and one may be failed over at a time: while two wait, the last one's primary comes back."""
    with clusters(3) as made:
        first, important, back = made
        names = ("first", "important", "back")
        wait = {"first": "on_started=sleep 8\nabort_on=started\npriority=1"}
        confs = [
            cluster.write_cnf(name, default=wait.get(name, f"priority={900 if name == 'important' else 5}"))
            for cluster, name in zip(made, names, strict=True)
        ]
        with watched(first, confs, "--max-parallel-failovers", "1") as fleet:
            time.sleep(1.0)
            began = kill(first)
            fleet.wait_for("first", "Phase 1: Configuration Check Phase..")
            kill(back)
            fleet.wait_for("back", "waits for its turn")
            assert "it is number 1 of the 1 that wait" in fleet.log("back")
            kill(important)
            fleet.wait_for("important", "waits for its turn")
            assert "it is number 1 of the 2 that wait" in fleet.log("important")
            fleet.wait_for("back", "it is number 2 of the 2 that wait")
            back[1].start_mysqld()
            opened = [wait_until_opened(fleet, name, began) for name in ("first", "important")]
            assert opened == sorted(opened)
            fleet.wait_for("back", "is no longer dead")
            fleet.wait_until_watching()
            assert [writable(each) for each in made] == [["db2"], ["db2"], ["db1"]]
            assert fleet.opened_at("back") is None
            assert "looking again" in fleet.log("important")


@pytest.mark.slow
def test_files_come_and_go_and_a_wrong_one_is_in_nobodys_way() -> None:
    with clusters(2) as (one, two):
        directory = one.seat / "conf.d"
        directory.mkdir()
        conf = one.write_cnf("one")
        there = directory / "one.cnf"
        there.write_text(conf.read_text())
        (directory / "wrong.cnf").write_text("[server default]\nping_intervall=1\n[server1]\nhostname=10.9.9.9\n")
        late = two.write_cnf("two")
        fleet = FleetMonitor(one, [conf, late], "--conf-dir", str(directory))
        try:
            fleet.wait_until_watching(["one"])
            assert "wrong is not watched" in fleet.out.read_text()
            (directory / "two.cnf").write_text(late.read_text())
            fleet.wait_until_watching(["two"], seconds=20.0)
            there.unlink()
            until(lambda: not fleet.status("one"), fleet.out.read_text, 30.0)
            assert two.command("masterha_check_status", f"--conf={late}").code == 0
            killed = kill(two)
            wait_until_opened(fleet, "two", killed)
            assert writable(two) == ["db2"]
            assert writable(one) == ["db1"]
            # Stopped by masterha_stop it stays so, until it is asked for again.
            fleet.wait_until_watching(["two"])
            assert one.command("masterha_stop", f"--conf={late}").code == 0
            time.sleep(6.0)
            assert not fleet.status("two")
            fleet.process.send_signal(signal.SIGHUP)
            fleet.wait_until_watching(["two"])
        finally:
            fleet.stop()


@pytest.mark.slow
def test_a_process_that_ends_finishes_the_failover_that_runs() -> None:
    with clusters(2) as (one, two):
        confs = [one.write_cnf("one", default="on_started=sleep 3\nabort_on=started"), two.write_cnf("two")]
        with watched(one, confs) as fleet:
            began = kill(one)
            fleet.wait_for("one", "Phase 1: Configuration Check Phase..")
            stop = one.command("masterha_stop", f"--conf={confs[0]}")
            assert stop.code == 1, stop
            assert "Should not stop" in stop.output
            fleet.process.terminate()
            assert fleet.process.wait(30) == 0
            assert (fleet.opened_at("one") or 0.0) > began
            assert writable(one) == ["db2"]
            assert writable(two) == ["db1"]
