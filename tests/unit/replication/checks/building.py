"""A cluster that is well, as checks see it, and the same with one thing changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.checks import RULES
from prefect_mha.replication.checks.cluster.admin_ports import KeptPort
from prefect_mha.replication.checks.facts import (
    Facts,
    HostFacts,
    ManagerFacts,
    Pair,
    Program,
    ScriptFacts,
    ServerFacts,
)
from prefect_mha.replication.checks.hosts.ways import TriedWay
from prefect_mha.replication.checks.switch import RULES as OF_SWITCH
from prefect_mha.replication.checks.trying_logins import TriedLogin
from prefect_mha.replication.cluster.unknown_replicas import READER_PORT, Readers, Registered
from prefect_mha.replication.model.check import Severity
from prefect_mha.replication.model.gtid import GtidSet
from prefect_mha.replication.model.state import ClusterState, SemiSync, ServerDown, ServerState, Vendor
from prefect_mha.replication.mysql.advisory_locks import Holder
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.mysql.dialects.accounts import AccountLife
from prefect_mha.replication.mysql.dialects.connecting import Connecting
from prefect_mha.replication.mysql.grants import parse_grants
from tests.unit.replication import build
from tests.unit.replication.build import UUID, channel, server

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
#: What is asked of a cluster at any time.
ASKED = tuple(rule for rule in RULES if rule not in OF_SWITCH)
MODERN = Dialect(Vendor.MYSQL, (8, 4, 0), replica_words=True, binary_log_status=True, multi_channel=True)
CLASSIC = Dialect(Vendor.MARIADB, (10, 11, 6), replica_words=False, binary_log_status=False, multi_channel=False)
READER = Program("/usr/bin/mysqlbinlog", "mysqlbinlog  Ver 8.4.0 for Linux on x86_64 (MySQL Community Server - GPL)")
CLIENT = Program("/usr/bin/mysql", "/usr/bin/mysql  Ver 8.4.0 for Linux on x86_64 (MySQL Community Server - GPL)")
SCRIPTS = dict.fromkeys(
    ("master_ip_failover_script", "shutdown_script", "secondary_check_script", "report_script"), "/bin/true"
)
GIB = 1 << 30


def block(number: int, **changes: Any) -> ServerConfig:
    """The configured server 10.0.0.NUMBER."""
    return build.block(number, **{"user": "mha", "repl_user": "repl", **changes})


def facts(**changes: Any) -> Facts:
    """db1 is the primary, db2 and db3 replicate from it, everything is well; ``config`` changes the configuration."""
    config = ClusterConfig(
        **{
            "name": "app1",
            "path": Path("/etc/mha/app1.cnf"),
            "servers": (block(1), block(2), block(3)),
            "binlog_servers": (block(9, block="binlog1", hostname="archive", master_binlog_dir=("/srv/binlog",)),),
            **SCRIPTS,
            **changes.pop("config", {}),
        }
    )
    up = (
        server(1, read_only=False),
        server(2, channel(public_key=True), super_read_only=True, relay_log_purge=False),
        server(3, channel(public_key=True), super_read_only=True, relay_log_purge=False),
    )
    seen = ServerFacts(
        dialect=MODERN,
        account="'mha'@'%'",
        grants=parse_grants(["GRANT ALL PRIVILEGES ON *.* TO 'mha'@'%'"]),
        replication_accounts=frozenset({("repl", "10.0.0.%")}),
        variables={
            "sync_binlog": "1",
            "innodb_flush_log_at_trx_commit": "1",
            "binlog_row_image": "FULL",
            "log_replica_updates": "ON",
            "rpl_semi_sync_source_enabled": "OFF",
            "rpl_semi_sync_replica_enabled": "OFF",
            "binlog_encryption": "OFF",
            "init_connect": "",
            "max_connections": "151",
            "require_secure_transport": "OFF",
        },
        clock_ahead=0.1,
        connected=12,
        probe="",
        unproven="",
        kept_port=KeptPort(33062),
        lives=(AccountLife("mha", "%"), AccountLife("repl", "10.0.0.%", plugin="caching_sha2_password")),
    )
    return Facts(
        **{
            "config": config,
            "cluster": ClusterState(up, ()),
            "servers": {state.key: seen for state in up},
            "hosts": {s.address: host(f"root@{s.ip}:22") for s in config.servers},
            "binlog_hosts": {"binlog1": host("root@10.0.0.9:22")},
            "scripts": (
                ScriptFacts("master_ip_failover_script", asked=True),
                ScriptFacts("report_script"),
            ),
            "manager": ManagerFacts("/var/lib/mha", free=100 * GIB),
            "ways": tuple(TriedWay(s, "10.0.0.9") for s in config.servers),
            "logins": tuple(
                TriedLogin(a, b, "repl", a.hostname != "db1", Connecting(), b.ip, found=int(b.ip[-1]))
                for a in config.servers
                for b in config.servers
                if a is not b
            ),
            "pairs": (Pair("root@10.0.0.1:22", "root@10.0.0.2:22"),),
            **changes,
        }
    )


def host(name: str, **changes: Any) -> HostFacts:
    """A host that has everything."""
    return HostFacts(
        **{
            "name": name,
            "clock_ahead": 0.0,
            "superuser": True,
            "tools": frozenset({"bash", "ss", "flock"}),
            "reader": READER,
            "client": CLIENT,
            "connects": "",
            "logs": ("/var/lib/mysql/mysql-bin.000001",),
            "free": {"/var/tmp": 100 * GIB, "/var/lib/mysql/": 100 * GIB},
            "unseen": "",
            "wrong_host": "",
            **changes,
        }
    )


# changes -------------------------------------------------------------------------------------------------------------


def on(number: int, **changes: Any) -> Facts:
    """Another state of one server."""
    well = facts()
    up = tuple(replace(s, **changes) if s.hostname == f"db{number}" else s for s in well.cluster.up)
    return replace(well, cluster=ClusterState(up, ()))


def on_channel(number: int, **changes: Any) -> Facts:
    """Another state of one replica's channel."""
    return on(number, channels=(channel(**changes),))


