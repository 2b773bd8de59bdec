"""What a policy makes of means that work, that do not, and of a host that does not answer, in a whole failover."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer

# the policy, in a failover -------------------------------------------------------------------------------------------


def power_script(cluster: Cluster, code: int, *, off: bool = False, body: str = "") -> Path:
    """A `shutdown_script` that notes what it is called with; with ``off`` the host of db1 is really gone then."""
    path = cluster.seat / "power"
    kill = f"kill -9 {cluster[1]._pid}" if off else ""
    ready = 'case "$*" in *--command=status*) exit 0;; esac'
    path.write_text(f'#!/bin/sh\n{ready}\necho "$*" >>{path}.args\n{kill}\n{body}\nexit {code}\n')
    path.chmod(0o755)
    return path


def steps(workdir: Path) -> list[tuple[str, str]]:
    (journal,) = workdir.glob("*.failover-*.journal")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [(line["step"], line["event"]) for line in lines]


@pytest.mark.parametrize(
    ("power_first", "kind", "gtid"),
    [
        pytest.param(False, "mariadb", True, id="save-first"),
        pytest.param(True, "mariadb", True, id="power-first"),
        pytest.param(False, "mysql97", False, id="save-first-9.7-position", marks=pytest.mark.slow),
    ],
)
def test_the_tail_is_saved_before_the_power_goes(power_first: bool, kind: str, gtid: bool) -> None:
    """The replicas lack what the dead host's disk has, and the script takes that host away."""
    with Cluster(kind, gtid=gtid) as cluster:
        script = power_script(cluster, 0, off=True)
        policy = f"shutdown_script={script}\npower_first={int(power_first)}"
        manager = cluster.start_manager(cluster.write_cnf(default=policy))
        writer = Writer(cluster)
        time.sleep(0.8)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
            time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        result = account(writer.stop(), [cluster[2], cluster[3]])
        log = manager.log()
        assert result.equal, log
        assert "is powered off" in log
        order = [step for step, event in steps(manager.workdir) if event == "began"]
        saved, off = order.index("Save the dead primary's binary log"), order.index("Shut the old primary down")
        assert off < order.index("Open the new primary for writes")
        if power_first:
            assert off < saved
            assert result.rows_lost > 0
            assert "may be missing" in log
        else:
            assert saved < off
            assert result.rows_lost == 0, log
        assert Path(f"{script}.args").read_text().startswith("--command=stopssh --ssh_user=root")


@pytest.mark.slow
def test_policies_when_the_host_does_not_answer() -> None:
    """Refused without proof where proof is required; gone on and told where it is not; each script within its time."""
    with Cluster("mariadb", gtid=True) as cluster:
        script = power_script(cluster, 1)
        cluster[1].power_off()
        by_hand = ["--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0"]
        by_hand += ["--ignore_last_failover"]

        def fail_over(policy: str) -> tuple[int, str]:
            conf = cluster.write_cnf(default=f"hook_timeout=2\n{policy}\nmanager_log=")
            done = cluster.command("masterha_master_switch", f"--conf={conf}", *by_hand)
            return done.code, done.output

        code, told = fail_over("fence=ssh\nfence_required=ssh")
        assert code == 1
        assert "ssh is required, and it failed: SSH to" in told
        code, told = fail_over(f"fence=ssh, script:{script}\nfence_required=any")
        assert code == 1
        assert "proof is required, and there is none" in told
        assert "--command=stop ended with exit code 1" in told
        assert cluster[2].replica_status()["Replica_IO_Running"] != "No"
        code, told = fail_over(f"shutdown_script={script}")
        assert code == 1
        assert "shutdown_script is required, and it failed" in told
        assert not list(cluster.seat.glob("app1/*.held.jsonl"))

        power_script(cluster, 0, body="sleep 60")
        code, told = fail_over(f"fence=sql, script:{script}\nfence_required=any")
        assert code == 1
        assert "still running after 2 s" in told
        power_script(cluster, 1)
        code, told = fail_over(f"fence=ssh, ip, script:{script}")
        assert code == 0, told
        assert "could not be fenced: ssh: SSH to" in told
        assert "ip: the address was not released; script:" in told
        assert "Keep it off the network." in told


def test_a_script_that_only_kills_mysqld_leaves_ssh_for_the_rescue() -> None:
    """Exit 10, before the saving: what is on the dead host's disk is saved all the same."""
    with Cluster("mysql97", gtid=True) as cluster:
        script = power_script(cluster, 10)
        policy = f"fence=ssh, script:{script}\npower_first=1\nabort_on=fenced\non_fenced={cluster.seat}/agree"
        (cluster.seat / "agree").write_text(f"#!/bin/sh\ncat >{cluster.seat}/fenced.json\n")
        (cluster.seat / "agree").chmod(0o755)
        manager = cluster.start_manager(cluster.write_cnf(default=policy))
        writer = Writer(cluster)
        time.sleep(0.8)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0, manager.log()
        said = json.loads((cluster.seat / "fenced.json").read_text())
        assert said["facts"]["sure"] is True
        assert [m["means"] for m in said["facts"]["means"]] == ["ssh", f"script:{script}"]
        assert "lab-admin-pw" not in json.dumps(said)
