"""What journals tell afterwards: of this version, of older ones, cut short, and of what is no journal of ours."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.memory.journal import BEGIN, END, REJOIN, SWITCH, VERDICT, Entry, Journal, read_journal
from prefect_mha.replication.reporting.approval import APPROVAL
from prefect_mha.replication.reporting.history.incident import Ended, Incident, Kind
from prefect_mha.replication.reporting.history.journals import incidents, named, newest
from prefect_mha.replication.reporting.history.pages import markdown, rows
from prefect_mha.replication.reporting.history.reading import history, incident_of
from prefect_mha.replication.reporting.history.text import block, blocks, line, report

OLD, NEW, THIRD = "10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306"
DB1, DB2 = f"db1({OLD})", f"db2({NEW})"
AT = 1796051121.0
BEFORE = Path(__file__).parents[3] / "before" / "files"
LOST = {"fate": "lost", "where": "uuid:7-9", "source": DB1, "server": "", "transactions": 3, "why": "no host"}
RESCUED = {"fate": "rescued", "where": "uuid:1-6", "source": DB1, "server": DB2, "transactions": 6, "bytes": 900}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def entry(after: float, step: str, event: str, server: str = "", **facts: Any) -> Entry:
    return Entry(AT + after, step, event, server, facts)


def failover(*, end: bool = True, by: str | None = "root@seat", **facts: Any) -> list[Entry]:
    told = {
        "exit_code": 0,
        "summary": f"{DB2} is the new primary",
        "refusal": None,
        "new_primary": DB2,
        "out": [AT - 0.4, AT + 1.5],
        "ledger": [RESCUED],
        "fenced": "fenced: ssh (proof): no mysqld runs there",
        "saved": "37158 bytes",
        "chosen_for": ["candidate_master"],
        "replicas": {f"db3({THIRD})": f"replicates from {DB2}"},
        "left_out": {},
        "notes": [],
        "address": [],
        **facts,
    }
    begun = {"options": {}, "resumed": False} | ({"by": by} if by else {})
    return [
        entry(0, VERDICT, "dead", OLD, why="crashed process: mysqld is gone", row="crashed process"),
        entry(0.1, BEGIN, "began", OLD, **begun),
        entry(0.2, "Fence the old primary", "began", DB1),
        entry(0.2, "Stop every receiver", "began"),
        entry(0.3, "Stop every receiver", "done", result="…"),
        entry(1.1, "Fence the old primary", "done", DB1, result="…"),
        entry(1.2, "Open the new primary for writes", "began", DB2),
        entry(1.2, "promote", "intent", NEW, dead=OLD, kind="", end_of_log=""),
        entry(1.5, "Open the new primary for writes", "done", DB2),
        *([entry(2.0, END, "ended", OLD, **told)] if end else []),
    ]


def one(entries: list[Entry], name: str = "app1.failover-20261130150521-7") -> Incident:
    made = incident_of("app1", name, entries)
    assert made is not None
    return made


def test_a_failover_of_this_version_tells_all() -> None:
    assert "\n".join(block(one(failover()))) == (
        "2026-11-30 15:05:21  failover  db1 → db2  done\n"
        "  why       crashed process: mysqld is gone\n"
        "  out       1.9 s\n"
        "  lost      nothing (6 transactions rescued)\n"
        "  approved  nobody was asked: the manager acted (root@seat)\n"
        "  steps     Fence the old primary (db1) 900 ms, Open the new primary for writes\n"
        "            (db2) 300 ms\n"
        "  id        failover-20261130150521-7"
    )


def test_its_report_is_shown_again_at_80_columns() -> None:
    text = report(one(failover(exit_code=10, ledger=[LOST], notes=["db4 is left as it is"])))
    assert text.splitlines()[:20] == [
        "app1: failover db1 → db2: done, but something is left to do",
        "",
        "  began     2026-11-30 15:05:21",
        "  ended     2026-11-30 15:05:23",
        "  result    done, but something is left to do (db2(10.0.0.2:3306) is the new",
        "            primary)",
        "  exit      10",
        "  why       crashed process: mysqld is gone",
        "  approved  nobody was asked: the manager acted (root@seat)",
        "  old       db1(10.0.0.1:3306)",
        "  new       db2(10.0.0.2:3306)",
        "  out       1.9 s, from the first sign of trouble at 15:05:20.600 until",
        "            15:05:22.500",
        "  lost      3 transactions",
        "  chosen    candidate_master",
        "  old side  ssh (proof): no mysqld runs there",
        "  saved     37158 bytes",
        "  replica   db3(10.0.0.3:3306): replicates from db2(10.0.0.2:3306)",
        "  ledger    lost: 3 transactions uuid:7-9 of db1(10.0.0.1:3306): no host",
        "  note      db4 is left as it is",
    ]
    assert "  15:05:21.200     0.900  Fence the old primary (db1)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_one_that_was_cut_short_and_one_that_went_on_with_it() -> None:
    cut = failover(end=False)[:-1]
    again = [entry(60, BEGIN, "began", OLD, options={}, resumed=True, by="ada@seat"), *failover()[2:]]
    told = history("app1", [("app1.failover-2-2", again), ("app1.failover-1-1", cut)])
    assert [each.ended for each in told] == [Ended.OPEN, Ended.DONE]
    assert told[0].then == "failover-2-2 went on with it: done"
    assert told[0].steps[-1].seconds is None
    assert told[0].new == DB2
    assert (told[0].without_writes, told[0].lost) == (None, None)
    assert "Open the new primary for writes (db2) (no end is recorded)" in " ".join("\n".join(block(told[0])).split())
    assert told[1].resumed


def test_one_that_another_manager_finished_is_closed_and_no_incident_of_its_own() -> None:
    closing = [entry(90, END, "ended", OLD, exit_code=0, summary="another manager has finished it")]
    told = history("app1", [("app1.failover-1-1", failover(end=False)), ("app1.failover-2-2", closing)])
    assert [each.then for each in told] == ["another manager has finished it"]


def test_one_that_was_not_opened_has_no_new_primary() -> None:
    entries = failover(end=False)
    entries.append(entry(1.6, "promote", "not opened", NEW))
    assert (one(entries).new, one(entries).opened) == (None, False)


def test_a_refusal_says_what_to_do() -> None:
    told = failover(exit_code=1, refusal="too-early", remedy="Wait.", evidence=["a"], new_primary=None)
    refused = one([each for each in told if each.step != "promote"])
    assert (refused.ended, refused.opened, refused.remedy, refused.evidence) == (Ended.REFUSED, False, "Wait.", ("a",))
    assert "  to do     Wait." in report(refused)


def test_a_person_who_was_asked_is_named() -> None:
    answer = {"go_on": True, "new_primary": NEW, "by": "Ada", "where": "in a terminal", "at": AT, "accept_loss": None}
    by_hand = [e for e in failover() if e.step != VERDICT]
    assert str(one([entry(0, APPROVAL, "answered", OLD, **answer), *by_hand]).asked) == (
        "Approved: by Ada, in a terminal, at 2026-11-30 15:05:21"
    )
    assert str(one(by_hand).asked) == "nobody was asked; started by root@seat"
    assert one(by_hand).why == "a person found the primary dead"


def test_a_switch_and_a_rejoin() -> None:
    plan = {"old": OLD, "old_name": DB1, "new": NEW, "new_name": DB2}
    end = entry(1, END, "ended", OLD, exit_code=0, new_primary=DB2, held_seconds=0.041, summary="done")
    switch = one([entry(0, SWITCH, "began", OLD, pid=1, by="ada@seat", **plan), end], "app1.switch-1-1")
    assert line(switch) == "2026-11-30 15:05:21 switch db1 → db2: done; out 41 ms, lost nothing"
    back = entry(0, REJOIN, "began", OLD, pid=1, by="manager", plan={**plan, "how": "follow", "discards": "nothing"})
    rejoin = one([back, entry(9, END, "ended", OLD, exit_code=0, primary=DB2)], "app1.rejoin-1-1")
    assert line(rejoin) == "2026-11-30 15:05:21 rejoin db1 follows db2: done; out writes went on, lost nothing"
    assert (rejoin.why, rejoin.asked.automatic) == ("the server was back (follow)", True)
    assert (switch.kind, rejoin.kind) == (Kind.SWITCH, Kind.REJOIN)


def test_journals_of_an_older_version_are_shown_and_what_they_lack_is_unknown() -> None:
    paths = sorted(BEFORE.glob("*/*.journal"))
    told = history("app1", [(path.name.removesuffix(".journal"), tuple(read_journal(path))) for path in paths])
    assert [each.ended for each in told] == [Ended.OPEN] * 4 + [Ended.DONE]
    assert (told[-1].out, told[-1].asked.by, told[-1].fenced) == (None, None, None)
    text = blocks(told)
    assert text.count("  out       unknown") == 5
    assert "10.77.3.11 → 10.77.3.12  done" in text
    # What cannot be broken (an address with its port, an error) may be longer.
    assert max(len(each) for each in text.splitlines()) <= 80


@pytest.mark.parametrize("bad", [None, 7, "x", [], {}, [None], {"a": None}, float("nan"), True])
def test_nothing_in_a_journal_makes_it_fail(bad: Any) -> None:
    names = "exit_code summary new_primary out ledger fenced saved chosen_for replicas left_out notes refusal remedy"
    facts = dict.fromkeys((*names.split(), "evidence", "address", "held_seconds", "primary"), bad)
    made = one([
        entry(0, VERDICT, "dead", OLD, why=bad),
        entry(0, BEGIN, "began", OLD, options=bad, resumed=bad, by=bad, plan=bad),
        entry(0, APPROVAL, "answered", OLD, by=bad, where=bad, at=bad),
        entry(0, "x", "began", "", old=bad, old_name=bad),
        entry(1, "x", "failed", "", error=bad),
        entry(2, END, "ended", OLD, **facts),
    ])  # fmt: skip
    assert report(made)
    assert markdown(made)
    assert rows([made])
    assert json.dumps(made.as_dict(), default=str)


def test_what_is_none_of_ours_is_no_incident() -> None:
    assert incident_of("app1", "app1.other-1-1", failover()) is None
    assert incident_of("app1", "app1.failover-1-1", []) is None
    assert history("app1", [("app1.failover-1-1", [])]) == ()


def test_words_of_others_command_nothing() -> None:
    hostile = "a\x1b[31m | <script> `x`\nb"
    made = one(failover(notes=[hostile], summary=hostile))
    assert "\x1b" not in report(made)
    assert "<script>" not in markdown(made)
    assert not re.search(r"(?<!\\)\| &lt;", markdown(made))


def test_one_is_named_by_its_id_its_file_or_a_part() -> None:
    told = (one(failover(), "app1.failover-20261130150521-7"), one(failover(), "app1.failover-20261201150521-8"))
    for name in ("failover-20261130150521-7", "/x/app1.failover-20261130150521-7.journal", "20261130", "521-7"):
        assert named(told, name) is told[0]
    assert named(told, "150521") is None
    assert named(told, "") is None


def test_a_journal_of_a_hundred_thousand_lines_is_read_in_time() -> None:
    many = [entry(n / 1000, f"step {n % 50}", "began" if n % 2 == 0 else "done") for n in range(100_000)]
    began = time.process_time()
    made = one([*failover()[:2], *many])
    assert len(made.steps) == 50_000
    assert time.process_time() - began < 10


def test_a_ledger_line_of_other_kinds_is_shown_and_counts_nothing() -> None:
    odd = {**LOST, "transactions": "12", "bytes": True, "why": 7, "server": None, "left_out": "x"}
    made = one(failover(exit_code=10, ledger=[odd]))
    assert "lost something, or it may be" in line(made)
    assert report(made)
    assert markdown(made)
    json.dumps(made.as_dict())


def test_the_newest_reads_back_until_one_begins(tmp_path: Path) -> None:
    assert newest(tmp_path, "app1") is None
    for number, (event, at) in enumerate([("began", 1), ("began", 2), ("ended", 3)]):
        journal = Journal(tmp_path / f"app1.failover-2026113015052{number}-7.journal")
        step = BEGIN if event == "began" else END
        journal.record(step, event, OLD, by="root@seat", summary="closed by hand")
        journal.close()
        os.utime(journal.path, (AT + at, AT + at))
    found = newest(tmp_path, "app1")
    assert found is not None
    assert found == incidents(tmp_path, "app1")[-1]
    assert (found.id, found.then) == ("failover-20261130150521-7", "closed by hand")
