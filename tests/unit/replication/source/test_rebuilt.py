"""A replica's relay logs, put at the places that their headers name, are the primary's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.replication.binlog.events import ARTIFICIAL_FLAG, CHECKSUM, HEADER, MAGIC, RELAY_LOG_FLAG, EventType
from prefect_mha.replication.binlog.reader import LogFile, LogReader
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Catalogue
from prefect_mha.replication.source.catalogue import Identity
from prefect_mha.replication.source.rebuilt import rebuild
from tests.unit.replication.logs import RELAYED, LogBuilder, logs
from tests.unit.replication.source.peer import Peer, catalogue_of, identity_of, served


def rebuilt(kind: str, tmp_path: Path, **options: object) -> Catalogue:
    catalogue = Catalogue(identity_of(logs(kind, "mysql-bin")[0]))
    rebuild(catalogue, logs(kind, "relay-bin"), tmp_path, **options)  # type: ignore[arg-type]
    catalogue.finish()
    return catalogue


def places(log: LogFile) -> list[int]:
    with log.open() as stream:
        return [e.offset for e in LogReader(stream, name=log.name).events() if e.type != EventType.FORMAT_DESCRIPTION]


@pytest.mark.parametrize("kind", RELAYED)
def test_what_is_rebuilt_is_the_primary_s_log_byte_for_byte(kind: str, tmp_path: Path) -> None:
    truth = catalogue_of(logs(kind, "mysql-bin"))
    catalogue = rebuilt(kind, tmp_path)
    assert [log.name for log in catalogue.view().logs] == [log.name for log in truth.view().logs]
    assert (catalogue.end, catalogue.groups, catalogue.gtids) == (truth.end, truth.groups, truth.gtids)
    for ours, theirs in zip(catalogue.view().logs, truth.view().logs, strict=True):
        with ours.log.open() as a, theirs.log.open() as b:
            for start, end in ours.extents:
                a.seek(start)
                b.seek(start)
                assert a.read(end - start) == b.read(end - start)
        assert ours.at_head


@pytest.mark.parametrize("kind", RELAYED)
def test_followers_get_the_same_from_both(kind: str, tmp_path: Path) -> None:
    files = logs(kind, "mysql-bin")
    truth = catalogue_of(files)
    starts = [BinlogPosition(log.name, pos) for log in files for pos in places(log)]
    starts = [start for start in starts if truth.end and start <= truth.end]
    with served(truth) as (_, a), served(rebuilt(kind, tmp_path)) as (_, b):
        for start in starts[:: max(1, len(starts) // 15)]:
            with Peer(a).greet(0.05).dump(start.file, start.pos) as first:
                expected = first.written()
            with Peer(b).greet(0.05).dump(start.file, start.pos) as second:
                found = second.written()
            assert {k: plain(v) for k, v in found.items()} == {k: plain(v) for k, v in expected.items()}, start


def plain(data: bytes) -> bytes:
    """Without what a replica is not sent, or does not keep."""
    out, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        if data[at + 4] not in (EventType.PREVIOUS_GTIDS, EventType.MARIADB_GTID_LIST, EventType.ROTATE):
            out += data[at : at + size]
        at += size
    return out


@pytest.mark.parametrize("kind", RELAYED)
def test_relay_logs_of_another_primary_are_refused(kind: str, tmp_path: Path) -> None:
    catalogue = Catalogue(Identity("9.7.0", 4711))
    with pytest.raises(LogError, match="nothing of that server"):
        rebuild(catalogue, logs(kind, "relay-bin"), tmp_path)
    assert catalogue.view().logs == ()


@pytest.mark.parametrize("kind", RELAYED)
def test_by_gtid_the_groups_stand_one_behind_the_other(kind: str, tmp_path: Path) -> None:
    truth = catalogue_of(logs(kind, "mysql-bin"))
    catalogue = rebuilt(kind, tmp_path, by_gtid=True)
    assert (catalogue.groups, catalogue.gtids) == (truth.groups, truth.gtids)
    assert len(catalogue.view().logs) == 1


def relay(sizes: list[int], *, twice: bool = False, skip: int = -1) -> LogFile:
    """MariaDB's relay log of transactions that took so many bytes of the source's log when they were compressed."""
    builder = LogBuilder(version="10.11.6-MariaDB", created=0, flags=RELAY_LOG_FLAG)
    builder.add(EventType.ROTATE, (4).to_bytes(8, "little") + b"bin.000001", log_pos=0, flags=ARTIFICIAL_FLAG)
    source = LogBuilder(version="10.11.6-MariaDB", created=0)
    builder.data += source.data[len(MAGIC) :]
    at = len(source.data)
    for number, size in enumerate(sizes):
        for _ in range(2 if twice else 1):
            if number == skip:
                continue
            head = (number + 1).to_bytes(8, "little") + bytes(5)
            gtid = HEADER + len(head.ljust(19, b"\0")) + CHECKSUM
            builder.add(EventType.MARIADB_GTID, head.ljust(19, b"\0"), log_pos=at + gtid)
            builder.query("INSERT INTO t VALUES (1)", log_pos=at + size - 31).add(
                EventType.XID, bytes(8), log_pos=at + size
            )
        at += size
    return builder.log("relay.000001")


def moved(file: LogFile, tmp_path: Path) -> Catalogue:
    catalogue = Catalogue(Identity("10.11.6-MariaDB", 1))
    rebuild(catalogue, [file], tmp_path)
    catalogue.finish()
    return catalogue


@pytest.mark.parametrize("twice", [False, True])
def test_what_a_receiver_uncompressed_stands_one_behind_the_other_and_is_sent_once(twice: bool, tmp_path: Path) -> None:
    catalogue = moved(relay([120, 100, 150, 90], twice=twice), tmp_path)
    (log,) = catalogue.view().logs
    assert len(log.extents) == 1
    with served(catalogue) as (_, port), Peer(port).greet(0.05).dump("bin.000001", 4) as peer:
        sent = peer.written()["bin.000001"]
    kinds = [sent[at + 4] for at in offsets(sent)]
    assert kinds.count(EventType.XID) == 4


def test_what_is_missing_among_what_was_uncompressed_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"relay logs lack bin\.000001 from"):
        moved(relay([120, 100, 150, 90], skip=2), tmp_path)


def test_a_group_that_is_much_smaller_than_its_place_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be told"):
        moved(relay([120, 900, 200]), tmp_path)


def offsets(data: bytes) -> list[int]:
    """Where events begin."""
    found, at = [], 0
    while at < len(data):
        found.append(at)
        at += int.from_bytes(data[at + 9 : at + 13], "little")
    return found
