"""A rewind of a short tail beside much data: ten times faster than a rebuild of it, on the same servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.waiting import until
from tests.scenarios.test_late_rescue import TABLE, Apart, executed, run

Recorder = Callable[[str, object], None]
pytestmark = pytest.mark.slow
#: Gigabytes of the table beside the tail, and how many times faster it has to be beside that much; less is measured.
WHOLE, TIMES = 5, 10
BESIDE = int(os.environ.get("REWIND_BESIDE_GB", WHOLE))


def test_a_thousand_transactions_beside_much_data(record_property: Recorder) -> None:
    with Cluster("mariadb", gtid=True, backup=True) as cluster:
        fill(cluster, BESIDE << 30)
        before = [f"INSERT INTO app.t VALUES ({number}, 'before')" for number in range(500)]
        tail = [f"UPDATE app.t SET v = 'old {number}' WHERE id = {number}" for number in range(500)]
        tail += [f"INSERT INTO app.t VALUES ({number}, 'old')" for number in range(1000, 1500)]
        apart = Apart(cluster, [TABLE, *before], tail, ["INSERT INTO app.t VALUES (1000, 'new')"])
        began = time.monotonic()
        done = apart.rejoin("--how=rewind")
        rewound = time.monotonic() - began
        assert "replicates from" in done.output, done
        assert done.code == 0, done
        began = time.monotonic()
        words = (f"--conf={apart.conf}", f"--host={apart.old.ip}", "--how=rebuild", "--method=backup", "--yes")
        done = cluster.command("mha", "rejoin", *words, timeout=1500.0)
        rebuilt = time.monotonic() - began
        assert done.code == 0, done
        print(f"rewound in {rewound:.1f} s, rebuilt in {rebuilt:.1f} s: {rebuilt / rewound:.1f} times\n{done.output}")
        apart.assert_equal("app.t")
        record_property("ratio", rebuilt / rewound)
        assert rebuilt >= TIMES * rewound or BESIDE < WHOLE


def fill(cluster: Cluster, size: int) -> None:
    """A table of random bytes, so that nothing packs it, on all servers."""
    rows, length = 16, 1 << 20
    big = "CREATE TABLE app.big (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB) ENGINE=InnoDB"
    run(cluster[1], [big])
    chunk = "REPEAT(RANDOM_BYTES(1024), 1024)"
    insert = f"INSERT INTO app.big (v) VALUES {', '.join([f'({chunk})'] * rows)}"
    for _ in range(size // (rows * length)):
        run(cluster[1], ["SET sql_log_bin = 1", insert])
    for host in cluster.hosts[1:]:
        level(host, cluster[1])


def level(host: Host, primary: Host) -> None:
    until(lambda: counted(host) == counted(primary), "it has all of it", seconds=300.0)
    executed(host, primary, 300.0)


def counted(host: Host) -> int:
    return int(host.sql("SELECT COUNT(*) AS n FROM app.big")[0]["n"])
