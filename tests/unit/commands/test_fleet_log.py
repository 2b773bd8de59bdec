"""A process that watches several clusters: each line is where its cluster's log is, whichever thread wrote it."""

from __future__ import annotations

import ast
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_mha.commands.shared.fleet_log import FleetLog
from prefect_mha.config import load_cluster
from prefect_mha.replication.threads import Thread, ThreadPool, Timer, own

log = logging.getLogger("mha")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    handlers, level, propagate = list(log.handlers), log.level, log.propagate
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)


def works(cluster: str, *words: str) -> None:
    """What a watcher does: it logs itself, and from a pool's, a timer's and another thread that these began."""

    def deep(word: str) -> None:
        timer = Timer(0.0, lambda: log.info("%s", word))
        timer.start()
        timer.join()

    def run() -> None:
        with ThreadPool(1) as pool:
            for word in words:
                pool.submit(deep, word).result()

    thread = Thread(target=run)
    own(thread, cluster)
    thread.start()
    thread.join()


def routed(tmp_path: Path, logs: FleetLog, name: str, lines: str = "") -> None:
    conf = tmp_path / f"{name}.cnf"
    conf.write_text(f"[server default]\nuser=u\npassword=geheim{name}\n{lines}\n[server1]\nhostname=127.0.0.1\n")
    logs.route(load_cluster(conf, None), [f"geheim{name}"])


def test_each_cluster_has_its_own_file_and_what_has_none_its_name_in_the_line(tmp_path: Path) -> None:
    logs = FleetLog(tmp_path / "all.log")
    logs.set_up()
    routed(tmp_path, logs, "app1", f"manager_log={tmp_path}/app1.log")
    routed(tmp_path, logs, "app2")
    works("app1", "one", "geheimapp2")
    works("app2", "two")
    log.info("nobody's")
    assert [line.partition("[info] ")[2] for line in (tmp_path / "app1.log").read_text().splitlines()] == ["one", "xxx"]
    general = [line.partition("[info] ")[2] for line in (tmp_path / "all.log").read_text().splitlines()]
    assert general == ["app2: two", "nobody's"]


def test_a_file_that_two_clusters_name_tells_whose_each_line_is(tmp_path: Path) -> None:
    logs = FleetLog(tmp_path / "all.log")
    logs.set_up()
    for name in ("app1", "app2"):
        routed(tmp_path, logs, name, f"manager_log={tmp_path}/both.log")
    works("app1", "one")
    works("app2", "two")
    lines = [line.partition("[info] ")[2] for line in (tmp_path / "both.log").read_text().splitlines()]
    assert lines == ["app1: one", "app2: two"]


def test_the_level_is_each_clusters_own(tmp_path: Path) -> None:
    logs = FleetLog(tmp_path / "all.log")
    logs.set_up()
    routed(tmp_path, logs, "app1", "log_level=error")
    routed(tmp_path, logs, "app2", "log_level=debug")
    works("app1", "one")
    works("app2", "two")
    assert "one" not in (tmp_path / "all.log").read_text()
    assert "app2: two" in (tmp_path / "all.log").read_text()


ROOT = Path(__file__).resolve().parents[3]
PLAIN = {"threading.Thread", "threading.Timer", "ThreadPoolExecutor"}


def test_every_thread_of_ours_knows_whose_it_is() -> None:
    plain = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("replication", "tasks", "flows")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != ROOT / "replication" / "threads.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in PLAIN)
        or (isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & PLAIN)
    ]
    assert not plain, "use replication.threads"


def test_nothing_of_python_or_prefect_is_replaced_for_the_process() -> None:
    start = threading.Thread.start
    works("app1", "one")
    assert threading.Thread.start is start
