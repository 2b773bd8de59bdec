"""``make bench-rescue``: how fast a tail that only the dead primary has is saved and applied. A measurement.

``python -m tests.lab.bench_rescue [--kinds WORD,…] [--tails NAME,…] [--runs N] [--json FILE]``, where a kind is one of
`CASES`: ``mysql97``, ``mariadb`` (both with GTIDs), ``mysql56``, and the same with ``-position``. No replica receives
what is written last; then the primary is killed, its host lives on, and the manager rescues the tail.

The bound is ``mysqlbinlog FILES | mysql`` of the same files on a host of the same cluster that is in the same state,
once with the server's settings as they are and once with those that an application lends it.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from prefect_mha.replication.memory.journal import Entry, read_journal
from prefect_mha.replication.mysql.temporary_settings import DURABILITY, PACKET
from prefect_mha.replication.rescue.pointing import TURN
from tests.lab.cluster import Cluster, Manager
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, ADMIN_PASSWORD

CASES = {
    f"{kind}{suffix}": (kind, gtid)
    for kind in ("mysql97", "mariadb", "mysql56")
    for suffix, gtid in (("", True), ("-position", False))
}
#: Sessions that write at once; a commit of several costs one fsync.
SESSIONS = 4
#: Seconds that a failover, or an application beside it, may take before the run is given up.
LIMIT = 900.0
#: The host that is in no configuration: it has what the replicas have, and the bound is measured on it.
SPARE = 4
FILES = "/var/tmp/bound"


@dataclass(frozen=True)
class Tail:
    """So many transactions of one row of so many bytes each."""

    transactions: int
    row: int


TAILS = {"rows": Tail(100_000, 128), "bytes": Tail(5_000, 100_000)}


@dataclass(frozen=True)
class Run:
    """One rescue: seconds of its parts, bytes of the tail, MB (10^6 bytes) that the manager took at its most.

    ``apply`` holds what the replica took to receive and execute it (``pipe``), and making it durable; ``send`` is told
    only where a session replayed it; ``whole`` is from the verdict to the opened server. ``bound`` is what the plain
    pipe takes with the server's own settings, ``relaxed`` with those of an application, made durable at its end.
    """

    case: str
    tail: str
    transactions: int
    bytes: int
    save: float
    cut: float
    send: float
    pipe: float
    apply: float
    whole: float
    bound: float
    relaxed: float
    memory: float
    memory_idle: float
    lost: int
    equal: bool
    exit_code: int

    @property
    def rescue(self) -> float:
        """Seconds from the first byte read on the dead host to the last one applied."""
        return self.save + self.cut + self.apply


def measure(case: str, name: str, *, relaxed_only: bool = False) -> Run:
    """Boot a cluster, write the tail, kill the primary, read off what happened, then measure the bound."""
    kind, gtid = CASES[case]
    tail = TAILS[name]
    with Cluster(kind, gtid=gtid, n=SPARE) as cluster:
        _make_table(cluster)
        manager = cluster.start_manager(_without_spare(cluster.write_cnf()))
        for host in cluster.hosts[1:]:
            cluster.stop_receiver(host)
        place = cluster[SPARE].replica_status()
        start = (str(place["Source_Log_File"]), int(place["Read_Source_Log_Pos"]))
        write(cluster[1], tail)
        idle = _memory(manager.process.pid)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, peak = _watch(manager)
        (journal,) = manager.workdir.glob("*.journal")
        parts = read_parts(list(read_journal(journal)), manager.log())
        held = _held(cluster, tail)
        command = _take_files(cluster, start)
        size = int(cluster[SPARE].run(f"cat {FILES}/mysql-bin.* | wc -c")) - start[1]
        return Run(
            cluster.name,
            name,
            tail.transactions,
            size,
            **parts,
            bound=0.0 if relaxed_only else _bound(cluster, tail, command, {}),
            relaxed=_bound(cluster, tail, command, {**PACKET, **DURABILITY}),
            memory=peak,
            memory_idle=idle,
            lost=tail.transactions - min(rows for rows, _ in held),
            equal=len(set(held)) == 1,
            exit_code=code,
        )


def write(host: Host, tail: Tail) -> None:
    """Write the tail to a primary, as fast as it takes it: its own durability is not what is measured."""
    host.sql("SET GLOBAL sync_binlog=0")
    host.sql("SET GLOBAL innodb_flush_log_at_trx_commit=2")

    def session(writer: int) -> None:
        connection = host.connect(read_timeout=LIMIT)
        with connection, connection.cursor() as cursor:
            cursor.execute("CALL app.fill(%s, %s, %s)", (writer, tail.transactions // SESSIONS, tail.row))

    with ThreadPoolExecutor(SESSIONS) as pool:
        for done in [pool.submit(session, writer) for writer in range(SESSIONS)]:
            done.result()


def read_parts(entries: Sequence[Entry], log: str) -> dict[str, float]:
    """Seconds of a failover's parts, from its journal and from what it logged."""

    def at(wanted: Callable[[Entry], bool]) -> float:
        return next((entry.at for entry in entries if wanted(entry)), float("nan"))

    def step(name: str, event: str) -> float:
        return at(lambda e: e.step.startswith(name) and e.event == event)

    def logged(line: str) -> float:
        found = re.search(line, log)
        return float(found[1]) if found else float("nan")

    intent = step(TURN, "intent")
    return {
        "save": step("Save the dead", "done") - step("Save the dead", "began"),
        "cut": intent - step("Apply what was saved", "began"),
        "send": logged(r"Sent \d+ bytes to \S+ in ([\d.]+) s"),
        "pipe": logged(r"executed \d+ transactions of the saved log in ([\d.]+) s"),
        "apply": step("Apply what was saved", "done") - intent,
        "whole": step("Open", "done") - step("verdict", "dead"),
    }


