"""Real replicas fetch a dead primary's tail from a source made of its files, with their own threads: as if it lived."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.failing_over import MODES
from tests.scenarios.serving import Dead, drain, everything, executed, point, position, serving, wait_level
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


@pytest.mark.parametrize(("kind", "gtid"), MODES)
def test_a_small_tail(kind: str, gtid: bool, tmp_path: Path) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        cluster[1].sql("CREATE TABLE app.t (id INT PRIMARY KEY)")
        level(cluster)
        cluster.stop_receiver(cluster[3])
        cluster[1].sql("INSERT INTO app.t VALUES (1)")
        level(cluster, 2)
        cluster.stop_receiver(cluster[2])
        for n in range(2, 50):
            cluster[1].sql(f"INSERT INTO app.t VALUES ({n})")
        expected = everything(cluster[1])
        rescue(cluster, tmp_path, gtid)
        for number in (2, 3):
            assert everything(cluster[number]) == expected
