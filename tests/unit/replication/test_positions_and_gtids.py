"""Positions compare as numbers, and GTID sets obey the laws of sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from replication.positions import BinlogPosition, log_index

A, B = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"


def test_the_millionth_log_comes_after_the_one_before_it() -> None:
    assert BinlogPosition("mysql-bin.1000000", 4) > BinlogPosition("mysql-bin.999999", 999_999)


@given(st.integers(1, 2_000_000), st.integers(1, 2_000_000), st.integers(4, 1 << 33), st.integers(4, 1 << 33))
def test_order_is_that_of_the_numbers(i: int, j: int, p: int, q: int) -> None:
    a, b = BinlogPosition(f"bin.{i:06d}", p), BinlogPosition(f"bin.{j:06d}", q)
    assert (a < b) == ((i, p) < (j, q))
    assert BinlogPosition.parse(str(a)) == a


def test_logs_of_two_servers_do_not_compare() -> None:
    with pytest.raises(ValueError, match="not logs of one server"):
        assert BinlogPosition("a-bin.000001", 4) < BinlogPosition("b-bin.000001", 4)


@pytest.mark.parametrize("name", ["mysql-bin", "mysql-bin.", "mysql-bin.index"])
def test_a_name_without_number_is_no_log(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a binary log"):
        log_index(name)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (f"{A}:1-5", f"{A}:1-5"),
        (f"{A.upper()}:1-5:7:6", f"{A}:1-7"),
        (f"{A}:3,\n{A}:1-2", f"{A}:1-3"),
        (f"{A}:1-5:audit:1-2:4", f"{A}:1-5:audit:1-2:4"),
        (f"{B}:1,{A}:9-9", f"{A}:9,{B}:1"),
    ],
)
def test_sets_are_read_as_servers_print_them(text: str, canonical: str) -> None:
    assert str(GtidSet.parse(text)) == canonical


@pytest.mark.parametrize("text", ["nonsense:1", f"{A}:0", f"{A}:1-x", f"{A}:1-2-3"])
def test_what_is_no_set_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="GTID set"):
        GtidSet.parse(text)


gtids = st.builds(Gtid, st.sampled_from([A, B]), st.integers(1, 40), st.sampled_from(["", "tag"]))
sets = st.frozensets(gtids, max_size=60)


@given(sets, sets)
def test_arithmetic_is_that_of_sets(a: frozenset[Gtid], b: frozenset[Gtid]) -> None:
    x, y = GtidSet.of(a), GtidSet.of(b)
    assert x | y == GtidSet.of(a | b)
    assert x - y == GtidSet.of(a - b)
    assert x & y == GtidSet.of(a & b)
    assert (x <= y) == (a <= b)
    assert x.count() == len(a)
    assert GtidSet.parse(str(x)) == x
    assert all(g in x for g in a)
    assert all(str(g) not in x for g in b - a)


def test_mariadb_positions_are_per_domain() -> None:
    here = MariadbGtidPosition.parse("0-1-5, 1-2-9,0-3-7")
    assert str(here) == "0-3-7,1-2-9"
    assert here.covers(MariadbGtid(0, 9, 7))
    assert not here.covers(MariadbGtid(0, 1, 8))
    assert not here.covers(MariadbGtid(2, 1, 1))
    assert here.behind(MariadbGtidPosition.parse("0-1-6,1-1-10,5-1-1")) == (1, 5)
    assert MariadbGtidPosition.parse("0-1-7") <= here


@given(st.lists(st.builds(MariadbGtid, st.integers(0, 3), st.integers(1, 3), st.integers(1, 50))))
def test_merging_never_goes_back(gtids: list[MariadbGtid]) -> None:
    merged = MariadbGtidPosition()
    for gtid in gtids:
        before, merged = merged, merged.merge(MariadbGtidPosition([gtid]))
        assert before <= merged
        assert merged.covers(gtid)
