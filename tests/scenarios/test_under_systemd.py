"""The units that `mha init` writes, under a real systemd: readiness, the watchdog, a failover within their walls."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from prefect_mha.config.editing.starter import EXAMPLES
from tests.lab.booted import Booted, missing
from tests.lab.cluster import Cluster
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "it is here")]

UNIT = "mha@app1"


def files(cluster: Cluster, default: str = "", drop_in: str = "") -> dict[str, str]:
    conf = cluster.write_cnf(default=default, candidate=2).read_text()
    conf = conf.replace(f"{cluster.seat}/app1/manager.log", "/var/log/mha/app1.log")
    conf = conf.replace(f"manager_workdir={cluster.seat}/app1", "manager_workdir=/var/lib/mha/app1")
    # PrivateTmp hides the seat, and SSH is to work within the walls.
    conf = conf.replace(f"{cluster.seat}/.ssh/", "/etc/mha/")
    ssh = {f"etc/mha/{name}": (cluster.seat / ".ssh" / name).read_text() for name in ("id_ed25519", "known_hosts")}
    units = {f"etc/systemd/system/{unit.name}": unit.read_text() for unit in EXAMPLES.glob("*.service")}
    more = {"etc/systemd/system/mha@.service.d/lab.conf": f"[Service]\n{drop_in}\n"} if drop_in else {}
    return {"etc/mha/app1.cnf": conf, **ssh, **units, **more}


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        pytest.param("mariadb", UNIT, id="mariadb-gtid"),
        pytest.param("mysql97", UNIT, id="9.7-gtid"),
        pytest.param("mariadb", "mha-monitor", id="all-of-a-directory"),
    ],
)
def test_a_start_that_returned_is_a_watch_that_fails_over_within_its_walls(kind: str, unit: str) -> None:
    with Cluster(kind, gtid=True) as cluster, Booted(cluster, files(cluster)) as machine:
        machine.run(f"systemctl start {unit}")
        first = machine.shows(unit, "MainPID")
        assert machine.shows(unit, "StatusText") == f"app1: 0:PING_OK {cluster[1].ip}"
        writer = Writer(cluster)
        until(lambda: len(writer.acks()) > 50, "no rows")
        cluster[1].signal_mysqld(signal.SIGKILL)
        until(lambda: cluster[2].ip in machine.shows(unit, "StatusText"), "no failover", 60)
        until(lambda: "0:PING_OK" in machine.shows(unit, "StatusText"), "no watch of the new primary", 60)
        try:
            assert_survivors_agree(cluster, writer.stop(), 2, (3,))
        except AssertionError:
            # The machine goes, and its log with it.
            print(machine.run("cat /var/log/mha/app1.log"))
            raise
        assert "ssh (proof): " in machine.run("cat /var/log/mha/app1.log")
        assert (machine.shows(unit, "MainPID"), machine.shows(unit, "NRestarts")) == (first, "0")
        machine.run(f"systemctl stop {unit}")
        assert machine.shows(unit, "Result") == "success"


def test_a_watch_that_stands_still_is_ended_and_begun_anew() -> None:
    with Cluster("mariadb", gtid=True) as cluster, Booted(cluster, files(cluster, drop_in="WatchdogSec=3")) as machine:
        machine.run(f"systemctl start {UNIT}")
        first = machine.shows(UNIT, "MainPID")
        machine.run(f"kill -STOP {first}")
        until(lambda: machine.shows(UNIT, "NRestarts") == "1", "it was not begun anew", 60)
        until(lambda: machine.shows(UNIT, "ActiveState") == "active", "it did not get ready again", 60)
        assert machine.shows(UNIT, "MainPID") != first
        assert "0:PING_OK" in machine.shows(UNIT, "StatusText")


def test_a_failover_that_takes_many_times_the_watchdogs_time_is_not_shot_in_its_middle(tmp_path: Path) -> None:
    script = "#!/bin/sh\ncase $* in *--command=start*) sleep 8 ;; esac\n"
    hook = "master_ip_failover_script=/opt/mha/bin/slow_address"
    with Cluster("mariadb", gtid=True) as cluster:
        there = {**files(cluster, hook, "WatchdogSec=2"), "opt/mha/bin/slow_address": script}
        with Booted(cluster, there) as machine:
            machine.run(f"systemctl start {UNIT}")
            cluster[1].signal_mysqld(signal.SIGKILL)
            until(lambda: f"0:PING_OK {cluster[2].ip}" in machine.shows(UNIT, "StatusText"), "no failover", 90)
            assert machine.shows(UNIT, "NRestarts") == "0"


def test_the_wrong_file_is_told_and_tried_again() -> None:
    with Cluster("mariadb", gtid=True, up=False) as cluster:
        wrong = {**files(cluster), "etc/mha/app1.cnf": "[server default]\npasword=x\n[server1]\nhostname=127.0.0.1\n"}
        with Booted(cluster, wrong) as machine:
            with pytest.raises(RuntimeError):
                machine.run(f"systemctl start {UNIT}")
            assert "did you mean 'password'" in machine.run(f"journalctl -u {UNIT}")


@pytest.mark.parametrize("unit", sorted(EXAMPLES.glob("*.service")), ids=lambda path: path.name)
def test_no_unit_is_laxer_than_it_was(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-600:]
