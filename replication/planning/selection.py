"""Which replica becomes the primary: MHA's rules and order, with a reason for every server.

Pure: snapshots and configuration in, a ranking out. `Candidate.barred` is why a server may not be promoted, in the
order in which the rules are asked; the first losing rule is the one to show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...config import ClusterConfig, ServerConfig
from ..model.errant import errant
from ..model.position import BinlogPosition
from ..model.state import ClusterState, Filters, GtidKind, ReplicaChannel, ServerState

#: How far the applier may be behind the most advanced receiver, in bytes of the primary's log (MHA's 100 MB rule).
MAX_BYTES_BEHIND = 100_000_000
#: Above this distance in files the byte rule cannot be told from the positions alone.
MAX_FILES_BEHIND = 2


#: What a server leaves out: the filters of its channel, and its own binlog_do_db and binlog_ignore_db.
Filtering = tuple[Filters, str, str]


@dataclass(frozen=True)
class Follower:
    """A replica of the dead primary that answers, with the channel that followed it."""

    config: ServerConfig
    state: ServerState
    channel: ReplicaChannel

    @property
    def key(self) -> str:
        """``ip:port``."""
        return self.state.key

    @property
    def broken(self) -> str:
        """Why this replica cannot execute what it received, or nothing."""
        if self.channel.broken:
            return f"its applier stopped with error {self.channel.applier_errno}: {self.channel.applier_error}"
        return ""


#: The reason that is the operator's own wish.
NO_MASTER = "no_master is set"
#: The reason of one that answers and is none of the dead primary's.
NOT_ITS_REPLICA = "it does not replicate from the dead primary"
#: What is asked of every server, in this order, as the columns of the matrix name it.
RULES = (
    "not tried yet",
    "replicates",
    "not no_master",
    "log_bin",
    "log_replica_updates",
    "not delayed",
    "filters",
    "version",
    "applier",
    "not far behind",
    "not errant",
)


@dataclass(frozen=True)
class Candidate:
    """One server's chances. ``rank`` counts from 1 among those that may be promoted; 0 for the others.

    ``lost`` are the rules behind the sentences of ``barred``, one each.
    """

    key: str
    name: str
    barred: tuple[str, ...]
    merits: tuple[str, ...]
    rank: int = 0
    lost: tuple[str, ...] = ()

    @property
    def eligible(self) -> bool:
        """Whether it may be promoted at all."""
        return not self.barred


@dataclass(frozen=True)
class Selection:
    """Every server of the cluster with its chances, the best first, then the barred in configured order."""

    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate | None:
        """The one to promote."""
        first = self.candidates[0] if self.candidates else None
        return first if first is not None and first.eligible else None


def followers_of(dead: ServerConfig, config: ClusterConfig, cluster: ClusterState) -> tuple[Follower, ...]:
    """The answering servers that replicate from the dead primary, in the configuration's order."""
    found = []
    for server in config.servers:
        state = cluster.get(server.address)
        channel = state.channel_from(dead.hostname, dead.ip, dead.port) if state else None
        if state is not None and channel is not None and server.address != dead.address:
            found.append(Follower(server, state, channel))
    return tuple(found)


def bereaved_of(dead: ServerConfig, config: ClusterConfig, cluster: ClusterState) -> tuple[Follower, ...]:
    """Those who replicate from the dead primary, and those whom a failover of it had turned to its saved log.

    Such a replica's place is one in the dead primary's log, whose server id it still names. One that was left so by the
    failover of an earlier primary names another.
    """
    found = {follower.key: follower for follower in followers_of(dead, config, cluster)}
    known = {f.channel.source_server_id for f in found.values()} - {0}
    for server in config.servers:
        state = cluster.get(server.address)
        channel = state.rescued_channel if state is not None else None
        if state is None or channel is None or server.address in (dead.address, *found):
            continue
        if not known or channel.source_server_id in (0, *known):
            found[server.address] = Follower(server, state, channel)
    return tuple(found[server.address] for server in config.servers if server.address in found)


def most_advanced(followers: Sequence[Follower]) -> tuple[Follower, ...]:
    """Those that received the most of the dead primary's log; all of them when they are level.

    All positions are coordinates in one log, so they compare in every replication mode.
    """
    received = [(f, f.channel.received) for f in followers]
    known = [position for _, position in received if position is not None]
    if not known:
        return tuple(followers)
    furthest = max(known)
    return tuple(f for f, position in received if position == furthest)


def lacks_received(taker: ServerState, lender: ServerState) -> bool:
    """Whether a replica received transactions with GTIDs that another one has not executed."""
    for channel in lender.channels:
        if channel.retrieved and taker.gtid_executed is not None and not channel.retrieved <= taker.gtid_executed:
            return True
        if channel.gtid_io_pos and taker.mariadb_gtid is not None and not channel.gtid_io_pos <= taker.mariadb_gtid:
            return True
    return False


def bytes_behind(executed: BinlogPosition | None, furthest: BinlogPosition | None) -> int | None:
    """A lower bound of the bytes between two places in one log; None when it cannot be told.

    Across files only what lies in the last file is certain: a rotation alone must not make a replica look late
    (MHA issue 143).
    """
    if executed is None or furthest is None:
        return None
    if executed.index == furthest.index:
        return max(0, furthest.pos - executed.pos)
    if furthest.index - executed.index > MAX_FILES_BEHIND:
        return None
    return furthest.pos


