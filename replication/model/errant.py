"""Errant transactions: what a replica executed and the primary never sent, told by comparing the replicas. Pure.

Without GTIDs nothing tells them apart. With a single replica there is nothing to compare it with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from .state import ReplicaChannel, ServerState

#: A replica's state and the channel through which it follows the primary in question.
Following = tuple[ServerState, ReplicaChannel]


def errant(followers: Sequence[Following]) -> dict[str, str]:
    """The errant transactions of each replica that has some, by ``ip:port``, as GTIDs in text."""
    primaries = {channel.source_uuid for _, channel in followers if channel.source_uuid}
    found = {}
    for state, channel in followers:
        others = [other for other in followers if other[0].key != state.key]
        if others and state.gtid_executed is not None and primaries:
            beyond = _mysql(state.gtid_executed, channel, others).without(primaries)
            text = str(beyond - _passed_on(state, channel, beyond))
        else:
            text = _mariadb(state, [other for other, _ in others])
        if text:
            found[state.key] = text
    return found


def strays(primary: ServerState, replica: ServerState) -> str:
    """What a replica executed and its primary, which answers, did not: GTIDs in text, empty for nothing.

    The replica may have been looked at later, so what the primary itself writes, or receives, is no stray.
    """
    if replica.gtid_executed is not None and primary.gtid_executed is not None:
        coming = {primary.server_uuid.lower(), *(c.source_uuid.lower() for c in primary.channels)}
        beyond = (replica.gtid_executed - primary.gtid_executed).without(coming)
        its_channel = next((c for c in replica.channels if c.source_uuid.lower() in coming), None)
        return str(beyond - _passed_on(replica, its_channel, beyond) if its_channel is not None else beyond)
    if primary.gtid_binlog_state:
        return _mariadb(replica, [primary])
    # A log that holds nothing yet cannot tell one server's transactions from another's; the place in each domain can.
    has = primary.mariadb_gtid or MariadbGtidPosition()
    return ",".join(str(gtid) for gtid in _own(replica) if not has.covers(gtid))


def _mysql(executed: GtidSet, channel: ReplicaChannel, others: Sequence[Following]) -> GtidSet:
    """Executed here, not received here, and neither executed nor received anywhere else."""
    known = channel.retrieved or GtidSet()
    for other, its_channel in others:
        known = known | (other.gtid_executed or GtidSet()) | (its_channel.retrieved or GtidSet())
    return executed - known


def _passed_on(state: ServerState, channel: ReplicaChannel, found: GtidSet) -> GtidSet:
    """What came through its other channels and is still in its log: whoever follows it gets that from there."""
    others = {c.source_uuid for c in state.channels if c.name != channel.name and c.source_uuid}
    return found - found.without(others) - (state.gtid_purged or GtidSet())


def _mariadb(state: ServerState, others: Sequence[ServerState]) -> str:
    """Written under its own server id, and in no other replica's log.

    gtid_binlog_state has the last transaction of every domain and server id that a log ever held (MariaDB Knowledge
    Base); a replica that does not log what it receives cannot witness.
    """
    witnesses = [x.gtid_binlog_state for x in others if x.log_replica_updates and x.gtid_binlog_state]
    if not witnesses:
        return ""
    return ",".join(str(gtid) for gtid in _own(state) if not any(_holds(known, gtid) for known in witnesses))


def _own(state: ServerState) -> list[MariadbGtid]:
    return [gtid for gtid in state.gtid_binlog_state if gtid.server_id == state.server_id]


def _holds(known: Iterable[MariadbGtid], gtid: MariadbGtid) -> bool:
    return any((k.domain, k.server_id) == (gtid.domain, gtid.server_id) and k.seq >= gtid.seq for k in known)
