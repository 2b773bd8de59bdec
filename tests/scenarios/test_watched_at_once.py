"""A manager watches from its first second on: one that dies while the checks of the start are made is failed over."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.faults import broken
from tests.lab.waiting import until
from tests.lab.writer import Writer, gap

pytestmark = pytest.mark.slow
KINDS = [pytest.param("mariadb", True, id="mariadb-gtid"), pytest.param("mysql97", True, id="9.7-gtid")]


def slow_to_check(cluster: Cluster, answer: int) -> tuple[Path, Path, Path]:
    """A script of the site that is asked for its state, tells that it was, and answers when it may."""
    asked, may_end, script = cluster.seat / "asked", cluster.seat / "may-end", cluster.seat / "master_ip_failover"
    script.write_text(
        f"#!/bin/sh\ncase $* in *--command=status*) touch {asked}; while [ ! -e {may_end} ]; do sleep 0.05; done; "
        f"exit {answer};; esac\n"
    )
    script.chmod(0o755)
    return script, asked, may_end


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_primary_that_dies_while_the_checks_are_made_is_failed_over(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        script, asked, _ = slow_to_check(cluster, 0)
        conf = cluster.write_cnf(candidate=2, default=f"master_ip_failover_script={script}\nhook_timeout=30")
        writer = Writer(cluster)
        words = ("-m", "prefect_mha.commands.masterha_manager", f"--conf={conf}")
        process = cluster.run_there(sys.executable, *words)
        until(asked.exists, f"{asked} is not there")
        log = conf.with_suffix("") / "manager.log"
        assert "answers a ping" in log.read_text()
        with broken(cluster[1], "kill -9") as struck:
            assert process.wait(25) == 0, log.read_text()
            time.sleep(0.5)
            acks = writer.stop()
        said = log.read_text()
        assert "The checks at the start are skipped" in said
        assert "waiting until MySQL doesn't respond" not in said
        assert gap(acks, struck) < 10.0
        result = account(acks, [cluster[2], cluster[3]], seconds=15.0)
        assert (result.rows_lost, result.split) == (0, False)
        (journal,) = log.parent.glob("*.failover-*.journal")
        assert any(e.step.startswith("Open the new") and e.event == "done" for e in read_journal(journal))


def test_a_check_that_fails_late_still_refuses_the_watch_and_nothing_was_done() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        script, asked, may_end = slow_to_check(cluster, 1)
        conf = cluster.write_cnf(default=f"master_ip_failover_script={script}\nhook_timeout=30")
        process = cluster.run_there(sys.executable, "-m", "prefect_mha.commands.masterha_manager", f"--conf={conf}")
        until(asked.exists, f"{asked} is not there")
        status = cluster.command("masterha_check_status", f"--conf={conf}")
        assert "10:INITIALIZING_MONITOR" in status.output, status
        may_end.touch()
        assert process.wait(30) == 1
        said = (conf.with_suffix("") / "manager.log").read_text()
        assert "is not watched: " in said
        assert "waiting until MySQL doesn't respond" not in said
        assert not list(conf.with_suffix("").glob("*.journal"))
