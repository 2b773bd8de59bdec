"""Copies of a dead primary's log that a former run saved: they lie on the manager whatever became of its host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..memory.journal import Entry, Journal
from ..model.position import BinlogPosition
from .salvage import BinlogCopy
from .saved import SavedBinlog

#: The step of a journal that tells of a copy.
SAVED = "saved"


def remember(journal: Journal, dead: str, key: str, rescue: SavedBinlog) -> None:
    """Journal a whole and proven copy of the log of ``dead`` that was made for the replica ``key`` (``ip:port``)."""
    copy = rescue.copy
    if copy is None or copy.stopped is not None:
        return
    journal.record(
        SAVED,
        "done",
        dead,
        key=key,
        directory=str(copy.directory),
        names=copy.names,
        start=str(copy.start),
        end=str(copy.end),
        bytes=copy.bytes,
        begin=str(rescue.begin or ""),
        source=rescue.source,
    )


def kept(entries: Iterable[Entry], dead: str, key: str, start: BinlogPosition | None) -> SavedBinlog | None:
    """The newest copy that reaches back to ``start``; None when there is none that still lies there as it was.

    A replica that was turned to a copy and knows only its GTIDs since (``start`` is None) executed what stands before
    the one that was made for it.
    """
    for for_, rescue in copies(entries, dead):
        copy = rescue.copy
        assert copy is not None
        reaches = for_ == key if start is None else copy.start <= start
        if reaches:
            return replace(rescue, begin=(rescue.begin or copy.start) if start is None else None)
    return None


def copies(entries: Iterable[Entry], dead: str) -> Iterator[tuple[str, SavedBinlog]]:
    """The copies of that server's log that still lie there as they were, the newest first, each with whom it is for."""
    for entry in reversed(tuple(entries)):
        if (entry.step, entry.event, entry.server) != (SAVED, "done", dead):
            continue
        key, copy, begin, source = entry.read(_noted)
        if _there(copy):
            yield key, SavedBinlog(copy, begin=begin, source=source)


def _noted(facts: Mapping[str, Any]) -> tuple[str, BinlogCopy, BinlogPosition | None, str]:
    copy = BinlogCopy(
        Path(facts["directory"]),
        tuple(facts["names"]),
        BinlogPosition.parse(facts["start"]),
        BinlogPosition.parse(facts["end"]),
        int(facts["bytes"]),
    )
    begin = BinlogPosition.parse(facts["begin"]) if facts["begin"] else None
    return str(facts["key"]), copy, begin, str(facts["source"])


def _there(copy: BinlogCopy) -> bool:
    paths = [copy.directory / name for name in copy.names]
    return all(path.is_file() for path in paths) and paths[-1].stat().st_size >= copy.end.pos
