"""A failover that begins against a primary which lives after all: it is asked once more, and nobody touches it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.flows.deeds.failover import new_job, run_job
from prefect_mha.replication.cluster.pool import ConnectionPool
from prefect_mha.replication.memory.failover_flags import FailoverFlags
from prefect_mha.replication.planning.plan import FailoverOptions
from tests.lab import faults
from tests.lab.checker import account
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer
from tests.scenarios.failing_over import kinds

KINDS = kinds("mariadb-gtid", slow=("5.6-position", "9.7-gtid"))


@contextlib.contextmanager
def at_its_limit(cluster: Cluster) -> object:
    """What it answers is an error."""
    with faults.at_max_connections(cluster[1]) as again:
        again()
        yield


STATES: dict[str, tuple[Callable[[Cluster], contextlib.AbstractContextManager[object]], bool, str]] = {
    "it takes sessions": (lambda _: contextlib.nullcontext(), True, "takes a session"),
    "it takes sessions and nobody gets in over SSH": (lambda c: faults.without_ssh(c[1]), False, "takes a session"),
    "it says an error": (at_its_limit, True, "error 1040"),
    "the manager does not reach its port": (
        lambda c: faults.port_down_for_the_manager(c, c[1]),
        True,
        "greets who connects to it on its own host",
    ),
}


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_failover_of_a_living_primary_kills_nobody_and_its_replicas_receive_again(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid, extra={1: "max_connections=20"}) as cluster, cluster.in_manager_net():
        writer = Writer(cluster)
        time.sleep(1.0)
        pids = cluster[1].mysqld_pids()
        for state, (trouble, ssh, says) in STATES.items():
            config = load_cluster(str(cluster.write_cnf()), None)
            config.manager_workdir.mkdir(parents=True, exist_ok=True)
            with trouble(cluster):
                sessions = ConnectionPool(config)
                sessions.observe()
                job = new_job(config, config.servers[0], FailoverOptions(), sessions)
                outcome = run_job(job, ssh_reachable=ssh)
                job.journal.close()
                sessions.close()
            assert outcome.refusal is not None, (state, outcome)
            assert outcome.refusal.code == "primary-alive", (state, outcome)
            assert says in outcome.refusal.sentence, state
            assert cluster[1].mysqld_pids() == pids
            assert int(cluster[1].sql("SELECT @@global.read_only AS r")[0]["r"]) == 0
            flags = FailoverFlags(config.manager_workdir, config.name)
            assert not flags.has_error(), "the next failover would be refused for this one"
        acks = writer.stop()
        ends = time.monotonic() + 20.0
        while not (result := account(acks, list(cluster.hosts))).equal and time.monotonic() < ends:
            time.sleep(0.2)
        assert result.equal, result
        assert result.rows_lost == 0
