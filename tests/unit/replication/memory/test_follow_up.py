"""What becomes of a server that a failover left out, and who is remembered as such."""

from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.memory.follow_up import (
    LeftOut,
    NextStep,
    ahead,
    decide,
    left_out,
    note_done,
    note_left,
    note_stands,
)
from prefect_mha.replication.memory.journal import BEGIN, END, Journal, Opened
from prefect_mha.replication.model.gtid import GtidSet
from tests.unit.replication.build import UUID, at, channel, configured, server

CONFIG = configured({}, {}, {}).servers
DEAD, NEW, LATE = CONFIG[:3]
FROM_NEW = channel(source_host=NEW.hostname)


@pytest.mark.parametrize(
    ("state", "work", "act"),
    [
        (None, "", NextStep.WAIT),
        (server(3, channel(receiver="No")), "it executes ALTER", NextStep.WAIT),
        (server(3, channel(receiver="No")), "", NextStep.BRING),
        (server(3, channel(receiver="Connecting")), "", NextStep.BRING),
        (server(3, channel(source_user="mha.abcdefghijkl", source_host="10.0.0.9")), "", NextStep.BRING),
        (server(3, channel(applier_running=False, applier_errno=1062)), "", NextStep.TELL),
        (server(3, channel(source_host="10.0.0.7")), "", NextStep.TELL),
        (server(3), "", NextStep.TELL),
        (server(3, FROM_NEW), "", NextStep.DONE),
        (server(3, replace(FROM_NEW, applier_running=False)), "", NextStep.WAIT),
        (server(3, replace(FROM_NEW, applier_running=False, applier_errno=1062)), "", NextStep.TELL),
    ],
)
def test_what_becomes_of_one_that_was_left_out(state: object, work: str, act: NextStep) -> None:
    assert decide(state, DEAD, NEW, work)[0] is act  # type: ignore[arg-type]


def left(kind: str, **stands: str) -> LeftOut:
    return LeftOut((), Opened(DEAD.address, NEW.address, kind, ""), {LATE.address: "busy"}, **stands)


def test_who_has_more_than_the_new_primary_had_may_not_follow_it() -> None:
    state = server(3, channel(), gtid_executed=GtidSet.parse(f"{UUID}:1-9"))
    assert not ahead(left("MySQL GTID", gtids=f"{UUID}:1-9"), state, None)
    assert ahead(left("MySQL GTID", gtids=f"{UUID}:1-8"), state, None)
    assert not ahead(left("file/position", place=str(at(1000))), state, at(1000))
    assert ahead(left("file/position", place=str(at(1000))), state, at(1001))


def test_the_journal_of_the_newest_failover_that_opened_somebody_names_them(tmp_path: Path) -> None:
    for number, why in enumerate(("old", "busy")):
        journal = Journal(tmp_path / f"app1.failover-2026010100000{number}-1.journal")
        journal.record(BEGIN, "began", DEAD.address)
        note_stands(journal, NEW.address, at(7), None)
        journal.record("promote", "intent", NEW.address, dead=DEAD.address, kind="file/position", end_of_log="")
        note_left(journal, {LATE.address: why})
        journal.record(END, "ended", DEAD.address, exit_code=10)
    refused = Journal(tmp_path / "app1.failover-20260101000002-1.journal")
    refused.record(BEGIN, "began", NEW.address)
    refused.record(END, "ended", NEW.address, exit_code=1)
    found = left_out(tmp_path, "app1")
    assert found is not None
    assert (found.servers, found.place, found.opened.key) == ({LATE.address: "busy"}, str(at(7)), NEW.address)
    note_done(journal, LATE.address, "it follows")
    assert left_out(tmp_path, "app1") is None
