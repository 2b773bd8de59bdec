"""masterha_manager does not watch what it could not fail over, and says why; `mha monitor` watches and tells."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster, Done
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.scenarios.failing_over import kinds
from tests.scenarios.watching import Monitor

KINDS = kinds("mariadb-gtid", slow=("9.7-gtid", "5.6-position"))


def refused(cluster: Cluster, *options: str, conf: Path | None = None) -> Done:
    """A manager that ends with 1 by itself, without having watched, and whose terminal says why."""
    conf = conf or cluster.write_cnf()
    log = conf.with_suffix("") / "manager.log"
    before = log.read_text() if log.exists() else ""
    done = cluster.command("masterha_manager", f"--conf={conf}", *options)
    told = log.read_text()[len(before) :]
    assert done.code == 1, (done, told)
    assert "waiting until MySQL doesn't respond" not in told
    assert "checks say" in done.output or "checks says" in done.output, done
    assert f"The log is {log}." in done.output
    assert all(line.strip() in told for line in done.output.splitlines()[:-1] if line.startswith("  ")), (done, told)
    return done


def repl_says(cluster: Cluster, conf: Path | None = None) -> int:
    return cluster.command("masterha_check_repl", f"--conf={conf or cluster.write_cnf()}").code


def runs(host: Host) -> bool:
    status = host.replica_status()
    return (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running")) == ("Yes", "Yes")


def word(cluster: Cluster) -> str:
    return cluster.kind.word("REPLICA", "SLAVE")


def watches(cluster: Cluster, *options: str, conf: Path | None = None) -> None:
    manager = cluster.start_manager(conf or cluster.write_cnf(), *options)
    manager.stop()


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_cluster_that_cannot_fail_over_is_not_watched(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        # An applier that is stopped: waived only where ignore_fail and the option meet.
        cluster[3].sql(f"STOP {word(cluster)} SQL_THREAD")
        assert "applier-runs" in refused(cluster).output
        assert repl_says(cluster) == 1
        may_fail = cluster.write_cnf(servers={3: "ignore_fail=1"})
        assert cluster[3].ip in refused(cluster, conf=may_fail).output
        assert cluster[3].ip in refused(cluster, "--ignore_fail_on_start", conf=cluster.write_cnf()).output
        watches(cluster, "--ignore_fail_on_start", conf=cluster.write_cnf(servers={3: "ignore_fail=1"}))
        watches(cluster, conf=cluster.write_cnf(default="start_checks=warn"))
        cluster[3].sql(f"START {word(cluster)} SQL_THREAD")

        # Nobody to promote.
        nobody = cluster.write_cnf(servers={2: "no_master=1", 3: "no_master=1"})
        assert "candidate" in refused(cluster, conf=nobody).output
        assert repl_says(cluster, nobody) == 1

        # No way into a host; the option waives it.
        cluster[2].run("mv /root/.ssh/authorized_keys /root/.ssh/put-aside")
        assert "ssh" in refused(cluster).output
        watches(cluster, "--skip_check_ssh")
        cluster[2].run("mv /root/.ssh/put-aside /root/.ssh/authorized_keys")

        # A tier that nobody declared.
        cluster[3].sql(f"STOP {word(cluster)}")
        cluster[3].sql(cluster.kind.word("RESET REPLICA ALL", "RESET SLAVE ALL"))
        cluster.follow(cluster[3], cluster[2])
        until(lambda: runs(cluster[3]))
        assert re.search(rf"tier: {cluster[3].ip}", refused(cluster).output)
        assert repl_says(cluster) == 1
        watches(cluster, conf=cluster.write_cnf(default="multi_tier_slave=1"))

        # Two that take writes.
        cluster[3].sql(f"STOP {word(cluster)}")
        cluster[3].sql(cluster.kind.word("RESET REPLICA ALL", "RESET SLAVE ALL"))
        cluster[3].sql("SET GLOBAL read_only=0")
        done = refused(cluster)
        assert "takes writes, beside the primary" in done.output
        assert repl_says(cluster) == 1

        # A replica that is dead.
        cluster[3].signal_mysqld(9)
        assert "server-answers" in refused(cluster).output
        assert repl_says(cluster) == 1
        watches(cluster, "--ignore_fail_on_start", conf=cluster.write_cnf(servers={3: "ignore_fail=1"}))


@pytest.mark.slow
def test_replicas_that_leave_out_different_things_are_not_watched() -> None:
    with Cluster("mariadb", gtid=True, extra={3: "replicate_ignore_db=audit"}) as cluster:
        assert "replication-filters" in refused(cluster).output
        assert repl_says(cluster) == 1
        watches(cluster, conf=cluster.write_cnf(default="check_repl_filter=0"))


def test_mha_monitor_watches_all_the_same_and_tells() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        told = cluster.seat / "told"
        script = cluster.seat / "on_check_failed"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$MHA_TEXT" >>{told}\n')
        script.chmod(0o755)
        cluster[3].sql("STOP SLAVE SQL_THREAD")
        conf = cluster.write_cnf(default=f"on_check_failed={script}")
        monitor = Monitor(cluster, conf)
        try:
            monitor.wait_for("applier-runs: ")
            monitor.wait_for("died now")
            until(lambda: told.exists() and "applier-runs" in told.read_text())
            assert "PING_OK" in (monitor.workdir / "app1.master_status.health").read_text()
        finally:
            monitor.stop()


# terminals -----------------------------------------------------------------------------------------------------------


def on_a_terminal(cluster: Cluster, name: str, *options: str) -> tuple[int, str]:
    """Run a command as if somebody sat there; exit code and what is seen."""
    ours, theirs = pty.openpty()
    home = {"HOME": str(cluster.seat), "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    process = subprocess.Popen(
        ["ip", "netns", "exec", cluster.subnet.manager, sys.executable, "-m", f"prefect_mha.commands.{name}", *options],
        env=home, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    return process.wait(60), seen.decode()


def test_no_command_leaves_the_terminal_blank() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        wrong = cluster.write_cnf("wrong", password="not-this-one")
        log = f"The log is {wrong.with_suffix('')}/manager.log."
        for command, *options in (
            ("masterha_manager",),
            ("masterha_master_monitor",),
            ("masterha_master_switch", "--master_state=alive", "--interactive=0"),
            ("masterha_master_switch", "--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0"),
        ):
            done = cluster.command(command, f"--conf={wrong}", *options)
            assert done.code == 1, (command, done)
            assert "1045" in done.output, (command, done)
            assert "not-this-one" not in done.output
            if command == "masterha_manager":
                assert log in done.output

        right = cluster.write_cnf()
        code, seen = on_a_terminal(cluster, "masterha_manager", f"--conf={wrong}")
        assert code == 1
        assert " - [info] MHA::MasterMonitor version" in seen
        assert seen.count("Error happened on monitoring servers") == 1, seen
        words = ("--master_state=alive", f"--new_master_host={cluster[2].ip}", "--orig_master_is_new_slave")
        done = cluster.command("masterha_master_switch", f"--conf={right}", "--interactive=0", *words)
        assert done.code == 0, done
        assert f"Switching master to {cluster[2].ip}({cluster[2].ip}:3306) completed successfully." in done.output
        file = (right.with_suffix("") / "manager.log").read_text()
        assert "completed successfully." in file
        cluster[2].signal_mysqld(9)
        dead = ("--master_state=dead", f"--dead_master_host={cluster[2].ip}", "--interactive=0")
        done = cluster.command("masterha_master_switch", f"--conf={right}", *dead)
        assert re.search(r"Master failover to \S+ (completed successfully|done, but)", done.output), done
        assert f"The log is {right.with_suffix('')}/manager.log." in done.output
