"""The tails of dead primaries that the cluster may still lack: one failover after the other, by what journals tell.

What only a dead primary's disk held, and the one put into its place was opened with, belongs to the cluster until every
configured server has it: the next one may die before the others received it. So each failover levels from all of them,
the oldest first, and each only up to where its successor was opened: what an old primary took after that is a second
history and nobody's tail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from ...config import ClusterConfig, ServerConfig
from ..binlog.sequence import LogSequence
from ..memory.journal import Entry, Journal, journals, read_journal
from ..model.gtid import Gtid, GtidSet, MariadbGtid, MariadbGtidPosition
from ..model.position import BinlogPosition
from ..model.state import ClusterState, GtidKind, ReplicaChannel, ServerState
from .salvage import BinlogCopy

#: The step of a journal that tells of a tail, and its events.
TAIL, OPEN, SETTLED = "tail", "open", "settled"
#: Seconds for which it counts that a host reached another: a manager that died is started again before that.
RECENT = 3600.0


@dataclass(frozen=True)
class Tail:
    """The log of the dead primary ``dead`` up to ``end``, with which ``opened`` was opened (both ``ip:port``).

    ``begins`` is the end of that one's own log then: where position replicas go on. ``end`` and ``begins`` are None
    where nobody knows. ``gtids`` are those that it had executed, as text. ``server_id`` and ``uuid`` are the dead
    primary's, ``named`` the directories that it kept its logs in, as far as they are known; ``opened_id`` and
    ``opened_uuid`` those of its successor, which a replica that never reached that one cannot tell. ``reached_by``
    (``ip:port``) are the replicas whose hosts the successor greeted right before, ``relay_logs`` is what its relay logs
    are called (relay_log_basename), and ``at`` when this was written down (seconds since the epoch).
    """

    dead: str
    opened: str
    kind: GtidKind
    end: BinlogPosition | None
    begins: BinlogPosition | None
    gtids: str = ""
    server_id: int = 0
    uuid: str = ""
    named: tuple[str, ...] = ()
    opened_id: int = 0
    opened_uuid: str = ""
    reached_by: tuple[str, ...] = ()
    relay_logs: str = ""
    at: float = field(default=0.0, compare=False)

    def followed_by(self, state: ServerState, dead: ServerConfig) -> ReplicaChannel | None:
        """The channel through which a server still follows that dead primary, or was turned to its saved log."""
        channel = state.channel_from(dead.hostname, dead.ip, dead.port)
        if channel is None and (turned := state.rescued_channel) is not None:
            channel = turned if self.server_id and turned.source_server_id == self.server_id else None
        return channel

    def lacking(self, state: ServerState) -> GtidSet | MariadbGtidPosition | None:
        """What it lacks of what the successor was opened with; None without GTIDs, empty for nothing."""
        if not self.gtids or self.kind is GtidKind.POSITION:
            return None
        if self.kind is GtidKind.MYSQL:
            return GtidSet.parse(self.gtids) - (state.gtid_executed or GtidSet())
        has = state.mariadb_gtid or MariadbGtidPosition()
        return MariadbGtidPosition(g for g in MariadbGtidPosition.parse(self.gtids) if not has.covers(g))


def note_open(journal: Journal, tail: Tail) -> None:
    """Write down, before the successor is opened, what it is opened with."""
    facts = asdict(tail)
    facts.pop("dead")
    facts.pop("at")
    facts.update(kind=tail.kind.value, end=str(tail.end or ""), begins=str(tail.begins or ""))
    journal.record(TAIL, OPEN, tail.dead, **facts)


def note_settled(journal: Journal, tails: Iterable[Tail]) -> None:
    """Every configured server has them: the files are nobody's last copy any more."""
    for tail in tails:
        journal.record(TAIL, SETTLED, tail.dead, opened=tail.opened)


