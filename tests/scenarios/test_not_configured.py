"""A replica that nobody configured is told by everything that would leave it behind, with how to add it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.failing_over import kinds

KINDS = kinds("mariadb-gtid", slow=("9.7-gtid", "5.6-position"))


def check(cluster: Cluster, conf: Path) -> dict[str, object]:
    done = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=json")
    told = json.loads(done.output[done.output.index("{\n") :])
    (found,) = [each for each in told["checks"] if each["name"] == "replica-configured"]
    assert done.code == 0, told
    return dict(found)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_replica_that_nobody_configured_is_told_by_whatever_would_leave_it_behind(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, n=4) as cluster:
        conf, stranger = cluster.write_cnf(candidate=2, apart=(4,)), cluster[4].ip
        sentence = f"{stranger}:3306 (server_id 104) replicates from {cluster[1].ip}({cluster[1].ip}:3306)"
        found = check(cluster, conf)
        assert sentence in str(found["text"])
        add = str(found["hint"]).split("`")[1]
        assert sentence in cluster.command("mha", "topology", "--conf", str(conf)).output

        to_second = ("--master_state=alive", f"--conf={conf}", f"--new_master_host={cluster[2].ip}")
        planned = cluster.command("masterha_master_switch", *to_second, "--interactive=0", "--dry_run")
        assert planned.code == 0, planned
        assert sentence in planned.output
        done = cluster.command("masterha_master_switch", *to_second, "--interactive=0", "--orig_master_is_new_slave")
        assert done.code == 0, done
        assert sentence in done.output[done.output.index("Planned Switch Report") :]
        # It was left behind: it follows one that is a replica now.
        left = f"{stranger}:3306 (server_id 104) replicates from {cluster[1].ip}({cluster[1].ip}:3306)"
        assert left in str(check(cluster, conf)["text"])

        conf.write_text(conf.read_text().replace("candidate_master=1", ""))
        manager = cluster.start_manager(conf, "--ignore_last_failover")
        time.sleep(1.0)
        cluster[2].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        report = manager.log()[manager.log().index("Failover Report") :]
        assert left in report
        assert "it is left as it is" in report

        # And whoever plans one by hand reads it beforehand.
        new = next(host for host in (cluster[1], cluster[3]) if host.replica_status() == {})
        new.signal_mysqld(signal.SIGKILL)
        planned = cluster.command("mha", "failover", "--conf", str(conf), "--dry-run")
        assert planned.code == 0, planned
        assert left in planned.output

        # As the hint says.
        name, *options = add.split(maxsplit=4)
        done = cluster.command(name, *(option.replace('"', "") for option in options))
        assert done.code == 0, done
        assert f"hostname={stranger}" in conf.read_text() or f"hostname = {stranger}" in conf.read_text()
