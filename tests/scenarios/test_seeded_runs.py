"""The seeded runs go round, and notice what they are for: a manager that is gone, a replica that was touched."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from tests.lab import chaos, soak
from tests.lab.chaos import Chaos, Round
from tests.lab.cluster import Cluster
from tests.lab.faults import TROUBLES
from tests.lab.schedule import FaultStep, TroubleStep
from tests.lab.seeded import Spoiled, held
from tests.lab.soak import Soak, Turn

SHARED = 5.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster("mariadb", gtid=True, extra={1: "max_connections=20"}) as made:
        yield made


@pytest.mark.slow
def test_primaries_die_one_after_the_other(cluster: Cluster) -> None:
    """One old primary is made a replica as it is, the next is installed anew; each may be promoted again."""
    made = Chaos(cluster, SHARED)
    try:
        for number, rejoin in enumerate((True, False, True), start=1):
            done = Round(FaultStep(number, "kill -9", 1.5, (0, 1), 0.3, rejoin))
            made.round(done)
            assert done.wrong == []
            assert done.acknowledged > 20
            assert 0.0 < done.back < 1.0 + SHARED
        assert held(made.monitor.workdir) == []
    finally:
        made.monitor.stop()


@pytest.mark.slow
def test_a_manager_that_is_gone_is_noticed(cluster: Cluster) -> None:
    made = Chaos(cluster, SHARED)
    made.monitor.stop()
    with pytest.raises(Spoiled, match="the monitor ended"):
        made.round(Round(FaultStep(1, "kill -9", 1.5, (), 0.3, False)))


@pytest.mark.slow
def test_a_replica_that_was_touched_is_noticed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def touch(*_: object) -> None:
        cluster[3].sql("SET GLOBAL read_only=0")

    monkeypatch.setitem(TROUBLES, "touched", touch)
    monkeypatch.setattr(soak, "OVER", 2.0)
    made = Soak(cluster)
    try:
        made.turn(Turn(TroubleStep(1, "a replica's receiver stopped", 2.0, 0.5, 1)))
        with pytest.raises(Spoiled, match="not as they were"):
            made.turn(Turn(TroubleStep(2, "touched", 2.0, 0.5, 1)))
    finally:
        made.monitor.stop()


@pytest.mark.slow
def test_a_failover_is_noticed(cluster: Cluster) -> None:
    made = Soak(cluster)
    try:
        made.nothing_done()
        assert made.dies() > 20
        with pytest.raises(Spoiled, match="a failover was begun"):
            made.nothing_done()
    finally:
        made.monitor.stop()


@pytest.mark.slow
def test_both_for_a_minute() -> None:
    console = Console(file=io.StringIO(), width=200)
    rounds = chaos.run("mysql97", 11, 1.0, slack=SHARED, console=console)
    turns, end = soak.run("mysql97", 11, 1.0, console=console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert rounds, told
    assert [r for r in rounds if r.wrong] == [], told
    assert turns, told
    assert [t for t in turns if t.wrong] == [], told
    assert "failed over" in end
