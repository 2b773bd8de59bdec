"""A primary that sends anything in place of its log: an error of ours, nothing outside the directory, nothing lost."""

from __future__ import annotations

import os
import random
from pathlib import Path

from prefect_mha.replication.binlog.events import MAGIC, EventType, made
from prefect_mha.replication.maintenance.binlog_server.acknowledging.copy import LogCopy
from prefect_mha.replication.maintenance.binlog_server.acknowledging.packets import Cutter, Odd, Refusing
from prefect_mha.replication.maintenance.binlog_server.archive import OtherHistoryError, is_log_name
from tests.unit.replication.maintenance.test_acknowledging import LOG, described, log_of, query, rotate, sent
from tests.unit.replication.source.test_fuzz import mutated

#: make test-all runs 10,000.
ROUNDS = int(os.environ.get("MHA_FUZZ", "400"))
NAMES = (
    LOG,
    "mysql-bin.000002",
    "../x.000001",
    "/etc/x.000001",
    "a\nb.000001",
    "x." + "9" * 5000,
    "x" * 300 + ".000001",
)
KEY = made(EventType.MARIADB_START_ENCRYPTION, 1, b"", checksum=False, pos=0)


def some(chance: random.Random) -> bytes:
    """What is sent in a session: packets that are right, and then some that are not."""
    events = [rotate(LOG), *log_of(1, 300)]
    for _ in range(chance.randrange(6)):
        odd = (
            rotate(chance.choice(NAMES)),
            described(chance.randrange(3)),
            query(chance.choice((0, 4, 1 << 31, (1 << 32) - 70)), chance.choice((1, 5000))),
            made(chance.randrange(256), 1, chance.randbytes(chance.randrange(40)), checksum=chance.random() < 0.5),
            KEY,
            chance.randbytes(chance.randrange(80)),
        )
        events.insert(chance.randrange(len(events) + 1), chance.choice(odd))
    packets = b"".join(sent(event, wanted=chance.choice((None, False, True))) for event in events)
    return mutated(chance, packets) if chance.random() < 0.7 else packets


def held(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def test_whatever_a_primary_sends_is_copied_or_odd(tmp_path: Path) -> None:
    chance, before = random.Random(20261201), MAGIC + b"".join(log_of(1, 300)[:2])
    place, beside = tmp_path / "here", tmp_path / "beside"
    for each in (place, beside):
        each.mkdir()
    for number in range(ROUNDS):
        for path in place.iterdir():
            path.unlink()
        has = bool(chance.randrange(2))
        if has or chance.randrange(2):
            (place / LOG).write_bytes(before if has else mutated(chance, before))
        data, copy, cutter = some(chance), LogCopy(place), Cutter()
        try:
            copy.begin(chance.choice(("", LOG)))
            step = chance.choice((1, 50, 1 << 16))
            for at in range(0, len(data), step):
                for piece in cutter.feed(data[at : at + step]):
                    copy.take(piece)
            copy.sync()
        except (Odd, Refusing, OtherHistoryError):
            pass
        except OSError as error:
            assert error.errno == 36, number  # a name that is too long
        finally:
            copy.close()
        assert held(place) < 8 * (len(data) + (1 << 16)), number
        assert all(is_log_name(path.name) for path in place.iterdir()), number
        assert not has or (place / LOG).read_bytes()[: len(before)] == before, number
        assert not list(beside.iterdir()), number
