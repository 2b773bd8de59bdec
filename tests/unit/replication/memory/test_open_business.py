"""Receivers that a failover stopped: what a start does with each, and what it tells."""

from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import BEGIN, END, Journal, unfinished
from prefect_mha.replication.memory.open_business import (
    StoppedReceiver,
    note_settled,
    note_stopped,
    settle,
    stopped_receivers,
)
from tests.unit.replication.build import channel, cluster, configured, server

DB = ["", *(s.address for s in configured({}, {}, {}).servers)]
STOPPED = StoppedReceiver(DB[2], "", DB[1])
DEAD, NEW = configured({}, {}, {}).servers[0], configured({}, {}, {}).servers[2]


@pytest.mark.parametrize(
    ("state", "primary", "what"),
    [
        (cluster(server(1, read_only=False), server(2, channel(receiver="No"))), DEAD, "start"),
        (cluster(server(1, read_only=False), server(2, channel(receiver="Yes"))), DEAD, "over"),
        (cluster(server(2, channel(receiver="No")), down=(1,)), DEAD, "over"),
        (cluster(server(2, channel(source_host="10.0.0.3")), server(3, read_only=False)), NEW, "over"),
        (cluster(server(2, channel(source_host="10.0.0.4", receiver="No")), server(3)), NEW, "over"),
        (cluster(server(2, channel(source_host="10.0.0.3", receiver="No")), server(3), down=(1,)), DEAD, "open"),
        (
            cluster(server(1, read_only=False), server(2, channel(source_host="10.0.0.3", receiver="No")), server(3)),
            DEAD,
            "replicates from 10.0.0.3:3306",
        ),
        (cluster(server(2, channel(source_host="10.0.0.3", receiver="No")), server(3, read_only=False)), NEW, "start"),
        (cluster(server(2, channel(receiver="No")), server(3, read_only=False), down=(1,)), NEW, "follows the dead"),
        (cluster(server(2), server(3, read_only=False)), NEW, "over"),
        (cluster(server(3, read_only=False), down=(1, 2)), NEW, "does not answer"),
    ],
    ids=[
        "back",
        "running",
        "dead-again",
        "pointed",
        "elsewhere",
        "fetched",
        "fetched-from-a-third",
        "fetched-from-the-new",
        "left-behind",
        "forgotten",
        "silent",
    ],
)
def test_what_becomes_of_a_receiver_that_was_stopped(state: object, primary: object, what: str) -> None:
    found = settle([STOPPED], state, primary)  # type: ignore[arg-type]
    assert {"start": bool(found.start), "over": bool(found.over)} == {"start": what == "start", "over": what == "over"}
    assert (what in " ".join(found.told)) == (what not in ("start", "over", "open"))


def write(tmp_path: Path, number: int, code: int | None, opened: bool = False) -> Journal:
    journal = Journal(tmp_path / f"app1.failover-2026010100000{number}-1.journal")
    journal.record(BEGIN, "began", DB[1])
    note_stopped(journal, DB[1], {DB[2]: "", DB[3]: "x"})
    if opened:
        journal.record("promote", "intent", DB[2], dead=DB[1], kind="MySQL GTID", end_of_log="")
    if code is not None:
        journal.record(END, "ended", DB[1], exit_code=code)
    return journal


def test_they_are_remembered_whatever_the_exit_code_until_one_ends_well(tmp_path: Path) -> None:
    for number, code in enumerate((0, 10, None, 1)):
        journal = write(tmp_path, number, code)
    assert set(stopped_receivers(tmp_path, "app1")) == {STOPPED, StoppedReceiver(DB[3], "x", DB[1])}
    note_settled(journal, [DB[3]])
    assert stopped_receivers(tmp_path, "app1") == (STOPPED,)
    write(tmp_path, 5, 0)
    assert stopped_receivers(tmp_path, "app1") == ()


def test_a_failover_that_failed_after_its_opening_is_still_to_be_finished(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    assert unfinished(tmp_path, "app1") == ()
    write(tmp_path, 1, 1, opened=True)
    assert unfinished(tmp_path, "app1") != ()
