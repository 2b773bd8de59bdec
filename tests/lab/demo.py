"""``make demo``: a three-server MariaDB cluster under load loses its primary, and goes on; everything is shown.

With ``--keep`` all of it stays up until Ctrl-C, and Prefect's UI is reachable from this machine. With ``--pictures``
what was printed and the time line of that very run become the pictures of README.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from prefect_mha.replication.memory.journal import Entry, read_journal
from prefect_mha.replication.reporting.history.reading import incident_of
from prefect_mha.replication.reporting.history.text import out_words
from prefect_mha.replication.reporting.incident.page import page
from prefect_mha.replication.reporting.incident.timeline import timeline
from prefect_mha.replication.reporting.pictures.drawn import timeline_image
from tests.lab.checker import account, writers_overlap
from tests.lab.cluster import Cluster
from tests.lab.network import inside
from tests.lab.prefect_server import PrefectServer, ask_api
from tests.lab.writer import Writer, gap, outage

UI_PORT = 4200
console = Console(width=118, highlight=False, record=True)


def main() -> int:
    """Run the demonstration; exit code 0 only when nothing was lost."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--pictures", type=Path, help="write README's pictures into this directory")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    try:
        return demonstrate(keep=given.keep, pictures=given.pictures)
    except KeyboardInterrupt:
        console.print("Stopped; everything was taken down.")
        return 130


def demonstrate(*, keep: bool, pictures: Path | None = None) -> int:
    """Boot, break, show."""
    console.print("Booting three hosts with MariaDB 10.11 and a Prefect server ...")
    with Cluster("mariadb", gtid=True) as cluster, _prefect(cluster) as server:
        conf = cluster.write_cnf()
        manager = cluster.start_manager(conf, env={"PREFECT_API_URL": server.api_url})
        writer = Writer(cluster)
        console.print(Rule("Before"))
        console.print(_topology(cluster, conf), markup=False)
        time.sleep(2.0)
        console.print(
            f"\nAn application inserts a row every 2 ms. Now: kill -9 of mysqld on {cluster[1].ip}, the primary."
        )
        killed = time.time()
        cluster[1].signal_mysqld(signal.SIGKILL)
        code = manager.wait(60)
        time.sleep(1.0)
        acks = writer.stop()
        result = account(acks, [cluster[2], cluster[3]])
        console.print(Rule("After"))
        console.print(_topology(cluster, conf), markup=False)
        journal = next(manager.workdir.glob("*.journal"))
        console.print(_timeline(killed, list(read_journal(journal))))
        console.print(_report(manager.log()), markup=False)
        console.print(Rule("Result"))
        lost, split = result.rows_lost, writers_overlap(acks) or result.split
        console.print(f"writes accepted again {gap(acks, killed):.2f} s after the kill, by {outage(acks).first.host}")
        console.print(
            f"rows acknowledged {result.acknowledged}, lost {lost}; data on both survivors equal: {result.equal}"
        )
        console.print(
            f"two servers took writes at once: {'yes' if split else 'never'}; masterha_manager ended with {code}"
        )
        ui = _show_run(cluster, server)
        if pictures is not None:
            _draw(journal, pictures)
        if keep:
            with _forward(cluster, server.port):
                console.print(f"\nPrefect's UI: http://127.0.0.1:{UI_PORT}{ui}   Ctrl-C takes everything down.")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        return 0 if code == 0 and lost == 0 and result.equal and not split else 1


def _draw(journal: Path, to: Path) -> None:
    """What was printed, its time line, and the page of it, which a browser makes a picture of."""
    to.mkdir(parents=True, exist_ok=True)
    # Without the fonts that rich would have fetched from elsewhere.
    looks = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(to / "demo.svg"), title="make demo", code_format=looks)
    incident = incident_of("app1", journal.name.removesuffix(".journal"), tuple(read_journal(journal)))
    assert incident is not None
    line = timeline(incident)
    assert line is not None
    (to / "timeline.svg").write_text(timeline_image(line, out_words(incident)), encoding="utf-8")
    (to / "incident.html").write_text(page(incident, "/etc/mha/app1.cnf"), encoding="utf-8")


def _report(log: str) -> str:
    """The report without the log lines after it, which begin with their time."""
    report = log[log.index("----- Failover Report -----") :]
    return re.split(r"\n\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4} ", report)[0].rstrip()


def _topology(cluster: Cluster, conf: Path) -> str:
    return cluster.command(
        "mha", "topology", f"--conf={conf}", "--output=table", env={"COLUMNS": "118"}
    ).output.rstrip()


@contextlib.contextmanager
def _prefect(cluster: Cluster) -> Iterator[PrefectServer]:
    with cluster.in_manager_net():
        server = PrefectServer()
        server.__enter__()
    try:
        yield server
    finally:
        server.__exit__(None, None, None)


def _timeline(killed: float, entries: list[Entry]) -> Table:
    table = Table(title="Timeline", title_justify="left")
    table.add_column("after the kill", justify="right")
    table.add_column("step")
    table.add_column("server")
    table.add_column("seconds", justify="right")
    began: dict[tuple[str, str], float] = {}
    for entry in entries:
        if entry.step == "verdict":
            table.add_row(f"{entry.at - killed:.3f}", "The primary is declared dead", entry.server, "")
        elif entry.event == "began":
            began[entry.step, entry.server] = entry.at
        elif (start := began.pop((entry.step, entry.server), None)) is not None:
            table.add_row(f"{start - killed:.3f}", entry.step, entry.server, f"{entry.at - start:.3f}")
    return table


def _show_run(cluster: Cluster, server: PrefectServer) -> str:
    """Print the flow run as Prefect's API knows it; returns its path in the UI."""

    def ask(path: str, body: dict[str, Any]) -> Any:
        with cluster.in_manager_net():
            return ask_api(server.api_url, path, body)

    ends = time.monotonic() + 20
    while True:
        runs = ask("/flow_runs/filter", {"sort": "START_TIME_DESC"})
        steps = ask("/task_runs/count", {"flow_runs": {"id": {"any_": [runs[0]["id"]]}}}) if runs else 0
        if (runs and runs[0]["state_type"] == "COMPLETED" and steps >= 15) or time.monotonic() > ends:
            break
        time.sleep(0.5)
    if not runs:
        console.print("Prefect has no record of the run.")
        return ""
    console.print(f"in Prefect: flow run '{runs[0]['name']}', {runs[0]['state_name']}, {steps} task runs")
    return f"/runs/flow-run/{runs[0]['id']}"


@contextlib.contextmanager
def _forward(cluster: Cluster, port: int) -> Iterator[None]:
    """Carry 127.0.0.1:4200 of this machine to the server inside the manager's network."""
    listener = socket.create_server(("127.0.0.1", UI_PORT))

    def serve() -> None:
        while True:
            try:
                outside, _ = listener.accept()
            except OSError:
                return
            with inside(cluster.subnet.manager):
                within = socket.create_connection(("127.0.0.1", port), 5)
            threading.Thread(target=_carry, args=(outside, within), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listener.close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with one, other:
        while True:
            ready, _, _ = select.select([one, other], [], [], 60)
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)


if __name__ == "__main__":
    sys.exit(main())
