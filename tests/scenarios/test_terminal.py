"""What a person sees at a terminal, of real servers: checks, the live view, and what was done, told afterwards."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import END, journals, read_journal
from tests.lab.cluster import IMPORTS, Cluster
from tests.lab.waiting import until
from tests.lab.writer import Writer

pytestmark = pytest.mark.slow
#: Where the screens go that a person may look at; nowhere when not set.
KEEP = os.environ.get("KEEP_SCREENS", "")


def keep(name: str, text: str) -> str:
    """The screen, kept where somebody wants to see it."""
    if KEEP:
        (Path(KEEP) / f"{name}.txt").write_text(text)
    return text


def fits(text: str) -> bool:
    """No line is wider than a terminal of 80 columns."""
    return max(map(len, text.splitlines())) <= 80


def live(cluster: Cluster, conf: Path, *presses: tuple[str, str]) -> str:
    """What `mha topology --watch` draws on a terminal of 80 columns, whose keys are pressed when a word is seen.

    The last one is pressed until it ends.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    words = [sys.executable, "-m", "prefect_mha.commands.mha", "topology", f"--conf={conf}", "--watch"]
    env = {**os.environ, "TERM": "xterm", "PAGER": "cat", "HOME": str(cluster.seat), "PYTHONPATH": IMPORTS}
    process = subprocess.Popen(
        ["ip", "netns", "exec", cluster.subnet.manager, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    seen, since, waiting, ends = b"", 0, list(presses), time.monotonic() + 90
    pressed = 0.0
    try:
        while time.monotonic() < ends:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the last one has closed it
                break
            word, key = waiting[0]
            # A terminal that is given back for a page echoes what is pressed, and drops what it was not asked for.
            if word in seen[since:].decode(errors="replace") and time.monotonic() - pressed > 0.5:
                os.write(ours, key.encode())
                pressed = time.monotonic()
                if len(waiting) > 1:
                    waiting, since = waiting[1:], len(seen)
        assert process.wait(30) == 0, seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen.decode(errors="replace")


def test_a_check_says_first_what_is_wrong_and_the_rest_in_one_line() -> None:
    with Cluster("mariadb", gtid=True) as cluster:
        conf = cluster.write_cnf(candidate=2)
        well = cluster.command("masterha_check_repl", f"--conf={conf}")
        keep("check-well", well.output)
        assert well.code == 0, well
        assert "[ok]" not in well.output
        assert " checks ok" in well.output
        for host in cluster.hosts[1:]:
            assert f"Checking replication health on {host.ip}.." in well.output
        assert well.output.count("- [info]  ok.") == 2, well
        assert well.output.rstrip().splitlines()[-1] == "MySQL Replication Health is OK."
        every = cluster.command("masterha_check_repl", f"--conf={conf}", "--verbose")
        assert every.output.count("[ok]") > 50
        cluster[3].sql("STOP SLAVE SQL_THREAD")
        ill = cluster.command("masterha_check_repl", f"--conf={conf}")
        keep("check-ill", ill.output)
        lines = ill.output.splitlines()
        wrong = next(n for n, line in enumerate(lines) if "applier-runs" in line and "[FAILED]" in line)
        assert (ill.code, lines[-1]) == (1, "MySQL Replication Health is NOT OK!"), ill
        assert wrong < next(n for n, line in enumerate(lines) if " checks ok" in line)
        assert ill.output.count("- [info]  ok.") == 1, ill
        table = cluster.command("masterha_check_repl", f"--conf={conf}", "--output=table", env={"COLUMNS": "80"})
        keep("check-ill-table", table.output)
        assert fits(table.output), table
        assert table.output.index("applier-runs") < table.output.index("MySQL Replication Health")
        assert "\x1b[" not in table.output


@pytest.mark.parametrize(
    ("kind", "gtid"), [pytest.param("mariadb", True, id="mariadb-gtid"), pytest.param("mysql97", True, id="9.7-gtid")]
)
def test_a_switch_and_a_failover_are_told_afterwards(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster:
        first, second, third = cluster.hosts
        conf = cluster.write_cnf(candidate=3)
        words = (f"--to={second.ip}", "--keep-old-as-replica", "--yes", "--output=json")
        switched = cluster.command("mha", "switchover", f"--conf={conf}", *words)
        assert switched.code == 0, switched
        assert "All new slave servers switched successfully." in switched.output
        manager = cluster.start_manager(conf)
        before = live(cluster, conf, ("readiness", "q"))
        keep("topology-live", before)
        assert f"{first.ip}:3306" in before
        writer = Writer(cluster, prefer=2)
        until(lambda: len(writer.acks()) >= 50, "nothing is written", 20.0)
        second.signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        writer.stop()
        log = manager.log()
        name = "{0}({0}:3306)".format
        for line in ("From:", "To:", f"{name(second.ip)} (current master)", f"{name(third.ip)} (new master)"):
            assert line in log.splitlines(), log
        assert "Executed CHANGE MASTER." in log
        assert "All new slave servers recovered successfully." in log
        (path,) = journals(manager.workdir, "app1")
        end = next(entry for entry in read_journal(path) if entry.step == END)
        since, back = end.facts["out"]

        told = cluster.command("mha", "history", f"--conf={conf}", "--output=json")
        moved, failed_over = json.loads(told.output)["incidents"]
        assert (failed_over["kind"], moved["kind"]) == ("failover", "switch")
        assert failed_over["asked"]["automatic"] and "@" in failed_over["asked"]["by"]
        assert failed_over["seconds_without_writes"] == pytest.approx(back - since, abs=0.01)
        assert failed_over["lost"] == []
        assert (failed_over["old"], failed_over["new"]) == (name(second.ip), name(third.ip))
        assert (moved["old"], moved["new"]) == (name(first.ip), name(second.ip))
        assert moved["held"] == pytest.approx(moved["seconds_without_writes"], abs=0.001)
        text = cluster.command("mha", "history", f"--conf={conf}").output
        assert fits(keep("history", text)), text
        table = cluster.command("mha", "history", f"--conf={conf}", "--output=table", env={"COLUMNS": "80"}).output
        assert fits(keep("history-table", table)), table
        report = cluster.command("mha", "report", f"--conf={conf}", failed_over["id"])
        keep("report", report.output)
        assert (report.code, f"out       {back - since:.1f} s" in report.output) == (0, True), report
        last = cluster.command("mha", "report", f"--conf={conf}", "--last", "--output=markdown")
        assert last.output.startswith("# app1: failover"), last
        (beside,) = manager.workdir.glob("app1.incident-failover-*.html")
        assert beside.stat().st_mode & 0o777 == 0o600
        made = cluster.seat / "incident.html"
        wrote = cluster.command("mha", "report", f"--conf={conf}", "--last", f"--html={made}")
        assert (wrote.code, made.stat().st_mode & 0o777) == (0, 0o600), wrote
        if KEEP:
            (Path(KEEP) / "incident.html").write_text(made.read_text())
        assert f"writes were out for {back - since:.1f} s" in made.read_text()
        assert f"mha rejoin --conf={conf} --host={second.ip}" in made.read_text()
        status = cluster.command("mha", "status", f"--conf={conf}").output
        assert "is held read-only since" in status
        assert "Last: " in keep("status", status)
        topology = cluster.command("mha", "topology", f"--conf={conf}", "--output=table", env={"COLUMNS": "80"}).output
        assert fits(keep("topology", topology)), topology
        assert all(f"{host.ip}:3306" in topology for host in cluster.hosts)
        after = live(cluster, conf, ("held", "r"), ("The old primary comes back", "q"))
        keep("topology-live-after", after)
        assert "DEAD PRIMARY" not in after
        assert "The old primary comes back" in after, after