def all_replicas(**changes: Any) -> Facts:
    """The same change on both replicas."""
    well = facts()
    up = tuple(replace(s, **changes) if s.channels else s for s in well.cluster.up)
    return replace(well, cluster=ClusterState(up, ()))


def said(number: int, base: Facts | None = None, **changes: Any) -> Facts:
    """Something else that one server says beyond its state."""
    well = base or facts()
    key = f"10.0.0.{number}:3306"
    return replace(well, servers={**well.servers, key: replace(well.servers[key], **changes)})


def variable(number: int, **values: str) -> Facts:
    """Other variables of one server."""
    seen = facts().servers[f"10.0.0.{number}:3306"]
    return said(number, variables={**seen.variables, **values})


def tried(begin: int, end: int, **changes: Any) -> Facts:
    """Another outcome of logging in as a replica, from one server to another."""
    well = facts()
    pair = (f"db{begin}", f"db{end}")
    logins = (replace(x, found=0, **changes) if (x.start.hostname, x.end.hostname) == pair else x for x in well.logins)
    return replace(well, logins=tuple(logins))


def on_host(number: int, base: Facts | None = None, **changes: Any) -> Facts:
    """Another state of one host."""
    well = base or facts()
    key = f"10.0.0.{number}:3306"
    return replace(well, hosts={**well.hosts, key: replace(well.hosts[key], **changes)})


def down(number: int, reason: str) -> Facts:
    """One server that does not answer."""
    well = facts()
    gone = next(s for s in well.cluster.up if s.hostname == f"db{number}")
    up = tuple(s for s in well.cluster.up if s is not gone)
    seen = {key: value for key, value in well.servers.items() if key != gone.key}
    lost = ServerDown(gone.key, gone.name, gone.hostname, f"{gone.name}: {reason}", False)
    return replace(well, cluster=ClusterState(up, (lost,)), servers=seen)


def granted(number: int, *lines: str) -> Facts:
    """Other grants of the manager's account on one server."""
    return said(number, grants=parse_grants(lines))


def closed(well: Facts) -> Facts:
    """No replica can fetch what was saved, by no way."""
    return replace(well, ways=tuple(TriedWay(s, "10.0.0.9", "refused", "sshd refuses") for s in well.config.servers))


def gtids(text: str) -> GtidSet:
    return GtidSet.parse(text)


def with_gtids(executed: dict[int, str], purged: dict[int, str] | None = None, mode: str = "ON") -> Facts:
    """MySQL GTIDs: what each server executed and purged."""
    well = facts()
    up = tuple(
        replace(
            s,
            gtid_mode=mode,
            gtid_executed=gtids(executed[s.server_id]),
            gtid_purged=gtids((purged or {}).get(s.server_id, "")),
            channels=tuple(replace(c, auto_position=True, retrieved=gtids("")) for c in s.channels),
        )
        for s in well.cluster.up
    )
    return replace(well, cluster=ClusterState(up, ()))


def without(number: int) -> ServerState:
    return next(s for s in facts().cluster.up if s.hostname == f"db{number}")


def unlogged() -> Facts:
    """Replicas by GTIDs, one of which is not to log what a session replays."""
    text = f"{UUID}:1-10"
    well = with_gtids({1: text, 2: text, 3: text})
    servers = tuple(s.model_copy(update={"disable_log_bin": s.hostname == "db2"}) for s in well.config.servers)
    return replace(well, config=well.config.model_copy(update={"servers": servers}))


U2 = UUID.replace("1", "2")


def semi(source: bool, replicas: bool | None, clients: int | None = None) -> Facts:
    """Semi-synchronous replication on either side."""
    well = facts()
    up = tuple(replace(s, semi_sync=SemiSync(source and not s.channels, replicas)) for s in well.cluster.up)
    return said(1, replace(well, cluster=ClusterState(up, ())), semi_sync_clients=clients)


def demanded(policy: str, clients: int = 1, host: int = 9, **semi_sync: Any) -> Facts:
    """A primary that waits for ever before it shows a row, but for these settings, and a binlog server that reads.

    ``host`` is the number of the host of that.
    """
    well = facts(
        config={
            "semi_sync": policy,
            "binlog_servers": (
                block(host, block="binlog1", hostname="archive", master_binlog_dir=("/b",), binlog_ack=True),
            ),
        }
    )
    first = {"source_enabled": True, "timeout": 4294967295, "wait_point": "AFTER_SYNC", "alone": True, **semi_sync}
    other = SemiSync(None if semi_sync.get("replica_enabled") is False else False, False)
    up = tuple(replace(s, semi_sync=other if s.channels else SemiSync(**first)) for s in well.cluster.up)
    reads = Readers((Registered(7, "archive", READER_PORT),), ())
    return said(1, replace(well, cluster=ClusterState(up, ())), semi_sync_clients=clients, readers=reads)


SQUATTER = Holder("MHA_Master_High_Availability_Failover", 7, "app", "web1", counts=False)
