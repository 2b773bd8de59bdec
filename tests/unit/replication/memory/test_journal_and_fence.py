"""A journal survives the crash it is there for; what a host says of its mysqld is read without hope."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from prefect_mha.replication.errors import DeadlineExceeded, HostUnreachable
from prefect_mha.replication.fencing.kill import Fenced, fence
from prefect_mha.replication.memory.journal import (
    BEGIN,
    END,
    Journal,
    TemporarySetting,
    opened_before,
    read_journal,
    unfinished,
    unrestored_settings,
)
from prefect_mha.replication.scripts import script
from prefect_mha.replication.ssh.host import CommandResult
from tests.unit.replication.build import block

SERVER = block(1)


def test_every_entry_is_on_disk_in_order(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record(BEGIN, "began", "10.0.0.1:3306", options={"a": 1})
    journal.record("Fence", "done", seconds=0.5)
    assert [(e.step, e.event, e.facts) for e in read_journal(journal.path)] == [
        (BEGIN, "began", {"options": {"a": 1}}),
        ("Fence", "done", {"seconds": 0.5}),
    ]
    assert (journal.path.stat().st_mode & 0o777) == 0o640


@pytest.mark.parametrize("cut", [2, 10, 40])
def test_a_last_line_cut_by_the_crash_is_left_out(tmp_path: Path, cut: int) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record(BEGIN, "began")
    journal.record("promote", "intent", "10.0.0.2:3306", dead="d", kind="k", end_of_log="")
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-cut])
    assert [e.step for e in read_journal(journal.path)] == [BEGIN]


def test_only_the_newest_failovers_that_did_not_end_are_unfinished(tmp_path: Path) -> None:
    assert unfinished(tmp_path, "app1") == ()
    journal = Journal.new(tmp_path, "app1")
    journal.record(BEGIN, "began", "10.0.0.1:3306")
    Journal(tmp_path / "app2.failover-20260101000000-1.journal").record(BEGIN, "began")
    assert opened_before(unfinished(tmp_path, "app1")) is None
    facts = {"dead": "10.0.0.1:3306", "kind": "file/position", "end_of_log": "mysql-bin.000002:99"}
    journal.record("promote", "intent", "10.0.0.2:3306", **facts)
    opened = opened_before(unfinished(tmp_path, "app1"))
    assert opened is not None
    assert (opened.dead, opened.key, opened.end_of_log) == ("10.0.0.1:3306", "10.0.0.2:3306", "mysql-bin.000002:99")
    assert unfinished(tmp_path, "app1", "10.0.0.9:3306") == ()
    journal.record(END, "ended")
    assert unfinished(tmp_path, "app1") == ()


def test_a_failover_interrupted_twice_remembers_both(tmp_path: Path) -> None:
    for number, step in enumerate(("ended before", "first", "second")):
        journal = Journal(tmp_path / f"app1.failover-2026010100000{number}-1.journal")
        journal.record(BEGIN, "began", "10.0.0.1:3306")
        journal.record(step, "began")
        if step == "ended before":
            journal.record(END, "ended")
        os.utime(journal.path, (number, number))
    assert [e.step for e in unfinished(tmp_path, "app1", "10.0.0.1:3306")] == [BEGIN, "first", BEGIN, "second"]


def test_settings_that_were_given_back_are_not_lent_any_more(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record("settings", "intent", "10.0.0.2:3306", former={"sync_binlog": 1}, boot_id="b")
    journal.record("settings", "intent", "10.0.0.3:3306", former={"sync_binlog": 1}, boot_id="b")
    journal.record("settings", "intent", "10.0.0.4:3306", former={}, boot_id="b")
    journal.record("settings", "done", "10.0.0.2:3306")
    assert unrestored_settings(journal.entries()) == (TemporarySetting("10.0.0.3:3306", {"sync_binlog": 1}, "b"),)


def test_facts_that_json_does_not_know_are_written_as_text(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    journal.record("x", "y", path=tmp_path)
    assert json.loads(journal.path.read_text())["facts"] == {"path": str(tmp_path)}


class Says:
    """A host that answers the fencing script with this, or raises."""

    def __init__(self, answer: str | Exception) -> None:
        self._answer = answer

    def run(self, *_: object, **__: object) -> CommandResult:
        if isinstance(self._answer, Exception):
            raise self._answer
        return CommandResult(0, self._answer, "", 0.1)


@pytest.mark.parametrize(
    ("answer", "sure", "still_there", "words"),
    [
        ("done\n", True, False, "no mysqld runs there"),
        ("killed 77\ndone\n", True, False, "killed mysqld 77"),
        ("masked mysql.service\nsupervisor 5\nkilled 77\ndone\n", True, False, "masked mysql.service"),
        ("killed 77\ndying 77\ndone\n", True, False, "77 ends when its disk answers"),
        ("killed 77\nleft 77\ndone\n", False, True, "still there after kill -9: 77"),
        ("listening 3306\ndone\n", False, True, "a listener"),
        ("killed 77\n", False, False, "did not come to its end"),
        ("doubt 12 nothing tells its port\ndone\n", False, False, "process 12: nothing tells its port"),
        ("", False, False, "did not come to its end"),
        (HostUnreachable("root@db1:22", "connect", "no route"), False, False, "no route"),
        (DeadlineExceeded("fence", 15.0), False, False, "not within 15 s"),
    ],
)
def test_fenced_is_only_what_was_seen_to_the_end(
    answer: str | Exception, sure: bool, still_there: bool, words: str
) -> None:
    result: Fenced = fence(Says(answer), SERVER)  # type: ignore[arg-type]
    assert (result.sure, result.still_there) == (sure, still_there)
    assert words in str(result)


@pytest.mark.parametrize("name", ["fence.sh", "vitals.sh"])
def test_a_script_travels_whole(name: str) -> None:
    assert "#include" not in script(name)
    assert "whose() {" in script(name)
    assert script(name).count("parent() {") == 1