# the cluster -------------------------------------------------------------------------------------------------------


def _make_table(cluster: Cluster) -> None:
    """Table and procedure are everywhere before the receivers stop: every host lacks the same rows and nothing else."""
    cluster[1].sql(
        "CREATE PROCEDURE app.fill(IN writer INT, IN total INT, IN width INT) BEGIN DECLARE n INT DEFAULT 0; "
        "WHILE n < total DO SET n = n + 1; INSERT INTO app.tail (writer, id, payload) "
        "VALUES (writer, n, REPEAT(SHA2(CONCAT(writer, ':', n), 256), width DIV 64)); END WHILE; END"
    )
    cluster[1].sql(
        "CREATE TABLE app.tail (writer INT NOT NULL, id INT NOT NULL, "
        "payload MEDIUMTEXT CHARACTER SET latin1 NOT NULL, PRIMARY KEY (writer, id)) ENGINE=InnoDB"
    )
    ends = time.monotonic() + 20
    for host in cluster.hosts[1:]:
        while not host.sql("SHOW TABLES FROM app LIKE 'tail'"):
            if time.monotonic() > ends:
                raise RuntimeError(f"{host.name} does not replicate: {host.replica_status()}")
            time.sleep(0.05)


def _without_spare(conf: Path) -> Path:
    text = conf.read_text()
    conf.write_text(text[: text.index(f"[server{SPARE}]")])
    return conf


def _held(cluster: Cluster, tail: Tail) -> list[tuple[int, str]]:
    """What the new primary and its replica hold, once the replica has caught up."""
    primary, replica = (_digest(host, tail) for host in cluster.hosts[1:3])
    ends = time.monotonic() + LIMIT / 3
    while replica != primary and time.monotonic() < ends:
        time.sleep(1.0)
        replica = _digest(cluster[3], tail)
    return [primary, replica]


