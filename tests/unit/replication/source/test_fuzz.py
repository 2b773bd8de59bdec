"""Logs that are not what was written: a clear refusal or the part that is whole, never a wrong byte, and no hang."""

from __future__ import annotations

import os
import random

import pytest

from prefect_mha.replication.binlog.reader import LogFile
from prefect_mha.replication.errors import LogError
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Catalogue, Prover
from prefect_mha.replication.source.protocol.packets import Refused
from prefect_mha.replication.source.stream import description
from prefect_mha.replication.source.wanted import LacksMariadb, LacksMysql
from tests.unit.replication.logs import SUMMED, content, log
from tests.unit.replication.source.peer import catalogue_of, identity_of, sent

#: Of each of the two; make test-all runs 10,000.
ROUNDS = int(os.environ.get("MHA_FUZZ", "600"))


WHOLE = {name: content(name) for name in SUMMED}
IDENTITY = {name: identity_of(log(name, data)) for name, data in WHOLE.items()}
TRUTH = {name: sent(catalogue_of([log(name, data)]), BinlogPosition(name, 4)) for name, data in WHOLE.items()}


def mutated(chance: random.Random, data: bytes) -> bytes:
    """As a disk, a network or an enemy changes a file."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at, length = chance.randrange(len(made) + 1), chance.choice((1, 1, 4, 19, 64, 700))
        match chance.randrange(8):
            case 0:
                made[at : at + 1] = bytes(b ^ 1 << chance.randrange(8) for b in made[at : at + 1])
            case 1:
                made[at : at + length] = chance.randbytes(length)
            case 2:
                made[at : at + length] = bytes(length)
            case 3:
                del made[at : at + length]
            case 4:
                made[at:at] = chance.randbytes(length)
            case 5:
                del made[max(at, 8) :]
            case 6:
                other = chance.randrange(len(made) + 1)
                made[at : at + length] = made[other : other + length]
            case 7:
                made[at : at + 4] = chance.choice((bytes(4), b"\xff" * 4, b"\x13\0\0\0", b"\0\0\0\x80"))
    return bytes(made)


def check(name: str, data: bytes) -> None:
    """What is served of changed bytes is a beginning of what was written, and ends with a group."""
    catalogue = Catalogue(IDENTITY[name])
    try:
        Prover(catalogue, BinlogPosition(name, 4)).extend([log(name, data)])
    except LogError as error:
        assert str(error)
        if not catalogue.view().logs:
            return
    catalogue.finish()
    try:
        found = sent(catalogue, BinlogPosition(name, 4))
    except (LogError, Refused) as error:
        assert str(error)
        return
    # A head whose checksum is right was not changed, or only in what it does not cover.
    assert description(catalogue.view().logs[0].described, at_head=True)[19:] in WHOLE[name]
    assert TRUTH[name].startswith(found)


@pytest.mark.parametrize("part", range(2))
def test_mutated_logs_are_served_as_far_as_they_are_what_was_written(part: int) -> None:
    chance = random.Random(20_000 + part)
    for _ in range(ROUNDS // 2):
        name = chance.choice(SUMMED)
        data = mutated(chance, WHOLE[name])
        try:
            check(name, data)
        except AssertionError:
            raise AssertionError(f"{name}: {data!r:.2000}") from None


def test_a_file_that_changes_while_it_is_served_never_gives_a_wrong_event() -> None:
    chance = random.Random(4711)
    for _ in range(ROUNDS // 2):
        name = chance.choice(SUMMED)
        now = [WHOLE[name]]

        def opened(now: list[bytes] = now) -> object:
            return log("x", now[0]).open()

        catalogue = catalogue_of([LogFile(name, len(now[0]), opened)])  # type: ignore[arg-type]
        now[0] = mutated(chance, WHOLE[name])
        before = catalogue.view().logs[0].before
        wanted: object = None
        if chance.random() < 0.4 and isinstance(before, GtidSet):
            wanted = LacksMysql(before)
        elif chance.random() < 0.4 and isinstance(before, MariadbGtidPosition):
            wanted = LacksMariadb(before)
        try:
            found = sent(catalogue, BinlogPosition(name, 4), wanted)
        except (LogError, Refused) as error:
            assert str(error)
            continue
        assert found == TRUTH[name] or TRUTH[name].startswith(found)
