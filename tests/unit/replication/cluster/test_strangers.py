"""Who replicates from the cluster's servers and is none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.cluster.unknown_replicas import Readers, Registered, strangers
from prefect_mha.replication.model.state import ClusterState, ServerDown
from tests.unit.replication.build import channel, server
from tests.unit.replication.checks.building import block

CONFIG = ClusterConfig(
    name="app1",
    path=Path("/etc/mha/app1.cnf"),
    servers=(block(1), block(2), block(3)),
    binlog_servers=(block(8, block="binlog1"),),
)
ALL = ClusterState((server(1, read_only=False), server(2, channel()), server(3, channel())), ())
DB2, DB3 = Registered(2, "10.0.0.2", 3306), Registered(3, "", 3306)
OURS = (("repl", "10.0.0.2"), ("repl", "10.0.0.3"))


def found(readers: Readers, cluster: ClusterState = ALL) -> list[str]:
    cluster = replace(cluster, up=tuple(replace(s, server_id=int(s.hostname[2:])) for s in cluster.up))
    return [str(each) for each in strangers(CONFIG, cluster, {"10.0.0.1:3306": readers})]


@pytest.mark.parametrize(
    ("readers", "hosts"),
    [
        (Readers((DB2, DB3), OURS), []),
        (Readers((), OURS), []),
        (Readers((DB2, DB3), (*OURS, ("mha", "10.0.0.8"))), []),
        # A binlog server that acknowledges registers with a port of nobody; a replica on its host has one of its own.
        (Readers((DB2, DB3, Registered(9, "10.0.0.8", 1)), (*OURS, ("repl", "10.0.0.8"))), []),
        (Readers((DB2, DB3, Registered(9, "10.0.0.8", 3306)), (*OURS, ("repl", "10.0.0.8"))), ["10.0.0.8:3306"]),
        (Readers((DB2, DB3, Registered(9, "10.0.0.9", 3307)), (*OURS, ("repl", "10.0.0.9"))), ["10.0.0.9:3307"]),
        (Readers((DB2, DB3, Registered(9, "", 3306)), (*OURS, ("repl", "10.0.0.9"))), ["10.0.0.9:3306"]),
        (Readers((DB2, DB3, Registered(9, "", 3306)), (*OURS, ("repl", "10.0.0.3"))), ["a server whose address"]),
        (Readers((DB2, DB3), (*OURS, ("repl", "10.0.0.9"))), ["10.0.0.9:3306"]),
        (Readers((), (*OURS, ("repl", "10.0.0.9"))), ["10.0.0.9:3306"]),
        # A second server on a configured host.
        (Readers((DB2, DB3, Registered(9, "10.0.0.3", 3307)), (*OURS, ("repl", "10.0.0.3"))), ["10.0.0.3:3307"]),
    ],
)
def test_who_is_not_configured(readers: Readers, hosts: list[str]) -> None:
    told = found(readers)
    assert len(told) == len(hosts), told
    assert all(text.startswith(host) for text, host in zip(told, hosts, strict=True)), told


def test_a_configured_server_that_does_not_answer_is_no_stranger() -> None:
    gone = ClusterState(ALL.up[:2], (ServerDown("10.0.0.3:3306", "db3", "db3", "gone", False),))
    for registered in (DB3, Registered(3, "10.0.0.3", 3306), Registered(3, "db3", 3306)):
        assert found(Readers((DB2, registered), OURS), gone) == []
