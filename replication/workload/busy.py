"""What keeps a replica from having executed what it received: a long statement, or a lock, and whose that is."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..cluster.pool import ConnectionPool
from ..errors import PrivilegeMissing, ServerError, StatementFailed
from ..model.state import ClusterState, ReplicaChannel, ServerState
from ..mysql.dialects.appliers import RECEIVES
from ..mysql.dialects.applying import METADATA_LOCKS, age_query, row_lock_query
from ..mysql.server import Row, Server
from .applier_threads import own_of
from .statements import shorten

log = logging.getLogger("mha")

#: Seconds for one question; each needs milliseconds.
TIMEOUT = 2.0
NO_SUCH_THREAD = 1094
#: What receivers, and appliers that wait for each other, say that they do.
_OTHERS = (
    *RECEIVES,
    "Waiting for prior",
    "Waiting for dependent",
    "Waiting for preceding",
    "Waiting for room",
    "Waiting for replica workers",
    "Waiting for slave workers",
)
_FOR_PEOPLE = "the server does not tell whose; with performance_schema it would"


@dataclass(frozen=True)
class Blocker:
    """A session that an applier waits for; ``seconds`` is how long it has been in what it does now."""

    id: int
    user: str
    host: str
    seconds: int

    def __str__(self) -> str:
        return f"session {self.id} of {self.user}@{self.host}, for {self.seconds} s at least"


@dataclass(frozen=True)
class Work:
    """What an applier is at.

    ``behind`` is seconds since the primary began it, ``age`` since the replica did, None where the server does not
    tell. ``statement`` is short and without literals. ``locked``: it waits for a lock, of ``blockers`` where they can
    be told.
    """

    state: str
    statement: str = ""
    behind: float = 0.0
    age: float | None = None
    locked: bool = False
    blockers: tuple[Blocker, ...] = ()

    def __str__(self) -> str:
        if self.locked:
            whose = "; ".join(str(b) for b in self.blockers) or _FOR_PEOPLE
            return f"it waits for a lock ({self.state}): {whose}"
        what = self.statement or self.state
        return f"it executes {what}, since {self.age or 0:.0f} s" if self.age else f"it executes {what}"


def seconds_left(work: Work) -> float:
    """How long it needs for what it is at, as far as can be told; infinite for a lock. Pure.

    The primary took ``behind - age`` for it, and a replica is taken to need as long; what has run longer than that is
    taken to need as long again as it has run, and where no age is told, as long as it is behind. An applier that moves
    on says with it how late it is, and may need far less: only of one that stands still it is to be believed.
    """
    if work.locked:
        return math.inf
    if work.age is None:
        return work.behind
    expected = work.behind - 2 * work.age
    return expected if expected > 0 else work.age


def look(server: Server, channel: ReplicaChannel) -> Work | None:
    """What its applier is at now; None when it does nothing. Raises ServerError.

    Where a server does not tell the appliers of its channels apart, it may be what another channel's is at: to execute
    all that was received, all have to wait there (`applier_threads.waits`).
    """
    rows = server.query("SHOW FULL PROCESSLIST", action="see what its applier does", timeout=TIMEOUT)
    at_work = [row for row in rows if _works(server, row)]
    own = own_of(server, channel.name, len(server.show_channels())) if at_work else None
    if own:
        at_work = [row for row in at_work if int(row["Id"]) in own]
    if not at_work:
        return None
    chief = max(at_work, key=lambda row: int(row["Time"] or 0))
    number, state = int(chief["Id"]), str(chief["State"] or "")
    holders = _row_locks(server, number)
    locked = bool(holders) or _waits_for_lock(state)
    if locked and not holders:
        holders = {int(row["process"]) for row in _ask(server, METADATA_LOCKS, number)}
    # Where nobody can say whose appliers they are, nobody is named who may be in the way of another channel's only.
    known = {int(row["Id"]): row for row in rows} if own is None or own else {}
    return Work(
        state=state,
        statement=shorten(_text(chief["Info"])),
        behind=float(chief["Time"] or 0),
        age=_age(server, number, channel),
        locked=locked,
        blockers=_blockers(holders, known, server),
    )


def remarks(sessions: ConnectionPool, cluster: ClusterState, channels: Mapping[str, str]) -> tuple[str, ...]:
    """For a plan: the seconds to drain of each replica that has something to do; ``channels`` by ``ip:port``."""

    def told(state: ServerState) -> str:
        channel = next((c for c in state.channels if c.name == channels[state.key]), None)
        if channel is None or channel.executed == channel.received:
            return ""
        work = look(sessions.server(state.key), channel)
        if work is None:
            return ""
        needs = "an unknown time" if work.locked else f"about {seconds_left(work):.0f} s"
        return f"{state.name} needs {needs} until it has executed what it received: {work}."

    looked = sessions.each(told, [s for s in cluster.up if s.key in channels], timeout=2 * TIMEOUT)
    return tuple(found for _, found in looked if isinstance(found, str) and found)


def end(server: Server, blockers: Iterable[Blocker]) -> tuple[Blocker, ...]:
    """End these sessions; returns those that are gone. What they held is given back by the server."""
    ended = []
    for each in blockers:
        try:
            server.query(f"KILL {each.id}", action=f"end {each}", timeout=TIMEOUT)
        except StatementFailed as error:
            if error.errno != NO_SUCH_THREAD:
                log.warning("%s", error)
                continue
        except ServerError as error:
            log.warning("%s", error)
            continue
        ended.append(each)
    return tuple(ended)


def _works(server: Server, row: Row) -> bool:
    state = _text(row["State"])
    if row["User"] != "system user" or row["Command"] in ("Slave_IO", "Daemon") or not state:
        return False
    return not (state.startswith(_OTHERS) or server.dialect.is_waiting_applier(state))


def _waits_for_lock(state: str) -> bool:
    return state.startswith("Waiting for") and state.endswith(("lock", "flush"))


def _age(server: Server, number: int, channel: ReplicaChannel) -> float | None:
    question, by_channel = age_query(server.dialect.vendor, server.dialect.version)
    if not question:
        # One applier, and Seconds_Behind_Master counts from when the primary had executed it (MySQL 5.6, 5.7).
        return None if channel.seconds_behind is None else float(channel.seconds_behind)
    found = _ask(server, question, channel.name if by_channel else number)
    return float(found[0]["age"]) if found and found[0]["age"] is not None else None


def _row_locks(server: Server, number: int) -> set[int]:
    question = row_lock_query(server.dialect.vendor, server.dialect.version)
    return {int(row["process"]) for row in _ask(server, question, number)}


def _ask(server: Server, question: str, *args: Any) -> list[Row]:
    """What a server or this account does not tell is not known."""
    try:
        return server.query(question, args, action="see what its applier waits for", timeout=TIMEOUT)
    except (PrivilegeMissing, StatementFailed) as error:
        log.debug("%s", error)
        return []


def _blockers(numbers: set[int], rows: Mapping[int, Row], server: Server) -> tuple[Blocker, ...]:
    """Sessions of clients; our own holds nothing that an applier waits for."""
    found = []
    for number in sorted(numbers - {server.thread_id or 0}):
        row = rows.get(number)
        if row is not None and row["User"] not in ("system user", "event_scheduler"):
            host = _text(row["Host"]).rsplit(":", 1)[0]
            found.append(Blocker(number, _text(row["User"]), host, int(row["Time"] or 0)))
    return tuple(found)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