def open_tails(entries: Iterable[Entry]) -> tuple[Tail, ...]:
    """The tails that are not settled, the oldest first. Pure.

    One whose successor was proven not to have been opened after all is none; of several tries the last counts.
    """
    found: dict[tuple[str, str], Tail] = {}
    for entry in entries:
        if entry.step == TAIL and entry.event == OPEN:
            tail = entry.read(partial(_parse, entry))
            found.pop((tail.dead, tail.opened), None)
            found[tail.dead, tail.opened] = tail
        elif entry.step == TAIL and entry.event == SETTLED:
            found.pop((entry.server, entry.read(lambda facts: str(facts["opened"]))), None)
        elif (entry.step, entry.event) == ("promote", "not opened"):
            found = {key: tail for key, tail in found.items() if tail.opened != entry.server}
    return tuple(found.values())


def _parse(entry: Entry, facts: Mapping[str, Any]) -> Tail:
    end, begins = (BinlogPosition.parse(facts[name]) if facts[name] else None for name in ("end", "begins"))
    return Tail(
        entry.server,
        facts["opened"],
        GtidKind(facts["kind"]),
        end,
        begins,
        facts["gtids"],
        int(facts["server_id"]),
        facts["uuid"],
        tuple(facts["named"]),
        int(facts["opened_id"]),
        facts["opened_uuid"],
        tuple(facts.get("reached_by", ())),
        facts.get("relay_logs", ""),
        entry.at,
    )


def chain_of(tails: Sequence[Tail], dead: str) -> tuple[Tail, ...]:
    """Of these the ones that led to that primary, the oldest first. Pure."""
    chain: list[Tail] = []
    opened = dead
    for tail in reversed(tails):
        if tail.opened == opened:
            chain.append(tail)
            opened = tail.dead
    return tuple(reversed(chain))


def remembered(config: ClusterConfig) -> tuple[Tail, ...]:
    """The tails that this host's journals tell of and that belong to configured servers."""
    here = {server.address for server in config.servers}
    entries: list[Entry] = []
    for path in reversed(journals(config.manager_workdir, config.name)):
        # There may be many, and this is asked in an emergency: those that tell of none are not taken apart.
        if f'"step": "{TAIL}"'.encode() in path.read_bytes():
            entries += read_journal(path)
    tails = open_tails(entries)
    return tuple(tail for tail in tails if tail.dead in here and tail.opened in here)


def reached_before(config: ClusterConfig, key: str) -> frozenset[str]:
    """The replicas whose hosts reached the server at ``key`` when a failover of this host opened it not long ago."""
    since = time.time() - RECENT
    return frozenset(
        address for tail in remembered(config) if tail.opened == key and tail.at > since for address in tail.reached_by
    )


def settled_by_gtid(config: ClusterConfig, cluster: ClusterState) -> tuple[Tail, ...]:
    """Of the tails that this host remembers, those that every other configured server is seen to have."""
    found = []
    for tail in remembered(config):
        states = [cluster.get(server.address) for server in config.servers if server.address != tail.dead]
        lacking = [tail.lacking(state) if state is not None else None for state in states]
        if all(each is not None and not each for each in lacking):
            found.append(tail)
    return tuple(found)


def successor(config: ClusterConfig, cluster: ClusterState, found: ServerConfig) -> ServerConfig:
    """Who is the primary when replicas still follow one that was replaced, and the one in its place is dead, too.

    ``found`` unless this host holds that one, remembers that the other was opened with its tail, and neither answers.
    """
    instead = {each.key: each.instead for each in cluster.held}
    if found.address not in instead or cluster.get(found.address) is not None:
        return found
    opened = {tail.dead: tail.opened for tail in remembered(config)}
    passed = {found.address}
    while (key := instead.get(found.address)) is not None and key == opened.get(found.address):
        if key in passed or cluster.get(key) is not None:
            break
        passed.add(key)
        found = next(server for server in config.servers if server.address == key)
    return found


