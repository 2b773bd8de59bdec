"""What both servers changed is found by key, what cannot be told is said, and only what is in no way is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from prefect_mha.replication.binlog.rows.changes import Changes
from prefect_mha.replication.rejoin.diverged.comparison.choice import Choice, choose
from prefect_mha.replication.rejoin.diverged.comparison.comparing import Comparing, Comparison, Tail
from prefect_mha.replication.rejoin.diverged.comparison.report import HIDDEN, Compared
from prefect_mha.replication.rejoin.diverged.comparison.schema import Table, TableColumn, UniqueKey
from prefect_mha.replication.rejoin.diverged.comparison.to_edit import sql_to_edit
from prefect_mha.replication.rejoin.diverged.rewinding import cannot_be_undone
from tests.unit.replication.binlog.rows.building import changes, statement

COLUMNS = (TableColumn("id"), TableColumn("v", charset="utf8mb4", type="varchar"))
PRIMARY, BY_TEXT = UniqueKey("PRIMARY", ((0, 0),), True), UniqueKey("by_text", ((1, 0),), False)
T = Table("app.t", COLUMNS, (PRIMARY,))
ALL = Choice(all=True)


def compared(
    tail: list[Changes], theirs: list[Changes], table: Table = T, *, ours_since: bool = False
) -> tuple[Tail, Comparison]:
    known = {name: replace(table, name=name) for name in ("app.t", "app.u")}
    comparing = Comparing(Tail(tail, known))
    for each in theirs:
        comparing.take(each, ours_since=ours_since)
    return comparing.tail, comparing.result()


def replayed(tail: list[Changes], theirs: list[Changes], choice: Choice = ALL, **more: Any) -> tuple[int, ...]:
    return choose(*compared(tail, theirs, **more), choice).replay


def insert(number: int, text: str = "x", **more: Any) -> Changes:
    return changes((None, (number, text)), start=number * 100 + 4, **more)


def test_rows_of_nobody_else() -> None:
    tail = [insert(1), insert(2)]
    _, found = compared(tail, [insert(3)])
    assert found.clear
    assert found.rows == {"app.t": 2}
    assert replayed(tail, [insert(3)]) == (0, 1)
    assert replayed(tail, [insert(3)], Choice()) == ()


def test_each_kind_of_conflict_with_both_values() -> None:
    tail = [changes(((1, "a"), (1, "old"))), changes(((2, "a"), None)), insert(3, "old"), insert(9)]
    theirs = [changes(((1, "a"), (1, "new"))), changes(((2, "a"), (2, "new"))), insert(3, "new")]
    _, found = compared(tail, theirs)
    told = [(each.key, each.old and each.old["v"], each.new and each.new["v"]) for each in found.conflicts]
    assert told == [("id=1", "'old'", "'new'"), ("id=2", None, "'new'"), ("id=3", "'old'", "'new'")]
    assert replayed(tail, theirs) == (3,)


def test_what_they_leave_in_the_end_is_told() -> None:
    tail = [changes(((1, "a"), (1, "b"))), changes(((1, "b"), (1, "c")))]
    theirs = [changes(((1, "a"), (1, "y"))), changes(((1, "y"), None))]
    (conflict,) = compared(tail, theirs)[1].conflicts
    assert (conflict.old, conflict.new) == ({"id": "1", "v": "'c'"}, None)
    assert len(conflict.by) == 2


def test_a_key_that_was_changed_is_met_before_and_after() -> None:
    tail = [changes(((1, "a"), (5, "a")))]
    assert [c.key for c in compared(tail, [insert(5, "b")])[1].conflicts] == ["id=5"]
    assert [c.key for c in compared(tail, [changes(((1, "a"), None))])[1].conflicts] == ["id=1"]


def test_another_unique_key_is_met_in_another_row() -> None:
    table = replace(T, keys=(PRIMARY, BY_TEXT))
    (conflict,) = compared([insert(1, "same")], [insert(2, "same")], table)[1].conflicts
    assert conflict.key == "v='same' (of id=1 on the old one, id=2 on the new one)"
    assert compared([changes((None, (1, None)))], [changes((None, (2, None)))], table)[1].clear


@pytest.mark.parametrize(("ours", "others"), [("Äpfel", "apfel"), ("a", "A  "), ("é", "e")])
def test_what_a_collation_takes_for_the_same(ours: str, others: str) -> None:
    table = replace(T, keys=(UniqueKey("PRIMARY", ((1, 0),), True),))
    assert compared([insert(1, ours)], [insert(2, others)], table)[1].conflicts
    bytes_only = replace(table, columns=(COLUMNS[0], TableColumn("v", charset="binary")))
    assert compared([insert(1, ours)], [insert(2, others)], bytes_only)[1].clear


def test_without_a_key_the_whole_row_counts() -> None:
    table = replace(T, keys=())
    assert compared([insert(1, "a")], [insert(1, "b")], table)[1].clear
    assert compared([insert(1, "a")], [insert(1, "a")], table)[1].conflicts
    assert not compared([insert(1, "a")], [insert(1, "a")], table, ours_since=True)[1].conflicts


def test_what_they_did_just_the_same_is_there_already() -> None:
    """A client that repeated it, or a replay that died after its commit; changed by somebody again since."""
    tail = [insert(1, "a"), insert(2, "a")]
    later = changes(((1, "a"), (1, "b")))
    _, found = compared(tail, [insert(1, "a"), later])
    assert found.there == {0}
    assert not found.conflicts
    assert replayed(tail, [insert(1, "a"), later]) == (1,)


def test_who_builds_upon_what_is_not_replayed_is_not_either() -> None:
    tail = [insert(1, "a"), changes(((1, "a"), (1, "b")), (None, (2, "z"))), changes(((2, "z"), None)), insert(3)]
    tail_and_found = compared(tail, [insert(1, "new")])
    chosen = choose(*tail_and_found, ALL)
    assert chosen.replay == (3,)
    assert "builds upon" in chosen.left[2]


def test_a_statement_leaves_its_table_or_everything_in_doubt() -> None:
    ddl = statement("ALTER TABLE app.t ADD c INT", tables=("app.t",))
    tail = [insert(1), ddl, insert(2), insert(3, table="app.u")]
    assert replayed(tail, []) == (0, 3)
    anything = [insert(1), statement("DROP DATABASE x"), insert(2)]
    assert replayed(anything, []) == (0,)
    several = [insert(1), statement("DROP TABLE app.z, app.t", tables=("app.z",)), insert(2)]
    assert replayed(several, []) == (0,)
    _, found = compared(tail, [])
    assert [(each.what, each.tables) for each in found.unknown] == [("bin.000001:4", ("app.t",))]


def test_what_the_new_primary_logs_as_statements_is_in_doubt() -> None:
    tail = [insert(1), insert(2, table="app.u")]
    assert replayed(tail, [statement("ALTER TABLE app.t ADD c INT", tables=("app.t",))]) == (1,)
    assert replayed(tail, [statement("INSERT INTO app.t SELECT 1", kind="dml", tables=("app.t",))]) == ()
    assert replayed(tail, [statement("CREATE USER somebody"), statement("GRANT ALL ON *.* TO x")]) == (0, 1)
    assert replayed(tail, [statement("CREATE TABLE app.z (id INT)", tables=("app.z",))]) == (0, 1)


def test_a_log_that_cannot_be_read_leaves_everything_in_doubt() -> None:
    comparing = Comparing(Tail([insert(1)], {"app.t": T}))
    comparing.stopped("it is encrypted")
    assert choose(comparing.tail, comparing.result(), ALL).left == {0: "it is encrypted"}


def test_foreign_keys_that_change_other_rows_along() -> None:
    parent = replace(T, cascades=True)
    assert replayed([insert(1)], [], table=parent) == (0,)
    assert replayed([changes(((1, "a"), None))], [], table=parent) == ()
    child = replace(T, parents=("app.p",))
    assert replayed([insert(1)], [changes(((1, "a"), None), table="app.p")], table=child) == ()
    assert replayed([insert(1)], [insert(1, table="app.p")], table=child) == (0,)


def test_tables_that_changed_meanwhile() -> None:
    wider = replace(T, columns=(*COLUMNS, TableColumn("c")))
    (unknown,) = compared([insert(1)], [], table=wider)[1].unknown
    assert unknown.why == "app.t has 3 columns now, and had 2"
    gone = Comparing(Tail([insert(1)], {})).result()
    assert gone.unknown[0].why == "app.t is not there"


def test_only_what_was_chosen() -> None:
    tail = [insert(1), insert(2, table="app.u")]
    assert replayed(tail, [], Choice.parse("app.u")) == (1,)
    assert replayed(tail, [], Choice.parse("none")) == ()
    with pytest.raises(ValueError, match="neither all, none"):
        Choice.parse("t")
    assert replayed([insert(1, plain=False)], []) == ()


def test_the_report_tells_all_and_hides_on_request() -> None:
    tail = [changes(((1, "a"), (1, "old secret"))), statement("ALTER TABLE app.t ADD secret INT", tables=("app.t",))]
    _, found = compared(tail, [changes(((1, "a"), (1, "new secret")))])
    told = Compared("db1", "db2", 2, found)
    assert "old secret" in str(list(told.lines()))
    assert told.as_dict()["conflicts"][0]["db2"] == {"id": "1", "v": "'new secret'"}
    hidden = replace(told, hide=True)
    for text in (str(list(hidden.lines())), hidden.markdown(), str(hidden.as_dict())):
        assert "secret" not in text
        assert HIDDEN in text
        assert "id=1" in text


def test_sql_to_edit_is_inert_until_somebody_runs_it() -> None:
    tail = [
        changes((None, (1, "it's")), ((2, "a"), (2, "b")), ((3, "back\\slash\n; DROP"), None)),
        statement("ALTER TABLE app.t\nADD c INT", tables=("app.t",)),
    ]
    lines = list(sql_to_edit(tail, {"app.t": T}, {0: "why\nDROP TABLE x", 1: "ddl"}, "db2"))
    assert "-- bin.000001:4: why DROP TABLE x" in lines
    assert "INSERT INTO `app`.`t` (`id`, `v`) VALUES (1, 'it''s');" in lines
    assert "UPDATE `app`.`t` SET `v` = 'b' WHERE `id` <=> 2 LIMIT 1;" in lines
    assert "DELETE FROM `app`.`t` WHERE `id` <=> 3 LIMIT 1;" in lines
    assert lines[-2:] == ["-- ALTER TABLE app.t", "-- ADD c INT"]


@pytest.mark.parametrize(
    ("tail", "table", "why"),
    [
        ([insert(1)], T, ""),
        ([statement("ALTER TABLE app.t ADD c INT", tables=("app.t",))], T, "changes a table's definition"),
        ([statement("DELETE FROM app.t", kind="dml")], T, "holds a statement"),
        ([insert(1)], replace(T, engine="MyISAM"), "app.t is of MyISAM"),
        ([insert(1)], replace(T, kind="SYSTEM VERSIONED"), "no plain table"),
        ([changes(((1, "a"), None))], replace(T, cascades=True), "foreign keys"),
        ([insert(1, plain=False)], T, "a table of the server itself"),
    ],
)
def test_what_cannot_be_taken_back(tail: list[Changes], table: Table, why: str) -> None:
    reasons = cannot_be_undone(tail, {"app.t": table}, strict=True, stopped="", server_id=101, packet=1 << 20)
    assert why in "".join(reasons)
    assert bool(reasons) == bool(why)


def test_nothing_is_taken_back_on_doubt() -> None:
    def reasons(**more: Any) -> tuple[str, ...]:
        well = {"strict": True, "stopped": "", "server_id": 101, "packet": 1 << 20}
        return cannot_be_undone([insert(1)], {"app.t": T}, **{**well, **more})

    assert reasons() == ()
    assert "STRICT" in reasons(strict=False)[0]
    assert "torn" in reasons(stopped="torn at x")[0]
    assert "another server" in reasons(server_id=1)[0]
    assert "max_allowed_packet is 1000" in reasons(packet=1000)[0]
