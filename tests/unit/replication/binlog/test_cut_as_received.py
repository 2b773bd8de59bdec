"""A cut that is written as a receiver would have written it is a relay log: a source can be made of it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from prefect_mha.replication.binlog.cutter import LogFile, cut
from prefect_mha.replication.binlog.sequence import LogSequence
from prefect_mha.replication.model.position import BinlogPosition
from prefect_mha.replication.source import Catalogue
from prefect_mha.replication.source.rebuilt import rebuild
from tests.unit.replication.logs import RELAYED, logs
from tests.unit.replication.source.peer import catalogue_of, identity_of


@pytest.mark.parametrize("kind", RELAYED)
def test_what_is_cut_as_a_receiver_would_write_it_names_every_place(kind: str, tmp_path: Path) -> None:
    """And a source made of it is the primary's log again."""
    files, out = logs(kind, "mysql-bin"), tmp_path / "cut.000001"
    with out.open("wb") as stream:
        done = cut(files, BinlogPosition(files[0].name, 4), lambda _: True, stream, received=True)
    found = list(LogSequence([LogFile.at(out)]))
    assert [(t.source_start, t.source_end, t.gtid, t.plain) for t in found] == [
        (BinlogPosition(t.log, t.start), t.end_position, t.gtid, t.plain) for t in LogSequence(files)
    ]
    again = io.BytesIO()
    second = cut([LogFile.at(out)], BinlogPosition(out.name, 4), lambda _: True, again, received=True)
    assert second.transactions == len(found)
    assert again.getvalue() == out.read_bytes()
    assert done.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    truth = catalogue_of(files)
    catalogue = Catalogue(identity_of(files[0]))
    rebuild(catalogue, [LogFile.at(out)], tmp_path / "rebuilt")
    assert (catalogue.end, catalogue.groups, catalogue.gtids) == (truth.end, truth.groups, truth.gtids)
    for ours, theirs in zip(catalogue.view().logs, truth.view().logs, strict=True):
        assert ours.at_head
        (extent,) = ours.extents
        with ours.log.open() as a, theirs.log.open() as b:
            for each in (a, b):
                each.seek(extent.start)
            assert a.read(extent.end - extent.start) == b.read(extent.end - extent.start)
