"""Whose log it is: what proves it, what refutes it, and what proves nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from prefect_mha.replication.binlog import event_bodies as bodies
from prefect_mha.replication.binlog.events import CONTROL, RELAY_LOG_FLAG, Event, EventType
from prefect_mha.replication.binlog.reader import LogFile, LogReader
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.source.identity import (
    ExpectedIdentity,
    Received,
    continues,
    event_before,
    known_of,
    look,
    prove,
    refuted,
    same_event,
)
from tests.unit.replication.build import block, channel, server
from tests.unit.replication.logs import RELAYED, SAMPLES, LogBuilder, content, log, logs

OWN = "00000000-0000-0000-0000-000000000000"


def seen(data: bytes, pos: int | None = None):
    return look(io.BytesIO(data), "bin.000001", len(data), pos)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_event_of_a_log_begins_where_it_does_and_none_does_between(name: str) -> None:
    data = content(name)
    events = list(LogReader(io.BytesIO(data), name=name).events())
    for event in events[1:]:
        assert seen(data, event.offset).place == "begins"
        for pos in range(event.offset + 1, min(event.end_offset, event.offset + 40)):
            assert seen(data, pos).place in ("inside", "beyond")
    assert seen(data, len(data)).place == seen(data, len(data) + 999).place == "beyond"


def test_a_torn_end_or_one_of_zeros_does_not_speak_against_a_log() -> None:
    data = LogBuilder().transaction(1).data
    assert seen(data + bytes(500), len(data)).place == "beyond"
    assert seen(data + b"half a header", len(data)).place == "beyond"


def test_the_server_s_id_and_its_uuid_decide() -> None:
    data = LogBuilder().transaction(1).data
    begin = next(LogReader(io.BytesIO(data), name="x.1").transactions()).start
    looked = seen(data, begin)
    assert (looked.server_id, looked.uuid, looked.place) == (1, OWN, "begins")
    assert refuted(looked, ExpectedIdentity()) == ""
    assert refuted(looked, ExpectedIdentity(1, OWN)) == ""
    assert refuted(looked, ExpectedIdentity(2)) == "the server with id 1 wrote it, not that with 2"
    assert "another" not in refuted(looked, ExpectedIdentity(1, "x")) and refuted(looked, ExpectedIdentity(1, "x"))
    assert refuted(seen(data, begin + 3), ExpectedIdentity(1)) == "no event begins in it where the replicas stand"
    assert refuted(seen(LogBuilder(flags=RELAY_LOG_FLAG).data), ExpectedIdentity()) == "it is a relay log"


DEAD = block(1)


def test_replicas_tell_who_died_and_neighbours_what_is_theirs() -> None:
    follower = server(5, channel(source_host="db1", source_server_id=11, source_uuid=OWN))
    neighbour = server(2, key="10.0.0.1:3307", log_bin_basename="/srv/two/mysql-bin")
    elsewhere = server(3, key="10.0.0.3:3306", log_bin_basename="/srv/three/mysql-bin")
    whose = known_of(DEAD, (follower, neighbour, elsewhere), ("/srv/one",))
    assert (whose.server_id, whose.uuid, whose.named) == (11, OWN, ("/srv/one",))
    assert not whose.owns("/srv/two/", "mysql-bin.000001")
    assert whose.owns("/srv/two", "other-bin.000001")
    assert whose.owns("/srv/three", "mysql-bin.000001")


def test_of_replicas_that_contradict_each_other_nothing_is_believed() -> None:
    replicas = [server(n + 1, channel(source_host="db1", source_server_id=10 + n)) for n in (1, 2)]
    assert known_of(DEAD, replicas).server_id == 0
    assert known_of(DEAD, ()) == ExpectedIdentity()


def test_replicas_that_asked_a_stranger_on_its_port_do_not_say_who_it_was() -> None:
    """They have 1 from him; what is not believed refutes nothing, and the bytes that they received prove it."""
    replicas = [server(n, channel(source_server_id=1, source_uuid="")) for n in (2, 3)]
    assert known_of(DEAD, replicas).server_id == 1
    assert known_of(DEAD, replicas, said=(101, "")).server_id == 0
    assert known_of(DEAD, replicas, said=(1, "")).server_id == 1
    assert known_of(DEAD, replicas, doubted=True).server_id == 0
    assert known_of(DEAD, replicas, said=(101, ""), doubted=True).server_id == 101


def last_received(files: Sequence[LogFile], limit: int = 16 << 20) -> Received | None:
    """The last whole event that these relay logs hold, as its source numbered it; None where they hold none.

    One that is longer than ``limit`` bytes is passed over.
    """
    for each in reversed(files):
        found: Received | None = None
        with each.open() as stream:
            reader = LogReader(stream, name=each.name, size=each.size)
            source = ""
            last: Event | None = None
            for event in reader.events():
                if event.flags & RELAY_LOG_FLAG:
                    continue
                if event.type == EventType.ROTATE:
                    source = bodies.rotate(event).file
                elif event.type not in CONTROL and event.log_pos and event.size <= limit:
                    last = event
            if last is not None and source:
                stream.seek(last.offset)
                found = Received(source, last.log_pos, stream.read(last.size))
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("kind", RELAYED)
def test_the_last_event_received_is_found_in_the_primary_s_log_and_in_no_other(kind: str) -> None:
    received = last_received(logs(kind, "relay-bin"))
    assert received is not None
    files = logs(kind, "mysql-bin")
    own = next(each for each in files if each.name == received.file)
    assert continues(own, received) is True
    prove(files, ExpectedIdentity(), received)
    changed = bytearray(own.open().read())
    changed[received.end - 8] ^= 1
    other = log(own.name, bytes(changed))
    assert continues(other, received) is False
    with pytest.raises(LogError, match="is not the log that the replicas received"):
        prove([other], ExpectedIdentity(), received)
    assert continues(log(own.name, own.open().read()[: received.end - 1]), received) is None


@pytest.mark.parametrize("kind", RELAYED)
def test_the_event_before_a_place_is_found_from_the_end(kind: str) -> None:
    for relay in logs(kind, "relay-bin"):
        data = relay.open().read()
        for event in LogReader(io.BytesIO(data), name=relay.name).events():
            if event.log_pos and event.type != EventType.FORMAT_DESCRIPTION:
                whole = data[event.offset : event.end_offset]
                assert event_before(data[: event.end_offset], event.log_pos) == whole
                assert event_before(data[: event.end_offset - 1], event.log_pos) is None
    assert event_before(b"", 4) is None


def test_flags_and_the_sum_over_them_may_differ() -> None:
    data = LogBuilder().transaction(1).data
    last = data[-31:]
    assert int.from_bytes(last[9:13], "little") == 31 and last[4] == EventType.XID
    other = last[:17] + b"\x01\x00" + last[19:-4] + b"sum!"
    assert same_event(last, other, True)
    assert same_event(last, other, False) is False
    assert same_event(last, last[:9] + b"\x20" + last[10:], True) is False
    assert same_event(last, last[:9] + b"\x1b" + last[10:-4], True) is None
    assert same_event(bytes(31), last, True) is None


def test_another_server_s_log_is_refused(tmp_path: Path) -> None:
    received = Received("bin.000001", 4, b"")
    with pytest.raises(LogError, match="the server with id 1 wrote it, not that with 3"):
        prove([LogBuilder().log()], ExpectedIdentity(3), received)
