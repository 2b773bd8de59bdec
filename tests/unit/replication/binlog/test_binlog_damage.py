"""Whatever happens to the bytes of a log: no crash, no half transaction, and a word about where reading stopped."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.replication.binlog.cutter import cut
from prefect_mha.replication.binlog.reader import LogReader, Transaction
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from tests.unit.replication.logs import SAMPLES, SUMMED, LogBuilder, content, log

WHOLE = {name: list(LogReader(io.BytesIO(content(name)), name=name).transactions()) for name in SAMPLES}


def read(name: str, data: bytes) -> tuple[list[Transaction], LogReader] | None:
    try:
        reader = LogReader(io.BytesIO(data), name=name)
    except LogError:
        return None
    return list(reader.transactions()), reader


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.floats(0, 1, exclude_max=True))
def test_a_log_cut_anywhere_gives_exactly_its_complete_transactions(name: str, where: float) -> None:
    data = content(name)
    length = int(len(data) * where)
    result = read(name, data[:length])
    if result is None:
        assert length < WHOLE[name][0].start
        return
    found, reader = result
    assert found == [t for t in WHOLE[name] if t.end <= length]
    assert reader.stop is not None
    assert reader.stop.kind in ("clean", "torn", "in_transaction")
    assert reader.stop.offset <= length


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SUMMED), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_with_checksums_a_changed_byte_never_changes_a_transaction(name: str, where: float, flip: int) -> None:
    data = bytearray(content(name))
    offset = int(len(data) * where)
    data[offset] ^= flip
    result = read(name, bytes(data))
    if result is not None:
        found, reader = result
        assert found == [t for t in WHOLE[name] if t.end <= offset] or found == WHOLE[name]
        assert reader.stop is not None
        # The flag that a log is in use is not summed by the server.
        assert reader.stop.offset <= offset or offset in (21, 22)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SAMPLES), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=9)
)
def test_any_damage_ends_in_a_result_or_a_log_error(name: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(content(name))
    for where, value in changes:
        data[int(len(data) * where)] = value
    result = read(name, bytes(data))
    if result is not None:
        found, reader = result
        assert reader.stop is not None
        assert all(one.end <= two.start for one, two in pairwise(found))
        assert all(t.end <= len(data) for t in found)
        with suppress(LogError):
            assert isinstance(reader.previous_gtids, GtidSet | None)
        with suppress(LogError):
            assert isinstance(reader.gtid_list, MariadbGtidPosition | None)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_behind_a_log_is_never_taken_for_a_transaction(garbage: bytes) -> None:
    clean = LogBuilder().transaction(1).data
    result = read("bin.000001", clean + garbage)
    assert result is not None
    assert [t.end for t in result[0]] == [len(clean)]


def test_zeros_left_by_a_power_cut_are_a_torn_end() -> None:
    clean = LogBuilder().transaction(1).data
    result = read("bin.000001", clean + bytes(4096))
    assert result is not None
    assert result[1].stop is not None
    assert (result[1].stop.kind, result[1].stop.offset) == ("torn", len(clean))


def test_the_last_event_cut_at_every_byte_gives_the_transactions_before() -> None:
    builder = LogBuilder().transaction(1)
    before = len(builder.data)
    data = builder.transaction(2).data
    for length in range(before, len(data)):
        result = cut([log("b.000001", data[:length])], BinlogPosition("b.000001", 4), lambda _: True, io.BytesIO())
        assert result.transactions == 1
        assert result.end == BinlogPosition("b.000001", before)
        assert (result.end_reason.kind == "clean") == (length == before)


@pytest.mark.parametrize("size", [0, 10, 0xFFFFFFFF])
def test_an_absurd_event_size_stops_reading(size: int) -> None:
    data = bytearray(LogBuilder().transaction(1).data)
    at = len(data)
    data += LogBuilder().transaction(2).data[-31:]
    data[at + 9 : at + 13] = size.to_bytes(4, "little")
    result = read("bin.000001", bytes(data))
    assert result is not None
    assert result[1].stop is not None
    assert (result[1].stop.kind in ("torn", "corrupt"), result[1].stop.offset) == (True, at)
