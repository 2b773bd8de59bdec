"""A worker, or the run that it started, dies in the midst of a failover: *Retry* goes on with it, here or elsewhere."""

from __future__ import annotations

import signal
import time

import pytest

from tests.lab.checker import lent_settings
from tests.lab.cluster import Cluster
from tests.lab.postgres import PostgreSQL
from tests.lab.prefect_server import PrefectServer
from tests.scenarios.deployments import PATIENCE, Deployments, wait_for_journal
from tests.scenarios.test_manager_killed import assert_as_undisturbed, part_ways

AT_ONCE = {"ask_first": False}
#: As docs/automations/run-gone.yaml wants it, and the seconds that it waits.
HEARTBEAT, RUN_GONE = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}, 90
#: Before the new primary is opened, and after it was.
EARLY, LATE = '"step": "Execute what was received"', '"step": "Open the new primary for writes", "event": "done"'


@pytest.mark.slow
@pytest.mark.parametrize("words", [EARLY, LATE], ids=["early", "late"])
def test_retry_goes_on_from_the_journal(words: str) -> None:
    """The run's process is killed; its worker lives, and reports it as crashed."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        deployments = Deployments(cluster, server, "failover")
        with deployments.worker("one") as worker:
            writer = part_ways(cluster)
            cluster[1].signal_mysqld(signal.SIGKILL)
            run = deployments.start("failover", how=AT_ONCE)
            workdir = wait_for_journal([conf.with_suffix("")], words)
            worker.die(alone=True)
            deployments.wait_for(run, "CRASHED")
            # A worker looks after a crash twice, some seconds apart; a Retry between the two is taken for crashed, too.
            worker.says("prefect.flow_runs.worker - Check whether the flow run exceeded")
            deployments.retry(run)
            done = deployments.wait_for(run, "COMPLETED", "FAILED")
            told = deployments.told()
            assert done["state_type"] == "COMPLETED", told
            assert done["name"] == f"failover app1: {cluster[1].ip} → {cluster[2].ip}"
            assert done["run_count"] == 2
            assert_as_undisturbed(cluster, writer, settings, told)
            first, second = sorted(workdir.glob("*.failover-*.journal"), key=lambda path: path.stat().st_mtime_ns)
            assert '"step": "ended"' not in first.read_text()
            assert '"resumed": true' in second.read_text()
            # What was finished before is not done again once the new primary is open.
            again = '"step": "Open the new primary for writes"' in second.read_text()
            assert again is (words == EARLY)
            assert "## Timeline" in deployments.artifact("failover-app1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shared", "words"),
    [(False, EARLY), (True, LATE)],
    ids=["a-directory-each", "one-directory"],
)
def test_the_worker_of_another_host_goes_on(shared: bool, words: str) -> None:
    """Prefect keeps its records in PostgreSQL. The host of the worker that acts is gone at once, with all it ran."""
    with Cluster("mariadb", gtid=True, n=4) as cluster, cluster.in_manager_net(), PostgreSQL() as database:
        conf = cluster.write_cnf(apart=(4,), candidate=2)
        other = conf
        if not shared:
            (cluster.seat / "elsewhere").mkdir()
            other = cluster.write_cnf("elsewhere/app1", apart=(4,), candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        seen_by_all = f"{cluster.subnet.prefix}.1"
        with PrefectServer(host=seen_by_all, environment=database.environment) as server:
            deployments = Deployments(cluster, server, "failover")
            there = cluster.subnet.host(4)
            with (
                deployments.worker("one", **HEARTBEAT) as one,
                deployments.worker("two", seat=other.parent, namespace=there, **HEARTBEAT) as two,
            ):
                deployments.automate("run-gone.yaml", f"within: {RUN_GONE}", "within: 40")
                writer = part_ways(cluster)
                cluster[1].signal_mysqld(signal.SIGKILL)
                run = deployments.start("failover", how=AT_ONCE)
                workdirs = [conf.with_suffix("")] if shared else [conf.with_suffix(""), other.with_suffix("")]
                wait_for_journal(workdirs, words)
                (acting,) = [worker for worker in (one, two) if worker.runs()]
                acting.die()
                # Nobody is left there who could report it.
                assert deployments.wait_for(run, "RUNNING")["run_count"] == 1
                if shared:  # a person does, on the page of the run (Change state)
                    crashed = {"type": "CRASHED", "message": "its host is gone"}
                    deployments.ask(f"/flow_runs/{run}/set_state", {"state": crashed, "force": True})
                else:
                    gone = deployments.wait_for(run, "CRASHED", seconds=RUN_GONE + PATIENCE)
                    assert gone["state"]["message"].startswith("no sign of life")
                deployments.retry(run)
                done = deployments.wait_for(run, "COMPLETED", "FAILED")
                told = deployments.told()
                assert done["state_type"] == "COMPLETED", told
                assert done["run_count"] == 2
                assert_as_undisturbed(cluster, writer, settings, told)
                steps = deployments.steps(run, lambda names: any(name.startswith("Verify every") for name in names))
                assert any(name.startswith("Verify every server") for name in steps), steps
            assert database.sql("SELECT state_type, run_count FROM flow_run") == ["COMPLETED|2"]
            assert not list(server.home.glob("*.db"))


@pytest.mark.slow
def test_the_run_of_a_manager_that_died_is_ended_by_the_one_that_finishes_its_failover() -> None:
    """It is seen as running when its manager dies; nobody else would ever end it."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf, env = cluster.write_cnf(), {"PREFECT_API_URL": server.api_url}
        deployments = Deployments(cluster, server)
        manager = cluster.start_manager(conf, env=env)
        cluster[1].signal_mysqld(signal.SIGKILL)
        wait_for_journal([manager.workdir], '"step": "Open the new primary for writes", "event": "began"')
        # A replica that does not answer keeps the failover busy once the writes are back.
        cluster[3].signal_mysqld(signal.SIGSTOP)
        first = deployments.wait_for_one("RUNNING")
        manager.process.kill()
        manager.process.wait(10)
        cluster[3].signal_mysqld(signal.SIGCONT)
        done = cluster.command("masterha_manager", f"--conf={conf}", env=env)
        assert done.code == 0, f"{done.output}\n{manager.log()}"
        second = deployments.wait_for_one("COMPLETED")
        ended = deployments.wait_for(first["id"], "CRASHED", "COMPLETED", "FAILED", seconds=30)
        assert ended["state_type"] == "CRASHED"
        assert f"(flow run {second['id']}) has finished it" in ended["state"]["message"]
        assert second["id"] != first["id"]


