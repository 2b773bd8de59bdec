"""What the checks look at: all that was seen of a cluster, its hosts and its scripts at one moment. No secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...config import ClusterConfig, ServerConfig
from ..cluster.unknown_replicas import Readers, Stranger, strangers
from ..model.refusal import Refusal
from ..model.state import ClusterState, ServerState
from ..model.topology import find_primary
from ..model.ways_back import FormerPrimary
from ..mysql.advisory_locks import Holder
from ..mysql.dialects import Dialect
from ..mysql.dialects.accounts import AccountLife
from ..mysql.dialects.variables import spelled
from ..mysql.grants import Grants
from .cluster.admin_ports import KeptPort
from .hosts.ways import TriedWay
from .trying_logins import TriedLogin


@dataclass(frozen=True)
class ServerFacts:
    """What a server says beyond its state. ``clock_ahead`` is seconds, None when it did not tell.

    ``account`` is who we are there, quoted; ``replication_accounts`` are user and host pattern of those with
    REPLICATION SLAVE, None when mysql.user cannot be read. ``semi_sync_clients`` is how many replicas acknowledge.
    ``readers`` are those who replicate from it.
    ``lives`` are the accounts of our own user and of those that replicas use, None when they cannot be read.
    ``unproven`` is why nothing proves who it is, empty when its certificate was verified, None when that was not looked
    at. ``squatters`` hold one of MHA's named locks and can be no manager. ``kept_port``: None where nobody looked.
    ``connected`` is how many sessions
    there are; ``probe`` why `probe_user` gets none, empty when it does, None where it is not configured.
    """

    dialect: Dialect
    account: str = ""
    grants: Grants = field(default_factory=Grants)
    replication_accounts: frozenset[tuple[str, str]] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    clock_ahead: float | None = None
    semi_sync_clients: int | None = None
    readers: Readers = field(default_factory=Readers)
    lives: tuple[AccountLife, ...] | None = ()
    unproven: str | None = None
    squatters: tuple[Holder, ...] = ()
    kept_port: KeptPort | None = None
    connected: int | None = None
    probe: str | None = None

    def name_of(self, variable: str) -> str:
        """How this server spells a variable that was renamed."""
        return spelled(variable, self.variables)

    def value(self, variable: str) -> str | None:
        """A variable by its newest name; None where the server has none such."""
        return self.variables.get(self.name_of(variable))


@dataclass(frozen=True)
class Program:
    """A program on a host: its path and the first line of its ``--version``; ``maker`` is whose it is by its help."""

    path: str
    says: str
    maker: str = ""


@dataclass(frozen=True)
class HostFacts:
    """One host as its SSH user sees it; ``error`` is why there is no session, and then nothing else is known.

    ``info`` is the file of a replica's place in its relay logs, empty where that is in a table; ``unreadable`` maps a
    path that was to be read to the reason; ``logs`` are paths under which the server's current binary log lies;
    ``sftp`` is why files cannot be read over SFTP, empty when they can. ``connects`` is what the mysql client said when
    it could not open a session there, None when that was not tried; ``answers`` is the server_id of who let it in.
    ``helper`` is the version that root's helper told, ``no_helper`` why sudo did not start the one that is there.
    ``reads`` is the same of mysqlbinlog with the beginning of the current log. ``free`` is bytes by path,
    ``clock_ahead`` seconds. ``skipped``: the configuration leaves the host out. ``unseen`` is why no mysqld of a server
    that answers was found there, empty where one was, None where nobody looked; ``elsewhere``: nor any listener.
    ``wrong_host`` is why it is another server's host, empty where it is not, None where nobody can tell. ``activated``
    are the socket units on which systemd listens there for a mysqld.
    """

    name: str
    error: str = ""
    skipped: bool = False
    sftp: str = ""
    encrypted: bool = False
    clock_ahead: float | None = None
    superuser: bool = False
    owns_data: bool = False
    helper: str = ""
    no_helper: str = ""
    tools: frozenset[str] = frozenset()
    reader: Program | None = None
    client: Program | None = None
    connects: str | None = None
    reads: str | None = None
    answers: int = 0
    logs: tuple[str, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    info: str = ""
    workdir: str = ""
    free: Mapping[str, int] = field(default_factory=dict)
    unseen: str | None = None
    elsewhere: bool = False
    wrong_host: str | None = None
    activated: tuple[str, ...] = ()

    @property
    def user(self) -> str:
        """Whose session it is."""
        return self.name.rpartition("@")[0]

    @property
    def reached(self) -> bool:
        """There was a session, so the rest of this was seen."""
        return not self.error and not self.skipped


@dataclass(frozen=True)
class ScriptFacts:
    """A user's script: ``trouble`` is why it cannot be started or what its ``--command=status`` ended with."""

    parameter: str
    trouble: str = ""
    asked: bool = False


