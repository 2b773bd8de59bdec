"""What a replica lacks of what another server purged, and what lies between a replica and files that were cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_mha.replication.binlog.cutter import LogFile, cut
from prefect_mha.replication.maintenance.node.serve import missing, taker
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtidPosition
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.model.state import Vendor
from prefect_mha.replication.rescue.purged import has_more, still_lacks
from prefect_mha.replication.source import Catalogue
from prefect_mha.replication.source.rebuilt import rebuild
from tests.unit.replication.build import UUID, channel, server
from tests.unit.replication.logs import logs
from tests.unit.replication.source.peer import identity_of


def maria(position: str) -> object:
    return server(2, vendor=Vendor.MARIADB, gtid_executed=None, mariadb_gtid=MariadbGtidPosition.parse(position))


def test_what_was_purged_and_is_not_executed_is_lacking() -> None:
    has = server(2, gtid_executed=GtidSet.parse(f"{UUID}:1-10"))
    assert still_lacks(has, GtidSet.parse(f"{UUID}:1-10")) == ""
    assert still_lacks(has, GtidSet.parse(f"{UUID}:1-12")) == f"{UUID}:11-12"
    assert still_lacks(has, None) == ""
    state = maria("0-1-10,1-1-5")
    assert still_lacks(state, MariadbGtidPosition.parse("0-1-10,1-1-4")) == ""  # type: ignore[arg-type]
    assert still_lacks(state, MariadbGtidPosition.parse("0-1-11,2-1-1")) == "0-1-11,2-1-1"  # type: ignore[arg-type]


def test_a_lender_with_transactions_of_its_own_has_more() -> None:
    new = server(2, gtid_executed=GtidSet.parse(f"{UUID}:1-10"))
    assert not has_more(server(3, gtid_executed=GtidSet.parse(f"{UUID}:1-9")), new)
    assert has_more(server(3, gtid_executed=GtidSet.parse(f"{UUID}:1-11")), new)
    assert not has_more(maria("0-1-9"), maria("0-1-10"))  # type: ignore[arg-type]
    assert has_more(maria("0-1-9,3-3-1"), maria("0-1-10"))  # type: ignore[arg-type]


@pytest.fixture
def parted(tmp_path: Path) -> tuple[Catalogue, LogFile, list[BinlogPosition]]:
    """A source of a cut that begins with the third transaction; where each of the log's begins."""
    files = logs("relay-mysql97", "mysql-bin")
    places: list[BinlogPosition] = []

    def third(transaction: object) -> bool:
        places.append(transaction.source_start)  # type: ignore[attr-defined]
        return len(places) > 2

    out = tmp_path / "cut.000001"
    with out.open("wb") as stream:
        cut(files, BinlogPosition(files[0].name, 4), third, stream, received=True)
    catalogue = Catalogue(identity_of(files[0]))
    rebuild(catalogue, [LogFile.at(out)], tmp_path / "rebuilt")
    return catalogue, LogFile.at(out), places


def test_a_gap_between_a_replica_and_the_files_is_found(
    parted: tuple[Catalogue, LogFile, list[BinlogPosition]],
) -> None:
    catalogue, _, places = parted
    assert missing(catalogue.view(), places[2]) == ""
    assert missing(catalogue.view(), places[3]) == ""
    assert str(places[1]) in missing(catalogue.view(), places[1])


def test_the_channel_is_the_one_whose_source_wrote_the_files(
    parted: tuple[Catalogue, LogFile, list[BinlogPosition]],
) -> None:
    _, file, _ = parted
    wrote = identity_of(logs("relay-mysql97", "mysql-bin")[0]).server_id
    right, other = channel(name="a", source_server_id=wrote), channel(name="b", source_server_id=wrote + 1)
    assert taker(server(2, other, right), [file]) == right
    assert taker(server(2, other), [file]) is None
    never = channel(source_server_id=0)
    assert taker(server(2, never), [file]) == never
    assert taker(server(2, never, other), [file]) is None
