"""Positions are compared as numbers, and only within one sequence of logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.model.position import BinlogPosition, log_index


def test_a_seventh_digit_does_not_go_backwards() -> None:
    assert BinlogPosition("mysql-bin.1000000", 4) > BinlogPosition("mysql-bin.999999", 5_000_000)


def test_offsets_are_not_compared_as_text() -> None:
    assert BinlogPosition("b.000001", 99) < BinlogPosition("b.000001", 100)


def test_logs_of_different_servers_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"a\.000001.*b\.000001"):
        assert BinlogPosition("a.000001", 4) < BinlogPosition("b.000001", 4)


def test_a_position_is_not_compared_with_something_else() -> None:
    with pytest.raises(TypeError):
        assert BinlogPosition("a.000001", 4) < 5  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "mysql-bin.000001", ":4", "mysql-bin.000001:", "mysql-bin.000001:-4"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FILE:OFFSET"):
        BinlogPosition.parse(text)


@pytest.mark.parametrize("name", ["mysql-bin", "mysql-bin.index", "mysql-bin."])
def test_what_is_no_log_has_no_index(name: str) -> None:
    with pytest.raises(ValueError, match="binary log"):
        log_index(name)


@given(st.integers(1, 10**8), st.integers(4, 2**40), st.sampled_from(["mysql-bin", "a.b", "relay-bin-channel_1"]))
def test_the_text_of_a_position_reads_back(index: int, pos: int, base: str) -> None:
    position = BinlogPosition(f"{base}.{index:06d}", pos)
    assert BinlogPosition.parse(str(position)) == position
    assert (position.base, position.index) == (base, index)


@given(*[st.tuples(st.integers(1, 3_000_000), st.integers(4, 1000))] * 2)
def test_order_is_that_of_the_numbers(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = (BinlogPosition(f"bin.{index:06d}", pos) for index, pos in (a, b))
    assert (first < second, first <= second, first == second) == (a < b, a <= b, a == b)
