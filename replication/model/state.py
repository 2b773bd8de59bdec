"""What was seen of servers at one moment: frozen, comparable, safe to keep and to print (no secrets in them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from .gtid import GtidSet, MariadbGtid, MariadbGtidPosition
from .one_time_account import is_one_time_user
from .position import BinlogPosition


class Vendor(StrEnum):
    """Who made a server, as far as behaviour differs."""

    MYSQL = "mysql"
    MARIADB = "mariadb"


class GtidKind(StrEnum):
    """How a replica finds its place in its source's log."""

    POSITION = "file/position"
    MYSQL = "MySQL GTID"
    MARIADB = "MariaDB GTID"


#: ER_MTS_INCONSISTENT_DATA: parallel workers were stopped in the middle; a restart resumes (MySQL error reference).
WORKERS_STOPPED = 1756
#: ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: an applier that was started on a server that is closed to everybody.
READ_ONLY_TRANSACTION = 1792


@dataclass(frozen=True)
class Filters:
    """Replication filters of a channel, as the server lists them; two replicas that differ hold different data."""

    do_db: str = ""
    ignore_db: str = ""
    do_table: str = ""
    ignore_table: str = ""
    wild_do_table: str = ""
    wild_ignore_table: str = ""

    def __bool__(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True)
class ReplicaChannel:
    """One replication channel of a server. Positions are coordinates in the source's binary log.

    ``received`` may lie inside a transaction (a receiver can be stopped anywhere); ``executed`` is always the end
    of one. ``receiver`` is Yes, No or Connecting. ``delay`` and ``seconds_behind`` are seconds. ``row`` is what the
    server said, in its own words: how a channel connects is copied from there. ``ssl``, ``ssl_verify`` and
    ``public_key`` are whether it asks for TLS, for the source's name in its certificate, and for its RSA key.
    ``receiver_gave_up``: nobody stopped the receiver, it has made all its attempts to reach the source; MySQL tells.
    """

    name: str
    source_host: str
    source_port: int
    source_user: str
    source_server_id: int
    source_uuid: str
    receiver: str
    applier_running: bool
    applier_state: str
    has_read_all: bool
    received: BinlogPosition | None
    executed: BinlogPosition | None
    relay_log: BinlogPosition | None
    auto_position: bool
    retrieved: GtidSet | None
    using_gtid: str
    gtid_io_pos: MariadbGtidPosition | None
    seconds_behind: int | None
    delay: int
    receiver_errno: int
    receiver_error: str
    applier_errno: int
    applier_error: str
    filters: Filters
    row: Mapping[str, Any] = field(compare=False, repr=False, default_factory=dict)
    ssl: bool = False
    ssl_verify: bool = False
    public_key: bool = False
    receiver_gave_up: bool = False

    @property
    def of_a_rescue(self) -> bool:
        """It points at a source made of files, there or gone: what it has is the dead primary's, whoever it names."""
        return is_one_time_user(self.source_user)

    @property
    def gtid_kind(self) -> GtidKind:
        """How this channel is positioned today."""
        if self.auto_position:
            return GtidKind.MYSQL
        return GtidKind.MARIADB if self.using_gtid != "No" else GtidKind.POSITION

    @property
    def works(self) -> bool:
        """Both halves run, without an error."""
        errors = self.receiver_errno or self.applier_errno
        return self.receiver == "Yes" and self.applier_running and not errors

    @property
    def broken(self) -> bool:
        """The applier stopped with an error that a restart would meet again."""
        return self.applier_errno not in (0, WORKERS_STOPPED)

    @property
    def start_deletes_relay_logs(self) -> bool:
        """A start would, of a channel that follows MariaDB's GTIDs while both its halves are stopped.

        MariaDB would fetch them again from the source, which is of no use when that is dead. Seen on 10.11.
        """
        return self.using_gtid != "No" and self.receiver_stopped and not self.applier_running

    @property
    def receiver_stopped(self) -> bool:
        """Nothing more will be received until somebody starts it."""
        return self.receiver == "No"


@dataclass(frozen=True)
class SemiSync:
    """Semi-synchronous replication, None where the server has no such plugin.

    As a source it waits at most ``timeout`` milliseconds, at its ``wait_point``; ``alone``: also when nobody
    acknowledges.
    """

    source_enabled: bool | None = None
    replica_enabled: bool | None = None
    timeout: int | None = None
    wait_point: str = ""
    alone: bool | None = None

    @property
    def for_ever(self) -> bool:
        """It waits longer than anybody lets a failover take: an hour."""
        return (self.timeout or 0) >= 3_600_000 and self.alone is not False

    @property
    def loses_nothing(self) -> bool:
        """What it acknowledged, or showed to anybody, lies on another disk, too."""
        return bool(self.source_enabled) and self.for_ever and self.wait_point == "AFTER_SYNC"


