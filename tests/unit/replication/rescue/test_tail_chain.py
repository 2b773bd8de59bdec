"""The chain of dead primaries: what journals tell of it, who stands where in it, and what a copy is good for."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.memory.journal import Journal
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.state import GtidKind, Replaced
from prefect_mha.replication.planning.plan import FailoverOptions, FailoverPlan, make_plan
from prefect_mha.replication.planning.selection import Follower
from prefect_mha.replication.reporting.ledger import Fate, never_reached
from prefect_mha.replication.rescue.salvage import BinlogCopy, shortened
from prefect_mha.replication.rescue.tail_chain import (
    RECENT,
    Tail,
    begins_in,
    carried,
    chain_of,
    left_behind,
    note_open,
    note_settled,
    open_tails,
    reached_before,
    remarks,
    successor,
)
from tests.unit.replication.build import UUID, at, channel, cluster, configured, server
from tests.unit.replication.logs import LogBuilder

CONFIG = configured({}, {})
ONE, TWO, THREE = (each.address for each in CONFIG.servers)
FIRST = Tail(ONE, TWO, GtidKind.POSITION, at(2000), at(700), server_id=1, uuid=UUID)
SECOND = Tail(TWO, THREE, GtidKind.MYSQL, at(900), at(100), gtids=f"{UUID}:1-9")


def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "app1.failover-20260101000001-1.journal")


def test_a_tail_is_read_as_it_was_written_until_everybody_has_it(tmp_path: Path) -> None:
    memory = journal(tmp_path)
    note_open(memory, FIRST)
    note_open(memory, SECOND)
    assert open_tails(memory.entries()) == (FIRST, SECOND)
    note_settled(memory, [FIRST])
    assert open_tails(memory.entries()) == (SECOND,)


@pytest.mark.parametrize(("later", "known"), [(60.0, {THREE}), (RECENT + 60.0, set())])
def test_who_reached_the_successor_counts_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: float, known: set[str]
) -> None:
    note_open(journal(tmp_path), replace(FIRST, reached_by=(THREE,)))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + later)
    config = CONFIG.model_copy(update={"manager_workdir": tmp_path})
    assert reached_before(config, TWO) == known
    assert reached_before(config, ONE) == set()


def test_the_last_of_several_tries_counts_and_one_that_was_not_opened_has_none(tmp_path: Path) -> None:
    memory = journal(tmp_path)
    note_open(memory, FIRST)
    note_open(memory, replace(FIRST, end=at(2500)))
    assert [tail.end for tail in open_tails(memory.entries())] == [at(2500)]
    memory.record("promote", "not opened", TWO)
    assert open_tails(memory.entries()) == ()


def test_the_chain_leads_to_the_one_that_is_dead_now() -> None:
    other = Tail("10.0.0.9:3306", "10.0.0.8:3306", GtidKind.POSITION, None, None)
    assert chain_of((FIRST, other, SECOND), THREE) == (FIRST, SECOND)
    assert chain_of((FIRST, other, SECOND), TWO) == (FIRST,)
    assert chain_of((FIRST, other, SECOND), ONE) == ()


@pytest.mark.parametrize(
    ("state", "link"),
    [
        (server(3, channel()), 0),
        (server(3, channel(source_host="10.0.0.2")), None),
        (server(3, channel(source_host="10.0.0.7")), None),
        (server(3, channel(source_host="10.77.0.1", source_user="mha_rescue_00000", source_server_id=5)), None),
        (server(1, channel(source_host="10.0.0.2")), None),
        (server(2), None),
    ],
    ids=["at-the-first", "at-the-second", "elsewhere", "another-rescue", "the-first-itself", "the-second"],
)
def test_who_is_left_behind(state: object, link: int | None) -> None:
    found = left_behind(CONFIG, state, (FIRST,))  # type: ignore[arg-type]
    assert (found[0] if found is not None else None) == link


def test_a_plan_is_made_as_if_everybody_had_been_taken_along() -> None:
    seen = cluster(server(3, channel(receiver="No")), down=(1, 2))
    assert not isinstance(make_plan(CONFIG, CONFIG.servers[1], seen, FailoverOptions()), FailoverPlan)
    plan = make_plan(CONFIG, CONFIG.servers[1], carried(CONFIG, seen, (FIRST,)), FailoverOptions())
    assert isinstance(plan, FailoverPlan)
    assert (plan.new_primary, plan.target.executed) == (THREE, at(700))
    assert carried(CONFIG, seen, ()) is seen
    (told,) = remarks(CONFIG, seen, (FIRST,))
    assert told.startswith("db3")
    assert "in the log of db1" in told
    assert remarks(CONFIG, carried(CONFIG, seen, (FIRST,)), (FIRST,)) == ()


@pytest.mark.parametrize(
    ("held", "up", "who"),
    [
        ((Replaced(ONE, TWO),), (), TWO),
        ((), (), ONE),
        ((Replaced(ONE, THREE),), (), ONE),
        ((Replaced(ONE, TWO),), (server(2),), ONE),
        ((Replaced(ONE, TWO),), (server(1),), ONE),
    ],
    ids=["both-dead", "not-held", "another-in-its-place", "the-second-answers", "the-first-answers"],
)
def test_who_is_the_primary_when_the_one_in_a_dead_one_s_place_is_dead_too(
    tmp_path: Path, held: tuple[Replaced, ...], up: tuple[object, ...], who: str
) -> None:
    config = CONFIG.model_copy(update={"manager_workdir": tmp_path})
    note_open(journal(tmp_path), FIRST)
    seen = replace(cluster(*up, server(3, channel())), held=held)  # type: ignore[arg-type]
    assert successor(config, seen, config.servers[0]).address == who


def test_what_a_server_lacks_of_a_tail_is_told_by_gtids_and_by_nothing_else() -> None:
    assert FIRST.lacking(server(3)) is None
    assert SECOND.lacking(server(3, gtid_executed=GtidSet.parse(f"{UUID}:1-7"))) == GtidSet.parse(f"{UUID}:8-9")
    assert not SECOND.lacking(server(3, gtid_executed=GtidSet.parse(f"{UUID}:1-12")))
    mariadb = replace(SECOND, kind=GtidKind.MARIADB, gtids="0-1-9,1-1-3")
    has = MariadbGtidPosition.parse("0-1-9,1-1-2")
    assert str(mariadb.lacking(server(3, mariadb_gtid=has))) == "1-1-3"


ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("has", "begin"),
    [("1-4", 0), ("1-5", 1), ("1-7", 3), ("1-3", None), ("1-3:5-7", None), ("1-20", 3)],
    ids=["just-before", "within", "all", "a-gap", "a-hole", "more"],
)
def test_where_a_replica_s_part_of_a_copy_begins(tmp_path: Path, has: str, begin: int | None) -> None:
    built, places = LogBuilder(), []
    for number in (5, 6, 7):
        places.append(len(built.data))
        built.transaction(number)
    places.append(len(built.data))
    name = "mysql-bin.000001"
    (tmp_path / name).write_bytes(built.data)
    copy = BinlogCopy(tmp_path, (name,), at(places[0]), at(places[3]), len(built.data))
    state = server(3, gtid_mode="ON", gtid_executed=GtidSet.parse(f"{ZERO}:{has}"))
    found = begins_in(copy, GtidKind.MYSQL, state)
    assert found == (None if begin is None else at(places[begin]))


def test_a_copy_is_shortened_without_touching_its_files(tmp_path: Path) -> None:
    name = "mysql-bin.000001"
    (tmp_path / name).write_bytes(bytes(900))
    short = shortened(BinlogCopy(tmp_path, (name,), at(4), at(900), 896), at(500))
    assert [log.size for log in short.logs()] == [500]
    assert (tmp_path / name).stat().st_size == 900


def follower(**changes: object) -> Follower:
    theirs = channel(**changes)
    return Follower(CONFIG.servers[1], server(2, theirs), theirs)


@pytest.mark.parametrize(
    ("kind", "new", "other", "lost"),
    [
        (
            GtidKind.POSITION,
            server(3),
            follower(received=at(1500)),
            ("mysql-bin.000001:1000 to mysql-bin.000001:1500", None),
        ),
        (GtidKind.POSITION, server(3), follower(received=at(900)), None),
        (GtidKind.POSITION, server(3), follower(received=None), None),
        (
            GtidKind.MYSQL,
            server(3, gtid_executed=GtidSet.parse(f"{UUID}:1-5")),
            follower(retrieved=GtidSet.parse(f"{UUID}:3-8")),
            (f"{UUID}:6-8", 3),
        ),
        (
            GtidKind.MARIADB,
            server(3, mariadb_gtid=MariadbGtidPosition.parse("0-1-5")),
            follower(gtid_io_pos=MariadbGtidPosition.parse("0-1-8")),
            ("0-1-6 to 0-1-8", 3),
        ),
    ],
    ids=["position", "position-level", "position-unknown", "mysql", "mariadb"],
)
def test_what_a_dead_replica_was_seen_to_have_received_and_nobody_has_is_lost(
    kind: GtidKind, new: object, other: Follower, lost: tuple[str, int | None] | None
) -> None:
    plan = make_plan(CONFIG, CONFIG.servers[0], cluster(server(3, channel())), FailoverOptions())
    assert isinstance(plan, FailoverPlan)
    lines = never_reached(replace(plan, kind=kind), at(1000), new, [(other, "its host is dark")])  # type: ignore[arg-type]
    assert [(line.where, line.transactions) for line in lines] == ([lost] if lost else [])
    for line in lines:
        assert line.fate is Fate.LOST
        assert "10.0.0.2" in line.why
        assert "its host is dark" in line.why