def gtid_kind(followers: Sequence[Follower], use_gtid_auto_pos: bool) -> GtidKind:
    """How the cluster replicates, over those that answer (MHA: "GTID failover mode").

    MySQL GTIDs serve when every replica has them on and executed something or uses auto-position already (a delayed
    one may not have executed anything yet), and all do or `use_gtid_auto_pos` (the default) allows to begin with it.
    MariaDB's serve when every replica uses them.
    """
    if not followers:
        return GtidKind.POSITION
    if all(f.state.gtid_mode == "ON" and (f.state.gtid_executed or f.channel.auto_position) for f in followers):
        if use_gtid_auto_pos or all(f.channel.auto_position for f in followers):
            return GtidKind.MYSQL
        return GtidKind.POSITION
    if all(f.channel.gtid_kind is GtidKind.MARIADB for f in followers):
        return GtidKind.MARIADB
    return GtidKind.POSITION


def rank(
    config: ClusterConfig,
    dead: ServerConfig,
    followers: Sequence[Follower],
    absent: Mapping[str, str],
    *,
    excluded: Mapping[str, str] | None = None,
    busy: Mapping[str, str] | None = None,
) -> Selection:
    """Rank every configured server but the dead one.

    ``absent`` maps the address of a server that cannot take part to the reason; ``excluded`` likewise, for those that
    were tried and failed; those that are ``busy`` come last of those that can. Order (MHA, "Selection order"): with
    `latest_priority` a most advanced candidate_master, any candidate_master, a most advanced one, any; without it a
    candidate_master, any; then configured order.
    """
    by_key = {f.key: f for f in followers}
    latest = {f.key for f in most_advanced([f for f in followers if not f.broken] or followers)}
    kind = gtid_kind(followers, config.use_gtid_auto_pos)
    furthest = max((f.channel.received for f in followers if f.channel.received), default=None)
    oldest = min((f.state.major for f in followers), default=(0,))

    strays = errant([(f.state, f.channel) for f in followers])
    filtering = Counter(_filtering(f) for f in followers)
    usual = filtering.most_common(1)[0][0] if config.check_repl_filter and filtering else None

    judged: list[tuple[tuple[int, int], Candidate]] = []
    for order, server in enumerate(config.servers):
        if server.address == dead.address:
            continue
        follower = by_key.get(server.address)
        if follower is None:
            why = absent.get(server.address, NOT_ITS_REPLICA)
            judged.append(((9, order), Candidate(server.address, server.name, (why,), (), lost=("replicates",))))
            continue
        reasons = _bars(follower, kind, oldest, furthest, usual)
        if follower.key in strays and server.check_errant:
            sentence = f"it has errant transactions, which the primary never sent: {strays[follower.key]}"
            reasons.append(("not errant", sentence))
        if excluded and server.address in excluded:
            reasons.insert(0, ("not tried yet", excluded[server.address]))
        is_latest, is_candidate = server.address in latest, server.candidate_master
        merits = tuple(
            text
            for text, true in (
                ("candidate_master is set", is_candidate),
                ("received the most", is_latest),
                (f"place {order + 1} in the configuration", True),
                ((busy or {}).get(server.address, ""), server.address in (busy or {})),
            )
            if true
        )
        if config.latest_priority:
            group = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[is_candidate, is_latest]
        else:
            group = 0 if is_candidate else 1
        group += 4 * (server.address in (busy or {}))
        barred, lost = tuple(text for _, text in reasons), tuple(rule for rule, _ in reasons)
        judged.append(
            ((9 if reasons else group, order), Candidate(server.address, server.name, barred, merits, lost=lost))
        )
    judged.sort(key=lambda item: item[0])
    ranked, place = [], 0
    for _, candidate in judged:
        place += candidate.eligible
        ranked.append(replace(candidate, rank=place if candidate.eligible else 0))
    return Selection(tuple(ranked))


def _bars(
    follower: Follower,
    kind: GtidKind,
    oldest: tuple[int, ...],
    furthest: BinlogPosition | None,
    usual: Filtering | None,
) -> list[tuple[str, str]]:
    """Every rule that keeps a replica from being promoted, and why, in the order they are asked."""
    state, channel, server = follower.state, follower.channel, follower.config
    reasons: list[tuple[str, str]] = []
    if server.no_master:
        reasons.append(("not no_master", NO_MASTER))
    if not state.log_bin:
        reasons.append(("log_bin", "log_bin is off: nobody could replicate from it"))
    elif kind is not GtidKind.POSITION and not state.log_replica_updates:
        reasons.append(("log_replica_updates", "log_replica_updates is off: it could not pass on what it received"))
    if channel.delay:
        reasons.append(("not delayed", f"it is delayed by {channel.delay} s on purpose"))
    if usual is not None and _filtering(follower) != usual:
        reasons.append(("filters", "its replication filters differ from those of the others, so it holds other data"))
    if state.major > oldest:
        newer = f"its version {_dotted(state.major)} is newer than {_dotted(oldest)} of another replica"
        reasons.append(("version", f"{newer}, which could not replicate from it"))
    if follower.broken:
        reasons.append(("applier", follower.broken))
    if server.check_repl_delay:
        behind = bytes_behind(channel.executed, furthest)
        if behind is None and channel.executed is not None and furthest is not None:
            files = furthest.index - channel.executed.index
            reasons.append(("not far behind", f"its applier is {files} log files behind"))
        elif behind is not None and behind > MAX_BYTES_BEHIND:
            sentence = f"its applier is {behind} bytes behind, more than {MAX_BYTES_BEHIND}"
            reasons.append(("not far behind", sentence))
    return reasons


def _filtering(follower: Follower) -> Filtering:
    return follower.channel.filters, follower.state.binlog_do_db, follower.state.binlog_ignore_db


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
