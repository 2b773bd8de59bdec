"""Relay logs hold the source's transactions at the source's positions, however often the receiver was interrupted."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from prefect_mha.replication.binlog.cutter import cut
from prefect_mha.replication.binlog.events import RELAY_LOG_FLAG, EventType
from prefect_mha.replication.binlog.reader import LogFile, LogReader, Transaction
from prefect_mha.replication.binlog.relay_position import find_source_position, received_up_to
from prefect_mha.replication.binlog.sequence import LogSequence
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.position import BinlogPosition
from tests.unit.replication.logs import RELAYED, LogBuilder, logs


def sources(files: list[LogFile]) -> list[Transaction]:
    return list(LogSequence(files))


def relay(created: int = 0) -> LogBuilder:
    return LogBuilder(flags=RELAY_LOG_FLAG, created=created)


def rotate(builder: LogBuilder, file: str, pos: int) -> LogBuilder:
    return builder.add(EventType.ROTATE, pos.to_bytes(8, "little") + file.encode(), log_pos=0, flags=0x20)


def described(builder: LogBuilder, *, log_pos: int = 0, created: int = 0) -> LogBuilder:
    """A source's format description, as it comes over the network."""
    source = LogBuilder(created=created).data[4:]
    return builder.add(EventType.FORMAT_DESCRIPTION, source[19:-4], log_pos=log_pos)


@pytest.mark.parametrize("directory", RELAYED)
def test_relay_logs_tell_the_sources_transactions_and_places(directory: str) -> None:
    there, here = sources(logs(directory, "mysql-bin")), sources(logs(directory, "relay-bin"))
    assert len(there) == 11

    def seen(t: Transaction) -> tuple[object, ...]:
        return (t.source_start, t.source_end, t.gtid, t.kind, t.events, t.tables, t.size)

    assert [seen(t) for t in here] == [seen(t) for t in there]


@pytest.mark.parametrize("directory", RELAYED)
def test_a_cut_of_relay_logs_holds_the_bytes_of_the_binary_logs(directory: str) -> None:
    cuts = []
    for base in ("mysql-bin", "relay-bin"):
        out = io.BytesIO()
        files = logs(directory, base)
        result = cut(files, BinlogPosition(files[0].name, 4), lambda _: True, out)
        assert (result.transactions, result.end_reason.kind) == (11, "clean")
        reader = LogReader(io.BytesIO(out.getvalue()), name="cut.000001")
        cuts.append([out.getvalue()[t.start : t.end] for t in reader.transactions()])
    assert cuts[0] == cuts[1]


@pytest.mark.parametrize("directory", ["relay-mysql56", "relay-mariadb"])
def test_a_transaction_over_several_relay_logs_is_one(directory: str) -> None:
    split = [t for t in sources(logs(directory, "relay-bin")) if len(t.parts) > 1]
    assert len(split) == 1
    assert len({part.log for part in split[0].parts}) > 1


@pytest.mark.parametrize("directory", RELAYED)
def test_a_place_in_the_log_of_a_former_source_that_is_called_alike_is_not_found(directory: str) -> None:
    files = logs(directory, "relay-bin")
    first = sources(logs(directory, "mysql-bin"))[0]
    with logs(directory, "mysql-bin")[0].open() as stream:
        own = LogReader(stream, name="x").format.server_id
    assert find_source_position(files, first.source_start, own) == find_source_position(files, first.source_start)
    assert find_source_position(files, first.source_start, own + 1) is None


@pytest.mark.parametrize("directory", RELAYED)
def test_every_place_of_the_source_is_found(directory: str) -> None:
    files = logs(directory, "relay-bin")
    by_end = {t.source_end: t for t in sources(files)}
    for one in sources(logs(directory, "mysql-bin")):
        assert one.source_start is not None
        found = find_source_position(files, one.source_start)
        assert found is not None
        assert (found[0].name, found[1]) == (by_end[one.source_end].log, by_end[one.source_end].start)
        middle = BinlogPosition(one.source_start.file, one.source_start.pos + 1)
        with pytest.raises(LogError, match="inside a transaction"):
            find_source_position(files, middle)


@pytest.mark.parametrize("directory", RELAYED)
def test_the_end_of_a_transaction_is_the_place_of_the_next_one(directory: str) -> None:
    """Also where events of the source's log stand between them that belong to no transaction."""
    files, there = logs(directory, "relay-bin"), sources(logs(directory, "mysql-bin"))
    for one, following in pairwise(there):
        assert one.source_end is not None
        assert following.source_start is not None
        assert find_source_position(files, one.source_end) == find_source_position(files, following.source_start)
    assert there[-1].source_end is not None
    assert find_source_position(files, there[-1].source_end) is None


@pytest.mark.parametrize("directory", RELAYED)
def test_how_far_relay_logs_reach(directory: str) -> None:
    files, there = logs(directory, "relay-bin"), sources(logs(directory, "mysql-bin"))
    assert received_up_to(files) == there[-1].source_end
    # At a new log of the source, the head of that counts too.
    head = received_up_to(files[:5])
    assert head is not None
    assert head.file == "mysql-bin.000002"


