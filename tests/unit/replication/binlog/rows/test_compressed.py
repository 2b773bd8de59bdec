"""Compressed logs of real servers tell the same rows as those of the same work that are not compressed."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import pytest

from prefect_mha.replication.binlog.events import HEADER, Event, EventType
from prefect_mha.replication.binlog.rows import changes, compressed
from prefect_mha.replication.binlog.rows.changes import Changes, ChangesOf, changes_of
from prefect_mha.replication.binlog.rows.compressed import COMPRESSED, NO_ZSTD, plain
from tests.unit.replication.binlog.rows.building import DESCRIBED, event, map_body, rows_body, transaction
from tests.unit.replication.logs import content, log

KINDS = {"mariadb": "log_bin_compress", "mysql97": "binlog_transaction_compression"}


def told(sample: str) -> list[tuple[object, ...]]:
    return [says(each) for each in ChangesOf([log(sample, content(sample))])]


def says(each: Changes) -> tuple[object, ...]:
    done, rows = (
        each.transaction,
        [(e.table.name, e.kind, [[i and i.values for i in r] for r in e.rows]) for e in each.events],
    )
    return done.kind, done.tables, done.plain, each.unreadable, each.statement, rows


def packed(data: bytes, size: int | None = None) -> bytes:
    size = len(data) if size is None else size
    return b"\x82" + size.to_bytes(2, "big") + zlib.compress(data)


def rows_of(data: bytes) -> bytes:
    """What follows the columns: MariaDB packs only that."""
    return data[:10] + packed(data[10:])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_compressed_log_says_what_one_that_is_not_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set[int]()

    def looked(events: tuple[Event, ...], most: int) -> tuple[Event, ...]:
        seen.update(each.type for each in events if each.type in COMPRESSED)
        return plain(events, most)

    monkeypatch.setattr(changes, "plain", looked)
    as_it_is, packed_small = told(f"{kind}-nocrc.000001"), told(f"{kind}-compressed.000001")
    assert seen
    assert packed_small[: len(as_it_is)] == as_it_is


def test_without_zstandard_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compressed.importlib, "import_module", gone)
    found = [each.unreadable for each in ChangesOf([log("b.000001", content("mysql97-compressed.000001"))])]
    assert NO_ZSTD in found
    assert "backports.zstd" in NO_ZSTD


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda body: body[:10] + b"\x94" + body[11:], "not known"),
        (lambda body: body[:10] + packed(body[10:], 9), "another size"),
        (lambda body: body[:10] + packed(body[10:], 60000), "more than 5000 bytes"),
        (lambda body: body[:10] + packed(bytes(9000)), "more than 5000 bytes"),
        (lambda body: body[:10] + b"\x81\x09" + b"no zlib", "damaged"),
        (lambda body: body[:9], "damaged"),
    ],
)
def test_what_does_not_unpack_is_told_and_bounded(make: Callable[[bytes], bytes], why: str) -> None:
    body = make(rows_body(EventType.WRITE_ROWS_V1, [(None, (1, "a"))]))
    with pytest.raises(ValueError, match=why):
        plain([event(EventType.MARIADB_WRITE_ROWS_COMPRESSED_V1, body)], 5000)


def test_a_statement_is_unpacked_and_says_what_it_is() -> None:
    gtid = event(EventType.MARIADB_GTID, bytes(12) + b"\x01" + bytes(6))
    said = event(EventType.MARIADB_QUERY_COMPRESSED, bytes(13) + b"\0" + packed(b"ALTER TABLE app.t ADD late INT"))
    found = changes_of(transaction(4, plain=False), [gtid, said], DESCRIBED)
    assert (found.transaction.kind, found.transaction.tables) == ("ddl", ("app.t",))
    assert found.statement == "ALTER TABLE app.t ADD late INT"


def test_rows_are_unpacked_and_plain() -> None:
    gtid, mapped = event(EventType.MARIADB_GTID, bytes(19)), event(EventType.TABLE_MAP, map_body())
    body = rows_body(EventType.WRITE_ROWS_V1, [(None, (1, "a"))])
    rows = event(EventType.MARIADB_WRITE_ROWS_COMPRESSED_V1, rows_of(body))
    found = changes_of(transaction(4, plain=False), [gtid, mapped, rows, event(EventType.XID, bytes(8))], DESCRIBED)
    assert (found.unreadable, found.transaction.plain, len(found.events)) == ("", True, 1)
    assert plain([rows], 5000)[0].body == body


def test_no_damage_is_anything_but_an_error() -> None:
    """Every compressed event of real logs, with bytes turned and cut."""
    generator = random.Random(16)
    taken: list[Event] = []

    class Taking(changes._Gathering):  # what a reader gives it, whole
        def feed(self, event: Event) -> object:  # type: ignore[override]
            if event.type in COMPRESSED:
                taken.append(event)
            return super().feed(event)

    for kind in KINDS:
        sample = log(kind, content(f"{kind}-compressed.000001"))
        list(changes.LogSequence([sample], 4, Taking()))
    body = rows_of(rows_body(EventType.UPDATE_ROWS_V1, [((1, "a"), (1, "b"))]))
    taken.append(event(EventType.MARIADB_UPDATE_ROWS_COMPRESSED_V1, body))
    assert {each.type for each in taken} > {EventType.TRANSACTION_PAYLOAD, EventType.MARIADB_QUERY_COMPRESSED}
    for _ in range(3000):
        each = generator.choice(taken)
        body = bytearray(each.body)
        for _ in range(generator.randint(1, 3)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        del body[generator.randint(1, len(body)) :]
        try:
            plain([each._replace(body=bytes(body), size=HEADER + len(body))], 1 << 20)
        except ValueError as error:
            assert str(error)