@dataclass(frozen=True)
class ServerState:
    """One server as it answered at ``observed_at`` (seconds since the epoch).

    ``key`` is ``ip:port`` and identifies the server in plans and journals, ``name`` is ``host(ip:port)``.
    ``super_read_only`` is None where the server knows no such variable; GTID sets are None where it has no such
    GTIDs. ``end_of_log`` is the end of its own binary log; ``gtid_binlog_state`` is MariaDB's, empty elsewhere.
    ``checkpoint_period`` (seconds) is how late ``executed`` of a channel with parallel appliers may be, 0 elsewhere.
    ``tx_read_only``: new sessions may not write, of accounts with SUPER too; ``offline_mode``: it ends and refuses the
    sessions of all others. Both None where the variable is not known.
    """

    key: str
    name: str
    hostname: str
    vendor: Vendor
    version: tuple[int, ...]
    version_text: str
    server_id: int
    server_uuid: str
    read_only: bool
    super_read_only: bool | None
    log_bin: bool
    log_replica_updates: bool
    binlog_format: str
    gtid_mode: str | None
    gtid_executed: GtidSet | None
    gtid_purged: GtidSet | None
    mariadb_gtid: MariadbGtidPosition | None
    gtid_binlog_state: tuple[MariadbGtid, ...]
    end_of_log: BinlogPosition | None
    binlog_do_db: str
    binlog_ignore_db: str
    log_bin_basename: str
    datadir: str
    pid_file: str
    relay_log_basename: str
    relay_log_purge: bool
    relay_log_recovery: bool
    relay_log_info_repository: str
    event_scheduler: str
    semi_sync: SemiSync
    checkpoint_period: float
    channels: tuple[ReplicaChannel, ...]
    observed_at: float = field(compare=False, default=0.0)
    tx_read_only: bool | None = None
    offline_mode: bool | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def major(self) -> tuple[int, ...]:
        """The part of the version that replication compatibility goes by: 5.6, 8.4, 10.11."""
        return self.version[:2]

    @property
    def writable(self) -> bool:
        """An application's session could write here."""
        return not self.read_only and not self.super_read_only

    @property
    def closed_by(self) -> tuple[str, ...]:
        """The settings that keep the rows of applications out, by `dialects`' names of them; none for a server that is
        open."""
        closed = {
            "read_only": not self.writable,
            "offline_mode": self.offline_mode,
            "transaction_read_only": self.tx_read_only,
        }
        return tuple(name for name, true in closed.items() if true)

    @property
    def sources(self) -> str:
        """Whom it replicates from, in words; empty for nobody."""
        return ", ".join(
            f"{c.source_host}:{c.source_port}{' (the saved log of a rescue)' if c.of_a_rescue else ''}"
            for c in self.channels
        )

    def channel_from(self, host: str, ip: str, port: int) -> ReplicaChannel | None:
        """The channel that replicates from the server of that name or address, if there is one."""
        for channel in self.channels:
            if channel.source_host in (host, ip) and channel.source_port == port and not channel.of_a_rescue:
                return channel
        return None

    @property
    def rescued_channel(self) -> ReplicaChannel | None:
        """The channel that was turned to a dead primary's saved log and not back, if there is one."""
        return next((channel for channel in self.channels if channel.of_a_rescue), None)

    def executed_all(self, gtids: GtidSet | MariadbGtidPosition | None) -> bool:
        """Whether these are executed; False where GTIDs cannot tell."""
        if isinstance(gtids, GtidSet) and gtids and self.gtid_executed is not None:
            return gtids <= self.gtid_executed
        if isinstance(gtids, MariadbGtidPosition) and gtids and self.mariadb_gtid is not None:
            return gtids <= self.mariadb_gtid
        return False


@dataclass(frozen=True)
class ServerDown:
    """A server that could not be observed, and why. ``alive`` tells that it answers, but not to us (1040, 1045)."""

    key: str
    name: str
    hostname: str
    reason: str
    alive: bool


@dataclass(frozen=True)
class Replaced:
    """A former primary that is held read-only: its ``ip:port``, and that of the server put into its place."""

    key: str
    instead: str


@dataclass(frozen=True)
class ClusterState:
    """Every configured server at about the same moment, in the configuration's order.

    ``held`` is what the manager's own disk remembers of former primaries, empty where it remembers nothing;
    ``writing`` are those (``ip:port``) that were looked at twice and took writes of their own meanwhile.
    """

    up: tuple[ServerState, ...]
    down: tuple[ServerDown, ...]
    held: tuple[Replaced, ...] = ()
    writing: tuple[str, ...] = ()

    def get(self, key: str) -> ServerState | None:
        """The server with that ``ip:port``, if it answered."""
        return next((s for s in self.up if s.key == key), None)


def as_heard(cluster: ClusterState, heard: Mapping[str, ReplicaChannel]) -> ClusterState:
    """The cluster with these channels, by ``ip:port``, as they were seen later than the rest."""

    def later(state: ServerState) -> ServerState:
        new = heard.get(state.key)
        if new is None:
            return state
        return replace(state, channels=tuple(new if each.name == new.name else each for each in state.channels))

    return replace(cluster, up=tuple(later(state) for state in cluster.up))
