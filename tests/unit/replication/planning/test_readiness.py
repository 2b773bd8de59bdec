"""If the primary died now: the same plan a failover makes, what would be lost, and what is in the way."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import date

import pytest

from prefect_mha.replication.health.metrics import WatchSeen, exposition
from prefect_mha.replication.health.roles import judge
from prefect_mha.replication.memory.last_check import MOST_DAYS, CheckRecord, Days, LastCheck, counted, names_of, news
from prefect_mha.replication.model.check import Check
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import ClusterState, SemiSync, ServerDown
from prefect_mha.replication.planning.plan import FailoverOptions, FailoverPlan, make_plan
from prefect_mha.replication.planning.readiness import Past, assess, markdown
from prefect_mha.replication.reporting.pictures.days import readied
from tests.unit.replication.address.build import config
from tests.unit.replication.build import channel, server

CONFIG = config()


def place(pos: int) -> BinlogPosition:
    return BinlogPosition("mysql-bin.000001", pos)


def cluster(end: int = 1000, received: tuple[int, int] = (1000, 900), executed: tuple[int, int] = (1000, 900), **more):
    primary = replace(server(1, read_only=False), end_of_log=place(end))
    replicas = [
        server(n, channel(received=place(r), executed=place(e), **more))
        for n, r, e in zip((2, 3), received, executed, strict=True)
    ]
    return ClusterState((primary, *replicas), ())


def test_it_is_the_plan_of_a_failover():
    ready = assess(CONFIG, cluster())
    state = cluster()
    plan = make_plan(CONFIG, CONFIG.servers[0], ClusterState(state.up[1:], ()), FailoverOptions())
    assert isinstance(plan, FailoverPlan)
    assert (ready.ready, ready.candidate, ready.why) == (True, plan.new_primary_name, plan.candidates[0].merits)
    assert ready.candidate in markdown(ready)


@pytest.mark.parametrize(
    ("end", "readable", "words"),
    [
        (1000, None, "nothing: the replicas have received all"),
        (1500, True, "nothing while the primary's host answers over SSH; without it about 500 bytes"),
        (1500, False, "about 500 bytes of the primary's log, which no replica has received yet; its host cannot be"),
        (1500, None, "at most about 500 bytes"),
    ],
)
def test_what_would_be_lost(end, readable, words):
    assert words in assess(CONFIG, cluster(end=end), readable=readable).loss


def test_nothing_acknowledged_is_lost_where_commits_wait_for_another_disk():
    waits = SemiSync(True, False, 4294967295, "AFTER_SYNC", True)
    beside = CONFIG.servers[0].model_copy(update={"block": "binlog1", "binlog_ack": True})
    block = beside.model_copy(update={"ip": "10.0.0.9", "ssh_ip": "10.0.0.9"})
    with_log = CONFIG.model_copy(update={"binlog_servers": (block,)})

    def lost(config, source, replica=False):
        first, *others = cluster(end=1500).up
        up = (replace(first, semi_sync=source), *(replace(x, semi_sync=SemiSync(False, replica)) for x in others))
        return assess(config, ClusterState(up, ())).loss

    assert (
        "nothing that was acknowledged, by its settings: commits wait until they are on another disk (binlog1's)"
        in lost(with_log, waits)
    )
    assert "db2(10.0.0.2:3306)'s or db3" in lost(CONFIG, waits, replica=True)
    on_its_host = CONFIG.model_copy(update={"binlog_servers": (beside,)})
    assert "by its settings" not in lost(on_its_host, waits, replica=True), "whose word lets a commit go nobody knows"
    for source in (
        replace(waits, timeout=10000),
        replace(waits, wait_point="AFTER_COMMIT"),
        replace(waits, alone=False),
    ):
        assert "about 500 bytes" in lost(with_log, source)
    assert "about 500 bytes" in lost(CONFIG, waits), "nobody is known who would acknowledge"


def test_how_long_the_candidate_drains():
    assert assess(CONFIG, cluster()).drain_seconds == 0.0
    late = cluster(received=(1000, 900), executed=(400, 300), seconds_behind=7)
    assert assess(CONFIG, late).drain_seconds == 7.0
    unknown = cluster(received=(1000, 900), executed=(400, 300), seconds_behind=None)
    assert assess(CONFIG, unknown).drain_seconds is None


@pytest.mark.parametrize(
    ("past", "ready", "words"),
    [
        (Past(failed=True), False, "the last failover failed"),
        (Past(age=600.0), False, "10 minutes ago: too early"),
        (Past(age=4 * 3600.0), True, "masterha_manager refuses"),
        (Past(age=9 * 3600.0), True, ""),
    ],
)
def test_what_the_last_failover_left(past, ready, words):
    found = assess(CONFIG, cluster(), past)
    assert found.ready is ready
    assert words in " ".join((*found.blockers, *found.notes))
    assert bool(words) is bool(found.blockers or found.notes)


def test_nobody_to_promote_and_nobody_who_is_primary():
    none = assess(CONFIG, cluster(applier_running=False, applier_errno=1062))
    assert (none.ready, none.candidate) == (False, "")
    assert any("None of the existing replicas" in line for line in none.blockers)
    assert str(none).startswith("If db1(10.0.0.1:3306) died now, a failover would be refused: ")
    down = ClusterState((), tuple(ServerDown(s.address, s.name, s.hostname, "gone", False) for s in CONFIG.servers))
    assert assess(CONFIG, down).ready is False


def test_the_numbers_for_prometheus(tmp_path):
    told = CONFIG.model_copy(update={"manager_workdir": tmp_path})
    state = cluster(end=1500)
    standings = judge(told, state, None, 100.0)
    text = exposition(told, WatchSeen(state, standings, {"10.0.0.2:3306": 0.25}, 103.0)).decode()
    assert 'mha_failover_ready{cluster="app1"} 1.0' in text
    assert 'mha_failover_unreceived_bytes{cluster="app1"} 500.0' in text
    assert 'mha_ping_seconds{cluster="app1",server="db2(10.0.0.2:3306)"} 0.25' in text
    assert 'mha_replication_lag_seconds{cluster="app1",server="db3(10.0.0.3:3306)"} 3.0' in text
    (tmp_path / "app1.failover.error").write_text("")
    text = exposition(told, WatchSeen(state, standings, {}, 103.0)).decode()
    assert 'mha_failover_ready{cluster="app1"} 0.0' in text
    assert 'mha_last_failover_failed{cluster="app1"} 1.0' in text


def test_only_what_is_new_is_news(tmp_path):
    def found(*names: str) -> CheckRecord:
        return CheckRecord(0.0, names, {})

    assert news(None, ()) == news(found(), ()) == news(found("a"), ("a",)) == news(found("a", "b"), ("a",)) == ""
    assert news(None, ("a",)) == news(found("a"), ("a", "b")) == news(found("a"), ("b",)) == "check_failed"
    assert news(found("a"), ()) == "check_passed"
    kept = LastCheck(CONFIG.model_copy(update={"manager_workdir": tmp_path}))
    assert kept.read() is None
    checks = [Check("lag", "db2", False, "late"), Check("applier-runs", "db2", True, "it runs")]
    kept.write(CheckRecord(12.0, names_of(checks), {"text": "ready"}))
    assert kept.read() == CheckRecord(12.0, ("lag: db2",), {"text": "ready"}, (), {"1970-01-01": (0, 1)})
    assert kept.read().line(time.time() - 5.0).endswith("1 checks failed. ready")  # type: ignore[union-attr]
    assert kept.read().line(5.0).endswith("1 checks failed: it was before the last failover.")  # type: ignore[union-attr]
    kept.path.write_text("{")
    assert kept.read() is None


def test_ninety_days_of_checks_are_remembered_and_no_more() -> None:
    days: Days = {}
    for day in range(200):
        for ready in (True, False, True):
            days = counted(days, CheckRecord(day * 86400 + 43200.0, (), {"ready": ready}))
    assert len(days) == MOST_DAYS
    assert set(days.values()) == {(2, 3)}
    assert max(days) == "1970-07-19"
    assert len(json.dumps(days)) < 4000
    # After a long time without any, what is too old is gone.
    assert len(counted(days, CheckRecord(400 * 86400.0, (), {}))) == 1
    shown = readied(days, date(1970, 7, 19))
    assert shown.words.startswith("a failover would have gone on in 180 of 270 health checks, on 90 days")
    assert (shown.none, shown.ready.count("z"), shown.other.count("z")) == ("", 90, 90)
    assert readied({}, date(1970, 7, 19)).words == "no health check of the last 90 days is remembered"