@pytest.mark.parametrize("directory", RELAYED)
def test_a_found_place_cuts_exactly_the_rest(directory: str) -> None:
    files = logs(directory, "relay-bin")
    whole = sources(files)
    for number, one in enumerate(whole):
        assert one.source_start is not None
        found = find_source_position(files, one.source_start)
        assert found is not None
        log, offset = found
        rest = files[[file.name for file in files].index(log.name) :]
        result = cut(rest, BinlogPosition(log.name, offset), lambda _: True, io.BytesIO())
        assert result.transactions == len(whole) - number


@pytest.mark.parametrize("directory", RELAYED)
def test_what_relay_logs_no_longer_or_not_yet_hold_is_not_found(directory: str) -> None:
    files = logs(directory, "relay-bin")
    whole = sources(files)
    first, last = whole[0].source_start, whole[-1].source_end
    assert first is not None
    assert last is not None
    assert find_source_position(files, last) is None
    assert find_source_position([], first) is None
    purged = [file for file in files if file.name > whole[0].log]
    assert find_source_position(purged, first) is None


def test_the_end_of_one_source_log_is_the_beginning_of_the_next() -> None:
    builder = described(rotate(relay(), "bin.000007", 4), log_pos=120)
    builder.gtid(1, log_pos=200).query("CREATE DATABASE a", log_pos=300)
    start = len(rotate(builder, "bin.000008", 4).data)
    builder.gtid(2, log_pos=200).query("CREATE DATABASE b", log_pos=300)
    found = find_source_position([builder.log("r.000001")], BinlogPosition("bin.000007", 300))
    assert found is not None
    assert found[1] == start


def test_a_gap_in_what_was_received_is_not_bridged() -> None:
    builder = described(rotate(relay(), "bin.000007", 4), log_pos=120)
    builder.gtid(1, log_pos=200).query("CREATE DATABASE a", log_pos=300)
    described(rotate(builder, "bin.000007", 5000)).gtid(3, log_pos=5100).query("CREATE DATABASE c", log_pos=5200)
    assert find_source_position([builder.log("r.000001")], BinlogPosition("bin.000007", 300)) is None


def interrupted(*, again: bool, created: int = 0, log_pos: int = 0) -> LogBuilder:
    """A receiver that was cut off within a transaction and came back: to go on, or to get it ``again``."""
    builder = described(rotate(relay(), "bin.000007", 4), log_pos=120)
    builder.gtid(1, log_pos=200).query("BEGIN", log_pos=250)
    described(rotate(builder, "bin.000007", 250), created=created, log_pos=log_pos)
    if again:
        builder.gtid(1, log_pos=200).query("BEGIN", log_pos=250)
    return builder.query("INSERT INTO a.t VALUES (1)", log_pos=290).add(EventType.XID, bytes(8), log_pos=330)


@pytest.mark.parametrize(("again", "events", "parts"), [(False, 4, 2), (True, 4, 1)])
def test_an_interrupted_transaction_is_whole_and_once(again: bool, events: int, parts: int) -> None:
    sequence = LogSequence([interrupted(again=again).log("r.000001")])
    found = list(sequence)
    assert [(t.events, len(t.parts), str(t.source_end)) for t in found] == [(events, parts, "bin.000007:330")]


def test_a_source_that_restarted_undid_what_it_had_left_open() -> None:
    builder = described(rotate(relay(), "bin.000007", 4), log_pos=120)
    builder.gtid(1, log_pos=200).query("BEGIN", log_pos=250)
    described(rotate(builder, "bin.000008", 4), created=9, log_pos=120)
    builder.gtid(2, log_pos=200).query("CREATE DATABASE a", log_pos=300)
    sequence = LogSequence([builder.log("r.000001")])
    assert [str(t.source_end) for t in sequence] == ["bin.000008:300"]


def test_the_rest_of_a_transaction_whose_beginning_was_purged_is_left_out() -> None:
    builder = described(rotate(relay(), "bin.000007", 250))
    builder.query("INSERT INTO a.t VALUES (1)", log_pos=290).add(EventType.XID, bytes(8), log_pos=330)
    builder.gtid(2, log_pos=400).query("CREATE DATABASE a", log_pos=500)
    assert [str(t.source_end) for t in LogSequence([builder.log("r.000001")])] == ["bin.000007:500"]


def test_a_replicas_own_rotate_is_not_taken_for_the_sources() -> None:
    builder = described(rotate(relay(), "bin.000007", 4), log_pos=120)
    builder.add(EventType.ROTATE, (4).to_bytes(8, "little") + b"r.000002", flags=RELAY_LOG_FLAG)
    second = described(relay()).gtid(1, log_pos=200).query("CREATE DATABASE a", log_pos=300)
    found = list(LogSequence([builder.log("r.000001"), second.log("r.000002")]))
    assert [str(t.source_end) for t in found] == ["bin.000007:300"]
