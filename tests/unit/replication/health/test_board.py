"""The page of all clusters: the worst first, what is old is said to be, and who may look at it."""

from __future__ import annotations

import base64
import os
import re
import time
from datetime import date
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.health import board
from prefect_mha.replication.health.admission import admitted
from prefect_mha.replication.health.board import EVERY, SOON, Board, Last, card
from prefect_mha.replication.health.metrics import WatchSeen
from prefect_mha.replication.health.roles import Standing, Standings
from prefect_mha.replication.local.http_port import Asker
from prefect_mha.replication.memory.health_file import Health, HealthFile, ManagerStatus
from prefect_mha.replication.memory.journal import BEGIN, DRILL, FAILOVER, SWITCH, Journal
from prefect_mha.replication.model.state import ClusterState
from prefect_mha.replication.reporting.pictures.fleet import fleet_page, policy, script
from tests.unit.replication.reporting.history.test_history import failover, one

NOW = 1_800_000_000.0
TOKEN = "a-token-of-some-length"
BAD = "<script>alert(1)</script>"
TODAY = {date.fromtimestamp(NOW).isoformat(): (9, 10)}


def health(status: ManagerStatus = ManagerStatus.PING_OK, age: float = 1.0) -> Health:
    return Health(7, status, "db1", NOW - age)


def seen(role: str = "replica") -> WatchSeen:
    standings = {"a": Standing("db1", "primary"), "b": Standing("db2", role, "its receiver is stopped", None)}
    return WatchSeen(ClusterState((), ()), Standings(standings, 0.0), {}, 0.0)


@pytest.mark.parametrize(
    ("found", "look", "held", "incident", "rank"),
    [
        (None, None, (), None, 0),
        (health(ManagerStatus.FAILOVER_ERROR), seen(), (), None, 0),
        (health(age=60.0), seen(), (), None, 0),
        (health(ManagerStatus.INITIALIZING_MONITOR), None, (), None, 1),
        (health(), seen("none"), (), None, 1),
        (health(), seen(), ("db9 is held",), None, 2),
        (health(), seen(), (), one(failover(exit_code=10)), 2),
        (health(), seen(), (), one(failover()), 3),
        (health(ManagerStatus.STANDING_BY), None, (), None, 3),
    ],
)
def test_the_worst_is_told_from_the_well(found, look, held, incident, rank):  # type: ignore[no-untyped-def]
    made = card("app1", found, look, held, incident, (), "", {}, NOW)
    assert made.rank == rank
    assert made.old == (found is None or NOW - found.mtime > 10)


def test_what_is_old_says_how_old_and_hostile_names_are_text() -> None:
    cards = [
        card(BAD, health(age=75.0), seen("none"), (BAD,), None, (Last(BAD, f"/x{BAD}", BAD),), BAD, TODAY, NOW),
        card("app2", health(), seen(), (), None, (), "Ready.", {}, NOW),
    ]
    text = fleet_page(cards, NOW)
    assert "its last sign of life is 75 s old" in text
    assert re.findall(r'<article class="([^"]*)"', text) == ["rank0 old", "rank3"]
    assert "<script>alert" not in text
    assert text.count("<script>") == 1
    assert "<p>Ready.</p>" in text
    assert "a failover would have gone on in 9 of 10 health checks" in text
    assert script() in text
    assert "unsafe-inline'; script-src 'sha256-" in policy()


def test_it_is_made_only_while_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text(f"[server default]\nmanager_workdir={tmp_path}\n[server1]\nhostname=10.0.0.1\n")
    config = load_cluster(conf, None)
    HealthFile(tmp_path, "app1").write(ManagerStatus.PING_OK, "db1")
    made, last = Board(), 0
    monkeypatch.setattr(board, "WANTED", 0.5)
    made.put(config, None)
    assert made.page() == SOON
    ends = time.monotonic() + 20
    while (text := made.page()) == SOON:
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert b"watches; the primary answers" in text
    assert made._thread is not None
    made._thread.join(EVERY + 10)
    assert not made._thread.is_alive()
    made.remove(config)
    assert len(made.cards()) == last


def test_a_last_incident_is_linked_to_its_page_and_nothing_else_is_served(tmp_path: Path) -> None:
    conf = tmp_path / "app1.cnf"
    conf.write_text(f"[server default]\nmanager_workdir={tmp_path}\n[server1]\nhostname=10.0.0.1\n")
    config, made = load_cluster(conf, None), Board()
    made.put(config, None)
    for kind, day in ((DRILL, 1), (FAILOVER, 2), (SWITCH, 3)):
        name = f"app1.{kind}-2026120{day}000000-7"
        journal = Journal(tmp_path / f"{name}.journal")
        journal.record(BEGIN if kind == FAILOVER else kind, "began", "10.0.0.1:3306", new_name="db2")
        journal.close()
        os.utime(journal.path, (day, day))
    page = tmp_path / "app1.incident-drill-20261201000000-7.html"
    page.write_text("what one sees")
    (only,) = made.cards()
    assert [each.line.split()[2] for each in only.lasts] == ["switch", "failover", "drill"]
    link = only.lasts[2].link
    assert [each.link for each in only.lasts] == ["", "", link]
    assert made.incident_page(link) == b"what one sees"
    for other in ("/incident/", "/incident/app1.cnf", "/incident/../app1.cnf", link + "x", f"/incident/{conf}"):
        assert made.incident_page(other) is None


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"any:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("asker", "token", "code"),
    [
        (Asker("127.0.0.1", "", "localhost:8900"), "", 200),
        (Asker("::1", "", "[::1]:8900"), "", 200),
        (Asker("127.0.0.1", "", "evil.example.org"), "", 403),
        (Asker("10.0.0.9", "", "localhost"), "", 403),
        (Asker("", "", "localhost"), "", 403),
        (Asker("127.0.0.1", "", "localhost"), TOKEN, 401),
        (Asker("10.0.0.9", f"Bearer {TOKEN}", "m"), TOKEN, 200),
        (Asker("10.0.0.9", f"bearer {TOKEN}x", "m"), TOKEN, 401),
        (Asker("10.0.0.9", basic(TOKEN), "m"), TOKEN, 200),
        (Asker("10.0.0.9", basic("ü"), "m"), TOKEN, 401),
        (Asker("10.0.0.9", "Basic !!", "m"), TOKEN, 401),
        (Asker("10.0.0.9", f"Bearer {TOKEN}", "m"), "", 403),
    ],
)
def test_who_may_look(asker: Asker, token: str, code: int) -> None:
    assert admitted(asker, token) == code
