"""Every named check: a cluster that is well passes all, and for each check there is one that makes it speak."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_mha.config import ClusterConfig, ServerConfig
from prefect_mha.replication.checks import RULES, of_replication, of_ssh
from prefect_mha.replication.checks.cluster.admin_ports import KeptPort
from prefect_mha.replication.checks.facts import (
    Facts,
    HostFacts,
    ManagerFacts,
    Pair,
    Program,
    Route,
    ScriptFacts,
    SeenWitness,
    ServerFacts,
)
from prefect_mha.replication.checks.hosts.ways import TriedWay
from prefect_mha.replication.checks.start import forbidding, refusal
from prefect_mha.replication.checks.switch import RULES as OF_SWITCH
from prefect_mha.replication.checks.trying_logins import TriedLogin
from prefect_mha.replication.cluster.unknown_replicas import READER_PORT, Readers, Registered
from prefect_mha.replication.model.check import Check, Severity
from prefect_mha.replication.model.errant import strays
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid
from prefect_mha.replication.model.state import ClusterState, Filters, SemiSync, ServerDown, ServerState, Vendor
from prefect_mha.replication.model.ways_back import FormerPrimary, FormerState
from prefect_mha.replication.mysql.advisory_locks import Holder
from prefect_mha.replication.mysql.dialects import Dialect
from prefect_mha.replication.mysql.dialects.accounts import AccountLife
from prefect_mha.replication.mysql.dialects.connecting import Connecting
from prefect_mha.replication.mysql.grants import parse_grants
from tests.reference import check_row
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
    return ServerConfig(
        **{
            "block": f"server{number}",
            "hostname": f"db{number}",
            "ip": f"10.0.0.{number}",
            "ssh_host": f"db{number}",
            "ssh_ip": f"10.0.0.{number}",
            "user": "mha",
            "repl_user": "repl",
            **changes,
        }
    )


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
SEMI = SemiSync(source_enabled=False, replica_enabled=False)


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
CASES: list[tuple[str, Callable[[], Facts], str, Severity, str, str]] = [
    # name, cluster, subject, severity, a part of the text, a part of the hint
    (
        "server-answers",
        lambda: down(3, "connect: error 1045: Access denied"),
        "db3",
        ERROR,
        "error 1045",
        "start it, or",
    ),
    (
        "primary",
        lambda: on(3, channels=(), read_only=False, super_read_only=False),
        "app1",
        ERROR,
        "beside the primary",
        "set read_only on it",
    ),
    ("primary", lambda: down(1, "connect: refused"), "app1", ERROR, "is dead", "mha failover --conf /etc/mha/app1.cnf"),
    (
        "primary",
        lambda: on(1, channels=(channel(source_host="10.0.0.2"),), read_only=True),
        "app1",
        ERROR,
        "0 take writes; exactly one must",
        "set read_only=1 on all of them but the primary",
    ),
    (
        "one-source",
        lambda: on(3, channels=(channel(), channel(name="other", source_host="10.9.9.9"))),
        "db3",
        WARNING,
        "has 2 channels, from",
        "leaves the others as they are",
    ),
    (
        "replica-configured",
        lambda: said(1, readers=Readers((Registered(109, "10.0.0.9", 3307),), (("repl", "10.0.0.9"),))),
        "app1",
        WARNING,
        "10.0.0.9:3307 (server_id 109) replicates from db1(10.0.0.1:3306) and is not configured",
        "--hostname=10.0.0.9",
    ),
    ("alive-replica", lambda: all_replicas(channels=()), "app1", ERROR, "0 alive replicas", "mend a replica"),
    ("is-replica", lambda: on(3, channels=()), "db3", ERROR, "from nobody", "make it a replica of db1(10.0.0.1:3306)"),
    (
        "source-configured",
        lambda: on_channel(3, source_host="10.9.9.9"),
        "db3",
        ERROR,
        "its source 10.9.9.9:3306 is no server of the configuration",
        "point it at db1(10.0.0.1:3306)",
    ),
    (
        "source-configured",
        lambda: replace(on_channel(3, source_host="alias"), resolved={"alias": "10.0.0.1"}),
        "db3",
        ERROR,
        "is db1(10.0.0.1:3306), but not by that name",
        "write `hostname=alias` into the block",
    ),
    (
        "source-resolves",
        lambda: replace(on_channel(3, source_host="nowhere"), resolved={"nowhere": None}),
        "db3",
        ERROR,
        "has no address",
        "add nowhere to DNS",
    ),
    (
        "tier",
        lambda: on_channel(3, source_host="10.0.0.2"),
        "db3",
        ERROR,
        "which is not the primary",
        "multi_tier_slave=1",
    ),
    (
        "candidate",
        lambda: facts(config={"servers": (block(1), block(2, no_master=True), block(3, no_master=True))}),
        "app1",
        ERROR,
        "None of slaves can be master: db2(10.0.0.2:3306): no_master is set",
        "mend what keeps",
    ),
    ("promotable", lambda: on_channel(3, delay=60), "db3", INFO, "delayed by 60 s on purpose", "`no_master=1`"),
    (
        "receiver-runs",
        lambda: on_channel(2, receiver="Connecting", receiver_errno=2003, receiver_error="Can't connect"),
        "db2",
        ERROR,
        "the IO thread does not reach 10.0.0.1:3306: error 2003: Can't connect",
        "`START REPLICA IO_THREAD` on db2",
    ),
    (
        "receiver-runs",
        lambda: said(2, on_channel(2, receiver="No", name="west"), dialect=CLASSIC),
        "db2",
        ERROR,
        "the IO thread of channel west is stopped",
        "`START SLAVE 'west' IO_THREAD`",
    ),
    (
        "applier-runs",
        lambda: on_channel(2, applier_running=False, applier_errno=1062, applier_error="Duplicate entry"),
        "db2",
        ERROR,
        "the SQL thread is stopped: error 1062: Duplicate entry",
        "`START REPLICA SQL_THREAD` on db2",
    ),
    (
        "lag",
        lambda: on_channel(2, seconds_behind=31),
        "db2",
        ERROR,
        "31 s behind, more than 30 s",
        "SHOW PROCESSLIST on db2",
    ),
    ("lag", lambda: on_channel(2, seconds_behind=None), "db2", ERROR, "is NULL", "SHOW PROCESSLIST on db2"),
    (
        "lag",
        lambda: on_channel(2, seconds_behind=100, delay=60),
        "db2",
        ERROR,
        "100 s behind, 60 s of it on purpose",
        "",
    ),
    (
        "replication-filters",
        lambda: on_channel(3, filters=Filters(ignore_table="app.log")),
        "db3",
        ERROR,
        "replicate_ignore_table=app.log, but others: no replication filters",
        "give db3 the filters of the others",
    ),
    (
        "binlog-filters",
        lambda: on(3, binlog_ignore_db="tmp"),
        "db3",
        ERROR,
        "binlog_ignore_db=tmp, but elsewhere: everything is logged",
        "my.cnf of db3",
    ),
    (
        "filters-agree",
        lambda: replace(
            facts(),
            cluster=ClusterState(
                tuple(
                    replace(
                        s,
                        binlog_do_db="a,b",
                        channels=tuple(replace(c, filters=Filters(do_db="a")) for c in s.channels),
                    )
                    for s in facts().cluster.up
                ),
                (),
            ),
        ),
        "db2",
        ERROR,
        "takes a, and db1(10.0.0.1:3306) logs a, b",
        "replicate_do_db of db2",
    ),
    ("gtid-mode", lambda: on(3, gtid_mode="ON_PERMISSIVE"), "db3", WARNING, "ON_PERMISSIVE, elsewhere OFF", "one mode"),
    (
        "gtid-positioning",
        lambda: replace(
            facts(config={"servers": (block(1), block(2), block(3), block(4))}),
            cluster=ClusterState((*on_channel(3, auto_position=True).cluster.up, replace(server(4, channel()))), ()),
            servers={**facts().servers, "10.0.0.4:3306": facts().servers["10.0.0.1:3306"]},
        ),
        "db3",
        WARNING,
        "positioned by MySQL GTID, the others by file/position",
        "as the others do: file and position",
    ),
    (
        "former-primary",
        lambda: replace(facts(), former=(FormerPrimary("10.0.0.1:3306", "db1(10.0.0.1:3306)", FormerState.HELD),)),
        "db1",
        WARNING,
        "was replaced by a failover, is back, and is held read-only",
        "`mha rejoin --conf /etc/mha/app1.cnf --host db1`",
    ),
    (
        "former-primary",
        lambda: replace(
            facts(),
            former=(FormerPrimary("10.0.0.1:3306", "db1(10.0.0.1:3306)", FormerState.REJOINING, "Copy it", 42.0),),
        ),
        "db1",
        INFO,
        "is being made a replica (rejoining: Copy it, 42%)",
        "mha rejoin",
    ),
    (
        "errant-transactions",
        lambda: with_gtids({1: f"{UUID}:1-9", 2: f"{UUID}:1-9,{U2}:1-2", 3: f"{UUID}:1-9"}),
        "db2",
        WARNING,
        f"{U2}:1-2",
        "until then db2 is not promoted",
    ),
    (
        "gtid-purged",
        lambda: with_gtids(dict.fromkeys((1, 2, 3), f"{UUID}:1-9") | {3: f"{UUID}:1-2"}, {1: f"{UUID}:1-5"}),
        "db3",
        ERROR,
        f"db1(10.0.0.1:3306) has purged what it lacks: {UUID}:3-5",
        "keep logs longer on db1",
    ),
    (
        "gtid-purged",
        lambda: with_gtids(dict.fromkeys((1, 2, 3), f"{UUID}:1-9") | {3: f"{UUID}:1-2"}, {2: f"{UUID}:1-5"}),
        "db3",
        WARNING,
        "db2(10.0.0.2:3306) has purged",
        "clone db3",
    ),
    ("read-only", lambda: on(2, read_only=False), "db2", INFO, "read_only is off", "`SET GLOBAL read_only=1` on db2"),
    ("super-read-only", lambda: on(2, super_read_only=False), "db2", INFO, "is off", "`SET GLOBAL super_read_only=1`"),
    ("binary-log", lambda: on(2, log_bin=False), "db2", WARNING, "This host cannot be a master", "set `log_bin`"),
    ("binary-log", lambda: on(1, log_bin=False), "db1", ERROR, "Nobody can replicate from it", "my.cnf of db1"),
    (
        "log-replica-updates",
        lambda: on(2, log_replica_updates=False),
        "db2",
        INFO,
        "log_replica_updates is off",
        "`log_replica_updates=1`",
    ),
    (
        "log-replica-updates",
        lambda: said(
            2,
            on(2, log_replica_updates=False, channels=(channel(auto_position=True),)),
            variables={"log_slave_updates": "OFF"},
        ),
        "db2",
        WARNING,
        "log_slave_updates is off",
        "set `log_slave_updates=1` in my.cnf of db2",
    ),
    ("binlog-format", lambda: on(1, binlog_format="MIXED"), "db1", INFO, "MIXED", "`SET GLOBAL binlog_format=ROW`"),
    ("binlog-format", lambda: on(1, binlog_format="STATEMENT"), "db1", WARNING, "STATEMENT", "on db1"),
    (
        "binlog-row-image",
        lambda: variable(1, binlog_row_image="MINIMAL"),
        "db1",
        INFO,
        "MINIMAL",
        "binlog_row_image=FULL",
    ),
    (
        "durability",
        lambda: variable(1, sync_binlog="0", innodb_flush_log_at_trx_commit="2"),
        "db1",
        INFO,
        "sync_binlog is 0, innodb_flush_log_at_trx_commit is 2",
        "`SET GLOBAL sync_binlog=1, GLOBAL innodb_flush_log_at_trx_commit=1` on db1",
    ),
    ("relay-log-purge", lambda: on(2, relay_log_purge=True), "db2", WARNING, "is on", "`SET GLOBAL relay_log_purge=0`"),
    (
        "relay-log-purge",
        lambda: on(2, relay_log_purge=True, channels=(channel(auto_position=True),)),
        "db2",
        INFO,
        "is on",
        "purge_relay_logs",
    ),
    ("relay-log-recovery", lambda: on(2, relay_log_recovery=True), "db2", WARNING, "is on", "`relay_log_recovery=0`"),
    ("server-id", lambda: on(2, server_id=1), "db2", ERROR, "is also that of db1", "`SET GLOBAL server_id=4` on db2"),
    ("server-id", lambda: on(2, server_id=0), "db2", ERROR, "server_id is 0", "SET GLOBAL server_id=4"),
    ("server-uuid", lambda: on(2, server_uuid=UUID), "db2", ERROR, "is also that of db1", "remove auto.cnf from"),
    ("server-clock", lambda: said(2, clock_ahead=-7.0), "db2", WARNING, "7 s behind this machine's", "clock of db2"),
    ("server-proven", lambda: said(2, unproven="it offers no TLS"), "db2", WARNING, "no TLS", "`ssl_mode=verify_ca`"),
    ("kept-port", lambda: said(2, kept_port=KeptPort()), "db2", INFO, "keeps no port", "`admin_address=db2`"),
    ("kept-port", lambda: said(2, kept_port=KeptPort(33062, "refused")), "db2", WARNING, "33062 for", "`admin_port`"),
    ("kept-port", lambda: said(2, kept_port=KeptPort(3307, "", 2)), "db2", INFO, "takes 2 sessions", "restart it"),
    (
        "named-locks",
        lambda: said(2, squatters=(SQUATTER,)),
        "db2",
        WARNING,
        "session 7 (app@web1) holds",
        "uses app on",
    ),
    ("semi-sync", lambda: semi(True, False), "db2", WARNING, "is off", "`SET GLOBAL rpl_semi_sync_replica_enabled=1`"),
    ("semi-sync", lambda: semi(True, None), "db2", WARNING, "has no plugin", "rpl_semi_sync_replica_enabled=1"),
    ("semi-sync", lambda: semi(True, True, 0), "db1", WARNING, "restart their IO threads", ""),
    ("semi-sync", lambda: semi(False, True), "db1", INFO, "would acknowledge", "rpl_semi_sync_source_enabled=1"),
    (
        "semi-sync-waits",
        lambda: demanded("off", wait_point="AFTER_COMMIT"),
        "db1",
        WARNING,
        "AFTER_COMMIT",
        "=AFTER_SYNC`",
    ),
    ("semi-sync-waits", lambda: demanded("off", alone=False), "db1", WARNING, "wait for nobody", "no_replica=ON"),
    ("semi-sync-waits", lambda: demanded("off", timeout=10000), "db1", INFO, "wait 10 s", "=4294967295`"),
    ("semi-sync-demanded", lambda: demanded("require", source_enabled=False), "db1", ERROR, "is not on", "on db1"),
    (
        "semi-sync-demanded",
        lambda: demanded("prefer", 0),
        "db1",
        WARNING,
        "nobody acknowledges (of binlog1)",
        "binlog_ack",
    ),
    (
        "semi-sync-own-host",
        lambda: demanded("require", host=1),
        "db1",
        ERROR,
        "binlog1 may acknowledge",
        "another host",
    ),
    ("semi-sync-own-host", lambda: demanded("off", host=1), "db1", WARNING, "is lost with it", "another host"),
    ("semi-sync-demanded", lambda: demanded("require", timeout=9), "db1", ERROR, "on its disk alone", "for ever"),
    ("semi-sync-demanded", lambda: demanded("require", replica_enabled=False), "db2", ERROR, "no plugin", "on db2"),
    ("disable-log-bin", unlogged, "db2", WARNING, "is ignored", "`disable_log_bin=1` out of the configuration of db2"),
    (
        "privilege-see-channels",
        lambda: granted(2, "GRANT SUPER ON *.* TO x"),
        "db2",
        WARNING,
        "may not read performance_schema",
        "GRANT SELECT ON performance_schema.*",
    ),
    (
        "account-lasts",
        lambda: said(2, lives=(AccountLife("mha", "%", days_left=9.5), AccountLife("repl", "%"))),
        "db2",
        WARNING,
        "the account 'mha'@'%' has a password that expires in 9.5 days",
        "`ALTER USER 'mha'@'%' PASSWORD EXPIRE NEVER`",
    ),
    ("account-lasts", lambda: said(2, lives=(AccountLife("mha", "%", days_left=2.5),)), "db2", ERROR, "2.5 days", ""),
    ("account-lasts", lambda: said(1, lives=(AccountLife("repl", "%", True),)), "db1", ERROR, "has expired", ""),
    (
        "account-lasts",
        lambda: said(2, lives=(AccountLife("repl", "%", locked=True),)),
        "db2",
        ERROR,
        "the account 'repl'@'%' is locked",
        "ACCOUNT UNLOCK`",
    ),
    ("account-lasts", lambda: said(2, lives=None), "db2", INFO, "is not known", ""),
    (
        "replication-account",
        lambda: said(2, replication_accounts=frozenset({("repl", "10.0.0.1")})),
        "db2",
        ERROR,
        "db3 may not replicate from it as repl",
        "`GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%'` on the primary",
    ),
    ("replication-account", lambda: said(2, replication_accounts=None), "db2", INFO, "mysql.user cannot be read", ""),
    (
        "replication-login",
        lambda: tried(2, 3, number=1045, error="ERROR 1045 (28000): Access denied"),
        "db2",
        ERROR,
        "could not follow db3(10.0.0.3:3306) as repl, with the password of its channel: ERROR 1045",
        "for 10.0.0.2, on db3 as elsewhere",
    ),
    ("replication-login", lambda: tried(2, 3, untried="there is no mysql client"), "db2", INFO, "not tried", "mysql.u"),
    (
        "repl-password",
        lambda: tried(1, 2, number=1045, error="ERROR 1045 (28000): Access denied"),
        "db1",
        ERROR,
        "of repl_password in the configuration",
        "write the password of repl into repl_password",
    ),
    ("repl-password", lambda: tried(1, 2, number=2003, error="ERROR 2003"), "db1", WARNING, "2003", "let db1 reach"),
    (
        "replication-key",
        lambda: on_channel(2),
        "db2",
        WARNING,
        "db1, db3 would refuse it unless they remember it",
        "STOP REPLICA IO_THREAD; CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY=1; START REPLICA IO_THREAD` on db2",
    ),
    (
        "ssh",
        lambda: on_host(2, error="root@10.0.0.2:22: connect: no answer within 5 s (is sshd running?)"),
        "db2",
        ERROR,
        "root@10.0.0.2:22: connect: no answer within 5 s",
        "try `ssh -p 22 root@10.0.0.2`",
    ),
    (
        "sftp",
        lambda: on_host(2, sftp="root@10.0.0.2:22: read x: permission denied"),
        "db2",
        ERROR,
        "read x: perm",
        "give root",
    ),
    (
        "mysqlbinlog",
        lambda: on_host(2, reader=None),
        "db2",
        ERROR,
        "no mysqlbinlog",
        "programs of MySQL 8.4 or newer on db2",
    ),
    (
        "mysqlbinlog",
        lambda: on_host(2, reader=Program("/opt/old/mysqlbinlog", "mysqlbinlog  Ver 5.7.44 for Linux")),
        "db2",
        ERROR,
        "/opt/old/mysqlbinlog is of 5.7.44, older than the server's 8.4.0",
        "`client_bindir`",
    ),
    (
        "mysqlbinlog",
        lambda: on_host(2, reader=Program("/x/mysqlbinlog", "mysqlbinlog from 11.4.2-MariaDB, client 15.2")),
        "db2",
        ERROR,
        "is of MariaDB, the server is MySQL",
        "MySQL 8.4 or newer",
    ),
    (
        "mysqlbinlog",
        lambda: on_host(
            2,
            reader=Program("/usr/bin/mysqlbinlog", "mysqlbinlog Ver 3.5 for debian-linux-gnu at x86_64"),
            client=Program("/usr/bin/mysql", "mysql  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu"),
        ),
        "db2",
        ERROR,
        "/usr/bin/mysqlbinlog is of MariaDB",
        "",
    ),
    (
        "mysqlbinlog",
        lambda: on_host(2, reader=Program("/x/mysqlbinlog", "cannot open libssl")),
        "db2",
        ERROR,
        "does not start",
        "",
    ),
    (
        "mysql-client",
        lambda: on_host(2, client=Program("/x/mysql", "mysql  Ver 14.14 Distrib 5.6.51, for Linux")),
        "db2",
        WARNING,
        "older than the server's",
        "MySQL 8.4",
    ),
    ("mysql-client", lambda: on_host(2, client=None), "db2", ERROR, "there is no mysql client", ""),
    (
        "client-connects",
        lambda: on_host(2, connects="ERROR 1045 (28000): Access denied for user 'mha'@'db2'"),
        "db2",
        ERROR,
        "ERROR 1045 (28000)",
        "'mha'@'10.0.0.2'",
    ),
    (
        "remote-workdir",
        lambda: on_host(2, workdir="/var/tmp cannot be written"),
        "db2",
        ERROR,
        "/var/tmp cannot be written",
        "make /var/tmp on db2 writable for root",
    ),
    (
        "free-disk",
        lambda: on_host(2, free={"/var/tmp": 500 << 20}),
        "db2",
        WARNING,
        "500 MiB are free for /var/tmp",
        "on db2",
    ),
    (
        "free-disk",
        lambda: on_host(2, free={"/data": 10 << 20}),
        "db2",
        ERROR,
        "10 MiB are free",
        "disk of /data on db2",
    ),
    ("host-clock", lambda: on_host(2, clock_ahead=90.0), "db2", WARNING, "90 s ahead of this machine's", "chrony"),
    (
        "host-tools",
        lambda: on_host(2, tools=frozenset({"bash"})),
        "db2",
        WARNING,
        "ss, flock missing",
        "iproute2, util-linux",
    ),
    (
        "fence",
        lambda: on_host(2, facts(config={"shutdown_script": None}), superuser=False, name="mha@10.0.0.2:22"),
        "db2",
        WARNING,
        "mha may not kill mysqld",
        "set `ssh_user` to root",
    ),
    (
        "process-seen",
        lambda: on_host(2, unseen="no process of it and no listener, though it answers", elsewhere=True),
        "db2",
        ERROR,
        "root on its host sees: no process of it and no listener, though it answers",
        "see that SSH to db2 leads to the host that its mysqld runs on",
    ),
    (
        "ssh-host",
        lambda: on_host(2, wrong_host="it leads to another host: mysqld 7 there has the port, and no session of ours"),
        "db2",
        ERROR,
        "root@10.0.0.2:22: it leads to another host",
        "nothing is asked or done over SSH of db2",
    ),
    (
        "process-seen",
        lambda: on_host(2, unseen="process 7 may be another's: nothing tells its port"),
        "db2",
        WARNING,
        "process 7 may be another's",
        "that root sees processes of others there",
    ),
    (
        "host-helper",
        lambda: on_host(2, superuser=False, name="mha@10.0.0.2:22"),
        "db2",
        WARNING,
        "mha is not root, and /usr/local/sbin/mha-host-3306 is not there",
        "`mha ALL=(root) NOPASSWD: /usr/local/sbin/mha-host-3306 fence 0 0`",
    ),
    (
        "host-helper",
        lambda: on_host(2, superuser=False, name="mha@10.0.0.2:22", no_helper="sudo: a password is required"),
        "db2",
        WARNING,
        "sudo does not let mha start /usr/local/sbin/mha-host-3306",
        "install on db2",
    ),
    (
        "host-helper",
        lambda: on_host(2, superuser=False, name="mha@10.0.0.2:22", helper="0123456789abcdef"),
        "db2",
        WARNING,
        "is of another configuration or version",
        "install on db2",
    ),
    (
        "binlog-directory",
        lambda: on_host(2, logs=(), unreadable={"/var/lib/mysql": "permission denied"}),
        "db2",
        ERROR,
        "mysql-bin.000001 cannot be read: /var/lib/mysql: permission denied",
        "give root read access",
    ),
    (
        "binlog-directory",
        lambda: on_host(2, logs=("/data/log/mysql-bin.000001",)),
        "db2",
        WARNING,
        "is in /data/log, which master_binlog_dir does not name",
        "set `master_binlog_dir`",
    ),
    (
        "binlog-directory",
        lambda: on_host(3, down(3, "refused"), unreadable=dict.fromkeys(("/var/lib/mysql", "/var/log/mysql"), "gone")),
        "db3",
        ERROR,
        "/var/log/mysql: gone",
        "master_binlog_dir",
    ),
    (
        "binlog-encryption",
        lambda: on_host(1, encrypted=True),
        "db1",
        WARNING,
        "are encrypted",
        "switch binlog_encryption off",
    ),
    ("binlog-encryption", lambda: variable(1, binlog_encryption="ON"), "db1", WARNING, "are encrypted", "off on db1"),
    (
        "relay-log-directory",
        lambda: on_host(2, on(2, relay_log_basename="/relay/r"), unreadable={"/relay": "permission denied"}),
        "db2",
        ERROR,
        "/relay: permission denied",
        "read access to /relay on db2",
    ),
    (
        "relay-log-info",
        lambda: on_host(2, info="/data/place.info", unreadable={"/data/place.info": "permission denied"}),
        "db2",
        ERROR,
        "/data/place.info: permission denied",
        "read access to /data/place.info on db2",
    ),
    (
        "ssh-pair",
        lambda: replace(facts(), pairs=(Pair("root@10.0.0.1:22", "adm@10.0.0.2:2222", "Permission denied"),)),
        "root@10.0.0.1:22",
        ERROR,
        "does not reach adm@10.0.0.2:2222: Permission denied",
        "`ssh -p 2222 adm@10.0.0.2` on 10.0.0.1 as root",
    ),
    (
        "manager-workdir",
        lambda: replace(facts(), manager=ManagerFacts("/x", "/x cannot be written by this user")),
        "manager",
        ERROR,
        "cannot be written",
        "make /x writable",
    ),
    (
        "manager-workdir",
        lambda: replace(facts(), manager=ManagerFacts("/x", free=1 << 28, spare="/y", spare_free=1 << 30)),
        "manager",
        WARNING,
        "256 MiB",
        "",
    ),
    (
        "manager-spare-dir",
        lambda: replace(facts(), manager=ManagerFacts("/x", free=1 << 20, spare="/y", spare_free=1 << 28)),
        "manager",
        WARNING,
        "256 MiB in /y",
        "set `manager_spare_dir`",
    ),
    (
        "manager-spare-dir",
        lambda: replace(facts(), manager=ManagerFacts("/x", free=1 << 40, spare="/y", spare_trouble="no directory")),
        "manager",
        WARNING,
        "no directory",
        "set `manager_spare_dir`",
    ),
    (
        "own-workdir",
        lambda: replace(facts(), manager=ManagerFacts("/x", free=1 << 40, doubt="every local user may write there")),
        "manager",
        WARNING,
        "/x: every local user may write there",
        "/var/lib/mha/APP",
    ),
    (
        "secret-files",
        lambda: replace(facts(), manager=ManagerFacts("/x", free=1 << 40, open_files=("/etc/app1.cnf",))),
        "manager",
        WARNING,
        "every local user may read /etc/app1.cnf",
        "`chmod o= /etc/app1.cnf`",
    ),
    (
        "script-defined",
        lambda: facts(config={"shutdown_script": None}),
        "shutdown_script",
        WARNING,
        "shutdown_script is not defined",
        "killed over SSH",
    ),
    (
        "script-status",
        lambda: replace(facts(), scripts=(ScriptFacts("shutdown_script", "exit code 3: no IPMI", asked=True),)),
        "shutdown_script",
        ERROR,
        "exit code 3: no IPMI",
        "--command=status",
    ),
    (
        "script-runnable",
        lambda: replace(facts(), scripts=(ScriptFacts("report_script", "/x does not exist"),)),
        "report_script",
        ERROR,
        "/x does not exist",
        "correct `report_script`",
    ),
    (
        "binlog-server",
        lambda: replace(facts(), binlog_hosts={"binlog1": host("root@10.0.0.9:22", error="no answer")}),
        "binlog1 on archive",
        ERROR,
        "no answer",
        "run `mha binlog-server`",
    ),
    (
        "second-voice",
        lambda: replace(
            facts(config={"secondary_check_script": None}), own=frozenset({"10.0.0.2:3306", "10.0.0.3:3306"})
        ),
        "app1",
        WARNING,
        "there is only db2",
        "witness = HOST",
    ),
    (
        "witness",
        lambda: replace(facts(), witnesses=(SeenWitness("w1", "connect over SSH: refused"), SeenWitness("w2"))),
        "w1",
        WARNING,
        "refused",
        "log in to w1",
    ),
    (
        "secondary-route",
        lambda: replace(facts(), routes=(Route("db2", "10.0.0.2"), Route("db1.lan", "10.0.0.1"))),
        "db1.lan",
        WARNING,
        "is the host of the primary db1",
        "name another host with `-s`",
    ),
    (
        "secondary-route",
        lambda: replace(facts(), routes=(Route("here", "10.0.0.77", local=True),)),
        "here",
        WARNING,
        "is the manager's own host",
        "name another host with `-s`",
    ),
]
CASES += [
    (
        "rescue-port",
        lambda forward=forward: replace(facts(), ways=(TriedWay(block(2), "10.0.0.9", "timed out", forward),)),
        "db2",
        WARNING,
        text,
        "let db2 connect to 10.0.0.9, ports 23306-23315",
    )
    for forward, text in (("", "SSH forwards one"), ("sshd refuses", "sshd refuses"))
]
CASES += [
    (
        "primary-takes-writes",
        lambda: on(1, read_only=True),
        "db1",
        ERROR,
        "read_only keeps applications out",
        "`SET GLOBAL read_only=0` on db1",
    ),
    (
        "open-to-applications",
        lambda: on(2, offline_mode=True),
        "db2",
        WARNING,
        "offline_mode keeps applications out",
        "`SET GLOBAL offline_mode=0` on db2",
    ),
    (
        "same-door",
        lambda: variable(2, init_connect="SET @no_such_thing := nothing()"),
        "db2",
        WARNING,
        "init_connect is another",
        "`init_connect` on db2 as on db1",
    ),
    (
        "probe-account",
        lambda: said(2, probe="db2: connect: error 1045: Access denied"),
        "db2",
        WARNING,
        "error 1045",
        "a failover passes db2 over",
    ),
    ("connections-left", lambda: said(3, connected=140), "db3", WARNING, "140 of 151", "`max_connections`"),
]
# Each power of the manager's account is one check, and an account with no privilege at all lacks every one.
CASES += [
    (
        rule.name,
        lambda: closed(granted(2, "GRANT USAGE ON *.* TO 'mha'@'%'")),
        "db2",
        rule.severity,
        "may not",
        "ON *.* TO 'mha'@'%'` on db2",
    )
    for rule in ASKED
    if rule.name.startswith("privilege-") and rule.name != "privilege-see-channels"
]


def found(checks: tuple[Check, ...], name: str, subject: str) -> list[Check]:
    return [c for c in checks if c.name == name and c.subject.split("(")[0] == subject and not c.ok]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4][:20]}")
def test_a_check_speaks(case: tuple[str, Callable[[], Facts], str, Severity, str, str]) -> None:
    name, make, subject, severity, text, hint = case
    spoken = found(of_replication(make()), name, subject)
    assert len(spoken) == 1, spoken
    assert spoken[0].severity is severity
    assert text in spoken[0].text
    assert hint in spoken[0].hint
    assert not re.search(r"[{}]", spoken[0].hint), "a field of the hint was left empty"


def test_every_check_has_a_cluster_that_makes_it_speak() -> None:
    assert {case[0] for case in CASES} == {rule.name for rule in ASKED}


def test_names_are_unique_and_for_programs() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z][a-z-]+", name) for name in names)


def test_a_cluster_that_is_well_passes_every_check() -> None:
    checks = of_replication(facts())
    assert [c for c in checks if not c.ok] == []
    # What only GTIDs, filters, a dead server, a strange source or a plain user lets be asked is not among them.
    asked = {c.name for c in checks}
    optional = {
        "host-helper",
        "secondary-route",
        "witness",
        "disable-log-bin",
        "source-resolves",
        "filters-agree",
        "errant-transactions",
        "gtid-purged",
    }
    assert {rule.name for rule in ASKED} - asked == optional


def test_ssh_checks_are_those_of_logins_and_files_only() -> None:
    names = {c.name for c in of_ssh(on_host(2, reader=None, connects="ERROR 1045"))}
    assert "ssh" in names
    assert names.isdisjoint({"mysqlbinlog", "client-connects", "server-answers", "lag"})
    assert not any(c.failed for c in of_ssh(on_host(2, reader=None)))


def test_without_hosts_nothing_is_said_of_them() -> None:
    names = {c.name for c in of_replication(replace(facts(), hosts={}, binlog_hosts={}, pairs=()))}
    assert names.isdisjoint({"ssh", "sftp", "mysqlbinlog", "binlog-directory", "binlog-server"})


def test_a_host_that_is_left_out_is_neither_well_nor_unwell() -> None:
    checks = of_ssh(on_host(2, skipped=True))
    (only,) = [c for c in checks if c.subject.startswith("db2")]
    assert (only.name, only.ok) == ("ssh", True)
    assert "skip_init_ssh_check" in only.text


@pytest.mark.parametrize(("seconds", "late"), [(30, True), (31, False), (0, True)])
def test_lag_is_measured_against_the_option(seconds: int, late: bool) -> None:
    behind = on_channel(2, seconds_behind=31)
    assert bool(found(of_replication(behind, seconds), "lag", "db2")) is late


def test_a_delay_on_purpose_is_no_lag() -> None:
    assert not found(of_replication(on_channel(2, seconds_behind=3605, delay=3600)), "lag", "db2")


def test_filters_that_say_the_same_differently_are_the_same() -> None:
    same = all_replicas(channels=(channel(filters=Filters(ignore_db="a,b")),))
    up = tuple(
        replace(s, channels=(channel(filters=Filters(ignore_db=" b,a ")),)) if s.hostname == "db3" else s
        for s in same.cluster.up
    )
    checks = of_replication(replace(same, cluster=ClusterState(up, ())))
    assert not [c for c in checks if c.name == "replication-filters" and not c.ok]


def test_filters_are_not_compared_when_they_are_not_to_be() -> None:
    odd = on_channel(3, filters=Filters(do_db="a"))
    quiet = replace(odd, config=odd.config.model_copy(update={"check_repl_filter": False}))
    assert not [c for c in of_replication(quiet) if "filter" in c.name]


def test_replicas_of_replicas_are_well_when_they_are_configured_so() -> None:
    tiers = on_channel(3, source_host="10.0.0.2")
    allowed = replace(tiers, config=tiers.config.model_copy(update={"multi_tier_slave": True}))
    assert not found(of_replication(allowed), "tier", "db3")


def test_a_second_copy_that_is_demanded_and_there_is_said_to_be() -> None:
    checks = [c for c in of_replication(demanded("require")) if c.name.startswith("semi-sync")]
    assert all(c.ok for c in checks), checks
    told = "; ".join(c.text for c in checks)
    assert "1 acknowledge (of binlog1)" in told
    assert "nothing acknowledged would be lost" in told


def test_one_binlog_server_that_works_makes_the_other_a_warning() -> None:
    two = facts(
        config={
            "binlog_servers": tuple(
                block(n, block=f"binlog{n}", hostname=f"a{n}", master_binlog_dir=("/srv",)) for n in (8, 9)
            )
        },
        binlog_hosts={"binlog8": host("root@10.0.0.8:22"), "binlog9": host("root@10.0.0.9:22", error="no answer")},
    )
    (spoken,) = [c for c in of_replication(two) if c.name == "binlog-server" and not c.ok]
    assert (spoken.subject, spoken.severity) == ("binlog9 on a9", WARNING)


def test_a_readers_own_number_is_no_version() -> None:
    old_style = Program("/usr/bin/mysqlbinlog", "mysqlbinlog  Ver 3.4 for Linux at x86_64")
    assert not found(of_replication(on_host(2, reader=old_style)), "mysqlbinlog", "db2")


def test_a_fence_through_the_owner_of_the_data_will_do() -> None:
    plain = on_host(2, facts(config={"shutdown_script": None}), superuser=False, owns_data=True)
    assert not found(of_replication(plain), "fence", "db2")


def test_who_never_becomes_primary_needs_less() -> None:
    servers = (block(1), block(2, no_master=True), block(3))
    few = replace(
        granted(2, "GRANT REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN ON *.* TO x"),
        config=facts(config={"servers": servers}).config,
    )
    checks = of_replication(few)
    assert not [c for c in checks if c.name.startswith("privilege-") and c.subject.startswith("db2") and c.failed]
    assert not [c for c in checks if c.name == "replication-account" and c.subject.startswith("db2")]


def test_passwords_that_cannot_be_tried_are_compared_by_what_servers_keep_of_them() -> None:
    kept = [AccountLife("repl", "%", print=each) for each in ("a", "b")]
    base = replace(facts(), logins=tried(2, 3, untried="there is no mysql client").logins)
    same = said(3, said(1, base, lives=(kept[0],)), lives=(kept[0],))
    assert [c.severity for c in found(of_replication(same), "replication-login", "db2")] == [INFO]
    other = said(3, said(1, base, lives=(kept[0],)), lives=(kept[1],))
    spoken = found(of_replication(other), "replication-login", "db2")
    assert [c.severity for c in spoken] == [INFO, WARNING]
    assert "on db3" in spoken[1].text


def test_whoever_lets_the_client_in_must_be_that_server() -> None:
    assert not found(of_replication(on_host(2, answers=2)), "client-connects", "db2")
    (spoken,) = found(of_replication(on_host(2, answers=3)), "client-connects", "db2")
    assert "is another server there: one with server_id 3 answers" in spoken.text


def test_a_reader_of_another_maker_is_not_fit_whatever_its_number() -> None:
    foreign = Program("/usr/local/bin/mysqlbinlog", "mysqlbinlog Ver 3.5 for debian-linux-gnu at x86_64", "mariadb")
    (spoken,) = found(of_replication(on_host(2, reader=foreign, reads="")), "mysqlbinlog", "db2")
    assert "is of MariaDB, the server is MySQL" in spoken.text


def test_a_reader_that_cannot_read_the_log_or_of_which_nothing_is_known_is_not_fit() -> None:
    alone = Program("/opt/mysqlbinlog", "mysqlbinlog  Ver 3.4 for Linux at x86_64", "mysql")
    (spoken,) = found(of_replication(on_host(2, reader=alone)), "mysqlbinlog", "db2")
    assert "does not tell its version" in spoken.text
    assert not found(of_replication(on_host(2, reader=alone, reads="")), "mysqlbinlog", "db2")
    (spoken,) = found(of_replication(on_host(2, reads="ERROR: Could not read entry")), "mysqlbinlog", "db2")
    assert "does not read its current log: ERROR" in spoken.text


def test_what_a_session_would_need_to_replay_a_log_is_only_told_while_none_has_to() -> None:
    checks = of_replication(granted(2, "GRANT USAGE ON *.* TO 'mha'@'%'"))
    assert [c.severity for c in checks if c.name == "privilege-apply-log" and not c.ok] == [INFO]


def test_mariadb_strays_are_told_by_server_id() -> None:
    primary = server(1, vendor=Vendor.MARIADB, gtid_executed=None, gtid_binlog_state=(MariadbGtid(0, 1, 10),))
    replica = server(
        2,
        channel(),
        vendor=Vendor.MARIADB,
        gtid_executed=None,
        gtid_binlog_state=(MariadbGtid(0, 1, 9), MariadbGtid(0, 2, 10)),
    )
    assert strays(primary, replica) == "0-2-10"


# the page ------------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[4] / "docs" / "checks.md"


def test_the_page_has_each_check_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [rule.name for rule in RULES if check_row(rule) not in lines] == []


def test_the_page_names_no_check_that_does_not_exist() -> None:
    named = re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == [rule.name for rule in RULES]


def test_a_primary_that_cannot_be_told_is_not_called_a_replica_that_fails() -> None:
    seen = on(3, channels=(), read_only=False, super_read_only=False)
    names = [(c.name, c.subject.split("(")[0]) for c in of_replication(seen) if not c.ok and c.name == "is-replica"]
    assert names == [("is-replica", "db3")], "db1 is followed, so it is no replica that is missing"


def test_a_server_that_is_never_to_be_promoted_is_not_told_to_set_no_master() -> None:
    seen = facts(config={"servers": (block(1), block(2), block(3, no_master=True))})
    (told,) = [c for c in of_replication(seen) if c.name == "promotable" and c.subject.startswith("db3")]
    assert told.ok
    assert "no_master is set" in told.text


def test_what_forbids_a_start() -> None:
    config = facts().config
    checks = [
        Check("applier-runs", config.servers[2].name, False, "is stopped"),
        Check("lag", config.servers[1].name, False, "40 s behind"),
        Check("candidate", "app1", False, "nobody"),
        Check("read-only", config.servers[1].name, False, "off", Severity.INFO),
    ]
    assert [c.name for c in forbidding(config, checks, ignore_fail=False)] == ["applier-runs", "candidate"]
    assert [c.name for c in forbidding(config, checks, ignore_fail=True)] == ["applier-runs", "candidate"]
    waived = facts(config={"servers": (block(1), block(2), block(3, ignore_fail=True))}).config
    assert [c.name for c in forbidding(waived, checks, ignore_fail=False)] == ["applier-runs", "candidate"]
    assert [c.name for c in forbidding(waived, checks, ignore_fail=True)] == ["candidate"]
    said = refusal(config, forbidding(config, checks, ignore_fail=True), len(checks))
    assert "2 of 4 checks say" in said.sentence
    assert said.evidence[0].startswith("applier-runs: db3")
