"""A cut holds exactly the wanted transactions, byte for byte, in a log that reads back as such."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_mha.replication.binlog.cutter import Cut, LogFile, cut
from prefect_mha.replication.binlog.events import CONTROL, EventType
from prefect_mha.replication.binlog.reader import LogReader, StartInside, Transaction
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from tests.unit.replication.logs import SAMPLES, LogBuilder, content, log, logs


def everything(_: Transaction) -> bool:
    return True


def cut_all(files: list[LogFile], start: int = 4) -> tuple[Cut, bytes]:
    out = io.BytesIO()
    return cut(files, BinlogPosition(files[0].name, start), everything, out), out.getvalue()


def raw(data: bytes, transactions: list[Transaction]) -> bytes:
    return b"".join(data[t.start : t.end] for t in transactions)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_cut_is_a_head_and_the_bytes_of_the_wanted(name: str, data: st.DataObject) -> None:
    original = content(name)
    whole = list(LogReader(io.BytesIO(original), name=name).transactions())
    first = data.draw(st.integers(0, len(whole) - 1))
    wanted = data.draw(st.sets(st.sampled_from([t.start for t in whole])))
    chosen = [t for t in whole[first:] if t.start in wanted]
    out = io.BytesIO()
    start = BinlogPosition(name, whole[first].start)
    result = cut([log(name, original)], start, lambda t: t.start in wanted, out)
    assert out.getvalue().endswith(raw(original, chosen))
    assert result.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    assert (result.transactions, result.skipped) == (len(chosen), len(whole) - first - len(chosen))
    assert (result.first, result.last) == ((chosen[0], chosen[-1]) if chosen else (None, None))
    assert result.end == BinlogPosition(name, whole[-1].end)
    reader = LogReader(io.BytesIO(out.getvalue()), name="cut.000001")
    again = list(reader.transactions())
    assert [(t.gtid, t.kind, t.tables, t.size) for t in again] == [(t.gtid, t.kind, t.tables, t.size) for t in chosen]
    assert reader.format_end == again[0].start if again else len(out.getvalue())
    assert not {e.type for e in reader.events()} & (CONTROL - {EventType.FORMAT_DESCRIPTION})


def test_gtids_of_a_cut_are_those_of_its_transactions() -> None:
    tagged = cut_all([log(name, content(name)) for name in ("mysql97-tagged.000001", "mysql97-tagged.000002")])[0]
    assert str(tagged.gtids).endswith(":1-20:b:1:tag_a:1-2")
    domains = cut_all([log(name, content(name)) for name in ("mariadb-domains.000001", "mariadb-domains.000002")])[0]
    assert domains.gtids == MariadbGtidPosition.parse("0-1-21,7-1-1")
    assert cut_all([log("mysql97-pos.000001", content("mysql97-pos.000001"))])[0].gtids is None


@given(st.permutations(range(1, 12)))
def test_gtids_in_any_order_are_counted_once(numbers: list[int]) -> None:
    builder = LogBuilder()
    for number in [*numbers, numbers[0]]:
        builder.transaction(number)
    result, _ = cut_all([builder.log()])
    assert result.gtids == GtidSet.of(Gtid("00000000-0000-0000-0000-000000000000", n) for n in numbers)
    assert (result.transactions, result.skipped) == (11, 1)


def test_a_crashed_servers_mark_is_cleared() -> None:
    _, data = cut_all([LogBuilder(flags=1).transaction(1).log()])
    assert LogReader(io.BytesIO(data), name="cut.000001").format.in_use is False


@pytest.mark.parametrize("kind", ["mysql56", "mysql97", "mariadb"])
def test_switched_checksums_bring_a_description_of_their_own(kind: str) -> None:
    files = logs(f"relay-{kind}", "mysql-bin")
    result, data = cut_all(files)
    reader = LogReader(io.BytesIO(data), name="cut.000001")
    types = [e.type for e in reader.events()]
    assert types.count(EventType.FORMAT_DESCRIPTION) == 2
    assert [t.size for t in reader.transactions()] == [
        t.size for file in files for t in LogReader(file.open(), name=file.name).transactions()
    ]
    assert result.end_reason.kind == "clean"


def test_logs_alike_share_one_description() -> None:
    files = [LogBuilder(created=created).transaction(n).log(f"b.00000{n}") for n, created in ((1, 5), (2, 0))]
    _, data = cut_all(files)
    assert data.count(b"9.7.0") == 1


def test_nothing_behind_damage_is_taken() -> None:
    broken = bytearray(LogBuilder().transaction(1).transaction(2).data)
    broken[-60] ^= 1
    result, _ = cut_all([log("b.000001", bytes(broken)), LogBuilder().transaction(3).log("b.000002")])
    assert (result.transactions, result.end_reason.kind, result.end_reason.log) == (1, "corrupt", "b.000001")


@pytest.mark.parametrize("rest", [b"", b"\1" * 25])
def test_what_a_restarted_server_rolled_back_does_not_hide_what_came_later(rest: bytes) -> None:
    crashed = LogBuilder(flags=1).transaction(1).gtid(2).query("BEGIN").data + rest
    result, data = cut_all([log("b.000001", crashed), LogBuilder(created=7).transaction(3).log("b.000002")])
    assert str(result.gtids).endswith(":1:3")
    assert [end.kind for end in result.passed] == ["torn" if rest else "in_transaction"]
    assert len(list(LogReader(io.BytesIO(data), name="c.000001").transactions())) == 2


def test_a_log_cut_short_is_not_passed_when_its_server_never_restarted() -> None:
    short = LogBuilder().transaction(1).gtid(2).query("BEGIN")
    result, _ = cut_all([short.log("b.000001"), LogBuilder(created=0).transaction(3).log("b.000002")])
    assert (result.transactions, result.end_reason.kind) == (1, "in_transaction")


@pytest.mark.parametrize("head", [b"", b"\xfebin", b"\xfdbin", b"oops"])
def test_a_later_log_without_a_head_ends_the_cut(head: bytes) -> None:
    result, _ = cut_all([LogBuilder().transaction(1).log("b.000001"), log("b.000002", head)])
    assert (result.transactions, result.end_reason.log) == (1, "b.000002")
    assert result.end_reason.kind != "clean"


def test_a_later_log_that_cannot_be_opened_ends_the_cut() -> None:
    def refuse() -> io.BytesIO:
        raise PermissionError(13, "Permission denied")

    result, _ = cut_all([LogBuilder().transaction(1).log("b.000001"), LogFile("b.000002", 9, refuse)])
    assert (result.transactions, result.end_reason.kind) == (1, "unreadable")
    with pytest.raises(LogError, match="Permission denied"):
        cut_all([LogFile("b.000001", 9, refuse)])


def test_a_start_in_a_log_that_is_not_there_is_refused() -> None:
    with pytest.raises(LogError, match=r"no log b\.000009"):
        cut([LogBuilder().log("b.000001")], BinlogPosition("b.000009", 4), everything, io.BytesIO())


def test_a_start_inside_a_transaction_is_refused() -> None:
    builder = LogBuilder().gtid(1)
    inside = len(builder.data)
    with pytest.raises(StartInside):
        cut_all([builder.query("BEGIN").add(EventType.XID, bytes(8)).log()], inside)


def test_reading_far_away_takes_few_round_trips() -> None:
    data = LogBuilder()
    for number in range(1, 2001):
        data.transaction(number)
    calls = 0

    class Remote(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal calls
            calls += 1
            return super().read(size)

    file = LogFile("b.000001", len(data.data), lambda: Remote(data.data))
    result, _ = cut_all([file])
    assert result.transactions == 2000
    assert calls <= 6


@pytest.mark.parametrize(("flags", "taken"), [(0x02, 1), (0x04, 2), (0x08, 1)])
def test_of_an_alter_in_two_phases_only_the_half_that_ends_it_is_cut(flags: int, taken: int) -> None:
    builder = LogBuilder(version="10.11.18-MariaDB")
    for number, more in ((1, b""), (2, bytes([flags]))):
        standalone = b"\x01" if not more else b"\x03" + bytes(8)  # the second one with the id of a group commit
        head = number.to_bytes(8, "little") + bytes(4) + standalone + more
        builder.add(EventType.MARIADB_GTID, head.ljust(19, b"\0")).query("ALTER TABLE t ADD c INT")
    result, _ = cut_all([builder.log()])
    assert (result.transactions, result.end_reason.kind) == (taken, "clean")


def test_a_log_that_names_another_one_than_follows_ends_the_cut() -> None:
    rotated = LogBuilder().transaction(1).add(EventType.ROTATE, (4).to_bytes(8, "little") + b"b.000003")
    for rest in ([], [LogBuilder(created=0).transaction(2).log("b.000002")]):
        result, _ = cut_all([rotated.log("b.000001"), *rest])
        assert (result.transactions, result.end_reason.kind, result.end_reason.log) == (1, "unreadable", "b.000003")
    following = LogBuilder(created=0).transaction(2).log("b.000003")
    assert cut_all([rotated.log("b.000001"), following])[0].transactions == 2
