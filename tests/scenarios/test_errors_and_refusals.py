"""What must not lead to a failover, and what must be told: each error is one clear sentence, and nothing is changed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.kinds import ADMIN
from tests.lab.writer import Writer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One MariaDB cluster that every test of this module leaves as it found it."""
    with Cluster("mariadb", gtid=True) as shared:
        yield shared


def shape(cluster: Cluster) -> list[Any]:
    """Everything a failover would change on the servers."""
    seen: list[Any] = []
    for host in cluster.hosts:
        status = host.replica_status()
        kept = {k: status.get(k) for k in ("Source_Host", "Replica_IO_Running", "Replica_SQL_Running", "Using_Gtid")}
        seen.append((kept, host.sql("SELECT @@global.read_only AS r")))
    return seen


def refused(
    cluster: Cluster, *options: str, conf: Path, says: str, code: int = 1, name: str = "masterha_manager"
) -> str:
    """The command ends with that code and says that, and the servers are as before."""
    before = shape(cluster)
    log = conf.with_suffix("") / "manager.log"
    log.unlink(missing_ok=True)
    done = cluster.command(name, f"--conf={conf}", *options)
    told = done.output + (log.read_text() if log.exists() else "")
    assert done.code == code, told
    assert says in told, told
    assert "Traceback" not in told
    assert shape(cluster) == before
    return told


def test_wrong_password(cluster: Cluster) -> None:
    told = refused(cluster, conf=cluster.write_cnf("wrong", password="not it"), says="error 1045: Access denied")
    assert f"for user '{ADMIN}'" in told
    assert "not it" not in told


def test_unreachable_hosts(cluster: Cluster) -> None:
    conf = cluster.write_cnf("far")
    conf.write_text(conf.read_text().replace(f"{cluster.subnet.prefix}.1", f"{cluster.subnet.prefix}.9"))
    refused(cluster, conf=conf, says="There is no alive server in far")


def test_no_replica(cluster: Cluster) -> None:
    conf = cluster.write_cnf("alone")
    text = conf.read_text()
    conf.write_text(text[: text.index("[server2]")])
    refused(cluster, conf=conf, says="no reachable server replicates from a configured one")


def test_unknown_key(cluster: Cluster) -> None:
    conf = cluster.write_cnf("misspelt", default="ping_intervall=1")
    told = refused(cluster, conf=conf, says="did you mean 'ping_interval'?", code=2)
    assert f"{conf}:" in told


def test_unknown_option(cluster: Cluster) -> None:
    refused(cluster, "--ignore_last_failovre", conf=cluster.write_cnf(), says="did you mean", code=2)


def test_a_second_manager_of_the_same_cluster(cluster: Cluster) -> None:
    manager = cluster.start_manager(cluster.write_cnf())
    try:
        refused(cluster, conf=cluster.write_cnf("other"), says="another manager holds the monitor lock")
        done = cluster.command("masterha_check_status", f"--conf={cluster.seat}/app1.cnf")
        assert done.code == 0
        assert f"is running(0:PING_OK), master:{cluster[1].ip}" in done.output
        stopped = cluster.command("masterha_stop", f"--conf={cluster.seat}/app1.cnf")
        assert (stopped.code, stopped.output.strip()) == (0, "Stopped app1 successfully.")
        assert manager.wait(10) == 0
        done = cluster.command("masterha_check_status", f"--conf={cluster.seat}/app1.cnf")
        assert (done.code, done.output.strip()) == (2, "app1 is stopped(2:NOT_RUNNING).")
    finally:
        manager.stop()


def test_a_primary_that_lives_is_not_failed_over_by_hand(cluster: Cluster) -> None:
    options = ["--master_state=dead", f"--dead_master_host={cluster[1].ip}", "--interactive=0"]
    refused(cluster, *options, conf=cluster.write_cnf("hand"), says="Stop failover", name="masterha_master_switch")


def test_a_name_that_is_no_server(cluster: Cluster) -> None:
    options = ["--master_state=dead", "--dead_master_host=db77", "--interactive=0"]
    refused(cluster, *options, conf=cluster.write_cnf("hand"), says="is not a server of", name="masterha_master_switch")


