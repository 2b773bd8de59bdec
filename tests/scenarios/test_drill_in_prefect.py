"""A drill by its deployment: asked on its page, held as by hand, and its scorecard is an artifact."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.lab.prefect_server import PrefectServer
from tests.scenarios.deployments import Deployments
from tests.scenarios.test_drills import Practised, watched

pytestmark = pytest.mark.slow


def test_a_kill_is_asked_for_held_and_shown() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        scene = Practised(cluster)
        deployments = Deployments(cluster, server, "drill")
        with watched(scene), deployments.worker("one"):
            refused = deployments.start("drill", how={"kind": "power"})
            ended = deployments.wait_for(refused, "COMPLETED", "FAILED", "PAUSED")
            assert ended["state_name"] == "Refused", ended["state"]
            assert "drill_power_command" in ended["state"]["message"]
            run = deployments.start("drill", how={"kind": "kill"})
            paused = deployments.wait_for(run, "PAUSED", "FAILED", "COMPLETED")
            assert paused["state_type"] == "PAUSED", deployments.told()
            assert "kill -9" in deployments.artifact("drill-app1-plan")
            key = paused["state"]["state_details"]["run_input_keyset"]["schema"]
            asked = deployments.ask(f"/flow_runs/{run}/input/{key}")["properties"]
            given = {"decision": "start", "new_primary": asked["new_primary"]["enum"][0], "your_name": "Ada"}
            assert deployments.resume(run, **given)["status"] == "ACCEPT"
            done = deployments.wait_for(run, "COMPLETED", "FAILED", "CANCELLED", seconds=300.0)
            print(done["name"], done["state"]["message"])
            assert (done["state_type"], done["state_name"]) == ("COMPLETED", "Completed"), deployments.told()
            steps = deployments.steps(run, lambda found: any(name.startswith("Compare every") for name in found))
            for step in ("Start the canary", "Hurt the primary", "Wait for the manager", "Compare every server"):
                assert any(name.startswith(step) for name in steps), steps
            card = deployments.artifact("drill-app1")
            print(card)
            assert "drill kill, passed" in card
        scene.is_as_before()
        journal = next(scene.conf.with_suffix("").glob("*.drill-*.journal")).read_text()
        assert '"by": "Ada"' in journal
