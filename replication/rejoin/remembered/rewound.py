"""What this host remembers of taking back what only an old server had: how far it came, and what was found then."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from ...memory.journal import REJOIN, every_entry
from ...model.gtid import GtidSet, MariadbGtidPosition
from ...model.position import BinlogPosition
from ...model.state import ServerState, Vendor

#: The step of these entries, and its events in order: its logs are about to be deleted and its GTIDs set, they are, its
#: data were compared with the new primary's and were equal, or were not.
REWIND = "rewind"
RESETTING, RESET, EQUAL, DIFFERS = "resetting", "reset", "equal", "differs"
#: The step that says from where on in the new primary's log transactions of the old one may have been replayed.
REPLAY = "replay"


@dataclass(frozen=True)
class Rewound:
    """``state`` is the last of these events. ``gtids`` are those that it is to have then (of MySQL a set, of MariaDB a
    position), ``place`` is where its own log begins anew, ``tables`` are those that were changed."""

    state: str
    gtids: str = ""
    place: BinlogPosition | None = None
    tables: tuple[str, ...] = ()
    why: str = ""

    @property
    def open(self) -> bool:
        """Its data are not proven yet to be the new primary's."""
        return self.state in (RESETTING, RESET)


def rewound_of(workdir: Path, app: str, key: str, since: float) -> Rewound | None:
    """The last time since then (seconds since the epoch) that ``key`` (``ip:port``) was rewound; None for never."""
    found: Rewound | None = None
    for entry in every_entry(workdir, app, REJOIN):
        if entry.step != REWIND or entry.server != key or entry.at < since:
            continue
        facts = entry.facts
        before = found if found is not None and entry.event != RESETTING else Rewound(entry.event)
        found = Rewound(
            entry.event,
            str(facts.get("gtids", before.gtids)),
            _place(facts.get("place")) or before.place,
            tuple(map(str, facts.get("tables", before.tables))),
            str(facts.get("why", "")),
        )
    return found


def as_rewound(state: ServerState, rewound: Rewound | None) -> ServerState:
    """That server with the GTIDs that it is to have: while its logs are being deleted it says that it has none. Pure.

    Raises ValueError for GTIDs that are none.
    """
    if rewound is None or rewound.state != RESETTING or not rewound.gtids:
        return state
    if state.vendor is Vendor.MARIADB:
        return replace(state, mariadb_gtid=MariadbGtidPosition.parse(rewound.gtids))
    return replace(state, gtid_executed=GtidSet.parse(rewound.gtids))


def replayed_since(workdir: Path, app: str, new: str, since: float) -> BinlogPosition | None:
    """From where on in the log of ``new`` (``ip:port``) something may have been replayed; None for nowhere."""
    places = (
        _place(entry.facts.get("at"))
        for entry in every_entry(workdir, app, REJOIN)
        if (entry.step, entry.event, entry.server) == (REPLAY, "intent", new) and entry.at >= since
    )
    return next((place for place in places if place is not None), None)


def _place(text: object) -> BinlogPosition | None:
    with contextlib.suppress(ValueError):
        return BinlogPosition.parse(str(text))
    return None
