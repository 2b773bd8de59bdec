"""The page of all clusters in a real browser: 300 of them, found by typing, and made anew."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.health.board import BOARD
from prefect_mha.replication.health.http import HealthServer
from prefect_mha.replication.health.metrics import WatchSeen
from prefect_mha.replication.health.roles import Standing, Standings
from prefect_mha.replication.memory.health_file import HealthFile, ManagerStatus
from prefect_mha.replication.memory.last_check import LastCheck
from prefect_mha.replication.model.state import ClusterState
from tests.ui.browser import OUTPUT
from tests.ui.test_pages import AXE, complaints

CLUSTERS, TOKEN = 300, "0123456789abcdef0123456789abcdef"


def standings(number: int) -> WatchSeen:
    ill = number % 50 == 0
    servers = {
        "1": Standing(f"db1-{number}", "primary"),
        "2": Standing(f"db2-{number}", "replica", "", time.monotonic()),
        "3": Standing(
            f"db3-{number}", "none" if ill else "replica", "its applier is stopped" if ill else "", time.monotonic()
        ),
    }
    return WatchSeen(ClusterState((), ()), Standings(servers, time.monotonic()), {}, time.monotonic())


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    configs = []
    for number in range(CLUSTERS):
        name = f"shop{number:03}"
        conf = tmp_path / f"{name}.cnf"
        conf.write_text(
            f"[server default]\nmanager_workdir={tmp_path}/{name}\nhealth_address=127.0.0.1\n"
            "[server1]\nhostname=127.0.0.1\nport=9\n"
        )
        configs.append(load_cluster(conf, None))
        status = ManagerStatus.PING_FAILING if number == 7 else ManagerStatus.PING_OK
        HealthFile(configs[-1].manager_workdir, name).write(status, f"db1-{number}")
        days = {(date.today() - timedelta(days=n)).isoformat(): (287 + n % 2, 288) for n in range(90)}
        path = LastCheck(configs[-1]).path
        path.write_text(json.dumps({"at": time.time(), "failed": [], "readiness": {"text": "Ready."}, "days": days}))
        BOARD.put(configs[-1], lambda number=number: standings(number))
    server = HealthServer(configs[0], 0)
    server.start()
    alive = threading.Event()

    def live() -> None:
        while not alive.wait(2.0):
            for config in configs:
                HealthFile(config.manager_workdir, config.name).touch()

    thread = threading.Thread(target=live)
    thread.start()
    yield server.port
    alive.set()
    thread.join()
    server.stop()
    for config in configs:
        BOARD.remove(config)


def ready(seen: Any, port: int) -> None:
    seen.goto(f"http://127.0.0.1:{port}/")
    seen.wait_for_selector("article", timeout=60_000)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_three_hundred_clusters_are_seen_and_found(browser: Any, port: int, width: int, scheme: str) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        seen = context.new_page()
        said = complaints(seen)
        ready(seen, port)
        took = []
        for _ in range(5):
            began = time.monotonic()
            seen.goto(f"http://127.0.0.1:{port}/")
            took.append(time.monotonic() - began)
        assert statistics.median(took) < 1.0, took
        names = seen.evaluate("[...document.querySelectorAll('article')].map(each => each.dataset.name)")
        assert len(names) == CLUSTERS
        assert names[:8] == ["shop007", "shop000", "shop050", "shop100", "shop150", "shop200", "shop250", "shop001"]
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        seen.screenshot(path=OUTPUT / f"fleet-{width}-{scheme}.png")
        seen.get_by_label("Find").fill("HOP12")
        shown = "[...document.querySelectorAll('article')].filter(each => !each.hidden).length"
        assert seen.evaluate(shown) == 10
        before = seen.locator("#note").inner_text()
        seen.wait_for_function(
            "before => document.querySelector('#note').textContent !== before", arg=before, timeout=20_000
        )
        # Made anew, and what was found stays found.
        assert seen.evaluate(shown) == 10
        seen.screenshot(path=OUTPUT / f"fleet-found-{width}-{scheme}.png")
        assert [each for each in said if not each.startswith(f"http://127.0.0.1:{port}/")] == []


def test_nobody_finds_it_hard_to_read(browser: Any, port: int) -> None:
    with browser.new_context(bypass_csp=True) as context:
        seen = context.new_page()
        ready(seen, port)
        seen.evaluate(AXE)
        found = seen.evaluate("axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
        assert [each for each in found if each[0] in ("serious", "critical")] == []


def test_its_rule_runs_no_other_script_and_shows_it_in_no_frame(browser: Any, port: int) -> None:
    with browser.new_context() as context:
        seen = context.new_page()
        ready(seen, port)
        seen.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'document.title = 1';"
            " document.body.append(s); }"
        )
        assert seen.title() != "1"
        other = context.new_page()
        other.set_content(f"<iframe src='http://127.0.0.1:{port}/'></iframe>")
        other.wait_for_timeout(500)
        assert all(frame.locator("article").count() == 0 for frame in other.frames[1:])


def test_a_manager_that_answers_no_more_is_seen(browser: Any, port: int) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        seen = context.new_page()
        ready(seen, port)
        seen.route("**/*", lambda route: route.abort())
        seen.wait_for_selector("body.old", timeout=20_000)
        assert "The manager has not answered for" in seen.locator("#note").inner_text()
        seen.screenshot(path=OUTPUT / "fleet-old.png")


def test_idle_and_slow_readers_cost_the_watch_nothing(port: int) -> None:
    """As a watch pings: how late a thread wakes, alone, and beside 200 idle connections, a slow reader, and askers."""

    def late() -> float:
        found = []
        for _ in range(60):
            began = time.monotonic()
            time.sleep(0.02)
            found.append(time.monotonic() - began - 0.02)
        return statistics.median(found)

    alone = late()
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    slow = socket.create_connection(("127.0.0.1", port))
    slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with socket.create_connection(("127.0.0.1", port), 5) as one:
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                one.recv(100)
            over.wait(0.2)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        beside = late()
    finally:
        over.set()
        asking.join()
        for each in (*idle, slow):
            each.close()
    print(f"late by {alone * 1000:.2f} ms alone, {beside * 1000:.2f} ms beside them")
    assert beside < alone + 0.005
