"""What follows from a saved log and a replica: served or replayed, what its channel has back, whose it is."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from prefect_mha.flows.runbooks.leveling.closed_ways import ClosedWays, given_up_before
from prefect_mha.replication.binlog.cutter import Cut, survey
from prefect_mha.replication.binlog.events import EventType
from prefect_mha.replication.errors import CannotLevel, RefusalError, WayClosed
from prefect_mha.replication.memory.journal import Journal
from prefect_mha.replication.model.one_time_account import (
    Marks,
    is_one_time_user,
    marked,
    marks_of,
    one_time_user,
    unmarked,
)
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.refusal import Refusal
from prefect_mha.replication.model.state import GtidKind, Vendor
from prefect_mha.replication.mysql.dialects import Dialect, Repoint
from prefect_mha.replication.mysql.dialects.changing import ChannelOptions
from prefect_mha.replication.planning.plan import FailoverPlan
from prefect_mha.replication.planning.selection import bereaved_of, followers_of
from prefect_mha.replication.reporting.ledger import Fate, account
from prefect_mha.replication.rescue.kept_copies import kept, remember
from prefect_mha.replication.rescue.pointing import TURN, former_options, has_reached, turned
from prefect_mha.replication.rescue.salvage import BinlogCopy
from prefect_mha.replication.rescue.saved import SavedBinlog
from prefect_mha.replication.rescue.tails import MissingTail, why_not_replayed, why_not_served
from tests.unit.replication.build import at, channel, cluster, configured, server
from tests.unit.replication.logs import LogBuilder
from tests.unit.replication.reporting.test_ledger import CUT, planned

START = BinlogPosition("bin.000001", 4)
USER, DB2 = "mha.abcdefghijkl", "10.0.0.2:3306"
POSITION = Dialect(Vendor.MYSQL, (9, 7, 0), replica_words=True, binary_log_status=True, multi_channel=True)
MARIADB = Dialect(Vendor.MARIADB, (10, 11, 0), replica_words=False, binary_log_status=False, multi_channel=False)
TABLE = bytes(8) + b"\x03app\0\x01t\0\x01\x03\0"
SYSTEM = bytes(8) + b"\x05mysql\0\x01t\0\x01\x03\0"
SEQUENCE = bytes(8) + b"\x03app\0\x01s\0\x08" + bytes([8] * 6 + [1, 8]) + b"\0"


def cut_of(built: LogBuilder) -> Cut:
    return survey([built.log()], START, lambda _: True)


def rows(table: bytes = TABLE) -> LogBuilder:
    built = LogBuilder().gtid(1).query("BEGIN")
    return built.add(EventType.TABLE_MAP, table).add(EventType.WRITE_ROWS, bytes(12)).add(EventType.XID, bytes(8))


def case(cut: Cut, **changes: object) -> MissingTail:
    well = MissingTail(GtidKind.POSITION, server(2, channel()), channel(), cut, SavedBinlog(None))
    return replace(well, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("built", "plain"),
    [
        (rows(), True),
        (rows(SYSTEM), False),
        (rows(SEQUENCE), False),
        (LogBuilder().transaction(1), False),
        (LogBuilder().gtid(1).query("CREATE USER u"), False),
        (rows().gtid(2).query("DROP TABLE a"), False),
        (LogBuilder().gtid(1).query("XA START 'x'").add(EventType.XA_PREPARE, bytes(13)), False),
    ],
    ids=["rows", "rows-of-the-server", "sequence", "statement", "account", "rows-and-ddl", "xa"],
)
def test_a_session_is_the_same_as_an_applier_for_rows_of_users_alone(built: LogBuilder, plain: bool) -> None:
    cut = cut_of(built)
    assert cut.plain is plain
    assert (why_not_replayed(cut, {}) == "") is plain


def test_a_session_filters_nothing() -> None:
    status = {"Replicate_Ignore_Table": "app.noise", "Replicate_Do_DB": ""}
    assert "Replicate_Ignore_Table" in why_not_replayed(cut_of(rows()), status)


def test_what_the_replica_itself_executed_first_is_not_served_to_it() -> None:
    cut = cut_of(rows())
    assert cut.origins == {1}
    assert why_not_served(case(cut)) == ""
    assert "leaves that out" in why_not_served(case(cut, state=server(1, channel())))


def test_what_a_former_session_did_in_part_the_place_does_not_show() -> None:
    assert "former try" in why_not_served(case(cut_of(rows()), done=1))


def test_a_channel_is_turned_without_its_password_and_has_everything_back() -> None:
    there = channel(ssl=True, ssl_verify=True, public_key=True, delay=3600)
    former = ChannelOptions.of(there, 7.0, "position")
    sql, args = POSITION.change_source("", former.away("10.0.0.9", 23306, USER, at(8)))
    assert "PASSWORD=" not in sql
    assert sql.endswith(" FOR CHANNEL ''")
    assert dict(zip(_names(sql), args, strict=True)) == {
        "SOURCE_HOST": "10.0.0.9",
        "SOURCE_PORT": 23306,
        "SOURCE_LOG_FILE": "mysql-bin.000001",
        "SOURCE_LOG_POS": 8,
        "SOURCE_HEARTBEAT_PERIOD": 7.0,
        "SOURCE_DELAY": 0,
        "SOURCE_USER": marked(USER, Marks(ssl=True, ssl_verify=True, public_key=True)),
        "SOURCE_SSL": 0,
        "SOURCE_SSL_VERIFY_SERVER_CERT": 0,
        "GET_SOURCE_PUBLIC_KEY": 0,
    }
    sql, args = POSITION.change_source("", former.back(Repoint("10.0.0.2", 3306, "position", at(5))))
    back = dict(zip(_names(sql), args, strict=True))
    assert (back["SOURCE_USER"], back["SOURCE_DELAY"], back["SOURCE_SSL"]) == ("repl", 3600, 1)
    assert (back["SOURCE_SSL_VERIFY_SERVER_CERT"], back["GET_SOURCE_PUBLIC_KEY"]) == (1, 1)


def test_what_a_channel_never_had_is_not_named() -> None:
    former = ChannelOptions.of(channel(using_gtid="Current_Pos"), None, "mariadb_gtid")
    sql, _ = MARIADB.change_source("", former.away("10.0.0.9", 23306, USER, None))
    assert sql == "CHANGE MASTER TO MASTER_HOST=%s, MASTER_PORT=%s, MASTER_USE_GTID=current_pos, MASTER_USER=%s"


def _names(sql: str) -> list[str]:
    parts = sql.removesuffix(" FOR CHANNEL ''").split(", ")
    return [part.split("=")[0].split()[-1] for part in parts if part.endswith("=%s")]


def test_the_first_turn_knows_the_options_and_the_way_back_forgets_them(tmp_path: Path) -> None:
    journal, first = Journal.new(tmp_path, "app1"), ChannelOptions.of(channel(), 7.0, "gtid")
    journal.record(TURN, "intent", "10.0.0.2:3306", **asdict(first))
    journal.record(TURN, "intent", "10.0.0.2:3306", **asdict(replace(first, user=USER)))
    assert turned(journal.entries()) == {"10.0.0.2:3306": first}
    journal.record(TURN, "done", "10.0.0.2:3306")
    assert turned(journal.entries()) == {}
    journal.close()


def test_without_the_journal_the_configuration_and_the_one_time_user_tell() -> None:
    lost = channel(source_user=marked(USER, Marks(ssl=True, public_key=True)), source_host="10.0.0.9")
    config = configured({}, {}).servers[1]
    state = server(2, lost)
    assert former_options(state, channel(), (), config, lambda: None) is None
    with pytest.raises(CannotLevel, match="repl_user is not set"):
        former_options(state, lost, (), config, lambda: None)
    found = former_options(state, lost, (), config.model_copy(update={"repl_user": "repl"}), lambda: None)
    assert found is not None
    assert (found.user, found.ssl, found.ssl_verify, found.public_key) == ("repl", True, False, True)


@pytest.mark.parametrize("marks", [Marks(*on) for on in itertools.product((False, True), repeat=3)])
def test_a_one_time_user_tells_what_the_channel_is_to_have_back(marks: Marks) -> None:
    made = one_time_user()
    name = marked(made, marks)
    assert is_one_time_user(name)
    assert len(name) == 16
    assert (marks_of(name), unmarked(name)) == (marks, made)
    assert unmarked("repl") == "repl"


def test_a_one_time_user_is_known_by_its_name() -> None:
    made = one_time_user()
    assert len(made) == 16
    assert is_one_time_user(made)
    assert not any(is_one_time_user(name) for name in ("", "repl", "mha", "mha.short", f"x{made}", f"{made}x"))


def test_a_replica_that_was_turned_is_the_dead_ones_for_its_failover_and_nobodys_for_all_others() -> None:
    config = configured({}, {})
    dead, there = config.servers[0], cluster(server(2, channel()), server(3, channel(source_user=USER)))
    assert [f.key for f in followers_of(dead, config, there)] == ["10.0.0.2:3306"]
    assert [f.key for f in bereaved_of(dead, config, there)] == ["10.0.0.2:3306", "10.0.0.3:3306"]
    earlier = cluster(server(2, channel()), server(3, channel(source_user=USER, source_server_id=77)))
    assert [f.key for f in bereaved_of(dead, config, earlier)] == ["10.0.0.2:3306"]
    both = cluster(server(2, channel(source_user=USER)), server(3, channel(source_user=USER)))
    assert len(bereaved_of(dead, config, both)) == 2
    assert both.up[0].channel_from("db1", "10.0.0.1", 3306) is None
    assert "saved log" in both.up[0].sources


def test_by_position_the_end_of_the_last_transaction_is_reached_or_not() -> None:
    cut = cut_of(rows())
    assert cut.last is not None
    end = cut.last.end_position
    state = server(2, channel())
    assert has_reached(state, channel(executed=end), cut, GtidKind.POSITION)
    assert not has_reached(state, channel(executed=START), cut, GtidKind.POSITION)
    assert not has_reached(state, channel(executed=None), cut, GtidKind.POSITION)


def test_no_way_left_the_policy_decides(tmp_path: Path) -> None:
    journal = Journal.new(tmp_path, "app1")
    plan = planned()
    error = WayClosed("no way", kept=CUT, directory="/saved", source="the binary log of db1")

    def choose(failed: dict[str, str]) -> FailoverPlan:
        if len(failed) == 2:
            raise RefusalError(Refusal("no-candidate", "none", "fix"))
        return replace(plan, new_primary=next(x.key for x in plan.levelings if x.key not in failed))

    def tried(policy: str) -> tuple[ClosedWays, FailoverPlan]:
        ways = ClosedWays(policy, journal)
        second = ways.next_best(plan, error, choose)
        assert second.new_primary != plan.new_primary
        assert not ways.given_up
        return ways, ways.next_best(second, error, choose)

    with pytest.raises(RefusalError) as refused:
        tried("strict")
    assert refused.value.refusal.code == "transactions-missing"
    assert not given_up_before(journal.entries())
    ways, chosen = tried("safe")
    assert ways.given_up
    assert "/saved" in ways.undone[0]
    assert given_up_before(journal.entries())
    journal.close()
    rescue = ways.rescue(chosen, SavedBinlog(None))
    (line,) = account(plan, rescue, (), None)
    assert (line.fate, line.transactions, line.source) == (Fate.LOST, CUT.transactions, "the binary log of db1")
    assert "/saved" in line.why


def test_a_copy_that_still_lies_there_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "mysql-bin.000001").write_bytes(bytes(1500))
    journal = Journal.new(tmp_path, "app1")
    copy = BinlogCopy(tmp_path, ("mysql-bin.000001",), at(1000), at(1500), 500)
    remember(journal, "10.0.0.1:3306", DB2, SavedBinlog(copy, source="the binary log of db1"))
    found = kept(journal.entries(), "10.0.0.1:3306", DB2, at(1200))
    assert found is not None
    assert found.copy == copy
    assert kept(journal.entries(), "10.0.0.1:3306", DB2, at(900)) is None
    turned_to_it = kept(journal.entries(), "10.0.0.1:3306", DB2, None)
    assert turned_to_it is not None
    assert turned_to_it.begin == at(1000)
    assert kept(journal.entries(), "10.0.0.1:3306", "10.0.0.3:3306", None) is None
    assert kept(journal.entries(), "10.0.0.9:3306", DB2, at(1200)) is None
    (tmp_path / "mysql-bin.000001").write_bytes(bytes(1499))
    assert kept(journal.entries(), "10.0.0.1:3306", DB2, at(1200)) is None
    journal.close()