def _digest(host: Host, tail: Tail) -> tuple[int, str]:
    """How many rows of the tail it has, and a sum of them."""
    connection = host.connect(read_timeout=LIMIT)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) AS n, SUM(LENGTH(payload)) AS bytes FROM app.tail")
        row: dict[str, Any] = cursor.fetchone()  # type: ignore[assignment]
        cursor.execute("CHECKSUM TABLE app.tail")
        checksum: dict[str, Any] = cursor.fetchone()  # type: ignore[assignment]
    return int(row["n"]), f"{row['bytes']} {checksum['Checksum']}"


def _memory(pid: int) -> float:
    """The most memory that a process took so far, in MB; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)


def _watch(manager: Manager) -> tuple[int, float]:
    """Exit code of the manager and the most memory it took."""
    peak, ends = 0.0, time.monotonic() + LIMIT
    while manager.process.poll() is None:
        if time.monotonic() > ends:
            manager.stop()
            raise RuntimeError(f"the failover takes longer than {LIMIT:g} s:\n{manager.log()[-2000:]}")
        peak = max(peak, _memory(manager.process.pid))
        time.sleep(0.05)
    return manager.process.returncode, peak


# the bound ---------------------------------------------------------------------------------------------------------


def _take_files(cluster: Cluster, start: tuple[str, int]) -> str:
    """Bring the dead primary's logs from ``start`` on to the spare host; the command that applies them there."""
    spare, dead = cluster[SPARE], cluster[1]
    words = cluster.kind.word("REPLICA", "SLAVE")
    spare.sql(f"STOP {words}")
    spare.sql(f"RESET {words} ALL")
    spare.sql("SET GLOBAL read_only=0")
    spare.run(f"mkdir -p {FILES}")
    names = dead.run("cd /var/lib/mysql && ls mysql-bin.0*").split()
    needed = [name for name in names if name >= start[0]]
    for name in needed:
        data, target = dead.upper / "var/lib/mysql" / name, spare.upper / FILES.lstrip("/") / name
        target.write_bytes(b"")
        with data.open("rb") as source, target.open("wb") as copy:
            while chunk := source.read(1 << 20):
                copy.write(chunk)
    (spare.upper / FILES.lstrip("/") / "client.cnf").write_text(
        f"[client]\nuser={ADMIN}\npassword={ADMIN_PASSWORD}\nsocket=/run/mysqld/mysqld.sock\n[mysql]\n"
        "max-allowed-packet=1G\n"
    )
    reader, client = ("mariadb-binlog", "mariadb") if cluster.kind.mariadb else ("mysqlbinlog", "mysql")
    # A server before 8.0 refuses what a newer mysqlbinlog puts between two GTIDs (error 1837).
    old = cluster.kind.name == "mysql56"
    between = "| sed 's/^\\(.*\\/\\*!80[0-9]* SET @@session\\)/# \\1/' " if old else ""
    return (
        f"cd {FILES} && {reader} --no-defaults --start-position={start[1]} {' '.join(needed)} {between}| "
        f"{client} --defaults-extra-file=client.cnf --binary-mode {'--skip-comments' if old else ''}"
    )


def _bound(cluster: Cluster, tail: Tail, command: str, values: dict[str, int]) -> float:
    """Seconds of the plain pipe on the spare host, which is put back to where it was."""
    spare = cluster[SPARE]
    former = spare.sql("SELECT " + ", ".join(f"@@GLOBAL.{name} AS {name}" for name in {**PACKET, **DURABILITY}))[0]
    spare.run(f"cat {FILES}/mysql-bin.* >/dev/null")
    for name, value in {**former, **values}.items():
        spare.sql(f"SET GLOBAL {name} = {value}")
    began = time.monotonic()
    said = spare.run(f"{command} 2>&1 || echo FAILED", timeout=LIMIT)
    if values:
        # What was not synced by every commit is synced at the end, as an application does it.
        for log in ("ENGINE", "BINARY"):
            spare.sql(f"FLUSH LOCAL {log} LOGS")
    seconds = time.monotonic() - began
    for name, value in former.items():
        spare.sql(f"SET GLOBAL {name} = {value}")
    rows, _ = _digest(spare, tail)
    if rows != tail.transactions:
        raise RuntimeError(f"the bound applied {rows} rows and said: {said[-2000:]}")
    spare.sql(cluster.kind.word("RESET BINARY LOGS AND GTIDS", "RESET MASTER"))
    if cluster.kind.mariadb:
        spare.sql("SET GLOBAL gtid_slave_pos=''")
    connection = spare.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin=0")
        cursor.execute("TRUNCATE TABLE app.tail")
    return seconds


