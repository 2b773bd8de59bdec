"""Real replicas fetch a dead primary's tail from a source made of its files, with their own threads: as if it lived."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.failing_over import MODES
from tests.scenarios.serving import Dead, drain, everything, executed, point, position, serving, wait_level
from tests.scenarios.tails import Tails, wait_prepared
from tests.scenarios.test_rescue_contents import level


def rescue(cluster: Cluster, tmp_path: Path, gtid: bool) -> None:
    dead = Dead.of(cluster[1], tmp_path)
    for number in (2, 3):
        drain(cluster[number])
    first = min((2, 3), key=lambda n: position(cluster[n]))
    catalogue = dead.catalogue(position(cluster[first]), executed(cluster[first]) if gtid else None)
    with serving(cluster, catalogue) as (source, port):
        for number in (2, 3):
            point(cluster[number], cluster, source, port, by_gtid=gtid)
        for number in (2, 3):
            wait_level(cluster[number], source, by_gtid=gtid)


def some(*chosen: int) -> list:
    """These modes by default, the others with make test-all."""
    return [
        mode if n in chosen else pytest.param(*mode.values, id=mode.id, marks=pytest.mark.slow)
        for n, mode in enumerate(MODES)
    ]


@pytest.mark.parametrize(("kind", "gtid"), some(0, 3, 5))
def test_what_a_session_does_otherwise_than_an_applier(kind: str, gtid: bool, tmp_path: Path) -> None:
    """Statements logged with their error, CURRENT_USER, a database that is gone, a temporary table from before, rows of
    40 MB, XA, CTAS, two files: data, accounts, definers and comments are the dead primary's on both survivors."""
    with Cluster(kind, gtid=gtid, extra={0: "max_allowed_packet=256M"}) as cluster:
        tails = Tails(cluster)
        tails.prepare()
        level(cluster)
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.kept (t) VALUES ('on one replica')")
        level(cluster, 2)
        cluster.stop_receiver(cluster[2])
        tails.write()
        expected = everything(cluster[1])
        rescue(cluster, tmp_path, gtid)
        for number in (2, 3):
            found = everything(cluster[number])
            assert {k: v for k, v in found.items() if v != expected.get(k)} == {}
            assert found.keys() == expected.keys()
            if kind != "mysql56":
                wait_prepared(cluster[number], "left")
