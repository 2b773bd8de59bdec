"""What a ledger and a journal tell, and which targets are missed by it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.drill.canary import Ack, read_ledger
from prefect_mha.replication.drill.measure import fault_at, outage, overlapping, parts
from prefect_mha.replication.drill.past import close_drill, in_words, last_of_each_kind, open_drill, past_drills
from prefect_mha.replication.drill.scorecard import Scorecard, markdown, text
from prefect_mha.replication.memory.journal import DRILL, END, Journal, journals, read_journal
from prefect_mha.replication.reporting.history.incident import Ended
from prefect_mha.replication.reporting.history.journals import incidents
from prefect_mha.replication.reporting.history.reading import incident_of
from prefect_mha.replication.reporting.history.text import block, report
from prefect_mha.replication.reporting.outage import Outage

BEFORE = Path(__file__).parents[2] / "before" / "files" / "done"
CARD = Scorecard(
    "app1", "kill", 1796000000.0, "db1(192.0.2.1:3306)", 30.0, "db2(192.0.2.2:3306)", True, out=1.5, lost=0
)
#: No process has this number.
NOBODY = 2**22 + 7


def acks(*told: tuple[float, int]) -> list[Ack]:
    return [Ack(number, at, server, "192.0.2.1:3306") for number, (at, server) in enumerate(told, 1)]


def test_the_longest_silence_in_the_span_counts() -> None:
    rows = acks((1.0, 1), (4.0, 1), (5.0, 1), (6.5, 2), (6.6, 2), (20.0, 2))
    found = outage(rows, 4.9, 7.0)
    assert found is not None
    assert (found.seconds, found.since) == (13.4, 6.6)
    shorter = outage(rows, 4.9, 6.55)
    assert shorter is not None
    assert shorter.seconds == 1.5
    assert outage(rows, 20.5, 30.0) is None
    assert outage(rows, 4.9, 40.0) is None, "after the last one nobody took any"


def test_who_takes_rows_after_another_took_over_overlaps() -> None:
    assert overlapping(acks((1.0, 1), (2.0, 2), (3.0, 2))) == 0
    assert overlapping(acks((1.0, 1), (2.0, 2), (2.5, 1), (3.0, 2), (3.5, 1))) == 2
    assert overlapping([]) == 0


def test_it_was_hurt_when_its_last_row_came_while_that_was_done() -> None:
    rows = acks((1.0, 1), (2.05, 1), (2.1, 1), (4.0, 2))
    assert fault_at(rows, 2.0, 2.2) == 2.1
    assert fault_at(rows, 3.0, 3.1) == 3.0


def test_the_parts_are_those_of_the_failovers_journal() -> None:
    (path,) = BEFORE.glob("*.journal")
    entries = tuple(read_journal(path))
    told = incident_of("app1", path.name.removesuffix(".journal"), entries)
    assert told is not None
    hurt = entries[0].at - 0.5
    known = dict(parts(replace(told, out=Outage(hurt + 0.1, hurt + 3.0)), hurt, entries[0].at))
    assert known["detect"] == pytest.approx(0.1)
    assert known["confirm"] == pytest.approx(0.4)
    assert {"fence", "drain", "save", "apply", "open", "address"} <= known.keys()
    assert known["drain"] == pytest.approx(0.0566, abs=0.001), "that of the new primary, and of nobody else"


def test_every_target_that_is_missed_fails_it() -> None:
    assert CARD.passed
    bad = [
        replace(CARD, out=31.0),
        replace(CARD, out=None),
        replace(CARD, lost=1),
        replace(CARD, lost=None),
        replace(CARD, overlapping=1),
        replace(CARD, failed_over=False),
        replace(CARD, wants_failover=False),
        replace(CARD, left=("db1 is held",)),
        replace(CARD, trouble="no answer"),
    ]
    for each in bad:
        assert not each.passed
        assert "FAILED" in each.summary
        assert sum(not target.met for target in each.targets) == 1
        assert "MISSED" in text(each)
        assert "**missed**" in markdown(each)
    told = CARD.as_dict()
    assert told["passed"]
    assert json.loads(json.dumps(told))["targets"][0]["name"] == "writes out"


def test_a_ledger_is_read_up_to_where_a_crash_cut_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text('[1, 2.5, 101, "192.0.2.1:3306"]\n[2, 2.6, 101, "192.')
    assert list(read_ledger(path)) == [Ack(1, 2.5, 101, "192.0.2.1:3306")]


def drilled(directory: Path, *, pid: int, card: Scorecard | None = None, hurt: bool = True) -> Journal:
    journal = Journal.new(directory, "app1", DRILL)
    journal.record(DRILL, "began", "192.0.2.1:3306", pid=pid, kind="kill", old_name=CARD.primary, by="me@here")
    journal.record("Hurt the primary", "began", CARD.primary)
    if hurt:
        journal.record("hurt", "intent", "192.0.2.1:3306")
    if card is not None:
        told = {"exit_code": 0 if card.passed else 1, "summary": card.summary, "held_seconds": card.out}
        journal.record(END, "ended", "192.0.2.1:3306", new_primary=card.new_primary, scorecard=card.as_dict(), **told)
    journal.close()
    return journal


def test_one_that_was_cut_short_stands_open_until_it_is_closed(tmp_path: Path) -> None:
    drilled(tmp_path, pid=NOBODY)
    found = open_drill(tmp_path, "app1")
    assert found is not None
    assert "was cut short in the step 'Hurt the primary'; its mysqld was killed" in str(found)
    close_drill(found, "all is well")
    assert open_drill(tmp_path, "app1") is None
    (told,) = incidents(tmp_path, "app1")
    assert told.ended is Ended.CLOSED


def test_one_that_goes_on_in_this_process_is_none_that_was_cut_short(tmp_path: Path) -> None:
    drilled(tmp_path, pid=os.getpid())
    assert open_drill(tmp_path, "app1") is None
    assert [each.alive for each in past_drills(tmp_path, "app1")] == [False]


def test_the_history_tells_it_and_the_next_one_compares(tmp_path: Path) -> None:
    drilled(tmp_path, pid=NOBODY, card=CARD)
    last = last_of_each_kind(tmp_path, "app1")["kill"]
    assert in_words(last).endswith("passed, writes were out for 1.50 s")
    (told,) = incidents(tmp_path, "app1")
    assert (told.kind.value, told.opened, told.without_writes) == ("drill", True, 1.5)
    lines = "\n".join(block(told))
    assert "a drill: kill" in lines
    assert "1.5 s" in lines
    assert "0 of its own rows" in lines
    assert "rows lost: 0 of 0" in report(told)
    assert len(journals(tmp_path, "app1", DRILL)) == 1
