"""A rewind of a short tail beside much data: ten times faster than a rebuild of it, on the same servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from tests.lab.cluster import Cluster
from tests.scenarios.test_late_rescue import TABLE, Apart, run

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
    """The same table on all servers, each filled by itself: neither their logs nor the replicas' hold it."""
    create = "CREATE TABLE app.big (id INT PRIMARY KEY, v LONGBLOB) ENGINE=InnoDB"
    at_once, row = 128, 1 << 20
    for host in cluster.hosts:
        run(host, ["SET sql_log_bin = 0", create])
        for number in range(size // (at_once * row)):
            # A megabyte that differs from row to row, and is the same everywhere.
            values = f"SELECT seq, REPEAT(UNHEX(SHA2(seq, 512)), {row // 64}) FROM app.seq_{number * at_once + 1}_to_"
            run(host, ["SET sql_log_bin = 0", f"INSERT INTO app.big {values}{(number + 1) * at_once}"])
