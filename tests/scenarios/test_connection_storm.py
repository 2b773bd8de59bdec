"""A planned switch while applications open connections as fast as they can: it ends soon, or refuses beforehand."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.lab.cluster import Cluster
from tests.lab.kinds import APP, APP_PASSWORD
from tests.lab.writer import Writer, outage
from tests.scenarios.moving import wait_until
from tests.scenarios.test_chains_of_faults import lost_on, modes
from tests.scenarios.test_who_is_primary import writable

STORM = """
import pymysql, sys, threading, time
ends, kept = time.time() + 90, []
def storm():
    while time.time() < ends:
        try:
            one = pymysql.connect(host=sys.argv[1], user=sys.argv[2], password=sys.argv[3], connect_timeout=2)
            one.query("SELECT 1")
            one.close()
        except Exception:
            time.sleep(0.01)
for _ in range(int(sys.argv[4])):
    threading.Thread(target=storm, daemon=True).start()
print("blows", flush=True)
time.sleep(90)
"""


@contextlib.contextmanager
def storm(cluster: Cluster, number: int, threads: int = 24) -> Iterator[None]:
    """So many threads connect to that server, ask one question, and leave; for 90 s at most."""
    process = cluster.run_there(sys.executable, "-c", STORM, cluster[number].ip, APP, APP_PASSWORD, str(threads))
    assert process.stdout is not None
    assert process.stdout.readline() == "blows\n"
    try:
        yield
    finally:
        process.kill()
        process.wait(10)


def seconds_between(log: str, first: str, last: str) -> float:
    """By the log's clock: what a loaded machine needs to start the command is not the switch's."""
    lines = [next(line for line in log.splitlines() if words in line) for words in (first, last)]
    began, ended = (datetime.strptime(line[:24], "%a %b %d %H:%M:%S %Y") for line in lines)
    return (ended - began).total_seconds()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), modes())
def test_a_switch_under_a_storm_of_connections_ends_soon(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        conf = cluster.write_cnf(candidate=2)
        writer = Writer(cluster)
        wait_until(lambda: len(writer.acks()) > 50, "the application writes")
        with storm(cluster, 1):
            before = len(writer.acks())
            wait_until(lambda: len(writer.acks()) > before + 50, "rows in the storm")
            words = ("--master_state=alive", "--interactive=0", f"--new_master_host={cluster[2].ip}")
            more = ("--orig_master_is_new_slave", f"--conf={conf}")
            done = cluster.command("masterha_master_switch", *words, *more, timeout=180.0)
        acks = writer.stop()
        took = seconds_between(done.output, "Starting online master switch", "completed successfully")
        print(f"the switch took {took:.1f} s, writes were held {outage(acks).seconds:.2f} s")
        assert done.code == 0, done
        assert writable(cluster[2]), done
        assert took < 15.0, done
        assert lost_on(acks, cluster[2]) == 0