def hook(cluster: Cluster, name: str, body: str) -> Path:
    """An executable script in the manager's seat that notes its arguments in NAME.args, and is ready when asked."""
    path = cluster.seat / name
    ready = 'case "$*" in *--command=status*) exit 0;; esac'
    path.write_text(f'#!/bin/sh\n{ready}\nprintf "%s\\n" "$*" >>{path}.args\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("body", "says"),
    [("exit 1", "--command=stopssh: exit code 1"), ("sleep 600", "still running after 2 s")],
    ids=["exit-1", "never-ends"],
)
def test_a_broken_hook_aborts_before_anything_is_promoted(body: str, says: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        script = hook(cluster, "vip", body)
        conf = cluster.write_cnf(default=f"master_ip_failover_script={script}\nhook_timeout=2")
        manager = cluster.start_manager(conf)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 1, manager.log()
        assert says in manager.log()
        assert (manager.workdir / "app1.failover.error").exists()
        for number in (2, 3):
            assert cluster[number].replica_status()["Source_Host"] == cluster[1].ip
            assert int(cluster[number].sql("SELECT @@global.read_only AS r")[0]["r"]) == 1
        # The primary comes back: replication goes on as if nothing had been.
        cluster[1].start_mysqld()
        deadline = time.monotonic() + 20
        while cluster[2].replica_status()["Replica_IO_Running"] != "Yes":
            assert time.monotonic() < deadline, cluster[2].replica_status()
            time.sleep(0.2)


def test_hooks_get_the_arguments_that_old_scripts_expect() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        vip, power, mail = hook(cluster, "vip", "exit 0"), hook(cluster, "power", "exit 10"), hook(cluster, "mail", "")
        manager = cluster.start_manager(
            cluster.write_cnf(default=f"master_ip_failover_script={vip}\nshutdown_script={power}\nreport_script={mail}")
        )
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        old, new = cluster[1].ip, cluster[2].ip
        calls = Path(f"{vip}.args").read_text().splitlines()
        orig = f"--orig_master_host={old} --orig_master_ip={old} --orig_master_port=3306"
        assert calls[0].startswith(f"{orig} --command=stopssh --ssh_user=root"), calls
        assert calls[1].startswith(
            f"--command=start --ssh_user=root {orig} --new_master_host={new} --new_master_ip={new} "
            "--new_master_port=3306 --new_master_user=mha --new_master_password=lab-admin-pw"
        ), calls
        power_call = Path(f"{power}.args").read_text()
        assert power_call.startswith(f"--command=stopssh --ssh_user=root --host={old} --ip={old} --port=3306"), (
            power_call
        )
        report = Path(f"{mail}.args").read_text()
        assert f"--orig_master_host={old} --new_master_host={new} --new_slave_hosts={cluster[3].ip}" in report
        assert "completed successfully." in report
        assert "lab-admin-pw" not in manager.log()


def test_too_early_after_the_last_failover() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf()
        conf.with_suffix("").mkdir()
        (conf.with_suffix("") / "app1.failover.complete").touch()
        manager = cluster.start_manager(conf)
        assert "Failovers are refused for the next 480 minutes" in manager.log(), "who starts it is told"
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 1
        assert "too early to do failover again" in manager.log()
        assert cluster[2].replica_status()["Source_Host"] == cluster[1].ip


def test_by_hand_dry_run_changes_nothing_then_the_real_one_works() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        writer = Writer(cluster)
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        acks = writer.stop()
        by_hand = ["--master_state=dead", f"--conf={conf}", f"--dead_master_host={cluster[1].ip}"]
        dry = cluster.command("masterha_master_switch", *by_hand, "--dry-run")
        assert dry.code == 0, dry
        assert f"open {cluster[2].ip}({cluster[2].ip}:3306) for writes" in dry.output
        asked = cluster.command("masterha_master_switch", *by_hand)
        assert asked.code == 1, asked
        assert "nothing was changed" in asked.output
        untouched = cluster[2].replica_status()
        assert (untouched["Source_Host"], untouched["Replica_SQL_Running"]) == (cluster[1].ip, "Yes")
        forced = cluster.command(
            "masterha_master_switch", *by_hand, "--interactive=0", f"--new_master_host={cluster[3].ip}"
        )
        assert forced.code == 0, forced
        assert cluster[2].replica_status()["Source_Host"] == cluster[3].ip
        assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0


def test_a_password_of_every_awkward_character() -> None:
    """In the configuration, on our sessions, and through mysqlbinlog | mysql; never on a command line or in a file."""
    password = "\"'\\!=#&;` |*?$<>()[]{} x"
    with Cluster("mysql97", gtid=True) as cluster:
        cluster[1].sql("ALTER USER %s@'%%' IDENTIFIED BY %s", (ADMIN, password))
        time.sleep(0.5)
        for host in cluster.hosts:
            host.password = password
        manager = cluster.start_manager(cluster.write_cnf(password=password))
        writer = Writer(cluster)
        time.sleep(0.5)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        time.sleep(0.5)
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        assert account(writer.stop(), [cluster[2], cluster[3]]).rows_lost == 0
        for path in manager.workdir.rglob("*"):
            if path.is_file():
                assert password.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_caching_sha2_after_a_restart_with_an_empty_cache_and_required_tls() -> None:
    with Cluster("mysql97", gtid=True) as cluster:
        cluster[1].sql("ALTER USER %s@'%%' REQUIRE SSL", (ADMIN,))
        time.sleep(0.5)
        for host in cluster.hosts[1:]:
            host.signal_mysqld(signal.SIGTERM)
            while host.mysqld_pids():
                time.sleep(0.1)
            host.start_mysqld()
            host.sql("START REPLICA")
        manager = cluster.start_manager(cluster.write_cnf())
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(40) == 0, manager.log()
        assert cluster[3].replica_status()["Source_Host"] == cluster[2].ip
