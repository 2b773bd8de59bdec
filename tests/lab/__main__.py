"""The lab by hand: ``python -m tests.lab mariadb [--gtid]`` boots three servers and keeps them until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import time

from tests.lab.cluster import Cluster
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, KINDS


def main() -> None:
    """Boot, tell how to reach it, wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--gtid", action="store_true")
    parser.add_argument("-n", type=int, default=3, help="how many servers (3)")
    given = parser.parse_args()
    began = time.monotonic()
    with Cluster(given.kind, gtid=given.gtid, n=given.n) as cluster:
        conf = cluster.write_cnf()
        print(f"{cluster.name}: {given.n} servers up in {time.monotonic() - began:.1f} s")
        for host in cluster.hosts:
            print(f"  {host.name} {host.ip}  user {ADMIN} password {ADMIN_PASSWORD}")
        print(f"manager's seat: ip netns exec {cluster.subnet.manager} bash, configuration {conf}")
        print("Ctrl-C takes it down.", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("taking it down")


if __name__ == "__main__":
    main()
