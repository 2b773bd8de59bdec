"""Whose commits a binlog server may acknowledge: not beside a rival, and of one that was replaced never again."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, load_cluster
from prefect_mha.replication.maintenance.binlog_server.acknowledging.dump import Replica
from prefect_mha.replication.maintenance.binlog_server.acknowledging.feed import AcknowledgingFeed
from prefect_mha.replication.maintenance.binlog_server.acknowledging.replaced import Replaced
from prefect_mha.replication.maintenance.binlog_server.source import SourceView, SourceWatch, rival_now
from prefect_mha.replication.model.state import ClusterState, ReplicaChannel
from tests.unit.replication.build import channel, cluster, server


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    path = tmp_path / "app1.cnf"
    servers = "".join(f"[server{n}]\nhostname=10.0.0.{n}\n" for n in (1, 2, 3))
    path.write_text(f"[server default]\nuser=mha\n{servers}")
    return load_cluster(path, None)


def follows() -> ReplicaChannel:
    return replace(channel(), source_host="10.0.0.1")


def test_a_rival_stays_one_while_it_does_not_answer(config: ClusterConfig) -> None:
    source, open_ = config.servers[0], server(1, read_only=False)
    both = cluster(open_, server(2, read_only=False))
    assert rival_now(source, both, "").startswith("db2"), "one that came while the copy runs"
    name = both.up[1].name
    assert rival_now(source, cluster(open_, down=(2,)), name) == name
    assert rival_now(source, cluster(open_, server(2)), name) == ""
    assert rival_now(source, cluster(open_, down=(2,)), "") == ""


class Looks:
    """What a watch sees, one look after the other."""

    def __init__(self, config: ClusterConfig, *seen: ClusterState) -> None:
        self._seen = list(seen)
        sessions: Any = self
        self.watch = SourceWatch(config, sessions, config.servers[0], SourceView(seen[0].up[0], at=1.0))

    def observe(self, servers: object, *, timeout: float) -> ClusterState:
        assert timeout
        seen = self._seen.pop(0)
        return seen if servers is None else cluster(seen.up[0])

    def server(self, _key: str) -> Any:
        return SimpleNamespace(query=lambda *_, **__: [], scalar=lambda *_, **__: 0, reading=lambda _: nullcontext())


def test_each_look_at_everybody_finds_a_rival_and_no_missed_one_forgets_it(config: ClusterConfig) -> None:
    open_ = server(1, read_only=False)
    both = cluster(open_, server(2, read_only=False))
    watch = Looks(config, both, cluster(open_, down=(2,)), cluster(open_, server(2))).watch
    rivals = []
    for _ in range(3):
        watch.look = watch._look(everybody=True)
        rivals.append(watch.look.rival[:3])
    assert rivals == ["db2", "db2", ""]


@pytest.mark.parametrize(
    ("seen", "after", "barred"),
    [
        pytest.param(cluster(server(1), server(2, follows()), server(3, follows())), 10, False, id="called off"),
        pytest.param(cluster(server(1), server(2, follows()), server(3, follows())), -1, True, id="begun before"),
        pytest.param(cluster(server(1), server(2, follows()), down=(3,)), 10, False, id="followed, one away"),
        pytest.param(cluster(server(1), server(2), server(3)), 10, False, id="all are closed"),
        pytest.param(cluster(server(1), server(2), down=(3,)), 10, True, id="perhaps it is who is away"),
        pytest.param(cluster(server(1), server(2, read_only=False), server(3, follows())), 10, True, id="another open"),
        pytest.param(cluster(server(1), down=(2, 3)), 10, True, id="nobody answers"),
    ],
)
def test_one_that_was_replaced_is_acknowledged_nothing_beyond_the_lock(
    config: ClusterConfig, tmp_path: Path, seen: ClusterState, after: float, barred: bool
) -> None:
    source, remembered, lock = config.servers[0], Replaced(), os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    look = SourceView(cluster=seen, begun=time.monotonic() + after)
    assert not remembered.bars(source, tmp_path / "no copy yet", SourceView())
    assert remembered.bars(source, tmp_path, SourceView())
    os.close(lock)
    assert remembered.bars(source, tmp_path, SourceView()), "the new primary is not seen"
    assert source in remembered
    assert bool(remembered.bars(source, tmp_path, look)) is barred
    assert not remembered.bars(config.servers[1], tmp_path, look), "the new one is not the old one"


@pytest.mark.parametrize("barred", ["", "db2 takes writes, too"])
def test_what_is_barred_in_the_middle_of_a_session_is_acknowledged_no_more(
    config: ClusterConfig, tmp_path: Path, barred: str
) -> None:
    feed = AcknowledgingFeed(config.servers[0], tmp_path, Replica(7, "log1"), acknowledges=True)
    given: list[str] = []

    def acknowledge(wanted: str) -> None:
        given.append(wanted)
        feed._over.set()

    copy: Any = SimpleNamespace(flush=lambda: None, sync=lambda: None, wanted="place", level=False, within=False)
    feed._copy = copy
    feed.barred = barred
    dump: Any = SimpleNamespace(read=lambda: b"", acknowledge=acknowledge)
    feed._follow(dump, acknowledging=True)
    assert given == ([] if barred else ["place"])
