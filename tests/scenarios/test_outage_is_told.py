"""How long writes were out is what applications saw, also where a primary acknowledged nothing before it went dark."""

from __future__ import annotations

import re
import time

import pytest

from tests.lab.two_servers import APART, TwoServers, closed, two_servers
from tests.lab.waiting import until

pytestmark = pytest.mark.slow

KINDS = [
    pytest.param("mariadb", True, id="mariadb-gtid"),
    pytest.param("mysql97", True, id="9.7-gtid"),
    pytest.param("mariadb118", True, id="11.8-gtid"),
]
#: Seconds for which it acknowledges nothing, or nobody can tell; and by which what is told may be wrong.
LASTS, NEARLY = 12.0, 3.0
_TOLD = re.compile(r"Writes were out for ([\d.]+) s(?:, perhaps for up to ([\d.]+) s)?: .*")


def told(two: TwoServers) -> re.Match[str]:
    """The report's sentence."""
    until(lambda: not closed(two.cluster[2]), "db2 is opened", 60.0)
    until(lambda: _TOLD.search(two.monitor.log()), "the report", 30.0)
    found = _TOLD.search(two.monitor.log())
    assert found is not None
    return found


def seen(two: TwoServers) -> float:
    """Seconds between the last row that db1 acknowledged and the first that db2 did."""
    db1, db2 = two.cluster[1], two.cluster[2]
    until(lambda: two.taken_by(db2, 0.0), "db2 takes writes")
    taken = two.observers.stop()
    return min(t.at for t in taken if t.host == db2.ip) - max(t.at for t in taken if t.host == db1.ip)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_commits_that_waited_in_vain_before_it_went_dark_count(kind: str, gtid: bool) -> None:
    """It answers the manager alone, so its pings are well while nobody can write."""
    with two_servers(kind, gtid=gtid, seat=APART) as two:
        two.cut(1, 2)
        two.cut(1, 3)
        time.sleep(LASTS)
        two.cable(1, up=False)
        words = told(two)
        out = seen(two)
        assert out > LASTS
        assert abs(float(words[1]) - out) < NEARLY, (words[0], out)
        assert "the first commit that was seen to wait in vain" in words[0]


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_what_the_manager_could_not_see_is_told_to_be_unknown(kind: str, gtid: bool) -> None:
    """It is cut off, db1 goes dark meanwhile, and from then on nobody knows whether db1 took writes before."""
    with two_servers(kind, gtid=gtid, seat=APART) as two:
        cut_at = time.time()
        two.cable(APART, up=False)
        until(lambda: "manager cut off" in two.monitor.log(), "it notices")
        time.sleep(LASTS)
        two.cable(1, up=False)
        two.cable(APART, up=True)
        words = told(two)
        out = seen(two)
        assert words[2] is not None, words[0]
        assert out < float(words[2]) < time.time() - cut_at, (words[0], out)
        assert "is unknown from" in words[0]