@dataclass(frozen=True)
class ManagerFacts:
    """This machine: what is wrong with manager_workdir, and its free bytes; the same of the second place for logs.

    ``spare_free`` is 0 where that is on the same disk. ``doubt``: why manager_workdir is not the manager's alone;
    ``open_files``: those with passwords that others may read.
    """

    workdir: str
    trouble: str = ""
    free: int | None = None
    spare: str = ""
    spare_trouble: str = ""
    spare_free: int = 0
    doubt: str = ""
    open_files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """An attempt to get from one host to another with the hosts' own ssh; ``error`` is empty when it worked."""

    start: str
    end: str
    error: str = ""


@dataclass(frozen=True)
class Route:
    """A host that our secondary check asks: its address, None when its name has none; ``local``: it is this machine."""

    host: str
    address: str | None
    local: bool = False


@dataclass(frozen=True)
class SeenWitness:
    """A witness as it is written, and why its word would not count; empty where it does."""

    host: str
    trouble: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything seen, by the servers' ``ip:port`` and the binlog servers' block names.

    A server that did not answer is in ``cluster.down``; one that told only a part of it is there and in ``servers``.
    ``hosts``, ``ways`` and ``logins`` are empty when they were not to be looked at.
    ``own`` are the servers on the manager's own host, ``routes`` whom the secondary check asks,
    ``witnesses`` who else is asked, ``former`` who is held since a failover replaced it.
    ``resolved`` has the address of each source's name that the configuration does not know, None when it has none.
    """

    config: ClusterConfig
    cluster: ClusterState
    servers: Mapping[str, ServerFacts] = field(default_factory=dict)
    hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    binlog_hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    scripts: tuple[ScriptFacts, ...] = ()
    manager: ManagerFacts | None = None
    pairs: tuple[Pair, ...] = ()
    ways: tuple[TriedWay, ...] = ()
    logins: tuple[TriedLogin, ...] = ()
    resolved: Mapping[str, str | None] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    routes: tuple[Route, ...] = ()
    witnesses: tuple[SeenWitness, ...] = ()
    former: tuple[FormerPrimary, ...] = ()

    def lives_on(self, key: str) -> tuple[AccountLife, ...]:
        """The accounts of ours and of replicas on a server, as far as they can be read."""
        seen = self.servers.get(key)
        return (seen.lives or ()) if seen is not None else ()

    @property
    def primary(self) -> ServerConfig | None:
        """The primary's configuration, alive or dead; None when it cannot be told."""
        found = find_primary(self.config, self.cluster)
        return None if isinstance(found, Refusal) else found

    @property
    def primary_state(self) -> ServerState | None:
        """The primary's state; None when it does not answer or is not known."""
        primary = self.primary
        return self.cluster.get(primary.address) if primary else None

    @property
    def replicas(self) -> tuple[ServerState, ...]:
        """The answering servers that replicate from somebody and are not the primary."""
        primary = self.primary
        return tuple(s for s in self.cluster.up if s.channels and (primary is None or s.key != primary.address))

    @property
    def strangers(self) -> tuple[Stranger, ...]:
        """Replicas that are not configured."""
        return strangers(self.config, self.cluster, {key: seen.readers for key, seen in self.servers.items()})

    @property
    def primary_log_readable(self) -> bool | None:
        """Whether a rescue could read the primary's log over SSH now; None when nobody looked."""
        host = self.hosts.get(self.primary.address) if self.primary else None
        if host is None or host.skipped:
            return None
        return bool(host.reached and host.logs and not host.sftp and not host.encrypted)
