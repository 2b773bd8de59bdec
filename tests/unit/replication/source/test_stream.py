"""What followers are sent is what was written, byte for byte, from any place and for any set of GTIDs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.events import EventType
from prefect_mha.replication.binlog.reader import LogFile, LogReader
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Catalogue, Prover
from prefect_mha.replication.source.wanted import LacksMariadb, LacksMysql
from tests.unit.replication.logs import SAMPLES, LogBuilder, content, log, logs
from tests.unit.replication.source.peer import Peer, ServerSaid, catalogue_of, identity_of, sent, served


def reader(name: str, data: bytes | None = None) -> LogReader:
    return LogReader(io.BytesIO(content(name) if data is None else data), name=name)


def without_last_words(data: bytes, name: str) -> bytes:
    """A log without the rotate or stop at its end, and without stops: no follower is sent those."""
    end = len(data)
    for event in reader(name, data).events():
        if event.type in (EventType.ROTATE, EventType.STOP):
            end = event.offset
    return data[:end]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_log_is_sent_byte_for_byte_from_every_place_where_an_event_begins(name: str) -> None:
    data = content(name)
    whole = without_last_words(data, name)
    unfinished = [*reader(name).transactions()][-1].end
    end = max(unfinished, catalogue_of([log(name, data)]).view().logs[0].end)
    whole = whole[:end]
    places = [event.offset for event in reader(name).events() if event.offset <= len(whole)]
    with served(catalogue_of([log(name, data)])) as (source, port):
        for pos in [*places[1 :: max(1, len(places) // 12)], places[-1]]:
            with Peer(port).greet(0.05).dump(name, pos) as peer:
                assert peer.written() == {name: whole[pos:]}
        assert source.follower(7).sent == BinlogPosition(name, len(whole))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_place_where_no_event_begins_is_refused(name: str) -> None:
    data = content(name)
    begins = {event.offset for event in reader(name).events()}
    with served(catalogue_of([log(name, data)])) as (_, port):
        for pos in (0, 5, 30, *(p + 1 for p in sorted(begins)[2:8]), len(data) + 1, 0xFFFFFFFF):
            with Peer(port).greet().dump(name, pos) as peer, pytest.raises(ServerSaid) as said:
                list(peer.events())
            assert said.value.errno == 1236
        with Peer(port).greet().dump("other.000001", 4) as peer, pytest.raises(ServerSaid, match=r"other\.000001"):
            list(peer.events())
        with Peer(port).greet().dump("", 4) as peer, pytest.raises(ServerSaid, match="no log was named"):
            list(peer.events())


def groups(data: bytes) -> list[tuple[object, bytes]]:
    """GTID and bytes of each group of a log."""
    log_reader = LogReader(io.BytesIO(data), name="x.000001")
    return [(t.gtid, data[t.start : t.end]) for t in log_reader.transactions()]


@pytest.mark.parametrize("name", [n for n in SAMPLES if "mysql" in n and ("gtid" in n or "annotated" in n)])
def test_by_gtid_whole_groups_that_the_set_lacks_are_sent(name: str) -> None:
    found = groups(content(name))
    before = reader(name).previous_gtids or GtidSet()
    with served(catalogue_of([log(name, content(name))])) as (_, port):
        for step in (1, 2, 3, len(found)):
            has = before | GtidSet.of(gtid for gtid, _ in found[::step] if isinstance(gtid, Gtid))
            with Peer(port).greet(0.05).dump_mysql(has) as peer:
                sent = peer.written()[name]
            lacked = b"".join(data for gtid, data in found if gtid not in has)
            assert without_control(sent) == lacked


def without_control(data: bytes) -> bytes:
    """Only what belongs to groups."""
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        if data[at + 4] not in (EventType.PREVIOUS_GTIDS, EventType.MARIADB_GTID_LIST, 161, EventType.ROTATE):
            out += data[at : at + size]
        at += size
    return out


@pytest.mark.parametrize("name", ["mariadb-gtid.000001", "mariadb-compressed.000001"])
def test_by_mariadb_s_gtid_all_behind_the_named_one_is_sent(name: str) -> None:
    found = groups(content(name))
    with served(catalogue_of([log(name, content(name))])) as (_, port):
        for number, (gtid, _) in enumerate(found):
            assert isinstance(gtid, MariadbGtid)
            with Peer(port).greet(0.05).dump_mariadb(MariadbGtidPosition([gtid])) as peer:
                sent = peer.written()[name]
            assert without_control(sent) == b"".join(data for _, data in found[number + 1 :])
        with Peer(port).greet(0.05).dump_mariadb(MariadbGtidPosition()) as peer:
            assert without_control(peer.written()[name]) == b"".join(data for _, data in found)


def test_domains_are_told_apart_over_two_logs() -> None:
    names = ["mariadb-domains.000001", "mariadb-domains.000002"]
    files = [log(name, content(name)) for name in names]
    found = [group for name in names for group in groups(content(name))]
    domains: dict[int, list[MariadbGtid]] = {}
    for gtid, _ in found:
        assert isinstance(gtid, MariadbGtid)
        domains.setdefault(gtid.domain, []).append(gtid)
    with served(catalogue_of(files)) as (_, port):
        has = MariadbGtidPosition(each[len(each) // 2] for each in domains.values())
        with Peer(port).greet(0.05).dump_mariadb(has) as peer:
            sent = b"".join(without_control(data) for data in peer.written().values())
    lacked = [data for gtid, data in found if not has.covers(gtid)]  # type: ignore[arg-type]
    assert sent == b"".join(lacked)


@pytest.mark.parametrize("kind", ["mariadb-domains", "mysql97-tagged"])
def test_by_gtid_reading_may_begin_with_a_later_log_and_misses_nothing(kind: str) -> None:
    names = [f"{kind}.000001", f"{kind}.000002"]
    files = [log(name, content(name)) for name in names]
    found = [gtid for name in names for gtid, _ in groups(content(name))]
    whole = dict(zip(found, [data for name in names for _, data in groups(content(name))], strict=True))
    for count in range(1, len(found) + 1):
        if "mariadb" in names[0]:
            wanted: object = LacksMariadb(MariadbGtidPosition(found[:count]))  # type: ignore[arg-type]
            has = MariadbGtidPosition(found[:count])  # type: ignore[arg-type]
            lacked = [gtid for gtid in found[count:] if not has.covers(gtid)]  # type: ignore[arg-type]
        else:
            before = reader(names[0]).previous_gtids or GtidSet()
            wanted = LacksMysql(before | GtidSet.of(found[:count]))  # type: ignore[arg-type]
            lacked = found[count:]  # type: ignore[assignment]
        assert without_control(sent(catalogue_of(files), None, wanted)) == b"".join(whole[g] for g in lacked), count


@pytest.mark.parametrize("kind", ["relay-mysql56", "relay-mysql97", "relay-mariadb"])
def test_several_logs_follow_each_other(kind: str) -> None:
    files = logs(kind, "mysql-bin")
    with served(catalogue_of(files)) as (source, port), Peer(port).greet(0.05).dump(files[0].name, 4) as peer:
        sent = peer.written()
        assert list(sent) == [each.name for each in files]
        for each in files:
            data = each.open().read()
            begin = LogReader(io.BytesIO(data), name=each.name).format_end
            end = source.catalogue.view().logs[-1].end if each is files[-1] else len(data)
            whole = data[begin:end]
            assert without_stop(whole) == without_stop(sent[each.name])


def without_stop(data: bytes) -> bytes:
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        if data[at + 4] not in (EventType.STOP, EventType.ROTATE):
            out += data[at : at + size]
        at += size
    return out


def builder(count: int, *, checksum: bool = True, created: int = 1) -> LogBuilder:
    made = LogBuilder(created=created, checksum=checksum).add(EventType.PREVIOUS_GTIDS, bytes(8))
    for number in range(1, count + 1):
        made.transaction(number)
    return made


def test_checksums_that_change_from_log_to_log_are_told_by_each_log() -> None:
    first = builder(3).add(EventType.ROTATE, (4).to_bytes(8, "little") + b"bin.000002")
    second = LogBuilder(checksum=False, created=0).add(EventType.PREVIOUS_GTIDS, bytes(8)).transaction(4)
    files = [first.log("bin.000001"), second.log("bin.000002")]
    with served(catalogue_of(files)) as (_, port), Peer(port).greet(0.05).dump("bin.000001", 4) as peer:
        assert len(peer.written()["bin.000002"]) == len(second.data) - reader("x.1", second.data).format_end


def test_followers_wait_at_the_end_and_get_what_is_published_later() -> None:
    made = builder(2)
    catalogue = Catalogue(identity_of(made.log()))
    prover = Prover(catalogue, BinlogPosition("bin.000001", 4))
    prover.head(made.log())
    with served(catalogue) as (source, port), Peer(port).greet(0.05).dump("bin.000001", 4) as peer:
        assert peer.written() == {"bin.000001": b""}
        prover.extend([made.log()])
        sent = b"".join(peer.events())
        begin = reader("x.1", made.data).format_end
        assert sent == made.data[begin:]
        whole = len(made.data)
        made.transaction(3).gtid(4).query("BEGIN")
        end = prover.extend([made.log()])
        assert (end.kind, catalogue.end) == ("in_transaction", source.catalogue.end)
        more = b"".join(peer.events())
        assert more == made.data[whole : catalogue.end.pos]  # type: ignore[union-attr]
        catalogue.finish()
        assert source.follower(7).state in ("sending", "at_end")  # type: ignore[union-attr]


def test_a_torn_end_is_cut_at_the_last_whole_group_wherever_it_is_torn() -> None:
    made = builder(3)
    ends = [t.end for t in reader("x.1", made.data).transactions()]
    for length in range(ends[1], len(made.data)):
        catalogue = catalogue_of([log("bin.000001", made.data[:length])])
        assert catalogue.end == BinlogPosition("bin.000001", ends[1])
        assert catalogue.view().logs[0].end == ends[1]


def test_a_follower_that_lacks_what_was_before_the_saved_logs_is_refused() -> None:
    made = builder(5)
    third = [t.start for t in reader("x.1", made.data).transactions()][2]
    has = GtidSet.parse("00000000-0000-0000-0000-000000000000:1-2")
    with served(catalogue_of([made.log()], third, has)) as (_, port):
        with Peer(port).greet(0.05).dump_mysql(has) as peer:
            assert peer.written() == {"bin.000001": made.data[third:]}
        less = GtidSet.parse("00000000-0000-0000-0000-000000000000:1")
        with Peer(port).greet().dump_mysql(less) as peer, pytest.raises(ServerSaid, match=":2") as said:
            list(peer.events())
        assert said.value.errno == 1236
        with Peer(port).greet().dump("bin.000001", 4) as peer, pytest.raises(ServerSaid, match=f"bin.000001:{third}"):
            list(peer.events())
    with (
        served(catalogue_of([made.log()], third)) as (_, port),
        Peer(port).greet().dump_mysql(has) as peer,
        pytest.raises(ServerSaid, match="not known"),
    ):
        list(peer.events())


def test_events_of_more_than_16_mb_are_split_and_come_whole() -> None:
    for size in (0xFFFFFF - 24, 0xFFFFFF - 23, 0xFFFFFF - 22, 40 << 20):
        made = LogBuilder().add(EventType.PREVIOUS_GTIDS, bytes(8)).gtid(1).query("BEGIN")
        begin = len(made.data)
        made.add(EventType.WRITE_ROWS, bytes(size)).add(EventType.XID, bytes(8))
        with served(catalogue_of([made.log()])) as (_, port), Peer(port).greet(0.05).dump("bin.000001", begin) as peer:
            assert peer.written() == {"bin.000001": made.data[begin:]}


def test_a_file_that_changes_after_it_was_proven_ends_the_stream_within_the_event(tmp_path: Path) -> None:
    made = builder(3)
    path = tmp_path / "bin.000001"
    path.write_bytes(made.data)
    catalogue = catalogue_of([LogFile.at(path)])
    changed = bytearray(made.data)
    changed[-10] ^= 1
    path.write_bytes(changed)
    with served(catalogue) as (source, port), Peer(port).greet().dump("bin.000001", 4) as peer:
        got = []
        with pytest.raises(EOFError):
            got.extend(peer.events())
        assert bytes(changed[-27:]) not in got
        while not source.follower(7).over:  # type: ignore[union-attr]
            source.wait_for_change(1.0)
        assert "is not what it was" in source.follower(7).error  # type: ignore[union-attr]


def test_another_server_s_log_is_refused_before_a_byte_of_it_is_served() -> None:
    made = builder(2)
    catalogue = Catalogue(replace(identity_of(made.log()), server_id=2))
    with pytest.raises(LogError, match="written by the server with id 1, not by that with 2"):
        Prover(catalogue, BinlogPosition("bin.000001", 4)).extend([made.log()])
    assert catalogue.view().logs == ()
