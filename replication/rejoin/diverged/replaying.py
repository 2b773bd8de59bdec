"""Transactions of the old server are executed on the new primary, as it would have had them from a replica's applier.

Each one by itself: its rows are changed and locked, then what the new primary logged until that moment is read once
more, and only when nothing in it touches the same rows is it committed. So whatever applications do meanwhile is either
seen, or comes after. One that was committed before a death is found in the new primary's log, and not done again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ....config import ServerConfig
from ...binlog.rows.statements import largest, redone
from ...errors import StatementFailed
from ...memory.journal import Journal
from ..remembered.rewound import REPLAY
from .comparison.choice import Choice, Rest, choose
from .comparison.comparing import THERE, Comparing
from .comparison.sides import TheirLog
from .executing import Session

log = logging.getLogger("mha")


#: How often it is told how far it is (seconds).
TOLD_EVERY = 5.0


@dataclass(frozen=True)
class Replayed:
    """``done`` are numbers of the tail's transactions that the new primary has now; ``left`` says why not of others."""

    done: tuple[int, ...]
    left: dict[int, str]


def replay(
    new: ServerConfig,
    server_id: int,
    comparing: Comparing,
    theirs: TheirLog,
    choice: Choice,
    journal: Journal,
    may_commit: Callable[[], None],
) -> Replayed:
    """Execute what is chosen, in order. Raises ServerError's children, HostError's, LogError; what is done stays done.

    ``server_id`` is the new primary's: with the old server's the rows would never come back to it by replication.
    ``may_commit`` is asked before each commit, and raises where it may not.
    """
    tail, rest = comparing.tail, Rest(comparing.tail)
    # What was written while a person was asked may be much, and some of it the same: no row is locked yet.
    _take(comparing, theirs)
    chosen = choose(tail, comparing.result(), choice)
    left, done = dict(chosen.left), list[int]()
    for number in sorted(left):
        rest.add(tail.tail[number], readable=number not in tail.why)
    session, told = Session(new), time.monotonic()
    journal.record(REPLAY, "intent", new.address, at=str(theirs.place), transactions=len(chosen.replay))
    try:
        # The failover lock is held: what a dead primary keeps waiting would keep the failover waiting.
        with session.while_it_lives():
            for count, number in enumerate(chosen.replay):
                changes = tail.tail[number]
                needs = rest.builds_upon(changes)
                why = f"it builds upon {needs}, which is not replayed" if needs else ""
                if not why:
                    why = _one(session, server_id, comparing, theirs, number, may_commit)
                if why and comparing.has(number):
                    log.warning("%s is not replayed on %s: %s.", changes.name, new.name, THERE)
                elif why:
                    left[number] = why
                    rest.add(changes, readable=True)
                    log.warning("%s is not replayed on %s: %s.", changes.name, new.name, why)
                else:
                    done.append(number)
                if time.monotonic() - told > TOLD_EVERY:
                    told = time.monotonic()
                    log.info("%d of %d transactions are replayed on %s.", count + 1, len(chosen.replay), new.name)
    finally:
        session.close()
    _take(comparing, theirs)
    # Who was first with the same row may have committed just the same transaction.
    left = {number: why for number, why in left.items() if not comparing.has(number)}
    journal.record(REPLAY, "done", new.address, replayed=len(done), left=len(left))
    return Replayed(tuple(done), left)


def _one(
    session: Session,
    server_id: int,
    comparing: Comparing,
    theirs: TheirLog,
    number: int,
    may_commit: Callable[[], None],
) -> str:
    changes = comparing.tail.tail[number]
    if (size := largest(changes)) > session.packet:
        return f"it needs a statement of {size} bytes, and max_allowed_packet is {session.packet}"
    try:
        with session.transaction(changes, named=True):
            for statement in redone(changes, server_id, int(time.time())):
                session.execute(statement)
            _take(comparing, theirs)
            if why := comparing.against(number):
                raise _InDoubt(why)
            may_commit()
    except _InDoubt as doubt:
        return str(doubt)
    except StatementFailed as error:
        return f"the new primary refuses it: {error}"
    return ""


def _take(comparing: Comparing, theirs: TheirLog) -> None:
    for each in theirs.read():
        comparing.take(each, ours_since=True)


class _InDoubt(Exception):
    pass
