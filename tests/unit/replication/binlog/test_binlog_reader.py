"""The reader tells the same transactions as the servers' own mysqlbinlog, and refuses what it cannot read."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import pytest

from prefect_mha.replication.binlog.events import EventType
from prefect_mha.replication.binlog.reader import LogReader, StartInside, Transaction
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.gtid import Gtid, GtidSet, MariadbGtidPosition
from tests.unit.replication.logs import SAMPLES, LogBuilder, content

BORDERS: dict[str, list[tuple[int, str]]] = json.loads(content("borders.json"))


def reader_of(data: bytes, name: str = "bin.000001") -> LogReader:
    return LogReader(io.BytesIO(data), name=name)


def read(data: bytes) -> tuple[list[Transaction], LogReader]:
    reader = reader_of(data)
    return list(reader.transactions()), reader


@pytest.mark.parametrize("name", sorted(BORDERS))
def test_transactions_begin_where_mysqlbinlog_says(name: str) -> None:
    found, reader = read(content(name))
    assert [[t.start, str(t.gtid or "")] for t in found] == BORDERS[name]
    assert reader.stop is not None
    assert reader.stop.kind == "clean"


@pytest.mark.parametrize("name", SAMPLES)
def test_transactions_are_neighbours_and_end_where_they_say(name: str) -> None:
    found, _ = read(content(name))
    assert all(one.end == two.start or two.start - one.end < 100 for one, two in pairwise(found))
    assert all(t.source_end is not None and t.source_end.pos == t.end == t.parts[-1].end for t in found)


def test_without_gtids_statements_and_transactions_are_told_apart() -> None:
    found, _ = read(content("mysql56-pos.000001"))
    assert [(t.kind, t.events) for t in found] == [
        ("ddl", 1),
        ("ddl", 1),
        ("dml", 4),
        ("dml", 7),
        ("ddl", 1),
        ("dml", 3),
        ("dml", 3),
        ("dml", 5),
        ("dml", 5),
        ("dml", 7),
        ("dml", 4),
        ("dml", 4),
        ("dml", 4),
        ("ddl", 1),
        ("ddl", 1),
        ("dml", 4),
    ]


@pytest.mark.parametrize("name", ["mysql97-gtid.000001", "mariadb-gtid.000001"])
def test_xa_is_told_from_ordinary_transactions(name: str) -> None:
    found, _ = read(content(name))
    kinds = [t.kind for t in found]
    assert [kind for kind in kinds if kind.startswith("xa")] == ["xa_prepare", "xa_commit", "xa_prepare", "xa_rollback"]


def test_tables_come_from_rows_and_from_statements() -> None:
    for name in ("mysql97-pos.000001", "mysql56-pos.000001", "mariadb-pos.000001"):
        found, _ = read(content(name))
        assert {table for t in found for table in t.tables} == {"app.t", "app.m"}


def test_create_table_as_select_is_one_transaction() -> None:
    found, _ = read(content("mysql97-gtid.000001"))
    made = [t for t in found if t.tables == ("app.ctas",)]
    assert [(t.kind, t.events > 3) for t in made] == [("ddl", True)]


def test_tags_and_the_set_before_a_log_are_read() -> None:
    before = reader_of(content("mysql97-tagged.000002")).previous_gtids
    found, _ = read(content("mysql97-tagged.000001"))
    assert before == GtidSet.of(t.gtid for t in found if isinstance(t.gtid, Gtid))
    assert "tag_a" in str(before)


def test_mariadbs_domains_before_a_log_are_read() -> None:
    assert reader_of(content("mariadb-domains.000002")).gtid_list == MariadbGtidPosition.parse("0-1-20,7-1-1")


def test_head_tells_server_checksum_and_kind() -> None:
    modern, old = reader_of(content("mysql97-nocrc.000001")), reader_of(content("mysql56-pos.000001"))
    assert (modern.format.vendor, modern.format.release, modern.format.checksum) == ("mysql", (9, 7, 4), False)
    assert (old.format.release, old.format.checksum, old.previous_gtids) == ((5, 6, 24), True, None)
    assert reader_of(content("mariadb-pos.000001")).format.vendor == "mariadb"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a binary log"),
        (b"hello world", "not a binary log"),
        (b"\xfdbin" + bytes(600), "binlog_encryption"),
        (content("mariadb-encrypted.000001"), "encrypt_binlog"),
        (content("mysql97-pos.000001")[:60], "ends within its format description"),
        (b"\xfebin", "ends within its format description"),
        (LogBuilder(version="5.1.73").data, "older than MySQL 5.6"),
        (LogBuilder().data[:40] + b"?" + LogBuilder().data[41:], "checksum of its format description"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(LogError, match=words) as caught:
        reader_of(data)
    assert "bin.000001" in str(caught.value)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_event_inside_a_transaction_is_taken_for_a_beginning(name: str) -> None:
    data = content(name)
    found, reader = read(data)
    starts = {t.start for t in found}
    inside = [e.offset for e in reader.events() if any(t.start < e.offset < t.end for t in found)]
    assert inside
    for offset in inside:
        with pytest.raises(StartInside, match="lies inside a transaction"):
            next(iter(reader_of(data).transactions(offset)))
    for start in starts:
        assert next(iter(reader_of(data).transactions(start))).start == start


def test_a_start_behind_the_end_is_a_log_that_lost_its_tail() -> None:
    reader = reader_of(content("mysql97-gtid.000001"))
    assert list(reader.transactions(10_000_000)) == []
    assert reader.stop is not None
    assert (reader.stop.kind, reader.stop.offset) == ("torn", len(content("mysql97-gtid.000001")))


def test_rows_that_read_commit_do_not_end_a_transaction() -> None:
    log = LogBuilder().gtid(1).query("BEGIN").query("COMMIT AND CHAIN").query("ROLLBACK TO `a`").query("INSERT 1")
    found, _ = read(log.add(EventType.XID, bytes(8)).data)
    assert [t.events for t in found] == [6]


def test_a_statement_that_ends_with_start_transaction_does_not_open_a_group() -> None:
    log = LogBuilder().gtid(1).query("CREATE TABLE a (b int) -- START TRANSACTION").transaction(2)
    found, _ = read(log.data)
    assert [t.kind for t in found] == ["ddl", "dml"]


def test_incident_one_phase_and_unknown_ignorable_events() -> None:
    log = LogBuilder().gtid(1).add(EventType.INCIDENT, bytes(3)).add(250, b"?", flags=0x80).gtid(2)
    log.query("XA START X'01'").add(EventType.XA_PREPARE, b"\1" + bytes(12))
    found, reader = read(log.data)
    assert [(t.kind, t.gtid.number) for t in found if isinstance(t.gtid, Gtid)] == [("incident", 1), ("dml", 2)]
    assert reader.stop is not None
    assert reader.stop.kind == "clean"


@pytest.mark.parametrize(
    ("log", "kind", "complete"),
    [
        (LogBuilder().transaction(1).gtid(2).query("BEGIN"), "in_transaction", 1),
        (LogBuilder().transaction(1).gtid(2).query("BEGIN").gtid(3), "corrupt", 1),
        (LogBuilder().transaction(1).add(EventType.XID, bytes(8)), "corrupt", 1),
        (LogBuilder().transaction(1).add(EventType.GTID, b"short"), "corrupt", 1),
        (LogBuilder().transaction(1).gtid(2).add(EventType.QUERY, b"short"), "corrupt", 1),
    ],
)
def test_what_cannot_follow_stops_reading(log: LogBuilder, kind: str, complete: int) -> None:
    found, reader = read(log.data)
    assert reader.stop is not None
    assert (len(found), reader.stop.kind) == (complete, kind)


def test_an_event_larger_than_the_buffer_is_read_and_verified() -> None:
    large = bytes(range(256)) * 6000
    log = LogBuilder().gtid(1).query("BEGIN").add(EventType.WRITE_ROWS, large).add(EventType.XID, bytes(8))
    found, _ = read(log.data)
    assert len(found) == 1
    damaged = bytearray(log.data)
    damaged[len(damaged) // 2] ^= 1
    found, reader = read(bytes(damaged))
    assert found == []
    assert reader.stop is not None
    assert (reader.stop.kind, reader.stop.reason) == ("corrupt", "its checksum is wrong")


def test_a_disk_error_ends_reading_and_says_so() -> None:
    class Disk(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 3_000_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    log = LogBuilder()
    for number in range(1, 30):
        log.gtid(number).query("BEGIN").add(EventType.WRITE_ROWS, bytes(200_000)).add(EventType.XID, bytes(8))
    reader = LogReader(Disk(log.data), name="bin.000001")
    assert len(list(reader.transactions())) > 5
    assert reader.stop is not None
    assert reader.stop.kind == "unreadable"
    assert "Input/output error" in str(reader.stop)
