"""Somebody ends a failover or a switch in the middle: Ctrl-C, SIGTERM, a click on Cancel in Prefect.

Before the first effect it stops. After it a failover is finished, but for one that is a person's run in Prefect: that
opens nobody, or is left once writes are back, for whoever goes on with it. A switch is taken back, or finished once its
new primary is open. It is told in any case.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import pytest

from tests.lab.checker import account, lent_settings, writers_overlap
from tests.lab.cluster import Cluster, Done
from tests.lab.dying import STEPS
from tests.lab.prefect_server import PrefectServer
from tests.lab.waiting import until
from tests.lab.writer import Writer
from tests.scenarios.deployments import Deployments
from tests.scenarios.switching import Hook, closed, follows, shape
from tests.scenarios.test_manager_killed import assert_as_undisturbed, part_ways

#: A failover's steps before its first effect.
LOOKING = STEPS[: STEPS.index("Stop every receiver")]
SWITCH_STEPS = [
    "Get ready while writes flow",
    "Applications leave the old primary",
    "Hand the writes over",
    "Applications come to the new primary",
    "Point a replica at the new primary",
    "Let go of the old primary",
    "Make the old primary a replica",
    "Forget the old source on the new primary",
    "Move events and the event scheduler",
    "Verify every server",
]
POINTS = ("began", "inside", "undone")
SIGNALS = ("SIGTERM", "SIGINT")


def told(cluster: Cluster) -> str:
    """A line for `on_failed`, which writes down what it is told."""
    hook = cluster.seat / "on-failed"
    hook.write_text(f'#!/bin/sh\necho "$MHA_TEXT" >>{hook}.told\n')
    hook.chmod(0o755)
    return f"on_failed={hook}\n"


def was_told(cluster: Cluster) -> bool:
    return (cluster.seat / "on-failed.told").exists()


def asked_to_end(cluster: Cluster, step: str, point: str, by: str, *words: str) -> Done:
    """The command, which is sent a signal at that place of itself."""
    process = cluster.run_there(
        *(sys.executable, "-m", "tests.lab.dying", step, point, "masterha_master_switch", *words), env={"DYING_OF": by}
    )
    output, _ = process.communicate(timeout=120)
    log = cluster.seat / "app1" / "manager.log"
    return Done(process.returncode, f"{output}\n{log.read_text()}")


def failover_asked_to_end(kind: str, gtid: bool, step: str, point: str, by: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(default=told(cluster), candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        writer = part_ways(cluster)
        before = shape_of_replicas(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        by_hand = ("--master_state=dead", f"--conf={conf}", f"--dead_master_host={cluster[1].ip}", "--interactive=0")
        done = asked_to_end(cluster, step, point, by, *by_hand)
        assert "Failover Report" in done.output or step in LOOKING, done
        if step in LOOKING:
            assert done.code == 1, done
            assert "nothing was changed" in done.output
            assert shape_of_replicas(cluster) == before
            until(lambda: was_told(cluster), seconds=10)
            again = cluster.command("masterha_master_switch", *by_hand)
            done = Done(again.code, f"{done.output}\n{again.output}")
        assert done.code == 0, done
        assert_as_undisturbed(cluster, writer, settings, done.output)


def shape_of_replicas(cluster: Cluster) -> list[tuple[object, ...]]:
    states = [host.replica_status() for host in cluster.hosts[1:]]
    return [(s["Source_Host"], s["Replica_IO_Running"], s["Replica_SQL_Running"]) for s in states]


def switch_asked_to_end(kind: str, gtid: bool, step: str, point: str, by: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        hook = Hook(cluster)
        conf = cluster.write_cnf(default=f"{told(cluster)}{hook.line}\n")
        before = shape(cluster)
        writer = Writer(cluster, seconds=200.0, sessions=2, interval=0.02)
        time.sleep(0.5)
        done = asked_to_end(
            cluster,
            *(step, point, by, "--master_state=alive", f"--conf={conf}", "--interactive=0"),
            *(f"--new_master_host={cluster[2].ip}", "--orig_master_is_new_slave"),
        )
        time.sleep(0.5)
        acks = writer.stop()
        assert done.code in (0, 1), done
        assert not writers_overlap(acks)
        if done.code == 1:
            assert "everything was taken back" in done.output or "nothing was changed" in done.output, done
            assert "Planned Switch Report" in done.output
            assert shape(cluster) == before, done
            assert not closed(cluster[1])
            until(lambda: was_told(cluster), seconds=10)
        else:
            assert "put off until the end" in done.output, done
            assert not closed(cluster[2])
            follows(cluster[1], cluster[2])
            follows(cluster[3], cluster[2])
        before_the_opening = SWITCH_STEPS.index(step) < 2 or (step == "Hand the writes over" and point != "undone")
        assert (done.code == 1) == before_the_opening, done
        result = account(acks, cluster.hosts)
        assert result.rows_lost == 0, done
        assert result.equal, done


@pytest.mark.parametrize(
    ("step", "point", "by"),
    [
        ("Stop every receiver", "inside", "SIGTERM"),
        pytest.param("Look at every server", "began", "SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_failover_that_is_asked_to_end_in_the_middle(step: str, point: str, by: str) -> None:
    failover_asked_to_end("mariadb", True, step, point, by)


@pytest.mark.parametrize(
    ("step", "point", "by"),
    [
        ("Applications leave the old primary", "undone", "SIGTERM"),
        pytest.param("Point a replica at the new primary", "inside", "SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_switch_that_is_asked_to_end_in_the_middle(step: str, point: str, by: str) -> None:
    switch_asked_to_end("mysql97", True, step, point, by)


@pytest.mark.matrix
@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb118", True, id="11.8-gtid"), pytest.param("mysql97", False, id="9.7-position")],
)
def test_a_failover_that_is_asked_to_end_anywhere(kind: str, gtid: bool, step: str, point: str, by: str) -> None:
    failover_asked_to_end(kind, gtid, step, point, by)


@pytest.mark.matrix
@pytest.mark.parametrize("by", SIGNALS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("step", SWITCH_STEPS)
@pytest.mark.parametrize(
    ("kind", "gtid"),
    [pytest.param("mariadb118", True, id="11.8-gtid"), pytest.param("mysql97", False, id="9.7-position")],
)
def test_a_switch_that_is_asked_to_end_anywhere(kind: str, gtid: bool, step: str, point: str, by: str) -> None:
    switch_asked_to_end(kind, gtid, step, point, by)


@pytest.mark.slow
@pytest.mark.parametrize("by", SIGNALS)
def test_a_manager_that_is_asked_to_end_finishes_its_failover(by: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        words = ("-m", "tests.lab.dying", "Look at every server", "began", "masterha_manager", f"--conf={conf}")
        manager = cluster.run_there(sys.executable, *words, env={"DYING_OF": by})
        log = conf.with_suffix("") / "manager.log"
        until(lambda: log.exists() and "waiting until MySQL doesn't respond" in log.read_text(), seconds=60)
        writer = part_ways(cluster)
        cluster[1].signal_mysqld(signal.SIGKILL)
        output, _ = manager.communicate(timeout=90)
        told = f"{output}\n{log.read_text()}"
        assert manager.returncode == 0, told
        assert_as_undisturbed(cluster, writer, settings, told)


# a click on Cancel ---------------------------------------------------------------------------------------------------


def cancel(deployments: Deployments, run: str) -> None:
    """*Cancel* on the page of a run."""
    answer = deployments.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
    assert answer["status"] == "ACCEPT", answer


class Address:
    """A site's script that stays in one half of moving the address, ``stop`` or ``start``, until it may go on."""

    def __init__(self, cluster: Cluster, half: str) -> None:
        self.there, self._go, script = cluster.seat / "there", cluster.seat / "go", cluster.seat / "failover-script"
        script.write_text(
            f'#!/bin/sh\ncase "$*" in *--command={half}*) touch {self.there}; '
            f"while [ ! -e {self._go} ]; do sleep 0.05; done;; esac\nexit 0\n"
        )
        script.chmod(0o755)
        self.line = f"master_ip_failover_script={script}\n"

    def cancelled_there(self, deployments: Deployments, run: str) -> dict[str, Any]:
        """Cancel the run while it is there, let it go on once it knows, and see how it ends."""
        until(self.there.exists, seconds=120)
        cancel(deployments, run)
        log = deployments.cluster.seat / "app1" / "manager.log"
        until(lambda: "put off until a step after which it can be gone on with" in log.read_text(), seconds=60)
        self._go.touch()
        return deployments.wait_for(run, "CANCELLED", "COMPLETED", "FAILED", "CRASHED")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [("mariadb", True), ("mysql97", False)])
