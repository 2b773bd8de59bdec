"""What an operator may write: one model for a server, one for a cluster. Frozen; secrets show only on demand.

Parameter names and defaults are MHA's (its wiki, "Parameters"); those marked modern are ours.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from .address import AddressParameters
from .copies import DrillParameters, ReturnParameters, SecondCopyParameters
from .errors import ConfigError, ConfigWarning
from .notify import NotifyParameters
from .ssh_options import SshOptions
from .state import state_directory

PingType = Literal["SELECT", "CONNECT", "INSERT"]
SalvagePolicy = Literal["strict", "safe", "availability"]
BusyPolicy = Literal["other", "wait", "refuse"]
Detection = Literal["fast", "classic"]
OnShutdown = Literal["failover", "wait"]
Reopen = Literal["yes", "tell", "failover"]
LogLevel = Literal["debug", "info", "warning", "error"]
#: What a server's port is where nobody says otherwise.
USUAL_PORT = 3306
StartChecks = Literal["refuse", "warn"]
SslMode = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]


def _os_user() -> str:
    """The user who runs this process; empty when its number has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""


def is_address(host: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class ServerConfig(BaseModel):
    """One ``[serverN]`` or ``[binlogN]`` block with everything it inherits."""

    model_config = ConfigDict(frozen=True)

    #: The names behind the two addresses, empty where an address was written; and the addresses of the other servers.
    _name_of_ip: str = PrivateAttr("")
    _name_of_ssh_ip: str = PrivateAttr("")
    _of_others: frozenset[str] = PrivateAttr(frozenset())
    _known_servers: Path | None = PrivateAttr(None)

    block: str = Field(description="Name of the block.")
    hostname: str = Field(description="Name or address of the server.")
    ip: str = Field(description="Address for MySQL sessions; when not set, the first one that hostname resolves to.")
    port: int = Field(3306, gt=0, lt=65536, description="MySQL port.")
    unix_socket: str | None = Field(None, description="Socket instead of address and port; of local commands only.")
    ssh_host: str = Field(description="Host for SSH when it differs from hostname.")
    ssh_ip: str = Field(description="Address for SSH; computed, a value given is ignored.")
    ssh_port: int = Field(22, gt=0, lt=65536, description="SSH port.")
    ssh_user: str = Field(default_factory=_os_user, description="User of SSH sessions.")
    ssh_options: SshOptions = Field(SshOptions(), description="Options as for ssh: -i, -o, -p, -l, -F.")
    ssh_connection_timeout: int = Field(5, gt=0, description="Seconds to wait for an SSH connection.")
    user: str = Field("root", description="MySQL account of the manager.")
    password: SecretStr = Field(
        SecretStr(""), description="Password of user; `env:NAME`, `file:/path` and `prefect:NAME` are followed."
    )
    repl_user: str | None = Field(None, description="Account that replicas use; when not set, they keep theirs.")
    repl_password: SecretStr | None = Field(
        None, description="Password of repl_user; when not set, the replicas keep theirs."
    )
    probe_user: str | None = Field(
        None,
        description="Modern: an account like the applications', without SUPER, that proves that rows get in; when not "
        "set, user does.",
    )
    probe_password: SecretStr | None = Field(None, description="Modern: its password; when not set, that of user.")
    disable_log_bin: bool = Field(
        False, description="1: a session that replays differences does not write the binary log; ignored with GTIDs."
    )
    master_pid_file: str | None = Field(None, description="mysqld's pid file, for fencing and shutdown_script.")
    handle_raw_binlog: bool = Field(True, description="Accepted; logs are always cut byte-exactly.")
    remote_workdir: str = Field(
        "/var/tmp",  # noqa: S108 - what is ours lies in an own directory in it
        description="Scratch directory on the server's host; where everybody may write, an own one in it.",
    )
    master_binlog_dir: tuple[str, ...] = Field(
        ("/var/lib/mysql", "/var/log/mysql"), description="Directories that may hold binary logs, comma separated."
    )
    client_bindir: str | None = Field(None, description="Directory of mysql and mysqlbinlog on the host.")
    client_libdir: str | None = Field(None, description="Directory of the libraries those need.")
    start_command: str | None = Field(
        None,
        description="Modern: what starts its mysqld on its host when a rejoin needs that; when not set, its systemd "
        "unit, or what ran before.",
    )
    replication_host: str | None = Field(
        None, description="Modern: what replicas call this server where that is neither hostname nor ip."
    )
    node_label: str | None = Field(None, description="A label in listings.")
    beside_manager: bool = Field(
        False, description="Modern: 1: its host runs the manager, too, in a container where that cannot be seen."
    )
    candidate_master: bool = Field(False, description="Preferred as new primary.")
    no_master: bool = Field(False, description="Never to be promoted; wins over candidate_master.")
    ignore_fail: bool = Field(False, description="1: with --ignore_fail_on_start, its failed checks forbid no start.")
    skip_init_ssh_check: bool = Field(False, description="Leave this host out of the first SSH check.")
    skip_reset_slave: bool = Field(False, description="Keep the old replication settings on the new primary.")
    check_repl_delay: bool = Field(True, description="0: may be promoted although its applier is far behind.")
    check_errant: bool = Field(
        True, description="Modern: 0: may be promoted although it has transactions the primary never sent."
    )
    binlog_ack: bool = Field(
        False,
        description="Modern: 1: `mha binlog-server` reads without mysqlbinlog, and acknowledges to a semi-synchronous "
        "primary what it has on its disk.",
    )
    binlog_keep_days: int = Field(
        0, gt=-1, description="Modern: days that `mha binlog-server` keeps a copied log; 0: for ever."
    )
    binlog_keep_bytes: int = Field(
        0, gt=-1, description="Modern: bytes that it keeps of one server's logs; 0: without limit."
    )
    binlog_server_id: int = Field(
        0, gt=-1, lt=1 << 32, description="Modern: the server id that it reads with; 0: derived from its name."
    )
    vip_interface: str | None = Field(
        None, description="Modern: interface for vip_addresses; when not set, the one that has the server's address."
    )
    vip_sudo: str = Field("sudo -n", description="Modern: what stands before ip and perl when ssh_user is not root.")
    keepalived_config: str = Field(
        "/etc/keepalived/keepalived.conf", description="Modern: keepalived's configuration on the host."
    )
    keepalived_pid_file: str = Field("/run/keepalived.pid", description="Modern: its pid file.")
    admin_port: int = Field(
        0,
        gt=-1,
        lt=65536,
        description="Modern: the port that it keeps for administrators (MariaDB's extra_port, MySQL's admin_port), for "
        "when its connections are all taken; 0: as it says itself while it takes sessions.",
    )
    ssl_mode: SslMode | None = Field(
        None,
        description="Modern: disabled, preferred, required, verify_ca or verify_identity; when not set, preferred, or "
        "what the other ssl_ parameters ask for.",
    )
    ssl_ca: str | None = Field(None, description="Modern: CA file; sessions then verify the server.")
    ssl_cert: str | None = Field(None, description="Modern: client certificate.")
    ssl_key: str | None = Field(None, description="Modern: client key.")
    ssl_verify: bool = Field(False, description="Modern: the certificate must carry the server's name.")
    ssl_server_key: str | None = Field(
        None, description="Modern: file of the server's RSA public key, for logins without verified TLS."
    )

    @property
    def name_of_ip(self) -> str:
        """The name that `ip` was resolved from, empty when an address was written."""
        return self._name_of_ip

    @property
    def name_of_ssh_ip(self) -> str:
        """The same of `ssh_ip`."""
        return self._name_of_ssh_ip

    @property
    def of_others(self) -> frozenset[str]:
        """The addresses of the other configured servers."""
        return self._of_others

    @property
    def tls_mode(self) -> SslMode:
        """How sessions with it use TLS."""
        if self.ssl_mode is not None:
            return self.ssl_mode
        if self.ssl_ca:
            return "verify_identity" if self.ssl_verify else "verify_ca"
        return "required" if self.ssl_cert else "preferred"

    @property
    def known_servers(self) -> Path | None:
        """The file with the keys that servers had when they were first seen; None where there is none."""
        return self._known_servers

    def known_in(self, path: Path) -> None:
        """Note that file."""
        self._known_servers = path

    def known_by(self, name: str, ssh_name: str) -> None:
        """Note the names that the addresses were resolved from."""
        self._name_of_ip, self._name_of_ssh_ip = name, ssh_name

    def beside(self, others: Iterable[ServerConfig]) -> None:
        """Note whose addresses are not this server's."""
        self._of_others = frozenset(a for s in others for a in (s.ip, s.ssh_ip)) - {self.ip, self.ssh_ip}

    def elsewhere(self, changes: Mapping[str, object]) -> ServerConfig:
        """The same settings for another machine; the names behind this one's addresses would lead here."""
        found = self.model_copy(update=changes)
        found.known_by("", "")
        return found

    @property
    def address(self) -> str:
        """``ip:port``, what identifies a server."""
        return f"{self.ip}:{self.port}"

    def as_source(self, like: str) -> str:
        """What a replica is to call this server that calls its present source ``like``: an address, or a name."""
        if self.replication_host is not None:
            return self.replication_host
        # A hostname that is an address may be on a network for replication, which the manager's is not.
        return self.ip if is_address(like) and not is_address(self.hostname) else self.hostname

    @property
    def name(self) -> str:
        """``hostname(ip:port)``, as logs print it."""
        return f"{self.hostname}({self.ip}:{self.port})"

    def __str__(self) -> str:
        return self.name


class WatchedCluster(BaseModel):
    """Its servers in promotion order, and how they are watched and failed over."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Name of the application, from the file's name.")
    path: Path = Field(description="The application's file.")
    global_path: Path | None = Field(None, description="The global file that was read.")
    servers: tuple[ServerConfig, ...] = Field(description="The [serverN] blocks.")
    binlog_servers: tuple[ServerConfig, ...] = Field((), description="The [binlogN] blocks.")
    witnesses: tuple[ServerConfig, ...] = Field((), description="The hosts of witness.")
    warnings: tuple[ConfigWarning, ...] = Field((), description="What was worth saying.")
    secret_files: tuple[Path, ...] = Field((), description="The files that hold passwords.", exclude=True)

    manager_workdir: Path = Field(
        default_factory=state_directory, description="State files and journals on the manager; a directory of its own."
    )
    manager_spare_dir: Path | None = Field(
        None,
        description="Modern: where saved logs go when the disk of manager_workdir has no room for them; when not set, "
        "the directory for temporary files.",
    )
    manager_log: Path | None = Field(None, description="The manager's log; the terminal when not set.")
    log_level: LogLevel = Field("info", description="debug, info, warning or error.")
    start_checks: StartChecks | None = Field(
        None,
        description="Modern: refuse or warn when a check fails at the start; when not set, masterha_manager refuses "
        "and `mha monitor` warns.",
    )
    priority: int = Field(
        100,
        description="Modern: where one process watches several clusters, who is failed over first when many die at "
        "once: the higher, the earlier.",
    )
    check_repl_filter: bool = Field(True, description="Compare replication filters.")
    latest_priority: bool = Field(True, description="1: prefer the most advanced replica; 0: prefer order.")
    multi_tier_slave: bool = Field(False, description="Accept replicas of replicas; they are left alone.")
    ping_interval: int = Field(3, gt=0, description="Seconds between two pings.")
    ping_type: PingType = Field("SELECT", description="SELECT, CONNECT or INSERT.")
    detection: Detection = Field(
        "fast", description="Modern: fast, or classic: four missed pings and nothing less, as MHA."
    )
    confirm_interval: float = Field(
        0.2,
        gt=0,
        allow_inf_nan=False,
        description="Modern: seconds after which conclusive evidence is gathered afresh.",
    )
    managers: int = Field(
        1, gt=0, description="Modern: how many managers watch this cluster; from 2 on none acts without its majority."
    )
    on_shutdown: OnShutdown = Field(
        "failover", description="Modern: failover or wait: what follows when the primary is shut down in order."
    )
    restart_grace: float | None = Field(
        None,
        gt=-1,
        allow_inf_nan=False,
        description="Modern: seconds that a crashed primary is given to be started again; when not set, 0 where "
        "fencing holds off what would start it, else 3.",
    )
    reopen: Reopen = Field(
        "yes",
        description="Modern: yes, tell or failover: what follows when the primary is read-only because it was "
        "restarted, and nobody else took writes.",
    )
    secondary_check_script: str | None = Field(None, description="Confirms a dead primary over other routes.")
    master_ip_failover_script: str | None = Field(None, description="Moves the address at a failover.")
    master_ip_online_change_script: str | None = Field(None, description="Moves the address at a planned switch.")
    shutdown_script: str | None = Field(None, description="Powers the old primary off.")
    fence: tuple[str, ...] = Field(
        ("ssh",), description="Modern: means against the old primary, in order: ssh, sql, ip, script:/path."
    )
    fence_required: tuple[str, ...] = Field(
        (), description="Modern: means that have to succeed, or `any` for one proof; the others are best effort."
    )
    fence_timeout: float = Field(
        15.0, gt=0, allow_inf_nan=False, description="Modern: seconds for each of ssh and sql."
    )
    fence_persist: bool = Field(
        False, description="Modern: 1: write read_only into an option file of the old primary's host, too."
    )
    power_first: bool = Field(
        False, description="Modern: 1: scripts that power off run before the binary log is saved."
    )
    report_script: str | None = Field(None, description="Script that gets the report of a failover.")
    init_conf_load_script: str | None = Field(None, description="Prints name=value lines that override defaults.")
    use_gtid_auto_pos: bool = Field(True, description="0: do not begin with MySQL auto-positioning.")
    hook_timeout: float = Field(60.0, gt=0, allow_inf_nan=False, description="Modern: seconds that a script may run.")
    hook_passwords: bool = Field(True, description="Modern: 0 keeps the password off the command line of hooks.")
    drain_timeout: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="Modern: seconds a replica may stand still while draining or catching up.",
    )
    busy_after: float = Field(
        5.0,
        gt=0,
        allow_inf_nan=False,
        description="Modern: seconds that one statement, or a lock, of a replica is waited for in a failover.",
    )
    busy_candidate: BusyPolicy = Field(
        "other", description="Modern: other, wait or refuse: what then, when it is the one to be promoted."
    )
    end_blockers: bool = Field(
        True,
        description="Modern: end the sessions whose locks it waits for, where nobody else can be promoted; 0: never.",
    )
    follow_up_timeout: float = Field(
        300.0,
        gt=-1,
        allow_inf_nan=False,
        description="Modern: seconds that masterha_manager stays after a failover for replicas that were busy in it.",
    )


class ClusterConfig(
    AddressParameters, NotifyParameters, ReturnParameters, DrillParameters, SecondCopyParameters, WatchedCluster
):
    """One application: its servers, and what holds for all of them."""

    salvage_policy: SalvagePolicy = Field(
        "safe", description="Modern: strict, safe or availability: what to do when transactions are or may be lost."
    )
    salvage_timeout: float = Field(
        10.0, gt=0, allow_inf_nan=False, description="Modern: seconds that availability waits for a rescue."
    )
    rescue_port: str = Field(
        "23306-23315", description="Modern: ports of the manager at which replicas fetch the saved log in a failover."
    )

    @property
    def rescue_ports(self) -> range:
        """The ports of ``rescue_port``."""
        first, _, last = self.rescue_port.partition("-")
        return range(int(first), int(last or first) + 1)

    def server(self, host_or_address: str) -> ServerConfig | None:
        """By hostname in any case, address, ``host:port`` or ``ip:port``.

        Raises ConfigError when a host has several ports.
        """
        wanted = host_or_address.lower()
        found = [
            s
            for s in self.servers
            if wanted in (s.hostname.lower(), s.ip, f"{s.hostname.lower()}:{s.port}", s.address, f"[{s.ip}]:{s.port}")
        ]
        if len(found) > 1:
            ports = ", ".join(str(s.port) for s in found)
            raise ConfigError(f"{host_or_address} has several servers (ports {ports}); name the port", file=self.path)
        return found[0] if found else None

    def server_at(self, host: str, port: int | None) -> ServerConfig | None:
        """The server of a host; without a port the only one there, or the one on 3306. Raises ConfigError as above."""
        if port is not None:
            return self.server(f"{host}:{port}")
        several = [s for s in self.servers if host.lower() in (s.hostname.lower(), s.ip)]
        usual = [s for s in several if s.port == USUAL_PORT]
        return usual[0] if len(several) > 1 and usual else self.server(host)

    def without(self, server: ServerConfig) -> ClusterConfig:
        """The same cluster without one of its servers."""
        return self.model_copy(update={"servers": tuple(s for s in self.servers if s.block != server.block)})
