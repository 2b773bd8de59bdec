"""Has the old server something that the new primary lacks? By GTIDs where they exist, else by its own log. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...model.gtid import Gtid, MariadbGtid, MariadbGtidPosition
from ...model.state import GtidKind, ServerState
from ..facts import RejoinFacts


@dataclass(frozen=True)
class Beyond:
    """What only the old server has, named exactly; ``unknown`` is why nobody can tell. Nothing at all: neither."""

    what: str = ""
    unknown: str = ""

    def __bool__(self) -> bool:
        return bool(self.what or self.unknown)


def beyond(facts: RejoinFacts) -> Beyond:
    """The answer; where it cannot be known it is no *nothing*."""
    if facts.kind is GtidKind.MYSQL:
        return _mysql(facts.old, facts.new)
    if facts.kind is GtidKind.MARIADB:
        return _mariadb(facts)
    by_log = _own_log(facts)
    # A log of MariaDB has GTIDs, whatever its replicas go by: what they prove to be there needs no place.
    if by_log.unknown and facts.old.gtid_binlog_state and not _mariadb(facts):
        return Beyond()
    return by_log


def lost_of(facts: RejoinFacts) -> str:
    """What the old server wrote itself, the new primary has, and its own data has no more: of a disk that lost it, or
    older data, as of a snapshot. A replica passes over what bears its own server_id, so it would never get that.
    """
    old, new = facts.old, facts.new
    if facts.rewound is not None:
        # What it has executed is set anew.
        return ""
    if facts.kind is GtidKind.MYSQL and old.gtid_executed is not None and new.gtid_executed is not None:
        lacks = new.gtid_executed - old.gtid_executed
        return str(lacks - lacks.without([old.server_uuid or "", facts.hold.uuid if facts.hold is not None else ""]))
    if facts.kind is GtidKind.MARIADB:
        has = MariadbGtidPosition([*old.gtid_binlog_state, *(old.mariadb_gtid or ())])
        own = (gtid for gtid in _known(facts) if gtid.server_id == old.server_id)
        return str(MariadbGtidPosition(gtid for gtid in own if not has.covers(gtid)))
    return ""


def only_here(facts: RejoinFacts) -> Callable[[Gtid | MariadbGtid | None], bool]:
    """Whether a transaction of the old server's log is one that only it has; without GTIDs its place alone tells."""
    old, new = facts.old, facts.new
    if facts.kind is GtidKind.MYSQL and old.gtid_executed is not None and new.gtid_executed is not None:
        more = old.gtid_executed - new.gtid_executed
        return lambda gtid: gtid in more
    if facts.kind is GtidKind.MARIADB:
        return lambda gtid: isinstance(gtid, MariadbGtid) and gtid.seq > _shared(facts, gtid)
    return lambda _: True


def common_of(facts: RejoinFacts) -> MariadbGtidPosition:
    """How far MariaDB's domains are the same on both: nothing that only one has is before that."""
    found: dict[int, int] = {}
    for gtid in facts.old.gtid_binlog_state:
        shared = _shared(facts, gtid)
        if gtid.seq <= shared:
            shared = _common(gtid.domain, facts.old.gtid_binlog_state, _known(facts))
        found[gtid.domain] = min(shared, found.get(gtid.domain, shared))
    return MariadbGtidPosition(MariadbGtid(domain, facts.old.server_id, seq) for domain, seq in found.items())


def furthest_of_both(facts: RejoinFacts, executed: Iterable[MariadbGtid]) -> MariadbGtidPosition:
    """The last transaction of each of MariaDB's domains that both have, under the name that it has on both.

    ``executed`` is what the old server executed and may not have in its log. A place that the new primary does not know
    by this very name is error 1236.
    """
    has: dict[tuple[int, int], int] = {}
    for gtid in _known(facts):
        key = gtid.domain, gtid.server_id
        has[key] = max(has.get(key, 0), gtid.seq)
    shared = (
        MariadbGtid(gtid.domain, gtid.server_id, min(gtid.seq, has.get((gtid.domain, gtid.server_id), 0)))
        for gtid in (*facts.old.gtid_binlog_state, *executed)
    )
    return MariadbGtidPosition(gtid for gtid in shared if gtid.seq)


def _mysql(old: ServerState, new: ServerState) -> Beyond:
    if old.gtid_executed is None or new.gtid_executed is None or old.gtid_mode != "ON" or new.gtid_mode != "ON":
        return Beyond(unknown="GTIDs are not on (gtid_mode) on both servers")
    more = old.gtid_executed - new.gtid_executed
    return Beyond(f"{more.count()} transactions, {more}") if more else Beyond()


def _mariadb(facts: RejoinFacts) -> Beyond:
    """By the last transaction of each domain and server that a log ever held (gtid_binlog_state).

    Up to a transaction that both have, both have the same: a domain is one sequence. But what the old server wrote
    itself may lie beside what it received later, so that is compared by itself. The new primary has, too, what it had
    executed when it was opened, whether or not it logs what it receives.
    """
    state = facts.old.gtid_binlog_state
    if not state and facts.rewound is not None:
        # Its logs were deleted when it was rewound, and it has written nothing since.
        return Beyond()
    if not state:
        return Beyond(unknown="its log tells no GTIDs (gtid_binlog_state is empty)")
    named = [
        f"{MariadbGtid(gtid.domain, gtid.server_id, shared + 1)} to {gtid}"
        for gtid in state
        if gtid.seq > (shared := _shared(facts, gtid))
    ]
    return Beyond(", ".join(named))


def _known(facts: RejoinFacts) -> tuple[MariadbGtid, ...]:
    stood = tuple(facts.replaced.mariadb or ()) if facts.replaced is not None else ()
    return (*facts.new.gtid_binlog_state, *(facts.new.mariadb_gtid or ()), *stood)


def _shared(facts: RejoinFacts, gtid: MariadbGtid) -> int:
    """How far both have what that server wrote in that domain, 0 for not at all."""
    known = _known(facts)
    common = _common(gtid.domain, facts.old.gtid_binlog_state, known)
    if gtid.server_id != facts.old.server_id:
        return common
    own = [each.seq for each in known if (each.domain, each.server_id) == (gtid.domain, gtid.server_id)]
    return min(common, max(own)) if own else common


def _common(domain: int, old: Iterable[MariadbGtid], new: Iterable[MariadbGtid]) -> int:
    """The furthest of a domain that both have, 0 for none."""
    has: dict[int, int] = {}
    for gtid in new:
        if gtid.domain == domain:
            has[gtid.server_id] = max(has.get(gtid.server_id, 0), gtid.seq)
    return max((min(gtid.seq, has.get(gtid.server_id, 0)) for gtid in old if gtid.domain == domain), default=0)


def _own_log(facts: RejoinFacts) -> Beyond:
    replaced, tail = facts.replaced, facts.tail
    if replaced is None:
        return Beyond(unknown="this host has no journal of how it was replaced")
    if replaced.place is None:
        return Beyond(unknown=f"{replaced.journal} does not tell how much of its log the new primary had")
    if tail is None:
        return Beyond(
            unknown=f"its log {replaced.place.file}, up to {replaced.place} of which the new primary had, is gone"
        )
    if not tail.whole:
        return Beyond(unknown=f"its log behind {replaced.place} is too long to be looked through")
    return Beyond(str(tail)) if tail.events else Beyond()
