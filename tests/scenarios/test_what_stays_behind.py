"""The old primary and the address: the statement offered for it works as it stands, and nothing left behind is OK."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import REPL
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds

FIVE = kinds("mariadb-gtid", slow=("9.7-gtid", "5.6-position", "9.7-position", "mariadb-position"))
OTHER, OTHER_PASSWORD = "follower", "follower-pw"


def with_another_account(cluster: Cluster, **more: Any) -> Path:
    """The replicas go on with theirs; whoever is to become one shall use this one, as the configuration says."""
    how = " WITH caching_sha2_password" if cluster.kind.modern else ""
    cluster[1].sql(f"CREATE USER {OTHER}@'%' IDENTIFIED{how} BY '{OTHER_PASSWORD}'")
    cluster[1].sql(f"GRANT REPLICATION SLAVE ON *.* TO {OTHER}@'%'")
    conf = cluster.write_cnf(**more)
    text = conf.read_text().replace(f"repl_user={REPL}\n", f"repl_user={OTHER}\n")
    conf.write_text(re.sub(r"repl_password=.*", f"repl_password={OTHER_PASSWORD}", text))
    return conf


def offered(log: str) -> str:
    """As the seeds find it: the last line with CHANGE MASTER TO, from the statement on."""
    line = [each for each in log.splitlines() if "CHANGE MASTER TO" in each][-1]
    assert f"'{OTHER}'" in line, line
    assert OTHER_PASSWORD not in log
    begins = line.index("SET GLOBAL") if "SET GLOBAL" in line else line.index("CHANGE ")
    return line[begins:].replace("'xxx'", f"'{OTHER_PASSWORD}'")


def typed(cluster: Cluster, old: Host, statement: str) -> None:
    """A person types it and starts replication."""
    word = cluster.kind.word("REPLICA", "SLAVE")
    for each in statement.split("; "):
        old.sql(each)
    old.sql("SET GLOBAL read_only=1")
    old.sql(f"START {word}")


def fresh_log(host: Host) -> str:
    """The name of a binary log that begins now: what was executed before can be purged."""
    host.sql("FLUSH BINARY LOGS")
    return str(host.sql("SHOW BINARY LOGS")[-1]["Log_name"])


def follows(replica: Host, primary: Host, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while True:
        status = replica.replica_status()
        running = (status.get("Replica_IO_Running"), status.get("Replica_SQL_Running"))
        if running == ("Yes", "Yes"):
            break
        assert time.monotonic() < ends, status
        time.sleep(0.1)
    assert (status["Source_Host"], status["Source_User"]) == (primary.ip, OTHER)


def equal_within(acks: list[Any], cluster: Cluster, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not (result := account(acks, cluster.hosts)).equal or result.rows_lost:
        assert time.monotonic() < ends, (result, [host.replica_status() for host in cluster.hosts])
        time.sleep(0.3)


@pytest.mark.parametrize(("kind", "gtid"), FIVE)
def test_the_statement_offered_for_the_old_primary_works_as_it_stands(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = with_another_account(cluster, candidate=3)
        writer = Writer(cluster, seconds=120.0, interval=0.02)
        time.sleep(1.0)
        begins = fresh_log(cluster[2])
        words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", f"--new_master_host={cluster[2].ip}")
        done = cluster.command("masterha_master_switch", *words)
        assert done.code == 0, done
        time.sleep(1.0)
        # Where the old one would have to begin if only what it received once counted.
        cluster[2].sql(f"PURGE BINARY LOGS TO '{begins}'")
        typed(cluster, cluster[1], offered(done.output))
        follows(cluster[1], cluster[2])

        # And when the new one dies, for that one: it was a replica before it was a primary.
        begins = fresh_log(cluster[3])
        manager = cluster.start_manager(conf, "--ignore_last_failover")
        time.sleep(1.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        time.sleep(1.0)
        acks = writer.stop()
        assert cluster[3].replica_status() == {}
        cluster[3].sql(f"PURGE BINARY LOGS TO '{begins}'")
        cluster[2].start_mysqld("--read-only=1")
        typed(cluster, cluster[2], offered(manager.log()))
        follows(cluster[2], cluster[3])
        equal_within(acks, cluster)


# the address ---------------------------------------------------------------------------------------------------------


def script(cluster: Cluster, name: str, body: str) -> Path:
    path = cluster.seat / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{path}.args\n{body}\n')
    path.chmod(0o755)
    return path


def test_a_switch_that_leaves_the_address_behind_does_not_end_well() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        ways = {
            "ten": 'case "$1" in *start) exit 10;; esac',
            "dies": 'case "$1" in *start) kill -9 $$;; esac',
            "fails": 'case "$1" in *start) exit 3;; esac',
        }
        to = 2
        for name, body in ways.items():
            hook = script(cluster, f"hook-{name}", body)
            conf = cluster.write_cnf(name, default=f"master_ip_online_change_script={hook}")
            words = ("--master_state=alive", f"--conf={conf}", "--interactive=0", "--orig_master_is_new_slave")
            done = cluster.command("masterha_master_switch", *words, f"--new_master_host={cluster[to].ip}")
            assert done.code == 10, (name, done)
            report = done.output[done.output.index("Planned Switch Report") :]
            assert re.search(r"^ERROR: .*(address|script|exit code)", report, re.MULTILINE | re.IGNORECASE), report
            assert "completed successfully" not in done.output
            stop, start = Path(f"{hook}.args").read_text().splitlines()
            assert "--command=stop --ssh_user=root --orig_master_host=" in stop
            assert "--command=start --ssh_user=root --orig_master_host=" in start
            to = 3 - to


@pytest.mark.slow
def test_a_failover_whose_script_did_not_give_the_address_ends_with_ten() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        hook = script(cluster, "vip", 'case "$1" in *start) exit 10;; esac')
        manager = cluster.start_manager(cluster.write_cnf(default=f"master_ip_failover_script={hook}"))
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 10, manager.log()
        report = manager.log()[manager.log().index("Failover Report") :]
        assert "Address: ERROR: script: exit code 10: the script did not give the address" in report
