"""What is decided about an old server that is back: what it has beside the new primary, and what may be done."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.binlog.reader import Part, Transaction
from prefect_mha.replication.deadline import Deadline
from prefect_mha.replication.memory.follow_up import note_stands
from prefect_mha.replication.memory.held_servers import Hold
from prefect_mha.replication.memory.journal import REJOIN, SWITCH, Journal
from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import GtidKind, Vendor
from prefect_mha.replication.model.ways_back import How
from prefect_mha.replication.rejoin.diverged.beyond import beyond, only_here
from prefect_mha.replication.rejoin.diverged.ledger import Reckoning, completed
from prefect_mha.replication.rejoin.facts import OwnTail, RejoinFacts
from prefect_mha.replication.rejoin.observe import tail_of
from prefect_mha.replication.rejoin.plan import RejoinPlan, rejoin_plan, unattended
from prefect_mha.replication.rejoin.remembered.replacement import Replacement, replacement_of
from prefect_mha.replication.rejoin.remembered.rewound import (
    DIFFERS,
    EQUAL,
    RESET,
    RESETTING,
    REWIND,
    Rewound,
    as_rewound,
    rewound_of,
)
from prefect_mha.replication.reporting.ledger import Fate, LedgerLine, as_json
from prefect_mha.replication.rescue.purged import still_lacks
from tests.unit.replication.build import UUID, at, channel, server

OTHER = UUID.replace("1", "2")
HOLD = Hold("10.0.0.1:3306", "db1(10.0.0.1:3306)", 0.0, "10.0.0.2:3306", ("/etc/mysql/conf.d/zz-mha-fenced.cnf",))
REPLACED = Replacement("10.0.0.2:3306", 1.0, at(5000), at(700, file=3), None, GtidKind.POSITION, "app1.journal")


def facts(**changes: Any) -> RejoinFacts:
    """db1 is back, by file and position, with nothing that db2 lacks."""
    well = RejoinFacts(
        cluster="app1",
        old=server(1),
        new=server(2, read_only=False),
        kind=GtidKind.POSITION,
        channel="",
        hold=HOLD,
        replaced=REPLACED,
        tail=OwnTail(),
        log_ends=at(5000),
        begins=True,
        user="repl",
        password=True,
    )
    return replace(well, **changes)


def gtid(old: str, new: str, **changes: Any) -> RejoinFacts:
    return facts(
        kind=GtidKind.MYSQL,
        old=server(1, gtid_mode="ON", gtid_executed=GtidSet.parse(old)),
        new=server(2, gtid_mode="ON", gtid_executed=GtidSet.parse(new), read_only=False),
        tail=None,
        replaced=None,
        **changes,
    )


def mariadb(old: str, new: str, stood: str = "", slave_pos: str = "", **changes: Any) -> RejoinFacts:
    def state(text: str) -> tuple[MariadbGtid, ...]:
        return tuple(MariadbGtid.parse(part) for part in text.split(",") if part)

    more = {"vendor": Vendor.MARIADB, "gtid_executed": None, "gtid_mode": None}
    replaced = replace(REPLACED, mariadb=MariadbGtidPosition.parse(stood), place=None) if stood else None
    position = MariadbGtidPosition.parse(slave_pos)
    return facts(
        kind=changes.pop("kind", GtidKind.MARIADB),
        old=server(1, gtid_binlog_state=state(old), **more),
        new=server(2, gtid_binlog_state=state(new), mariadb_gtid=position, read_only=False, **more),
        tail=None,
        replaced=replaced,
        **changes,
    )


def refusal_of(case: RejoinFacts, how: How = How.AUTO) -> Refusal:
    decided = rejoin_plan(case, how)
    assert isinstance(decided, Refusal), decided
    return decided


def plan_of(case: RejoinFacts) -> RejoinPlan:
    decided = rejoin_plan(case)
    assert isinstance(decided, RejoinPlan), decided
    return decided


# what it lost, and who hangs on it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "lost"),
    [
        (gtid(f"{UUID}:1-8", f"{UUID}:1-9,{OTHER}:1-5"), f"{UUID}:9"),
        # It was installed anew, and is known by what the hold remembers.
        (gtid("", f"{OTHER}:1-5,{UUID[:-1]}9:1-3", hold=replace(HOLD, uuid=f"{UUID[:-1]}9")), f"{UUID[:-1]}9:1-3"),
        (mariadb("0-1-8", "0-1-9,0-2-20"), "0-1-9"),
        (mariadb("0-1-8", "0-2-20", stood="0-1-9"), "0-1-9"),
        # It received what came later, so it has what came before, under whatever name its log knows that by.
        (mariadb("0-2-12", "0-1-9,0-2-20"), ""),
        (gtid(f"{UUID}:1-9", f"{UUID}:1-9,{OTHER}:1-5"), ""),
    ],
)
def test_what_it_wrote_and_has_no_more_is_no_data_to_follow_with(case: RejoinFacts, lost: str) -> None:
    """As a replica it would skip what bears its own server_id."""
    case = replace(case, old=replace(case.old, server_uuid=UUID))
    if not lost:
        assert isinstance(rejoin_plan(case), RejoinPlan)
        return
    refusal = refusal_of(case)
    assert refusal.code == "lost-its-end"
    assert lost in refusal.sentence
    assert "--how=rebuild" in refusal.remedy


def test_a_server_with_replicas_of_its_own_does_not_begin_its_log_anew() -> None:
    case = gtid(f"{UUID}:1-11", f"{UUID}:1-9,{OTHER}:1-5", below=("db4(10.0.0.4:3306)",))
    assert refusal_of(case, How.REWIND).code == "has-replicas"
    assert refusal_of(case).code == "has-more"
    follows = replace(case, old=replace(case.old, gtid_executed=GtidSet.parse(f"{UUID}:1-9")))
    assert plan_of(follows).warnings == ()
    silent = plan_of(replace(follows, old=replace(follows.old, log_replica_updates=False)))
    assert "db4(10.0.0.4:3306) replicate from it, and get nothing more" in silent.warnings[0]


# what it has -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "what"),
    [
        (gtid(f"{UUID}:1-9", f"{UUID}:1-9,{OTHER}:1-5"), ""),
        (gtid(f"{UUID}:1-11", f"{UUID}:1-9,{OTHER}:1-5"), f"2 transactions, {UUID}:10-11"),
        (mariadb("0-1-9", "0-1-9,0-2-20"), ""),
        (mariadb("0-1-11", "0-1-9,0-2-20"), "0-1-10 to 0-1-11"),
        # A new primary that was copied from the old one never logged what an earlier primary wrote.
        (mariadb("0-9-4,0-1-9", "0-1-9,0-2-20"), ""),
        (mariadb("0-1-9,7-1-3", "0-1-9,0-2-20"), "7-1-1 to 7-1-3"),
        # It logs only its own, and the journal, or gtid_slave_pos, knows what it had executed.
        (mariadb("0-1-9", "0-2-20", stood="0-1-9"), ""),
        (mariadb("0-1-9", "0-2-20", slave_pos="0-1-9"), ""),
        (mariadb("0-1-9", "0-2-20"), "0-1-1 to 0-1-9"),
        # What it wrote itself is not hidden by what it received later of somebody else.
        (mariadb("0-1-102,0-2-105", "0-1-100,0-2-110"), "0-1-101 to 0-1-102"),
        (mariadb("0-1-102,0-2-105", "0-1-100,0-2-110", stood="0-1-102"), ""),
        (mariadb("0-1-100,0-2-105", "0-1-100,0-2-110"), ""),
        (facts(), ""),
        (
            facts(tail=OwnTail(5, 2, at(5000), at(5900), ("app.t",))),
            "2 transactions from mysql-bin.000001:5000 to mysql-bin.000001:5900, tables app.t",
        ),
    ],
)
def test_what_only_the_old_server_has_is_named_exactly(case: RejoinFacts, what: str) -> None:
    assert beyond(case).what == what
    assert not beyond(case).unknown


@pytest.mark.parametrize(
    "case",
    [
        facts(replaced=None),
        facts(replaced=replace(REPLACED, place=None)),
        facts(tail=None),
        facts(tail=OwnTail(9, whole=False)),
        replace(gtid(f"{UUID}:1-9", f"{UUID}:1-9"), old=server(1, gtid_executed=GtidSet.parse(f"{UUID}:1-9"))),
        mariadb("", "0-1-9"),
    ],
)
def test_what_cannot_be_known_counts_as_more(case: RejoinFacts) -> None:
    assert beyond(case).unknown
    assert refusal_of(case).code == "may-have-more"


def test_without_a_place_the_gtids_of_a_mariadb_log_may_still_prove_that_nothing_is_lacking() -> None:
    assert not beyond(mariadb("0-1-9", "0-1-9,0-2-20", kind=GtidKind.POSITION))
    # They may well be there under other numbers, as when a client replayed them.
    assert beyond(mariadb("0-1-9", "0-1-8,0-2-20", kind=GtidKind.POSITION)).unknown


def test_of_a_log_only_what_is_somebodys_data_counts() -> None:
    def row(pos: int, kind: str, own: int = 1, info: str = "") -> tuple[str, dict[str, Any]]:
        return "mysql-bin.000002", {
            "Pos": pos,
            "Event_type": kind,
            "Server_id": own,
            "End_log_pos": pos + 10,
            "Info": info,
        }

    quiet = [row(4, "Format_desc"), row(14, "Previous_gtids"), row(24, "Binlog_checkpoint"), row(34, "Stop")]
    written = [
        row(44, "Query", info="BEGIN"),
        row(54, "Table_map", info="table_id: 9 (app.t)"),
        row(64, "Write_rows"),
        row(74, "Xid", info="COMMIT"),
    ]
    assert tail_of(iter(quiet), None, Deadline(5)) == OwnTail()
    where = BinlogPosition("mysql-bin.000002", 44), BinlogPosition("mysql-bin.000002", 84)
    assert tail_of(iter([*quiet, *written]), None, Deadline(5)) == OwnTail(4, 1, *where, ("app.t",))
    received = [(name, {**each, "Server_id": 2}) for name, each in written]
    assert tail_of(iter([*quiet, *received]), 1, Deadline(5)) == OwnTail()


# what is done ------------------------------------------------------------------------------------------------------


def test_by_position_it_begins_where_the_new_primary_did() -> None:
    plan = plan_of(facts())
    assert plan.how is How.FOLLOW
    assert plan.position == at(700, file=3)
    assert any("zz-mha-fenced.cnf" in step for step in plan.steps)


def test_one_that_points_there_already_goes_on_from_where_it_is() -> None:
    there = channel(source_host="10.0.0.2", receiver="No", applier_running=False)
    plan = plan_of(facts(old=server(1, there), pointed=True))
    assert plan.pointed
    assert plan.position is None
    assert not any(step.startswith("Point") for step in plan.steps)


def test_gtids_need_no_place_and_no_journal() -> None:
    assert plan_of(gtid(f"{UUID}:1-9", f"{UUID}:1-9,{OTHER}:1-3", hold=None)).position is None
    assert plan_of(mariadb("0-1-9", "0-1-9,0-2-20")).position is None


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (facts(old=server(2)), "is-the-primary"),
        (facts(new=server(2)), "primary-read-only"),
        (facts(new=server(2, version=(9, 7, 0), read_only=False)), "older-than-primary"),
        (facts(source_id_taken="db3"), "server-id-taken"),
        (facts(old=server(1, channel(source_host="10.0.0.8"))), "replicates-elsewhere"),
        (
            facts(old=server(1, channel(source_host="10.0.0.8", receiver="No", applier_running=False, executed=at(9)))),
            "replicates-elsewhere",
        ),
        (facts(tail=OwnTail(4, 1, at(5000), at(5100))), "has-more"),
        (facts(replaced=replace(REPLACED, begins=None)), "no-place"),
        (facts(replaced=replace(REPLACED, new="10.0.0.3:3306")), "replaced-since"),
        (facts(log_ends=at(4000)), "lost-its-end"),
        (facts(begins=False), "purged"),
        (gtid(f"{UUID}:1-9", f"{UUID}:1-9,{OTHER}:1-3", purged=f"{OTHER}:1"), "purged"),
        (facts(user=""), "replication-credentials"),
        (facts(password=False), "replication-credentials"),
    ],
)
def test_why_it_may_not_follow(case: RejoinFacts, code: str) -> None:
    refusal = refusal_of(case)
    assert refusal.code == code
    assert refusal.remedy


HAS_MORE = OwnTail(4, 1, at(5000), at(5100))


def test_what_only_it_has_is_taken_back_only_when_somebody_asks_for_it() -> None:
    case = facts(tail=HAS_MORE)
    assert refusal_of(case).code == "has-more"
    plan = rejoin_plan(case, How.REWIND)
    assert isinstance(plan, RejoinPlan)
    assert plan.how is How.REWIND
    assert "kept on the manager" in plan.discards
    assert plan.position == REPLACED.begins
    nothing = rejoin_plan(facts(), How.REWIND)
    assert isinstance(nothing, RejoinPlan)
    assert nothing.how is How.FOLLOW
    assert refusal_of(facts(tail=None), How.REWIND).code == "may-have-more"


def test_a_log_without_what_it_replicated_proves_nothing_of_one_that_may_have_followed() -> None:
    silent = server(1, log_replica_updates=False)
    assert isinstance(rejoin_plan(facts(tail=HAS_MORE, old=silent), How.REWIND), RejoinPlan)
    assert isinstance(rejoin_plan(facts(tail=HAS_MORE, pointed=True), How.REWIND), RejoinPlan)
    followed = facts(tail=HAS_MORE, old=silent, pointed=True)
    assert refusal_of(followed, How.REWIND).code == "no-place"


@pytest.mark.parametrize("state", [RESETTING, RESET])
def test_a_rewind_that_was_cut_short_is_gone_on_with_and_nothing_else_is_done(state: str) -> None:
    case = facts(rewound=Rewound(state, tables=("app.t",)), log_ends=at(300) if state == RESETTING else at(5000))
    assert refusal_of(case, How.FOLLOW).code == "rewind-cut-short"
    for how in (How.AUTO, How.REWIND):
        plan = rejoin_plan(case, how)
        assert isinstance(plan, RejoinPlan)
        assert plan.how is How.REWIND


@pytest.mark.parametrize("case", [gtid("", f"{UUID}:1-12"), mariadb("", "0-1-9,0-2-20")])
def test_what_it_is_to_have_executed_is_not_missed_while_its_logs_are_deleted(case: RejoinFacts) -> None:
    mysql = case.kind is GtidKind.MYSQL
    purged = GtidSet.parse(f"{UUID}:1-5") if mysql else MariadbGtidPosition.parse("0-1-5")
    gtids = f"{UUID}:1-9" if mysql else "0-1-9"
    empty = replace(case.old, mariadb_gtid=None if mysql else MariadbGtidPosition())
    assert still_lacks(empty, purged) == str(purged)
    assert not still_lacks(as_rewound(empty, Rewound(RESETTING, gtids)), purged)
    too_far = Rewound(RESETTING, f"{UUID}:1-3" if mysql else "0-1-3")
    assert still_lacks(as_rewound(empty, too_far), purged), "that log is gone for good"
    for other in (None, Rewound(RESET, gtids), Rewound(RESETTING)):
        assert as_rewound(empty, other) is empty


def test_one_whose_data_differ_after_a_rewind_is_never_a_replica() -> None:
    case = facts(rewound=Rewound(DIFFERS, why="app.t differ at mysql-bin.000003:900"))
    for how in (How.AUTO, How.FOLLOW, How.REWIND):
        assert refusal_of(case, how).code == "differs"


def test_one_that_was_rewound_and_compared_follows() -> None:
    assert plan_of(facts(rewound=Rewound(EQUAL))).how is How.FOLLOW
    assert plan_of(mariadb("", "0-2-12", "0-1-9", rewound=Rewound(EQUAL))).how is How.FOLLOW
    assert refusal_of(mariadb("", "0-2-12")).code == "may-have-more"


def test_how_far_a_rewind_came_is_read_from_the_journals(tmp_path: Path) -> None:
    def state() -> Rewound | None:
        return rewound_of(tmp_path, "app1", "10.0.0.1:3306", 0.0)

    journal = Journal.new(tmp_path, "app1", REJOIN)
    assert state() is None
    journal.record(REWIND, RESETTING, "10.0.0.1:3306", gtids="0-1-9", tables=["app.t"])
    assert state() == Rewound(RESETTING, "0-1-9", None, ("app.t",))
    other = Journal.new(tmp_path, "app1", REJOIN)
    assert other.path != journal.path
    other.record(REWIND, RESET, "10.0.0.1:3306", place="mysql-bin.000001:4")
    assert state() == Rewound(RESET, "0-1-9", BinlogPosition("mysql-bin.000001", 4), ("app.t",))
    other.record(REWIND, EQUAL, "10.0.0.1:3306")
    found = state()
    assert found is not None
    assert (found.open, found.place) == (False, BinlogPosition("mysql-bin.000001", 4))
    assert rewound_of(tmp_path, "app1", "10.0.0.1:3306", time.time() + 9) is None
    assert rewound_of(tmp_path, "app1", "10.0.0.2:3306", 0.0) is None


def test_a_rescue_copies_what_only_it_has_and_leaves_the_servers_as_they_are() -> None:
    case = facts(tail=OwnTail(4, 1, at(5000), at(5100)), new=server(2))
    plan = rejoin_plan(case, How.RESCUE)
    assert isinstance(plan, RejoinPlan)
    assert (plan.how, plan.position) == (How.RESCUE, at(5000))
    assert "what was chosen" in plan.steps[-2]
    assert refusal_of(facts(), How.RESCUE).code == "nothing-to-rescue"
    assert refusal_of(facts(replaced=None), How.RESCUE).code == "no-place"


@pytest.mark.parametrize(
    ("case", "own", "common"),
    [
        (gtid(f"{UUID}:1-11", f"{UUID}:1-9"), Gtid(UUID, 10), Gtid(UUID, 9)),
        (mariadb("0-1-11", "0-1-9,0-2-20"), MariadbGtid(0, 1, 10), MariadbGtid(0, 1, 9)),
        (mariadb("0-1-102,0-2-105", "0-1-100,0-2-110"), MariadbGtid(0, 1, 101), MariadbGtid(0, 2, 104)),
    ],
)
def test_a_transaction_is_its_own_when_only_it_has_it(case: RejoinFacts, own: Any, common: Any) -> None:
    wanted = only_here(case)
    assert wanted(own)
    assert not wanted(common)


def test_the_account_of_the_failover_is_completed() -> None:
    def transaction(start: int, number: int, table: str) -> Transaction:
        parts = (Part("mysql-bin.000002", start, start + 50),)
        own = Gtid(UUID, number)
        return Transaction("mysql-bin.000002", start, start + 50, own, 9, "dml", (table,), 4, parts, None, None)

    lost, apart = Reckoning(Fate.LOST), Reckoning(Fate.APART)
    for number in (10, 11):
        lost.add(transaction(100 * number, number, "app.t"))
    line = lost.line("db1", Path("/kept"))
    assert line is not None
    assert (line.where, line.transactions, line.bytes, line.tables) == (f"{UUID}:10-11", 2, 100, ("app.t",))
    assert apart.line("db1", Path("/kept")) is None
    told = as_json([LedgerLine(Fate.RESCUED, "x", "db1"), LedgerLine(Fate.UNKNOWN, "everything behind x", "db1")])
    whole = completed(told, "db1", [line], whole=True)
    assert [each["fate"] for each in whole] == ["rescued", "lost"]
    assert completed(whole, "db1", [line], whole=True) == whole, "a second rescue says the same once"
    replayed = completed(whole, "db1", [replace(line, fate=Fate.RESCUED)], whole=True)
    assert [each["fate"] for each in replayed] == ["rescued", "rescued"]
    assert completed(replayed, "db1", [line], whole=True) == replayed, "kept once more before it is rewound"
    rest = completed(replayed, "db1", [line], whole=True, more=True)
    assert [each["fate"] for each in rest] == ["rescued", "rescued", "lost"]
    assert [each["fate"] for each in completed(told, "db1", [line], whole=False)] == ["rescued", "unknown", "lost"]
    told = as_json([LedgerLine(Fate.COMPLETE, "all that was acknowledged", "db1")])
    assert [each["fate"] for each in completed(told, "db1", [line], whole=True)] == ["lost"], "not both"
    assert [each["fate"] for each in completed(told, "db1", [], whole=True)] == ["complete"]
    replayed = completed(told, "db1", [replace(line, fate=Fate.RESCUED)], whole=True)
    assert [each["fate"] for each in replayed] == ["complete", "rescued"]


def test_a_plan_comes_back_from_a_journal_as_it_was() -> None:
    plan = plan_of(facts())
    assert RejoinPlan.parse(json.loads(json.dumps(plan.as_dict()))) == plan


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"hold": None}, "not one that a failover replaced"),
        ({"not_durable": "db1 has sync_binlog=0"}, "sync_binlog=0"),
        ({"events": ("app.nightly",)}, "app.nightly"),
    ],
)
def test_by_itself_it_follows_only_when_nothing_is_worth_a_word(changes: dict[str, Any], words: str) -> None:
    case = facts(**changes)
    why = unattended(case, plan_of(case))
    assert words in why
    assert bool(why) == bool(words)


# what is remembered ------------------------------------------------------------------------------------------------


def test_the_journal_of_the_failover_tells_where_the_two_logs_meet(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "app1.failover-1.journal")
    state = server(2, mariadb_gtid=MariadbGtidPosition.parse("0-1-9"), gtid_executed=None)
    note_stands(journal, "10.0.0.2:3306", at(5000), state)
    journal.record(
        "promote",
        "intent",
        "10.0.0.2:3306",
        dead="10.0.0.1:3306",
        kind="file/position",
        end_of_log=str(at(700, file=3)),
    )
    journal.close()
    found = replacement_of(tmp_path, "app1", "10.0.0.1:3306")
    assert found is not None
    assert (found.new, found.place, found.begins) == ("10.0.0.2:3306", at(5000), at(700, file=3))
    assert found.mariadb == MariadbGtidPosition.parse("0-1-9")
    assert found.kind is GtidKind.POSITION
    assert replacement_of(tmp_path, "app1", "10.0.0.3:3306") is None


def test_a_failover_that_opened_nobody_replaced_nobody(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "app1.failover-1.journal")
    journal.record("promote", "intent", "10.0.0.2:3306", dead="10.0.0.1:3306", kind="file/position", end_of_log="")
    journal.record("promote", "not opened", "10.0.0.2:3306")
    journal.close()
    assert replacement_of(tmp_path, "app1", "10.0.0.1:3306") is None


def test_a_planned_switch_tells_it_as_well(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "app1.switch-1.journal")
    journal.record(SWITCH, "began", "10.0.0.1:3306", kind="file/position")
    journal.record("open", "intent", "10.0.0.2:3306", end=str(at(5000)), gtids="", target_end=str(at(700, file=3)))
    assert replacement_of(tmp_path, "app1", "10.0.0.1:3306") is None
    journal.record("handed over", "done", "10.0.0.2:3306")
    journal.close()
    found = replacement_of(tmp_path, "app1", "10.0.0.1:3306")
    assert found is not None
    assert (found.new, found.place, found.begins) == ("10.0.0.2:3306", at(5000), at(700, file=3))
