"""Who is held, through crashes and several failovers; and when a server that came back may be closed."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from replication.fencing.holds import Holds
from replication.fencing.knocks import knock
from replication.fencing.returning import Guard, PrimaryView, Return, decide

DB1, DB2, DB3 = (f"10.0.0.{n}:3306" for n in (1, 2, 3))


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(tmp_path, "app1")


def test_nobody_is_held_and_nothing_is_written_by_looking(holds: Holds) -> None:
    assert holds.current() == ()
    assert not holds.path.exists()


def test_a_replaced_primary_is_held_until_it_is_released(holds: Holds) -> None:
    holds.replaced(DB1, "db1", DB2, ("mysql.service",))
    holds.closed(DB1, how="set read-only")
    holds.left_trace(DB1, ("/etc/mysql/conf.d/zz-mha-fenced.cnf",))
    (hold,) = Holds(holds.path.parent, "app1").current()
    assert (hold.key, hold.instead, hold.returns) == (DB1, DB2, 1)
    assert hold.traces == ("mysql.service", "/etc/mysql/conf.d/zz-mha-fenced.cnf")
    assert "came back 1 times" in str(hold)
    holds.release(DB1, "ann@mgr", "mha release")
    assert holds.current() == ()
    assert '"by": "ann@mgr"' in holds.path.read_text()


def test_a_second_failover_frees_the_one_that_is_promoted_and_moves_the_others(holds: Holds) -> None:
    holds.replaced(DB1, "db1", DB2)
    holds.replaced(DB2, "db2", DB3)
    assert {h.key: h.instead for h in holds.current()} == {DB1: DB3, DB2: DB3}
    holds.replaced(DB3, "db3", DB1)
    assert {h.key: h.instead for h in holds.current()} == {DB2: DB1, DB3: DB1}


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_what_a_crash_left_of_a_line_hides_nothing(holds: Holds, cut: int) -> None:
    holds.replaced(DB1, "db1", DB2)
    whole = holds.path.read_bytes()
    holds.closed(DB1, how="x")
    holds.path.write_bytes(holds.path.read_bytes()[:-cut])
    assert holds.path.read_bytes().startswith(whole)
    holds.replaced(DB3, "db3", DB2)
    assert {h.key for h in holds.current()} == {DB1, DB3}


def test_a_release_in_another_process_is_seen(holds: Holds) -> None:
    holds.replaced(DB1, "db1", DB2)
    assert holds.get(DB1) is not None
    Holds(holds.path.parent, "app1").release(DB1, "x", "y")
    assert holds.get(DB1) is None


VIEW = PrimaryView(DB2, "db2", writable=True, follows_held=False)


@pytest.mark.parametrize(
    ("view", "act"),
    [
        (VIEW, Return.CLOSE),
        (None, Return.LEAVE),
        (replace(VIEW, writable=False), Return.LEAVE),
        (replace(VIEW, follows_held=True), Return.LEAVE),
        (replace(VIEW, writable=False, follows_held=True), Return.LEAVE),
        (replace(VIEW, follows_held=True, receives=True), Return.LEAVE),
        (replace(VIEW, writable=False, follows_held=True, receives=True), Return.RELEASE),
        (replace(VIEW, key=DB1), Return.LEAVE),
        (replace(VIEW, key=DB1, writable=False), Return.LEAVE),
    ],
)
def test_it_is_closed_only_while_another_is_seen_to_take_the_writes(
    holds: Holds, view: PrimaryView | None, act: Return
) -> None:
    holds.replaced(DB1, "db1", DB2)
    (hold,) = holds.current()
    assert decide(hold, view)[0] is act


def test_a_hold_that_is_made_while_the_dead_one_is_watched_names_the_present_primary(holds: Holds) -> None:
    """Until its failover is over the manager itself knows the dead one only."""
    guard = Guard((), holds, lambda _news: None)
    guard.watching(DB1)
    assert guard._primary == DB1
    holds.replaced(DB1, "db1", DB2)
    guard._look_at_the_file()
    assert guard._primary == DB2
    guard.watching(DB1)
    assert guard._primary == DB2, "a held server has no say in it, nor has who follows it"
    # Released and replaced again, by the same one: newer than what is watched.
    holds.release(DB1, "ann@mgr", "mha release")
    guard._look_at_the_file()
    guard.watching(DB1)
    holds.replaced(DB1, "db1", DB2)
    guard._look_at_the_file()
    assert guard._primary == DB2


def test_knocking_tells_who_listens_from_a_host_that_lives() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert knock("127.0.0.1", port, 0.2) == "refused"
        listener.listen()
        assert knock("127.0.0.1", port, 0.2) == "open"
