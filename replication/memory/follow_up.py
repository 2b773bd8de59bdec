"""Whom a failover left out, and what becomes of each: open business until it follows the new primary.

The journal of the failover names them (`note_left`), `left_out` finds them again, be it in the next manager, and
`decide` is pure: the server as it is now in, what to do about it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ...config import ServerConfig
from ..model.gtid import GtidSet, MariadbGtidPosition
from ..model.position import BinlogPosition
from ..model.state import GtidKind, ServerState
from .journal import Entry, Journal, Opened, journals, opened_before, read_journal

#: The step of a journal, and its events: who was left out, that this is over, and where the new primary stood.
FOLLOW_UP, LEFT, DONE, STANDS = "follow up", "left", "done", "stands"


@dataclass(frozen=True)
class LeftOut:
    """A failover's rest: what its journal says, what it opened in whose place, and by ``ip:port`` who was left out.

    ``place`` is where in the dead primary's log the new one stood when it was opened, ``gtids`` what it had executed;
    empty where that is not known.
    """

    entries: tuple[Entry, ...]
    opened: Opened
    servers: dict[str, str]
    place: str = ""
    gtids: str = ""


def note_stands(journal: Journal, new: str, place: BinlogPosition | None, state: ServerState | None) -> None:
    """Write down where the new primary stands before it takes writes: who has more than that may not follow it."""
    gtids = "" if state is None else str(state.gtid_executed or state.mariadb_gtid or "")
    journal.record(FOLLOW_UP, STANDS, new, place=str(place or ""), gtids=gtids)


def note_left(journal: Journal, servers: dict[str, str]) -> None:
    """These (``ip:port``) do not follow the new primary, and why."""
    for key, why in servers.items():
        journal.record(FOLLOW_UP, LEFT, key, why=why)


def note_done(journal: Journal, key: str, how: str) -> None:
    """This one is left out no longer."""
    journal.record(FOLLOW_UP, DONE, key, how=how)


def left_out(workdir: Path, app: str) -> LeftOut | None:
    """The rest of the newest failover that opened a server; None where it left nobody out."""
    done: set[str] = set()
    for path in journals(workdir, app):
        entries = tuple(read_journal(path))
        ours = [entry for entry in entries if entry.step == FOLLOW_UP]
        done |= {entry.server for entry in ours if entry.event == DONE}
        opened = opened_before(entries)
        if opened is None:
            continue
        servers = {e.server: str(e.facts.get("why", "")) for e in ours if e.event == LEFT and e.server not in done}
        stands = next((entry.facts for entry in reversed(ours) if entry.event == STANDS), {})
        place, gtids = str(stands.get("place", "")), str(stands.get("gtids", ""))
        return LeftOut(entries, opened, servers, place, gtids) if servers else None
    return None


class NextStep(StrEnum):
    """What is to be done about one that was left out."""

    DONE = "done"
    WAIT = "wait"
    BRING = "level and point it"
    TELL = "tell"


def decide(state: ServerState | None, dead: ServerConfig, new: ServerConfig, work: str) -> tuple[NextStep, str]:
    """What becomes of a server that was left out, and why in words. ``work`` is what its applier is at, or empty.

    It is brought along only from the dead primary's channel, or from a rescue's: whoever follows somebody else, or
    stopped with an error, is for people. One that is at work is waited for; it goes on by itself.
    """
    if state is None:
        return NextStep.WAIT, "it does not answer"
    there = state.channel_from(new.hostname, new.ip, new.port)
    if there is not None:
        if there.broken:
            return NextStep.TELL, f"its applier stopped with error {there.applier_errno}: {there.applier_error}"
        if there.receiver == "Yes" and there.applier_running:
            return NextStep.DONE, f"it follows {new.name}"
        return NextStep.WAIT, f"it points at {new.name} and does not run"
    channel = state.channel_from(dead.hostname, dead.ip, dead.port) or state.rescued_channel
    if channel is None:
        return NextStep.TELL, f"it replicates from {state.sources or 'nobody'}"
    if channel.broken:
        return NextStep.TELL, f"its applier stopped with error {channel.applier_errno}: {channel.applier_error}"
    return (NextStep.WAIT, work) if work else (NextStep.BRING, f"it still follows {dead.name}, which is dead")


def ahead(left: LeftOut, state: ServerState, place: BinlogPosition | None) -> str:
    """Why a drained replica may not follow the new primary: it has what that never had; empty when it may. Pure."""
    if left.opened.kind != GtidKind.POSITION:
        theirs = state.gtid_executed or state.mariadb_gtid
        if not left.gtids or not theirs:
            return ""
        if isinstance(theirs, GtidSet):
            more = not theirs <= GtidSet.parse(left.gtids)
        else:
            more = not theirs <= MariadbGtidPosition.parse(left.gtids)
        return f"it has executed {theirs}, and the new primary had {left.gtids} when it was opened" if more else ""
    stands = BinlogPosition.parse(left.place) if left.place else None
    if stands is not None and place is not None and stands < place:
        return f"it stands at {place} in the dead primary's log, and the new primary stood at {stands}"
    return ""