# the table ---------------------------------------------------------------------------------------------------------


def print_runs(console: Console, runs: list[Run]) -> None:
    """Medians of each case."""
    table = Table(title="Rescue of a tail, medians", title_justify="left")
    for heading in ("case", "tail", "MB", "save", "cut", "send", "pipe", "apply", "to open", "rows/s", "MB/s"):
        table.add_column(heading, justify="left" if heading in ("case", "tail") else "right")
    bound = Table(title="Beside `mysqlbinlog | mysql` of the same files", title_justify="left")
    for heading in ("case", "tail", "own settings", "ratio", "same settings", "ratio", "MB peak", "MB idle", "lost"):
        bound.add_column(heading, justify="left" if heading in ("case", "tail") else "right")
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.case, run.tail), []).append(run)
    for (case, tail), each in groups.items():

        def mid(value: Callable[[Run], float], of: list[Run] = each) -> float:
            return statistics.median(value(run) for run in of)

        table.add_row(
            case,
            tail,
            f"{each[0].bytes / 1e6:.0f}",
            f"{mid(lambda r: r.save):.2f}",
            f"{mid(lambda r: r.cut):.2f}",
            f"{mid(lambda r: r.send):.2f}",
            f"{mid(lambda r: r.pipe):.2f}",
            f"{mid(lambda r: r.apply):.2f}",
            f"{mid(lambda r: r.whole):.2f}",
            f"{mid(lambda r: r.transactions / r.rescue):.0f}",
            f"{mid(lambda r: r.bytes / 1e6 / r.rescue):.1f}",
        )
        bound.add_row(
            case,
            tail,
            f"{mid(lambda r: r.bound):.2f}",
            f"{mid(lambda r: r.bound / r.rescue):.2f}",
            f"{mid(lambda r: r.relaxed):.2f}",
            f"{mid(lambda r: r.relaxed / r.rescue):.2f}",
            f"{max(r.memory for r in each):.0f}",
            f"{max(r.memory_idle for r in each):.0f}",
            f"{max(r.lost for r in each)}{'' if all(r.equal for r in each) else ', NOT EQUAL'}",
        )
    console.print(table)
    console.print(bound)
    console.print(
        "apply = pipe, with send beside it, + making it durable. rows/s, MB/s and the ratios are of save + cut + apply."
        " The bound has no way to go; with the same settings it is made durable at its end, too.",
        highlight=False,
    )


def main() -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench_rescue", description=__doc__)
    parser.add_argument("--kinds", default="mysql97,mariadb", help=f"of {', '.join(CASES)}")
    parser.add_argument("--tails", default=",".join(TAILS), help=f"of {', '.join(TAILS)}")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--relaxed-only", action="store_true", help="leave out the bound with own settings: it is slow")
    parser.add_argument("--json", type=Path, help="write every run there")
    given = parser.parse_args()
    console, runs = Console(width=120), []
    for turn in range(given.runs):
        for case in given.kinds.replace(",", " ").split():
            for tail in given.tails.replace(",", " ").split():
                console.print(f"run {turn + 1} of {given.runs}: {case} {tail}", style="dim", highlight=False)
                runs.append(measure(case, tail, relaxed_only=given.relaxed_only))
                console.print(str(runs[-1]), style="dim", highlight=False)
    print_runs(console, runs)
    if given.json:
        given.json.write_text(json.dumps([asdict(run) for run in runs], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
