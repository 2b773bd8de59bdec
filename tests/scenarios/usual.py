"""How long a failover takes here and now when nobody is hostile: what a hostile one is measured against."""

from __future__ import annotations

import functools
import signal
import time

from tests.lab.cluster import Cluster
from tests.lab.writer import Writer, gap
from tests.scenarios.failing_over import finish

#: Seconds that who is hostile may cost beyond the usual time: one look at every server waits for him, and no longer.
MORE = 2.0


def limit(took: float, kind: str, *, gtid: bool, third_down: bool) -> float:
    """Seconds that a failover may take which took so many, where somebody is hostile: the usual, and `MORE`.

    Where that is not kept the usual is measured once more, for the machine may have got more to do meanwhile.
    """
    allowed = usual(kind, gtid, third_down=third_down) + MORE
    if took < allowed:
        return allowed
    usual.cache_clear()
    return usual(kind, gtid, third_down=third_down) + MORE


@functools.cache
def usual(kind: str, gtid: bool, *, third_down: bool) -> float:
    """Seconds from the death of the primary until writes are back; ``third_down``: the other replica is down, too."""
    with Cluster(kind, gtid=gtid) as cluster:
        manager = cluster.start_manager(cluster.write_cnf(candidate=2, default="start_checks=warn"))
        third = cluster.hosts.pop()
        writer = Writer(cluster)
        cluster.hosts.append(third)
        time.sleep(1.0)
        if third_down:
            cluster[3].signal_mysqld(signal.SIGKILL)
            time.sleep(2.0)
        struck = time.time()
        cluster[1].signal_mysqld(signal.SIGKILL)
        _, acks = finish(manager, writer, seconds=60.0)
        took = gap(acks, struck)
        print(f"usual on {kind}: {took:.2f} s")
        return took
