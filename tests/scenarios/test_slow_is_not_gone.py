"""A primary that is slow, lossy or cut off from some is not dead: nobody is promoted while anything of it gets through.

An application on each host writes to its own server all the time, so that two that take writes are seen.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.lab.cluster import Cluster, Manager
from tests.lab.local_writer import Observers, two_writable
from tests.lab.weather import Rule, both_ways
from tests.lab.writer import Writer
from tests.scenarios.failing_over import keep_incident

KINDS = [
    pytest.param("mysql97", True, id="9.7-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", False, id="5.6-position", marks=pytest.mark.slow),
    pytest.param("mariadb", True, id="mariadb"),
]
SLOW = [pytest.param(*param.values, id=param.id, marks=pytest.mark.slow) for param in KINDS]


@contextlib.contextmanager
def stays(cluster: Cluster, *, words: str = "", settle: float = 4.0, cnf: str = "", ping: int = 1) -> Iterator[Manager]:
    """A watched and written cluster: whatever happens within, and ``settle`` seconds later, db1 is the primary."""
    manager = cluster.start_manager(cluster.write_cnf(default=cnf, ping_interval=ping))
    writer, observers = Writer(cluster, interval=0.02), Observers(cluster, interval=0.05)
    try:
        time.sleep(2.0)
        yield manager
        time.sleep(settle)
    finally:
        writer.kill()
        taken = observers.stop()
    keep_incident(manager)
    assert manager.process.poll() is None, manager.log()
    assert not list(manager.workdir.glob("*.journal")), manager.log()
    assert {t.host for t in taken} == {cluster[1].ip}
    assert not two_writable(taken)
    assert words in manager.log()


def of_primary_or_all(cluster: Cluster, where: str, *, delay: float = 0.0, loss: float = 0.0) -> Sequence[Rule]:
    """The weather on the primary's cable alone, or between any two hosts, the manager's among them."""
    if where == "all":
        return (Rule(delay=delay, loss=loss),)
    return both_ways(cluster[1].ip, delay=delay, loss=loss)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_primary_whose_link_is_slow(kind: str, gtid: bool) -> None:
    """600 ms each way, suddenly: everything comes back, after more than a second."""
    with (
        Cluster(kind, gtid=gtid, weather=True) as cluster,
        stays(cluster),
        cluster.weather.during(*both_ways(cluster[1].ip, delay=0.6)),
    ):
        time.sleep(12.0)
