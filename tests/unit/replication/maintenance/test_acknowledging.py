"""Events cut out of what a server sends, and a copy that grows by them: exact, compared, never given up for less."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.events import HEADER_FIELDS, MAGIC, EventType, made
from prefect_mha.replication.binlog.reader import LogReader
from prefect_mha.replication.maintenance.binlog_server.acknowledging import packets
from prefect_mha.replication.maintenance.binlog_server.acknowledging.copy import LogCopy
from prefect_mha.replication.maintenance.binlog_server.acknowledging.dump import Replica
from prefect_mha.replication.maintenance.binlog_server.acknowledging.packets import Cutter, Odd, Piece, Refusing
from prefect_mha.replication.maintenance.binlog_server.acknowledging.standing import Standing, standing_of
from prefect_mha.replication.maintenance.binlog_server.archive import OtherHistoryError
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source.protocol.packets import FULL

LOG = "mysql-bin.000001"


def described(timestamp: int = 1, server_id: int = 1) -> bytes:
    """A format description with checksums, as MySQL 5.6 and newer write it."""
    body = struct.pack("<H50sIB", 4, b"5.7.1", 0, 19) + bytes(40) + b"\1"
    event = bytearray(made(EventType.FORMAT_DESCRIPTION, server_id, body, checksum=False, pos=1))
    event[:4] = struct.pack("<I", timestamp)
    event += bytes(4)
    event[9:13] = struct.pack("<I", len(event))
    return with_end(bytes(event[:-4]), 4)


def with_end(event: bytes, start: int) -> bytes:
    """The event with the place behind it, and its checksum."""
    size = len(event) + 4
    head = HEADER_FIELDS.unpack_from(event)
    event = HEADER_FIELDS.pack(*head[:3], size, (start + size) & 0xFFFFFFFF, head[5]) + event[19:]
    return event + zlib.crc32(event).to_bytes(4, "little")


def query(start: int, size: int = 40, fill: bytes = b"q") -> bytes:
    return with_end(made(EventType.QUERY, 1, fill * size, checksum=False, pos=1), start)


def log_of(*sizes: int) -> list[bytes]:
    """The events of a log, the description first."""
    events = [described()]
    for size in sizes:
        events.append(query(4 + sum(map(len, events)), size))
    return events


def sent(event: bytes, *, wanted: bool | None = None) -> bytes:
    """Its packets; with ``wanted`` as to a semi-synchronous replica."""
    payload = b"\0" + (b"" if wanted is None else bytes([0xEF, wanted])) + event
    out, number = b"", 1
    while True:
        part, payload = payload[:FULL], payload[FULL:]
        out += len(part).to_bytes(3, "little") + bytes([number & 255]) + part
        number += 1
        if len(part) < FULL:
            return out


def rotate(name: str) -> bytes:
    return made(EventType.ROTATE, 1, struct.pack("<Q", 4) + name.encode(), checksum=True, flags=0x20)


def whole(event: bytes, *, wanted: bool = False) -> Piece:
    return Piece(memoryview(event), first=True, last=True, wanted=wanted)


@pytest.mark.parametrize("wanted", [None, False, True])
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_events_come_out_whole_however_the_bytes_come(step: int, wanted: bool | None) -> None:
    events, cutter = log_of(1, 240, 3000), Cutter()
    stream = b"".join(sent(event, wanted=wanted) for event in events)
    pieces = [p for at in range(0, len(stream), step) for p in cutter.feed(stream[at : at + step])]
    assert [bytes(p.data) for p in pieces] == events
    assert all(p.first and p.last and p.wanted is bool(wanted) for p in pieces)


@pytest.mark.parametrize("size", [packets.WHOLE + 5, FULL - 26, FULL - 24, FULL - 20, 2 * FULL - 26, 2 * FULL + 70])
def test_a_large_event_comes_in_pieces_of_bounded_size(size: int) -> None:
    event, small, cutter = query(4, size), query(4), Cutter()
    stream, out, most = sent(event, wanted=True) + sent(small, wanted=False), [], 0
    for at in range(0, len(stream), 1 << 18):
        for piece in cutter.feed(stream[at : at + (1 << 18)]):
            most = max(most, len(piece.data))
            out.append(piece._replace(data=memoryview(bytes(piece.data))))
    assert most <= packets.WHOLE + (1 << 18)
    *large, last = out
    assert b"".join(p.data for p in large) == event
    assert [p.first for p in large] == [True] + [False] * (len(large) - 1)
    assert [p.last for p in large] == [False] * (len(large) - 1) + [True]
    assert all(p.wanted for p in large)
    assert bytes(last.data) == small


@pytest.mark.parametrize(
    "payload",
    [
        b"\0" + bytes(30),
        b"\0" + query(4)[:-1],
        b"\0" + query(4) + b"x",
        b"\xfe\0\0\2\0",
        b"\0",
        b"",
        b"\7" + query(4)[:-1],
    ],
)
def test_what_is_no_event_is_odd(payload: bytes) -> None:
    with pytest.raises(Odd):
        list(Cutter().feed(len(payload).to_bytes(3, "little") + b"\1" + payload))


def test_an_error_keeps_its_number_and_words() -> None:
    payload = b"\xff" + struct.pack("<H", 1236) + b"#HY000Could not find first log file name"
    with pytest.raises(Refusing, match="Could not find first log file name") as raised:
        list(Cutter().feed(len(payload).to_bytes(3, "little") + b"\1" + payload))
    assert raised.value.errno == 1236


def test_a_copy_is_the_log_byte_for_byte_and_the_next_begins_where_it_is_named(tmp_path: Path) -> None:
    events, copy = log_of(10, 20, 30), LogCopy(tmp_path)
    assert copy.begin(LOG) == BinlogPosition(LOG, 4)
    for event in (rotate(LOG), *events):
        copy.take(whole(event, wanted=event is events[-1]))
    assert copy.wanted == BinlogPosition(LOG, 4 + sum(map(len, events)))
    copy.take(whole(rotate("mysql-bin.000002")))
    copy.take(whole(described(2)))
    copy.sync()
    copy.close()
    assert (tmp_path / LOG).read_bytes() == MAGIC + b"".join(events)
    assert (tmp_path / "mysql-bin.000002").read_bytes() == MAGIC + described(2)


@pytest.mark.parametrize("cut", [1, 20, 60])
@pytest.mark.parametrize("behind", [b"", bytes(5000)])
def test_it_goes_on_behind_the_last_whole_event(tmp_path: Path, cut: int, behind: bytes) -> None:
    events = log_of(30, 40, 50)
    content = MAGIC + b"".join(events)
    (tmp_path / LOG).write_bytes(content[:-cut] + behind)
    copy = LogCopy(tmp_path)
    place = copy.begin(LOG)
    assert content[place.pos :].startswith(events[-2])
    assert not copy.proven
    copy.take(whole(events[-2]))
    assert copy.proven
    assert (tmp_path / LOG).stat().st_size == len(content) - cut + len(behind), "nothing is cut off before more comes"
    copy.take(whole(events[-1]))
    copy.sync()
    assert (tmp_path / LOG).read_bytes() == content


def test_another_log_of_that_name_is_noticed_before_a_byte_is_written(tmp_path: Path) -> None:
    events = log_of(30, 40)
    content = MAGIC + b"".join(events)
    (tmp_path / LOG).write_bytes(content)
    other = query(4 + sum(map(len, events[:-1])), 40, b"o")
    for wrong in (other, made(EventType.FORMAT_DESCRIPTION, 1, described(9)[19:-4], checksum=True)):
        copy = LogCopy(tmp_path)
        copy.begin(LOG)
        with pytest.raises(OtherHistoryError):
            copy.take(whole(wrong))
        copy.close()
    assert (tmp_path / LOG).read_bytes() == content


def test_a_hole_in_what_is_sent_is_filled_so_that_places_stay_right(tmp_path: Path) -> None:
    copy, first = LogCopy(tmp_path), described()
    copy.begin(LOG)
    copy.take(whole(first))
    after = query(4 + len(first) + 41)
    copy.take(whole(after))
    copy.sync()
    data = (tmp_path / LOG).read_bytes()
    assert data[4 + len(first) + 41 :] == after
    assert standing_of(tmp_path / LOG) == Standing(4 + len(first) + 41, len(data), (1, 1))


def test_an_encrypted_log_that_is_sent_in_clear_does_not_say_that_it_is_encrypted(tmp_path: Path) -> None:
    copy, first = LogCopy(tmp_path), described()
    copy.begin(LOG)
    copy.take(whole(first))
    key = with_end(made(EventType.MARIADB_START_ENCRYPTION, 1, b"k" * 17, checksum=False, pos=1), 4 + len(first))
    after = query(4 + len(first) + len(key))
    copy.take(whole(key))
    copy.take(whole(after))
    copy.sync()
    with (tmp_path / LOG).open("rb") as stream:
        reader = LogReader(stream, name=LOG)
        assert [e.type for e in reader.events()] == [EventType.FORMAT_DESCRIPTION, EventType.IGNORABLE, EventType.QUERY]
    assert (tmp_path / LOG).read_bytes().endswith(after)


@pytest.mark.parametrize("name", ["../x.000001", "x", "/etc/x.000001", "a/b.000001"])
def test_a_log_is_named_as_logs_are(tmp_path: Path, name: str) -> None:
    copy = LogCopy(tmp_path)
    copy.begin(LOG)
    with pytest.raises(Odd):
        copy.take(whole(rotate(name)))
    assert [p.name for p in tmp_path.iterdir()] == [LOG]


def test_what_mariadb_11_gives_no_place_lies_in_its_log_all_the_same(tmp_path: Path) -> None:
    """Within a transaction its events carry a zero; they were left out once, and their rows lost."""
    head, begin = log_of(30)
    raw = made(EventType.QUERY, 1, b"row" * 100, checksum=False, pos=1)
    fields = HEADER_FIELDS.unpack_from(raw)
    row = HEADER_FIELDS.pack(*fields[:3], len(raw) + 4, 0, fields[5]) + raw[19:]
    row += zlib.crc32(row).to_bytes(4, "little")
    end = query(4 + len(head) + len(begin) + len(row), 40)
    copy = LogCopy(tmp_path)
    copy.begin(LOG)
    for event in (head, begin, row, end):
        copy.take(whole(event))
    copy.sync()
    assert (tmp_path / LOG).read_bytes() == MAGIC + head + begin + row + end
    assert standing_of(tmp_path / LOG).end == len(MAGIC + head + begin + row + end)


def test_events_that_do_not_follow_are_odd(tmp_path: Path) -> None:
    copy = LogCopy(tmp_path)
    copy.begin(LOG)
    copy.take(whole(described()))
    with pytest.raises(Odd, match="does not follow"):
        copy.take(whole(query(4)))


def test_a_disk_that_refuses_to_sync_leaves_only_what_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, copy = log_of(30, 40), LogCopy(tmp_path)
    copy.begin(LOG)
    for event in events[:2]:
        copy.take(whole(event))
    copy.sync()

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fdatasync", broken)
    copy.take(whole(events[2], wanted=True))
    with pytest.raises(OSError, match="Input/output"):
        copy.sync()
    assert (tmp_path / LOG).read_bytes() == MAGIC + b"".join(events[:2])


def test_what_an_earlier_run_left_unsynced_is_written_again_when_the_first_sync_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of a lost page once; the next sync would say that all is well."""
    events = log_of(30, 40)
    before = MAGIC + b"".join(events[:2])
    (tmp_path / LOG).write_bytes(before)
    copy, again = LogCopy(tmp_path), list[tuple[bytes, int]]()
    copy.begin(LOG)
    pwrite = os.pwrite

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    def told(file: int, data: bytes, at: int) -> int:
        again.append((bytes(data), at))
        return pwrite(file, data, at)

    monkeypatch.setattr("os.fdatasync", broken)
    monkeypatch.setattr("os.pwrite", told)
    with pytest.raises(OSError, match="Input/output"):
        copy.sync()
    assert again == [(before, 0)]


def test_a_reader_has_one_uuid_for_ever() -> None:
    assert Replica(7, "db9").uuid == Replica(7, "db9").uuid != Replica(8, "db9").uuid