def test_a_failover_that_is_cancelled_before_its_promotion_opens_nobody(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        address = Address(cluster, "stop")
        cluster.write_cnf(default=f"{told(cluster)}{address.line}", candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        deployments = Deployments(cluster, server, "failover")
        with deployments.worker("one"):
            writer = part_ways(cluster)
            cluster[1].signal_mysqld(signal.SIGKILL)
            run = deployments.start("failover", how={"ask_first": False})
            ended = address.cancelled_there(deployments, run)
            assert ended["state_type"] == "CANCELLED", deployments.told()
            assert "no server was opened for writes" in deployments.artifact("failover-app1")
            until(lambda: was_told(cluster), seconds=20)
            for host in cluster.hosts[1:]:
                assert host.sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] == 1
                status = host.replica_status()
                assert status["Source_Host"] == cluster[1].ip
                assert status["Replica_IO_Running"] != "No", status
                assert status["Replica_SQL_Running"] == "Yes", status
            # Somebody decides otherwise: Retry on the page of that run.
            deployments.retry(run)
            ended = deployments.wait_for(run, "COMPLETED", "FAILED", "CRASHED")
            assert ended["state_type"] == "COMPLETED", deployments.told()
            assert_as_undisturbed(cluster, writer, settings, deployments.told())


@pytest.mark.slow
@pytest.mark.parametrize("finished_by", ["Retry", "the next manager"])
@pytest.mark.parametrize(("kind", "gtid"), [("mariadb", True), ("mysql97", False)])
def test_a_failover_that_is_cancelled_once_writes_are_back_can_be_gone_on_with(
    kind: str, gtid: bool, finished_by: str
) -> None:
    with Cluster(kind, gtid=gtid) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        address = Address(cluster, "start")
        conf = cluster.write_cnf(default=f"{told(cluster)}{address.line}", candidate=2)
        settings = [lent_settings(cluster[n]) for n in (2, 3)]
        deployments = Deployments(cluster, server, "failover")
        with deployments.worker("one"):
            writer = part_ways(cluster)
            cluster[1].signal_mysqld(signal.SIGKILL)
            run = deployments.start("failover", how={"ask_first": False})
            ended = address.cancelled_there(deployments, run)
            assert ended["state_type"] == "CANCELLED", deployments.told()
            assert "takes writes, the others do not follow it yet" in deployments.artifact("failover-app1")
            assert not closed(cluster[2])
            assert cluster[3].replica_status()["Source_Host"] == cluster[1].ip
            if finished_by == "Retry":
                deployments.retry(run)
                ended = deployments.wait_for(run, "COMPLETED", "FAILED", "CRASHED")
                assert ended["state_type"] == "COMPLETED", deployments.told()
            else:
                manager = cluster.run_there(
                    *(sys.executable, "-m", "prefect_mha.commands.masterha_manager", f"--conf={conf}")
                )
                output, _ = manager.communicate(timeout=90)
                assert manager.returncode == 0, f"{output}\n{deployments.told()}"
                # What it was is not changed by who finished it.
                assert deployments.wait_for(run, "CANCELLED")["state_type"] == "CANCELLED"
            assert_as_undisturbed(cluster, writer, settings, deployments.told())


@pytest.mark.slow
def test_a_switch_that_is_cancelled_in_prefect_is_taken_back() -> None:
    with Cluster("mysql97", gtid=True) as cluster, cluster.in_manager_net(), PrefectServer() as server:
        hook = Hook(cluster, "stop")
        cluster.write_cnf(default=f"{told(cluster)}{hook.line}\n")
        before = shape(cluster)
        deployments = Deployments(cluster, server, "switchover")
        with deployments.worker("one"):
            writer = Writer(cluster, seconds=300.0, interval=0.02)
            run = deployments.start("switchover", how={"ask_first": False, "new_primary": cluster[2].ip})
            hook.wait()
            cancel(deployments, run)
            ended = deployments.wait_for(run, "CANCELLED", "COMPLETED", "FAILED")
            hook.go.touch()
            assert ended["state_type"] == "CANCELLED", ended
            until(lambda: was_told(cluster), seconds=20)
            time.sleep(0.5)
            acks = writer.stop()
            assert {ack.host for ack in acks} == {cluster[1].ip}
            assert shape(cluster) == before, deployments.told()
            assert "everything was taken back" in deployments.artifact("switchover-app1")
            assert account(acks, cluster.hosts).equal
