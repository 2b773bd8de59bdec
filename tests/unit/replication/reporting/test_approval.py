"""The question before a failover, and what becomes of the answer."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.config import load_cluster
from prefect_mha.replication.memory.journal import Journal, begun_before, opened_before, unfinished
from prefect_mha.replication.model.state import GtidKind
from prefect_mha.replication.planning.plan import FailoverOptions, FailoverPlan
from prefect_mha.replication.planning.selection import Candidate
from prefect_mha.replication.reporting.approval import (
    Answer,
    Question,
    approved_before,
    approved_failover,
    failover_question,
)
from prefect_mha.replication.reporting.pictures import drawn
from prefect_mha.replication.reporting.report import candidate_matrix, plan_html, plan_markdown, planned_trees

DB2 = Candidate("10.0.0.2:3306", "db2(10.0.0.2:3306)", (), ("received the most",), 1)
DB3 = Candidate("10.0.0.3:3307", "db3(10.0.0.3:3307)", (), (), 2)
DB4 = Candidate(
    "10.0.0.4:3306", "db4(10.0.0.4:3306)", ("no_master is set", "it is delayed by 60 s on purpose"), (), 0,
    ("not no_master", "not delayed"),
)  # fmt: skip
PLAN = FailoverPlan(
    cluster="app1", dead="10.0.0.1:3306", dead_name="db1(10.0.0.1:3306)", new_primary=DB2.key,
    new_primary_name=DB2.name, kind=GtidKind.MYSQL, latest=(DB2.key,), levelings=(), left_out=(),
    candidates=(DB2, DB3, DB4), save_binlog=True, repoint=True, open_for_writes=True,
    steps=("take the failover lock", "open db2 for writes"),
)  # fmt: skip


@pytest.fixture
def config(tmp_path: Path):  # type: ignore[no-untyped-def]
    conf = tmp_path / "app1.cnf"
    conf.write_text(
        f"[server default]\nmanager_workdir={tmp_path}\n[server1]\nhostname=10.0.0.1\n[server2]\nhostname=10.0.0.2\n"
        "[server3]\nhostname=10.0.0.3\nport=3307\n[server4]\nhostname=10.0.0.4\nno_master=1\n"
    )
    return load_cluster(conf)


def question(policy: str = "safe") -> Question:
    return failover_question(PLAN, policy)


def answer(key: str = DB2.key, accept: bool | None = None) -> Answer:
    return Answer(True, key, "ada", "in a terminal", time.time(), accept)


def test_only_who_may_be_promoted_is_offered_and_the_plans_choice_comes_first() -> None:
    assert [c.name for c in question().choices] == [DB2.name, DB3.name]
    assert question().chosen.key == DB2.key
    assert question().run_name == "failover app1: db1 → db2"


def test_agreeing_leaves_the_choice_open(config) -> None:  # type: ignore[no-untyped-def]
    assert approved_failover(config, FailoverOptions(), question(), answer()) == FailoverOptions()


def test_another_candidate_is_named_by_host_and_port(config) -> None:  # type: ignore[no-untyped-def]
    options = approved_failover(config, FailoverOptions(), question(), answer(DB3.key))
    assert (options.new_master_host, options.new_master_port) == ("10.0.0.3", 3307)


@pytest.mark.parametrize(
    ("configured", "accept", "policy"),
    [
        ("safe", None, None),
        ("safe", True, None),
        ("safe", False, "strict"),
        ("strict", True, "safe"),
        ("strict", None, "strict"),
        ("availability", True, "availability"),
        ("availability", False, "strict"),
    ],
)
def test_what_is_accepted_becomes_the_policy(config, configured, accept, policy) -> None:  # type: ignore[no-untyped-def]
    given = FailoverOptions(salvage_policy=None if configured == "safe" else configured)
    options = approved_failover(config, given, question(configured), answer(accept=accept))
    assert options.salvage_policy == policy
    assert question(configured).accept_loss is (configured != "strict")


def test_the_matrix_marks_the_first_rule_that_is_lost() -> None:
    lines = list(candidate_matrix(PLAN.candidates))
    assert lines[0] == "| server | place | not no_master | not delayed | for it | against it |"
    assert lines[2].startswith(f"| {DB2.name} | 1 | ✓ | ✓ |")
    assert lines[4].startswith(f"| {DB4.name} | – | **✗ lost** | ✗ |")
    assert "log_bin" in lines[-1]
    assert "no_master" not in lines[-1]
    before, after = planned_trees(PLAN)
    assert [(box.name, box.role) for box in before.boxes] == [("db1", "primary, dead"), ("db2", "replica")]
    assert [(box.name, box.role) for box in after.boxes] == [("db2", "primary"), ("db1", "kept away")]
    assert "![Before; After](data:image/svg+xml;base64," in plan_markdown(PLAN)


def test_a_plan_without_a_picture_is_told_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "trees_image", lambda _: 1 / 0)
    assert "before:" in plan_markdown(PLAN)


def test_a_plan_is_a_page() -> None:
    text = plan_html(PLAN)
    assert "<h1>A plan; nothing was changed. failover app1: db1 → db2 (MySQL GTID).</h1>" in text
    assert text.count("<li>") >= len(PLAN.steps)
    assert "<script" not in text


def test_the_answer_is_read_again_from_the_journal(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    given = answer(DB3.key, accept=False)
    journal.record("approval", "answered", PLAN.dead, **given.as_dict())
    journal.record("failover", "began", PLAN.dead, options=vars(FailoverOptions(new_master_host="10.0.0.3")))
    past = unfinished(tmp_path, "app1")
    assert approved_before(past) == given
    begun = begun_before(past)
    assert begun is not None
    assert begun.dead == PLAN.dead
    assert begun.options(FailoverOptions) == FailoverOptions(new_master_host="10.0.0.3")


@pytest.mark.parametrize(("exit_code", "still"), [(1, True), (0, False), (10, False)])
def test_one_that_could_not_go_on_does_not_hide_what_it_was_to_finish(
    tmp_path: Path, exit_code: int, still: bool
) -> None:
    first = Journal(tmp_path / "app1.failover-20260101000000-1.journal")
    first.record("failover", "began", PLAN.dead, options={}, resumed=False)
    first.record("promote", "intent", DB2.key, dead=PLAN.dead, kind="MySQL GTID", end_of_log="")
    second = Journal(tmp_path / "app1.failover-20260101000001-2.journal")
    second.record("failover", "began", PLAN.dead, options={}, resumed=True)
    second.record("ended", "ended", PLAN.dead, exit_code=exit_code)
    opened = opened_before(unfinished(tmp_path, "app1"))
    assert (opened is not None and opened.key == DB2.key) is still


def test_one_that_began_and_was_refused_has_ended(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record("failover", "began", PLAN.dead, options={}, resumed=False)
    journal.record("ended", "ended", PLAN.dead, exit_code=1)
    assert unfinished(tmp_path, "app1") == ()


def test_what_is_told_of_an_answer() -> None:
    told = str(replace(answer(accept=False), at=0.0))
    assert "by ada, in a terminal" in told
    assert "not if anything is or may be lost" in told
    assert str(replace(answer(), go_on=False)).startswith("Stopped")