def carried(config: ClusterConfig, cluster: ClusterState, chain: Sequence[Tail]) -> ClusterState:
    """The cluster as it is once those who still follow an earlier primary of the chain were taken along. Pure.

    A plan is made on this; `flows.runbooks.leveling.tail_chain` makes it true.
    """
    if not chain:
        return cluster
    last = chain[-1]
    new = next(server for server in config.servers if server.address == last.opened)
    states = []
    for state in cluster.up:
        channel = left_behind(config, state, chain)
        if channel is not None:
            there = replace(
                channel[1],
                source_host=new.as_source(channel[1].source_host),
                source_port=new.port,
                source_user="",
                source_server_id=0,
                source_uuid="",
                received=last.begins,
                executed=last.begins,
            )
            channels = tuple(there if each.name == there.name else each for each in state.channels)
            state = replace(state, channels=channels)
        states.append(state)
    return replace(cluster, up=tuple(states))


def left_behind(config: ClusterConfig, state: ServerState, chain: Sequence[Tail]) -> tuple[int, ReplicaChannel] | None:
    """Which link of the chain a server still stands in, and by which channel; None when it is in none of them. Pure.

    One that follows the last one of the chain, whatever else it follows, is not left behind.
    """
    by_address = {server.address: server for server in config.servers}
    last = by_address[chain[-1].opened]
    if state.key == last.address or state.channel_from(last.hostname, last.ip, last.port) is not None:
        return None
    for number in range(len(chain) - 1, -1, -1):
        channel = chain[number].followed_by(state, by_address[chain[number].dead])
        if channel is not None and state.key != chain[number].dead:
            return number, channel
    return None


def remarks(config: ClusterConfig, cluster: ClusterState, chain: Sequence[Tail]) -> tuple[str, ...]:
    """What a plan in a chain of dead primaries does before all else, in sentences. Pure."""
    names = {server.address: server.name for server in config.servers}
    told = []
    for state in cluster.up if chain else ():
        link = left_behind(config, state, chain)
        if link is not None:
            first = names[chain[link[0]].dead]
            told.append(
                f"{state.name} still stands in the log of {first}: it is levelled from the tail of that one first"
            )
        told += [
            f"{state.name} lacks what was saved of {names[tail.dead]}: it is given that first"
            for tail in chain
            if link is None and state.key not in (tail.dead, tail.opened) and tail.lacking(state)
        ]
    return tuple(told)


def begins_in(copy: BinlogCopy, kind: GtidKind, state: ServerState) -> BinlogPosition | None:
    """Where in a copy the part of a replica with GTIDs begins; None when it lacks something that stands before.

    Each server's transactions stand in a log in the order of their numbers, so the first of each tells what was before.
    MariaDB sends all that follows a place: there nothing that the replica has may stand behind it. Raises LogError.
    """
    first: dict[object, Gtid | MariadbGtid] = {}
    begin: BinlogPosition | None = None
    end = copy.start
    for transaction in LogSequence(copy.logs(), copy.start.pos):
        gtid = transaction.gtid
        if not isinstance(gtid, Gtid | MariadbGtid):
            return None
        first.setdefault((gtid.uuid, gtid.tag) if isinstance(gtid, Gtid) else gtid.domain, gtid)
        has = _has(state, gtid)
        if not has and begin is None:
            begin = BinlogPosition(transaction.log, transaction.start)
        if has and begin is not None and kind is GtidKind.MARIADB:
            return None
        end = transaction.end_position
    if not all(_has_what_is_before(state, gtid) for gtid in first.values()):
        return None
    return begin or end


def _has(state: ServerState, gtid: Gtid | MariadbGtid) -> bool:
    if isinstance(gtid, Gtid):
        return gtid in (state.gtid_executed or GtidSet())
    return (state.mariadb_gtid or MariadbGtidPosition()).covers(gtid)


def _has_what_is_before(state: ServerState, gtid: Gtid | MariadbGtid) -> bool:
    if isinstance(gtid, Gtid):
        before = GtidSet.of_ranges({(gtid.uuid, gtid.tag): [(1, gtid.number)]})
        return before <= (state.gtid_executed or GtidSet())
    return gtid.seq <= 1 or _has(state, replace(gtid, seq=gtid.seq - 1))
