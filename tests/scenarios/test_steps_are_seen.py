"""Prefect shows the steps while they run, with their logs, as long as they took, and how often each was entered."""

from __future__ import annotations

import signal
import sys
import time
from datetime import datetime
from typing import Any

import pytest

from prefect_mha.replication.memory.journal import read_journal
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer, ask_api, standing_run
from tests.lab.sftp_gate import SftpGate
from tests.lab.writer import Writer
from tests.scenarios.test_standing_run import Prefect, until

SAVE, OPEN = "Save the dead primary's binary log", "Open the new primary for writes"
#: Seconds that the save takes, and that a task run's start may lie away from the journal's.
SLOW, APART = 5.0, 1.0


def seen(url: str, run: dict[str, Any], name: str, state: str, seconds: float = 30.0) -> dict[str, Any]:
    """The task run of that name, as soon as the API has it in that state."""
    ends = time.monotonic() + seconds
    while True:
        found = ask_api(url, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "limit": 200})
        mine = [task for task in found if task["name"] == name]
        if mine and mine[0]["state_type"] == state:
            return dict(mine[0])
        assert time.monotonic() < ends, [(task["name"], task["state_type"]) for task in found]
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [("mariadb", True), ("mysql97", True)])
def test_a_slow_save_is_seen_running_and_a_step_whose_session_broke_was_run_twice(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf, url = cluster.write_cnf(candidate=2), server.api_url
        workdir = conf.with_suffix("")
        words = ("-m", "tests.lab.breaking", OPEN, "masterha_manager", f"--conf={conf}")
        with (cluster.seat / "manager.out").open("w") as out:
            manager = cluster.run_there(sys.executable, *words, env={"PREFECT_API_URL": url}, out=out)
        try:
            until(workdir / "manager.log", "waiting until MySQL doesn't respond")
            run = standing_run(url)
            writer = Writer(cluster)
            for number in (3, 2):
                cluster.stop_receiver(cluster[number])
            cluster[1].sql("INSERT INTO app.rows_written VALUES (99, 1, 1, 'only there')")
            gate = SftpGate(cluster[1])
            cluster[1].signal_mysqld(signal.SIGKILL)
            gate.wait()
            saving = seen(url, run, SAVE, "RUNNING")
            began = datetime.fromisoformat(saving["start_time"]).timestamp()
            # Its log is on its own page while it runs: not when it is over.
            asked = {"logs": {"task_run_id": {"any_": [saving["id"]]}}}
            ends = time.monotonic() + 30
            while not ask_api(url, "/logs/filter", asked):
                assert time.monotonic() < ends, "a step that runs has no log"
                time.sleep(0.1)
            assert seen(url, run, SAVE, "RUNNING")["id"] == saving["id"]
            while time.time() < began + SLOW:
                time.sleep(0.05)
            gate.open()
            assert manager.wait(90) == 0, (workdir / "manager.log").read_text()
            acks = writer.stop()
        finally:
            manager.kill()
            manager.wait(10)
        prefect = Prefect(cluster, url)
        ended = prefect.ended(run["id"], last="Report")
        tasks = {task["name"]: task for task in prefect.tasks(ended)}
        assert {task["state_type"] for task in tasks.values()} == {"COMPLETED"}
        assert {name for name, task in tasks.items() if task["run_count"] > 1} == {OPEN}
        assert tasks[OPEN]["run_count"] == 2
        assert tasks[SAVE]["total_run_time"] >= SLOW
        (journal,) = workdir.glob("*.failover-*.journal")
        wrote = {(entry.step, entry.event): entry.at for entry in read_journal(journal)}
        for name in (SAVE, OPEN):
            start = datetime.fromisoformat(tasks[name]["start_time"]).timestamp()
            assert abs(start - wrote[name, "began"]) < APART
            took = wrote[name, "done"] - wrote[name, "began"]
            assert abs(tasks[name]["total_run_time"] - took) < APART + (0.2 if name == OPEN else 0.0)
        assert account(acks, [cluster[2], cluster[3]]).rows_lost == 0
        assert cluster[3].sql("SELECT COUNT(*) AS n FROM app.rows_written WHERE writer = 99")[0]["n"] == 1
