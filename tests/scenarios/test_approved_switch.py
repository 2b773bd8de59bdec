"""A planned switch from its page in Prefect: asked, stopped, sent elsewhere, and what its timer says to silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer
from tests.lab.writer import Writer
from tests.scenarios.deployments import Deployments


def answers(workdir: Path) -> list[dict[str, Any]]:
    """Every approval in the journals of planned switches, the oldest first."""
    journals = sorted(workdir.glob("*.switch-*.journal"), key=lambda path: path.stat().st_mtime_ns)
    entries = [json.loads(line) for path in journals for line in path.read_text().splitlines()]
    return [entry["facts"] for entry in entries if entry["step"] == "approval"]


def question(deployments: Deployments, run: dict[str, Any]) -> dict[str, Any]:
    """The form that the page of a paused run shows: its fields."""
    key = run["state"]["state_details"]["run_input_keyset"]["schema"]
    return dict(deployments.ask(f"/flow_runs/{run['id']}/input/{key}")["properties"])


@pytest.mark.slow
def test_a_switch_waits_for_its_answer() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        workdir = cluster.write_cnf().with_suffix("")
        deployments = Deployments(cluster, server, "switchover")
        names = {number: f"{cluster[number].ip}({cluster[number].ip}:3306)" for number in (1, 2, 3)}
        writer = Writer(cluster, seconds=600.0)

        def writable() -> list[int]:
            return [h.number for h in cluster.hosts if not int(h.sql("SELECT @@global.read_only AS r")[0]["r"])]

        with deployments.worker("one"):
            # Stopped by a person: nothing is changed, and the page says who.
            run = deployments.start("switchover")
            paused = deployments.wait_for(run, "PAUSED", "FAILED")
            assert paused["name"] == f"switchover app1: {cluster[1].ip} → {cluster[2].ip}", deployments.told()
            fields = question(deployments, paused)
            assert fields["decision"]["enum"] == ["start", "abort"]
            assert fields["new_primary"]["enum"] == [names[2], names[3]]
            assert "accept_possible_loss" not in fields
            assert names[3] in deployments.artifact("switchover-app1-plan")
            wrong = deployments.resume(run, decision="start", new_primary=names[1])
            assert wrong["status"] == "REJECT", "the old primary is no choice"
            assert deployments.resume(run, decision="abort", your_name="Ada")["status"] == "ACCEPT"
            stopped = deployments.wait_for(run, "CANCELLED", "COMPLETED", "FAILED")
            assert stopped["state_name"] == "Stopped"
            assert "Stopped: by Ada, in Prefect's UI, at " in stopped["state"]["message"]
            assert writable() == [1]
            assert answers(workdir) == []

            # Approved, with another server than the plan's.
            run = deployments.start("switchover")
            deployments.wait_for(run, "PAUSED", "FAILED")
            given = {"decision": "start", "new_primary": names[3], "your_name": "Grace"}
            assert deployments.resume(run, **given)["status"] == "ACCEPT"
            done = deployments.wait_for(run, "COMPLETED", "FAILED", "CANCELLED")
            assert done["state_type"] == "COMPLETED", deployments.told()
            assert done["name"] == f"switchover app1: {cluster[1].ip} → {cluster[3].ip}"
            assert writable() == [3]
            assert cluster[1].replica_status()["Source_Host"] == cluster[3].ip
            (answer,) = answers(workdir)
            assert (answer["go_on"], answer["by"], answer["where"]) == (True, "Grace", "in Prefect's UI")
            assert answer["new_primary"] == f"{cluster[3].ip}:3306"
            report = deployments.artifact("switchover-app1")
            assert "Approved: by Grace, in Prefect's UI, at " in report
            assert "lab-admin-pw" not in report
            assert len(deployments.steps(run, lambda found: len(found) > 3)) > 3

            # Nobody answers: the timer does, as it was told to. Prefect's server, whose clock it is as well, may show
            # the pause as failed for a moment.
            run = deployments.start("switchover", how={"answer_within": 1})
            stopped = deployments.wait_for(run, "CANCELLED", "COMPLETED", seconds=240)
            assert stopped["state_name"] == "Stopped", stopped["state"]
            assert "by the timer" in stopped["state"]["message"]
            assert writable() == [3]
            how = {"answer_within": 1, "without_answer": "start", "new_primary": cluster[2].ip}
            run = deployments.start("switchover", how=how)
            done = deployments.wait_for(run, "CANCELLED", "COMPLETED", seconds=240)
            assert done["state_type"] == "COMPLETED", deployments.told()
            assert writable() == [2]
            assert [answer["by"] for answer in answers(workdir)] == ["Grace", "the timer"]
        acks = writer.stop()
        result = account(acks, cluster.hosts)
        assert (result.rows_lost, result.equal, result.split) == (0, True, False)
        assert list(dict.fromkeys(ack.host for ack in acks)) == [cluster[n].ip for n in (1, 3, 2)]
