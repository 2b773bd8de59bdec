"""The ledger says what was rescued and what is missing, and strict refuses only when something may be missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.replication.binlog.cutter import Cut
from prefect_mha.replication.binlog.reader import LogEnd
from prefect_mha.replication.binlog.transactions import Part, Transaction
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.planning.plan import FailoverOptions, FailoverPlan, make_plan
from prefect_mha.replication.planning.waits import Waits
from prefect_mha.replication.reporting.ledger import Fate, account, as_json, judge, losses, table
from prefect_mha.replication.reporting.second_copy import proven
from prefect_mha.replication.rescue.salvage import BinlogCopy
from prefect_mha.replication.rescue.saved import AppliedBinlog, SavedBinlog
from tests.unit.replication.build import UUID, at, channel, cluster, configured, server


def planned() -> FailoverPlan:
    config = configured({}, {})
    plan = make_plan(config, config.servers[0], cluster(server(2, channel()), server(3, channel())), FailoverOptions())
    assert isinstance(plan, FailoverPlan)
    return plan


COPY = BinlogCopy(Path("/saved"), ("mysql-bin.000001",), at(1000), at(1500), 500)
LAST = Transaction(
    log="mysql-bin.000001",
    start=1000,
    end=1400,
    gtid=None,
    timestamp=1_700_000_000,
    kind="dml",
    tables=("app.t",),
    events=4,
    parts=(Part("mysql-bin.000001", 1000, 1400),),
    source_start=None,
    source_end=None,
)
CLEAN = LogEnd("clean", 1400, log="mysql-bin.000001")
CUT = Cut(1, 400, 0, LAST, LAST, at(1000), at(1400), None, ("app.t",), CLEAN, "")


def applied(end: LogEnd = CLEAN) -> AppliedBinlog:
    return AppliedBinlog("10.0.0.2:3306", "db2", replace(CUT, end_reason=end), at(9000), source="the binary log of db1")


def test_what_was_applied_is_rescued_with_place_count_times_and_tables() -> None:
    (line,) = account(planned(), SavedBinlog(COPY), [applied()], None)
    assert line.fate is Fate.RESCUED
    assert (line.where, line.transactions, line.bytes) == ("mysql-bin.000001:1000 to mysql-bin.000001:1400", 1, 400)
    assert (line.first, line.last, line.tables) == (1_700_000_000, 1_700_000_000, ("app.t",))
    assert as_json([line])[0]["source"] == "the binary log of db1"
    assert table([line])[0]["fate"] == "rescued"


def test_where_commits_waited_and_everybody_was_read_nothing_is_unknown() -> None:
    why = "each commit waited"
    lines = account(planned(), SavedBinlog(None, "not saved: db1 is away"), [], None, safe=why)
    assert [(line.fate, line.why) for line in lines] == [(Fate.COMPLETE, why)]
    assert not losses(lines)


@pytest.mark.parametrize(
    ("end", "safe"),
    [
        (CLEAN, True),
        (LogEnd("torn", 1400, "cut off", "mysql-bin.000001"), True),
        (LogEnd("corrupt", 1400, "checksum", "mysql-bin.000001"), False),
        (LogEnd("torn", 900, "cut off", "mysql-bin.000000"), False),
    ],
)
def test_a_copy_that_is_damaged_within_proves_nothing_whoever_waited(end: LogEnd, safe: bool) -> None:
    lines = account(planned(), SavedBinlog(COPY), [applied(end)], None, safe="each commit waited")
    assert [line.fate for line in lines] == [Fate.RESCUED, Fate.COMPLETE if safe else Fate.UNKNOWN]
    assert bool(judge(planned(), lines)) is not safe


@pytest.mark.parametrize(
    ("change", "proves"),
    [
        pytest.param({}, True, id="waited"),
        pytest.param({"demanded": "prefer"}, False, id="not demanded"),
        pytest.param({"waits": None}, False, id="nobody looked"),
        pytest.param({"waits": Waits(100.0, True, 5)}, False, id="an older commit may lie on one disk"),
        pytest.param({"waits": Waits(80.0, True, 5, True)}, False, id="seen too long ago"),
        pytest.param({"since": 0.0}, False, id="nobody saw when the trouble began"),
        pytest.param({"looked_at": ()}, False, id="the log was not read"),
        pytest.param({"withheld": ()}, False, id="the log went on"),
        pytest.param({"down": (3,)}, False, id="a replica that may have acknowledged is away"),
        pytest.param({"unread": ("10.0.0.3:3306",)}, False, id="what a replica received could not be read"),
    ],
)
def test_what_waiting_for_a_second_disk_proves(change: dict[str, Any], proves: bool) -> None:
    block = (
        configured({}, {})
        .servers[0]
        .model_copy(update={"block": "binlog1", "hostname": "log1", "ip": "10.0.0.9", "binlog_ack": True})
    )
    config = configured({}, {}).model_copy(
        update={"semi_sync": change.get("demanded", "require"), "binlog_servers": (block,)}
    )
    down = change.get("down", ())
    left = [server(n, channel()) for n in (2, 3) if n not in down]
    plan = make_plan(config, config.servers[0], cluster(*left, down=(1, *down)), FailoverOptions())
    assert isinstance(plan, FailoverPlan)
    rescue = SavedBinlog(None, "no more than db2 has", looked_at=change.get("looked_at", ("binlog1",)))
    told = proven(
        config,
        config.servers[0],
        plan,
        rescue,
        change.get("waits", Waits(100.0, True, 5, True)),
        change.get("since", 101.0),
        withheld=change.get("withheld", ("binlog1",)),
        unread=change.get("unread", ()),
    )
    assert bool(told) is proves, told
    assert not proves or "log1 [binlog1]" in told


def test_without_a_copy_what_no_replica_received_cannot_be_known() -> None:
    (line,) = account(planned(), SavedBinlog(None, "not saved: db1 is away"), [], None)
    assert (line.fate, line.where, line.why) == (
        Fate.UNKNOWN,
        "everything behind mysql-bin.000001:1000",
        "not saved: db1 is away",
    )


@pytest.mark.parametrize(
    ("end", "fate"),
    [
        (LogEnd("torn", 1400, "cut off", "mysql-bin.000001"), Fate.INCOMPLETE),
        (LogEnd("in_transaction", 1400, "", "mysql-bin.000001"), Fate.INCOMPLETE),
        (LogEnd("corrupt", 1400, "checksum", "mysql-bin.000001"), Fate.UNKNOWN),
        (LogEnd("unreadable", 1400, "disk", "mysql-bin.000001"), Fate.UNKNOWN),
    ],
)
def test_where_reading_ended_decides_what_the_rest_is(end: LogEnd, fate: Fate) -> None:
    rescued, rest = account(planned(), SavedBinlog(COPY), [applied(end)], None)
    assert rescued.fate is Fate.RESCUED
    assert (rest.fate, rest.bytes) == (fate, 100)
    assert bool(losses([rest])) is (fate is Fate.UNKNOWN)


@pytest.mark.parametrize(("end", "lost"), [(1400, True), (1000, False)])
def test_an_encrypted_log_that_is_longer_than_what_was_received_is_lost(end: int, lost: bool) -> None:
    rescue = SavedBinlog(None, "it is encrypted", log_end=at(end))
    lines = account(planned(), rescue, [], None)
    assert [(line.fate, line.where, line.bytes) for line in lines] == (
        [(Fate.LOST, "mysql-bin.000001:1000 to mysql-bin.000001:1400", 400)] if lost else []
    )


def test_a_later_log_that_is_encrypted_is_lost_as_far_as_nobody_received_it() -> None:
    copy = replace(COPY, end=at(1012, 2))
    end = LogEnd("encrypted", 512, "it is encrypted", "mysql-bin.000002")
    rescued, lost = account(planned(), SavedBinlog(copy), [applied(end)], None)
    assert rescued.fate is Fate.RESCUED
    assert (lost.fate, lost.where) == (Fate.LOST, "mysql-bin.000002:0 to mysql-bin.000002:500")
    everything = at(500, 2)
    (rescued,) = account(planned(), SavedBinlog(copy), [applied(end)], None, furthest=everything)
    assert rescued.fate is Fate.RESCUED


def test_a_gap_in_the_primarys_gtids_is_proven_lost() -> None:
    new = server(2, gtid_executed=GtidSet.parse(f"{UUID}:1-5:8-9"))
    (line,) = account(planned(), SavedBinlog(COPY), [], new, UUID)
    assert (line.fate, line.where, line.transactions) == (Fate.LOST, f"{UUID}:6-7", 2)


def test_strict_refuses_when_something_may_be_missing_and_only_then() -> None:
    plan = planned()
    assert judge(plan, account(plan, SavedBinlog(COPY), [applied()], None)) is None
    refusal = judge(plan, account(plan, SavedBinlog(None, "away"), [], None))
    assert refusal is not None
    assert refusal.code == "transactions-missing"
    assert "away" in refusal.evidence[0]
