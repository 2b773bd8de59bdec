"""``make bench-scale``: one process that watches 1, 10, 100, 300 clusters of three. A measurement: nothing fails.

``python -m tests.lab.bench_scale [--sizes 1 10 100 300] [--seconds 10] [--no-ssh] [--dying]``. One cluster is real
(MariaDB, GTID), and its primary is killed with -9 while the process watches all of them; the others are stubs that
answer from a book recorded from it (`stub_servers`). Their hosts are one real sshd that answers every look with what a
real look had found, for the manager's work is to be measured and not that of 900 hosts on this machine; ``--no-ssh``:
their sshd refuses.

``--dying``: 17 stubs and 3 real clusters lose their primaries within one second, with two failovers at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prefect_mha.config import load_cluster
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.probes.host import ServerPaths, asking
from prefect_mha.replication.scripts import script
from tests.lab import stub_servers
from tests.lab.cluster import Cluster
from tests.lab.fleet import FleetMonitor
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD

SSH_PORT = 2222
REFUSED = 9
#: Seconds for all watches to begin, and for the failover of the real cluster.
BEGIN, RECOVER = 40.0, 10.0


@dataclass(frozen=True)
class Size:
    """One size: processor per cluster in % of a core; seconds from the kill, and by which a ping was late."""

    clusters: int
    watched: int
    begin: float
    cpu: float
    mib: float
    threads: int
    files: int
    late_ping: float
    late_ping_failover: float
    verdict: float | None
    writes: float | None
    unknown: int


class Stubs:
    """The process of the stub servers, in the manager's network."""

    def __init__(self, cluster: Cluster, book: Path, clusters: int) -> None:
        self._process = subprocess.Popen(
            [
                *("ip", "netns", "exec", cluster.subnet.manager),
                *(sys.executable, "-m", "tests.lab.stub_servers", str(book), str(clusters)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready\n"

    def kill(self, *numbers: int) -> float:
        """Take these primaries away; when that was done."""
        self._say("kill " + " ".join(map(str, numbers)))
        return float(self._answer())

    def late(self) -> tuple[float, int]:
        """Seconds that the latest ping came too late since the last call, and how many statements nobody knew."""
        self._say("pings")
        told = json.loads(self._answer())
        return max([0.0, *(longest - 1.0 for longest in told["longest"])]), sum(told["unknown"].values())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)

    def _say(self, words: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@contextlib.contextmanager
def stubs(cluster: Cluster, count: int) -> Iterator[Stubs]:
    """So many stub clusters; their book is recorded from this one."""
    config = load_cluster(cluster.write_cnf("book"), None)
    book = cluster.seat / "book.json"
    with cluster.in_manager_net():
        stub_servers.record(config.servers, book)
        _answer_looks(cluster)
    started = Stubs(cluster, book, count)
    try:
        yield started
    finally:
        started.close()


def _answer_looks(cluster: Cluster) -> None:
    """A second sshd on db3 that answers whatever it is asked with what a look at its mysqld finds now."""
    host, server = cluster[3], load_cluster(cluster.write_cnf("book"), None).servers[2]
    session = Server(server)
    places = ServerPaths.of(server, session.observe())
    session.close()
    found = host.run(asking(server, places, *places.directories), data=script("vitals.sh"))
    (host.upper / "vitals").write_text(found)
    host.run(
        f"/usr/sbin/sshd -p {SSH_PORT} -o PermitRootLogin=yes -o UseDNS=no -o UsePAM=no -o MaxStartups=1000 "
        "-o 'ForceCommand=cat /vitals' -o PidFile=/run/sshd-looks.pid -E /var/log/sshd-looks.log"
    )


def stub_conf(cluster: Cluster, directory: Path, number: int, *, ssh: bool, default: str = "") -> Path:
    """The configuration of one stub cluster."""
    name = f"stub{number:03}"
    workdir = directory / name
    key, known = cluster.seat / ".ssh" / "id_ed25519", cluster.seat / ".ssh" / "known_hosts"
    where = f"ssh_host={cluster[3].ip}\nssh_port={SSH_PORT}\n" if ssh else f"ssh_port={REFUSED}\n"
    text = (
        f"[server default]\nmanager_workdir={workdir}\nmanager_log={workdir}/manager.log\nuser={ADMIN}\n"
        f"password={ADMIN_PASSWORD}\nssh_user=root\nping_interval=1\n{where}{default}\n"
        f"ssh_options=-i {key} -o UserKnownHostsFile={known} -o StrictHostKeyChecking=no\n"
    )
    text += "".join(f"\n[server{n}]\nhostname={stub_servers.address(number, n)}\n" for n in (1, 2, 3))
    path = directory / f"{name}.cnf"
    path.write_text(text)
    return path


def real_conf(cluster: Cluster, directory: Path, name: str, default: str = "") -> Path:
    """The configuration of a real cluster, in the fleet's directory."""
    written = cluster.write_cnf(name, default=default)
    path = directory / written.name
    text = written.read_text().replace(str(written.with_suffix("")), str(directory / name))
    written.unlink()
    path.write_text(text)
    return path


def measure(clusters: int, seconds: float, *, ssh: bool) -> Size:
    """One size: watch, measure, kill the real primary, and look at what the others' pings made of it."""
    with Cluster("mariadb", gtid=True) as cluster, stubs(cluster, clusters - 1) as others:
        directory = _directory(cluster)
        confs = [real_conf(cluster, directory, "real")]
        confs += [stub_conf(cluster, directory, n, ssh=ssh) for n in range(1, clusters)]
        began = time.monotonic()
        fleet = FleetMonitor(cluster, confs, "--conf-dir", str(directory))
        try:
            watched = 0
            while watched < clusters and time.monotonic() - began < BEGIN:
                time.sleep(0.2)
                watched = len(fleet.watching())
            begin = time.monotonic() - began
            time.sleep(3.0)
            others.late()
            before, at = fleet.cost(), time.monotonic()
            time.sleep(seconds)
            after, passed = fleet.cost(), time.monotonic() - at
            late, _ = others.late()
            killed = time.time()
            cluster[1].signal_mysqld(signal.SIGKILL)
            ends = time.monotonic() + RECOVER
            while fleet.opened_at("real") is None and time.monotonic() < ends:
                time.sleep(0.1)
            time.sleep(1.0)
            late_failover, unknown = others.late()
            verdict, opened = fleet.verdict_at("real"), fleet.opened_at("real")
        finally:
            fleet.stop()
        return Size(
            clusters,
            watched,
            begin,
            100 * (after.cpu - before.cpu) / passed / clusters,
            after.mib,
            after.threads,
            after.files,
            late,
            late_failover,
            verdict - killed if verdict else None,
            opened - killed if opened else None,
            unknown,
        )


def _directory(cluster: Cluster) -> Path:
    directory = cluster.seat / "fleet"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


def dying(console: Console, count: int = 20, real: int = 3, most: int = 2) -> None:
    """Many primaries die within a second: who waits, who goes first, and what became of the real ones."""
    with contextlib.ExitStack() as stack:
        reals = [stack.enter_context(Cluster("mariadb", gtid=True)) for _ in range(real)]
        seat = reals[0]
        for other in reals[1:]:
            seat.subnet.reach(other.subnet)
        others = stack.enter_context(stubs(seat, count - real))
        directory = _directory(seat)
        priorities = {f"real{n}": 100 * n for n in range(1, real + 1)}
        confs = [real_conf(c, directory, f"real{n}", f"priority={100 * n}") for n, c in enumerate(reals, 1)]
        for n in range(1, count - real + 1):
            priorities[f"stub{n:03}"] = n
            confs.append(stub_conf(seat, directory, n, ssh=False, default=f"priority={n}"))
        fleet = FleetMonitor(seat, confs, "--conf-dir", str(directory), "--max-parallel-failovers", str(most))
        try:
            fleet.wait_until_watching(seconds=BEGIN)
            time.sleep(3.0)
            began = time.time()
            others.kill(*range(1, count - real + 1))
            for cluster in reals:
                cluster[1].signal_mysqld(signal.SIGKILL)
            took = time.time() - began
            ends = time.monotonic() + 40.0
            while time.monotonic() < ends and not all(_came(fleet, name) for name in priorities):
                time.sleep(0.2)
            _print_dying(console, fleet, priorities, began, took, most)
        finally:
            fleet.stop()


def _came(fleet: FleetMonitor, name: str) -> bool:
    return (fleet.opened_at(name) if name.startswith("real") else fleet.verdict_at(name)) is not None


def _print_dying(
    console: Console, fleet: FleetMonitor, priorities: dict[str, int], began: float, took: float, most: int
) -> None:
    console.print(
        f"{len(priorities)} primaries died within {took:.2f} s; at most {most} failovers at a time. A stub has no "
        "SSH and cannot be promoted:\nits failover is begun in its turn and fails; what is shown is that, and when.",
        highlight=False,
    )
    table = Table(title="In the order in which they were begun, seconds since the first death", title_justify="left")
    for heading in ("cluster", "priority", "begun", "writes back", "waited for its turn"):
        table.add_column(heading, justify="left" if heading == "cluster" else "right")
    first = {name: _first_verdict(fleet, name) for name in priorities}
    for name in sorted(priorities, key=lambda n: first[n] or float("inf")):
        at, opened = first[name], fleet.opened_at(name)
        table.add_row(
            name,
            str(priorities[name]),
            f"{at - began:.2f}" if at else "not in 40 s",
            f"{opened - began:.2f}" if opened else "",
            "yes" if "waits for its turn" in fleet.log(name) else "no",
        )
    console.print(table)


def _first_verdict(fleet: FleetMonitor, name: str) -> float | None:
    for path in sorted(fleet.workdirs[name].glob("*.failover-*.journal")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry["step"] == "verdict":
                return float(entry["t"])
    return None


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 300])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the processor time is measured")
    parser.add_argument("--no-ssh", action="store_true", help="the stubs' sshd refuses")
    parser.add_argument("--dying", action="store_true", help="twenty primaries die within a second")
    given = parser.parse_args()
    console = Console(width=120)
    if given.dying:
        dying(console)
        return 0
    sizes = []
    for clusters in given.sizes:
        console.print(f"{clusters} clusters", style="dim", highlight=False)
        sizes.append(measure(clusters, given.seconds, ssh=not given.no_ssh))
        console.print(f"  {sizes[-1]}", style="dim", highlight=False)
    _print(console, sizes, ssh=not given.no_ssh)
    return 0


def _print(console: Console, sizes: list[Size], *, ssh: bool) -> None:
    hosts = "a real sshd answers each look with a recorded one" if ssh else "their sshd refuses"
    console.print(f"One cluster of each size is real and its primary is killed; the others are stubs: {hosts}.")
    table = Table(title="One process, pings each second", title_justify="left")
    for heading in (
        "clusters",
        "watched after s",
        "CPU % a cluster",
        "CPU % of a core",
        "MiB",
        "threads",
        "files",
        "latest ping s",
        "during a failover s",
        "kill to verdict s",
        "kill to writes s",
        "not understood",
    ):
        table.add_column(heading, justify="right")
    for size in sizes:
        table.add_row(
            str(size.clusters),
            f"{size.begin:.1f}" if size.watched == size.clusters else f"only {size.watched}, {size.begin:.0f}",
            f"{size.cpu:.2f}",
            f"{size.cpu * size.clusters:.0f}",
            f"{size.mib:.0f}",
            str(size.threads),
            str(size.files),
            f"{size.late_ping:.2f}" if size.clusters > 1 else "",
            f"{size.late_ping_failover:.2f}" if size.clusters > 1 else "",
            "none" if size.verdict is None else f"{size.verdict:.2f}",
            "none" if size.writes is None else f"{size.writes:.2f}",
            str(size.unknown),
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
