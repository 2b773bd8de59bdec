"""Clusters by hand.

``python -m tests.lab up mariadb --gtid`` boots one and leaves it running, ``status`` lists every cluster of this
machine, ``down [NUMBER]`` takes down what ``up`` made, or only that one, and clears what dead processes left.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time

from tests.lab.cluster import HOUSE, Cluster
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD, KINDS
from tests.lab.network import Subnet, labels

READY = "up and running"


def main() -> int:
    """Do what was asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="boot a cluster and leave it running")
    up.add_argument("kind", choices=sorted(KINDS))
    up.add_argument("--gtid", action="store_true", help="replicate with GTIDs (file and position)")
    up.add_argument("-n", type=int, default=3, help="how many servers (3)")
    up.add_argument("--stay", action="store_true", help="keep the terminal; Ctrl-C takes it down")
    verbs.add_parser("status", help="list the clusters of this machine")
    down = verbs.add_parser("down", help="take down what up made")
    down.add_argument("number", type=int, nargs="?", help="only this one, as status numbers them")
    given = parser.parse_args()
    if given.verb == "status":
        return status()
    if given.verb == "down":
        return take_down(given.number)
    return hold(given) if given.stay else start(given)


def start(given: argparse.Namespace) -> int:
    """Let a process of its own hold the cluster, and pass on what it says until the cluster is up."""
    words = [sys.executable, "-m", "tests.lab", "up", given.kind, "-n", str(given.n), "--stay"]
    holder = subprocess.Popen(
        [*words, *(["--gtid"] if given.gtid else [])],
        cwd=HOUSE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Not this process's own: whoever waits for the end of that would wait for the holder.
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    for line in holder.stdout:
        if line.startswith(READY):
            print("python -m tests.lab down takes it down.")
            return 0
        print(line, end="")
    return holder.wait(30) or 1


def hold(given: argparse.Namespace) -> int:
    """Boot, tell how to reach it, and keep it until SIGTERM or Ctrl-C."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt), Cluster(given.kind, gtid=given.gtid, n=given.n) as cluster:
        conf = cluster.write_cnf()
        cluster.subnet.label({"cluster": cluster.name, "hosts": given.n, "by hand": True})
        print(f"cluster {cluster.subnet.number}, {cluster.name}: {given.n} servers in {time.monotonic() - began:.1f} s")
        for host in cluster.hosts:
            print(f"  {host.name} {host.ip}  user {ADMIN} password {ADMIN_PASSWORD}")
        print(f"manager's seat: ip netns exec {cluster.subnet.manager} env HOME={cluster.seat} bash")
        print(f"configuration:  {conf}")
        print(f"{READY}; Ctrl-C takes it down.", flush=True)
        while True:
            signal.pause()
    return 0


def status() -> int:
    """One line a cluster."""
    found = labels()
    for number, label in sorted(found.items()):
        if "pid" not in label:
            print(f"{number}: left by a dead process; down clears it")
            continue
        what = f"{label.get('cluster', 'a network')}, {label.get('hosts', 0)} hosts at 10.77.{number}.11 and up"
        print(f"{number}: {what}, manager's seat lab{number}m, held by process {label['pid']}")
    if not found:
        print("nothing runs")
    return 0


def take_down(number: int | None) -> int:
    """End holders that `up` started, never a test's, and clear what nobody holds."""
    mine = {n: label for n, label in labels().items() if label.get("by hand") and number in (None, n)}
    for label in mine.values():
        os.kill(label["pid"], signal.SIGTERM)
    ends = time.monotonic() + 30
    while gone_not := mine.keys() & labels().keys():
        if time.monotonic() > ends:
            print(f"still there after 30 s: {sorted(gone_not)}", file=sys.stderr)
            return 1
        time.sleep(0.1)
    cleared = []
    for subnet in Subnet.abandoned():
        if number in (None, subnet.number):
            cleared.append(subnet.number)
            subnet.release()
    print(f"taken down: {sorted(mine) or 'nothing'}; cleared: {cleared or 'nothing'}")
    return 0 if mine or cleared or number is None else 1


if __name__ == "__main__":
    sys.exit(main())
