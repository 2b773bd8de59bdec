"""The manager loses its network in the middle of a failover: the next one is not refused for it."""

from __future__ import annotations

import signal

import pytest

from tests.lab import faults
from tests.lab.cluster import Cluster
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, promoted
from tests.scenarios.test_returns_while_replaced import paused


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "gtid"), [(kind, gtid) for kind in ("mysql97", "mariadb", "mysql56") for gtid in (False, True)]
)
@pytest.mark.parametrize("step", ["Choose the new primary", "Fence the old primary", "Apply what was saved"])
def test_what_a_manager_that_was_cut_off_did_not_finish_the_next_one_does(kind: str, gtid: bool, step: str) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        writer = Writer(cluster)
        with paused(cluster, step, "began") as manager:
            cluster[1].signal_mysqld(signal.SIGKILL)
            manager.reached()
            with faults.cut_off(cluster, *cluster.hosts):
                assert manager.go() == 1, manager.log()
        following = cluster.start_manager(manager.conf)
        code, acks = finish(following, writer)
        assert code == 0, manager.log()
        assert_survivors_agree(cluster, acks, promoted(cluster), (5 - promoted(cluster),))
