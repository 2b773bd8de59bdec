"""Sets of transactions behave as sets, and read and write the servers' notations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"

members = st.frozensets(
    st.tuples(st.sampled_from([A, B]), st.sampled_from(["", "a", "tag_2"]), st.integers(1, 12)), max_size=25
)


def made(numbers: frozenset[tuple[str, str, int]]) -> GtidSet:
    return GtidSet.of(Gtid(uuid, number, tag) for uuid, tag, number in numbers)


@given(members, members)
def test_operators_agree_with_sets_of_single_transactions(
    x: frozenset[tuple[str, str, int]], y: frozenset[tuple[str, str, int]]
) -> None:
    a, b = made(x), made(y)
    assert a | b == made(x | y)
    assert a - b == made(x - y)
    assert a & b == made(x & y)
    assert (a <= b, a < b, a == b, bool(a), a.count()) == (x <= y, x < y, x == y, bool(x), len(x))
    assert a != b or hash(a) == hash(b)
    for uuid, tag, number in x | y:
        assert (Gtid(uuid, number, tag) in a) == ((uuid, tag, number) in x)
        assert (str(Gtid(uuid, number, tag)) in a) == ((uuid, tag, number) in x)


@given(members)
def test_the_text_of_a_set_reads_back(x: frozenset[tuple[str, str, int]]) -> None:
    assert GtidSet.parse(str(made(x))) == made(x)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (f"{A}:1-5", f"{A}:1-5"),
        (f"{A}:1", f"{A}:1"),
        (f" {A.upper()}:3-4:1-2,\n{B}:7 ", f"{A}:1-4,{B}:7"),
        (f"{A}:1-5:7:10-11", f"{A}:1-5:7:10-11"),
        (f"{A}:tag:7-9:1-2", f"{A}:tag:1-2:7-9"),
        (f"{A}:1-5:Tag:7-9:aa:1", f"{A}:1-5:aa:1:tag:7-9"),
        (f"{A}:1-3,{A}:2-9", f"{A}:1-9"),
        (f"{A}:5-3", ""),
    ],
)
def test_notations_of_servers_become_canonical(text: str, canonical: str) -> None:
    assert str(GtidSet.parse(text)) == canonical


@pytest.mark.parametrize("text", ["0-1-5", "x:1", f"{A}:0-3", f"{A}:1-", f"{A}:1..3", f"{A}:9tag:1", f"{A[:-1]}:1", A])
def test_what_is_no_set_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="GTID set"):
        GtidSet.parse(text)


def test_the_same_number_under_a_tag_is_another_transaction() -> None:
    assert Gtid(A, 3, "t") not in GtidSet.parse(f"{A}:1-5")
    assert GtidSet.parse(f"{A}:t:3").sources() == (A,)


def test_a_set_with_many_holes_is_subtracted_at_once() -> None:
    odd = GtidSet.of_ranges({(A, ""): [(n, n + 1) for n in range(1, 200_001, 2)]})
    whole = GtidSet.parse(f"{A}:1-200000")
    assert (whole - odd).count() == 100_000
    assert not odd - whole


def test_mariadb_position_covers_by_sequence_and_not_by_server() -> None:
    position = MariadbGtidPosition.parse("0-1-5, 1-2-9")
    assert position.covers(MariadbGtid(0, 77, 5))
    assert not position.covers(MariadbGtid(0, 1, 6))
    assert not position.covers(MariadbGtid(2, 1, 1))


def test_of_one_domain_the_furthest_counts() -> None:
    assert str(MariadbGtidPosition.parse("0-1-100,0-2-7,3-1-1")) == "0-1-100,3-1-1"


@given(*[st.dictionaries(st.integers(0, 3), st.integers(1, 9))] * 2)
def test_mariadb_positions_are_ordered_by_domain(x: dict[int, int], y: dict[int, int]) -> None:
    a, b = (MariadbGtidPosition(MariadbGtid(domain, 1, seq) for domain, seq in each.items()) for each in (x, y))
    merged = a.merge(b)
    assert a <= merged >= b
    assert {gtid.domain: gtid.seq for gtid in merged} == {d: max(x.get(d, 0), y.get(d, 0)) for d in x | y}
    assert set(a.behind(b)) == {domain for domain, seq in y.items() if seq > x.get(domain, 0)}
    assert MariadbGtidPosition.parse(str(a)) == a


@pytest.mark.parametrize("text", ["0-1", "0-1-x", f"{A}:1", "0--1-2"])
def test_what_is_no_mariadb_gtid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="MariaDB GTID"):
        MariadbGtidPosition.parse(text)
