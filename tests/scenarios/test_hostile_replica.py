"""Something hostile or odd answers on a replica's port: it is its own trouble, and the others fail over in time."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.lab.cluster import Cluster
from tests.lab.hostile import MUTE, Way, squat
from tests.lab.kinds import ADMIN_PASSWORD
from tests.lab.writer import Writer, gap
from tests.scenarios.failing_over import assert_survivors_agree, finish
from tests.scenarios.usual import limit

#: Seconds from the death until writes are back, on a loaded machine; the slow ones measure what is usual there.
QUICKLY = 8.0
QUICK = {("mariadb", Way.LOCAL_INFILE), ("mysql97", Way.ODD)}
CASES = [
    pytest.param(kind, way, id=f"{kind}-{way.name.lower()}", marks=() if (kind, way) in QUICK else pytest.mark.slow)
    for kind, ways in (("mariadb", tuple(Way)), ("mysql97", (Way.ODD, Way.LOCAL_INFILE, Way.SHA2_TLS, Way.NASTY)))
    for way in ways
]


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_a_hostile_replica_takes_down_nobody_else(
    kind: str, way: Way, record_property: Callable[[str, object], None]
) -> None:
    with Cluster(kind, gtid=True) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        # The application is no part of it, and asks whoever is there.
        third = cluster.hosts.pop()
        writer = Writer(cluster)
        cluster.hosts.append(third)
        cluster[3].signal_mysqld(signal.SIGKILL)
        with squat(cluster[3], way) as record:
            time.sleep(2.0)
            assert manager.process.poll() is None, manager.log()
            struck = time.time()
            cluster[1].signal_mysqld(signal.SIGKILL)
            code, acks = finish(manager, writer, seconds=60.0)
            assert code in (0, 10), manager.log()
            took, allowed = gap(acks, struck), QUICKLY
            if (kind, way) not in QUICK:
                allowed = limit(took, kind, gtid=True, third_down=True)
            record_property("took", f"{took:.2f} of {allowed:.2f} s")
            assert took < allowed, manager.log()
            # A fake that is not talked to, or hangs up before it has done what it is for, proves nothing.
            assert record.read_bytes() or way in MUTE
            assert "Traceback" not in manager.log() + manager.out.read_text()
            assert_survivors_agree(cluster, acks, 2, ())
            assert ADMIN_PASSWORD.encode() not in record.read_bytes()
            assert cluster[2].run("ls /tmp/gained 2>/dev/null; true") == ""