@pytest.mark.slow
def test_the_run_of_a_dead_worker_is_ended_by_who_resumes_it_in_a_terminal() -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        deployments = Deployments(cluster, server, "failover")
        with deployments.worker("one") as worker:
            writer = part_ways(cluster)
            cluster[1].signal_mysqld(signal.SIGKILL)
            run = deployments.start("failover", how=AT_ONCE)
            wait_for_journal([conf.with_suffix("")], EARLY)
            worker.die()
            env = {"PREFECT_API_URL": server.api_url}
            done = cluster.command("mha", "failover", "--resume", f"--conf={conf}", env=env)
            assert done.code == 0, done
            assert_as_undisturbed(cluster, writer, settings, str(done))
            second = deployments.wait_for_one("COMPLETED")
            ended = deployments.wait_for(run, "CRASHED", seconds=30)
            assert f"(flow run {second['id']}) has finished it" in ended["state"]["message"]


@pytest.mark.slow
def test_a_healthy_monitor_runs_for_ten_minutes_beside_what_looks_for_dead_ones() -> None:
    """None of them takes it for dead, or starts a second one; nor the run that stands ready in it."""
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        cluster.write_cnf()
        deployments = Deployments(cluster, server, "monitor")
        deployments.automate("monitor-gone.yaml")
        deployments.automate("run-gone.yaml")
        with deployments.worker("one"):
            run = deployments.start("monitor")
            deployments.wait_for(run, "RUNNING")
            ends = time.monotonic() + 600
            while time.monotonic() < ends:
                found = deployments.ask("/flow_runs/filter", {})
                states = {each["name"]: each["state_type"] for each in found}
                assert set(states.values()) == {"RUNNING"}, f"{states}\n{deployments.told()}"
                assert len(found) <= 2, states
                time.sleep(5)
            assert sorted(states) == ["failover app1: standing by", "monitor app1"]
