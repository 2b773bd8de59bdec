"""Who follows whom, how it runs, filters, GTIDs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from prefect_mha.replication.checks.facts import (
    Facts,
)
from prefect_mha.replication.cluster.unknown_replicas import Readers, Registered
from prefect_mha.replication.model.check import Severity
from prefect_mha.replication.model.state import ClusterState, Filters
from prefect_mha.replication.model.ways_back import FormerPrimary, FormerState
from tests.unit.replication.build import UUID, channel, server
from tests.unit.replication.checks.building import (
    CLASSIC,
    ERROR,
    INFO,
    U2,
    WARNING,
    all_replicas,
    block,
    down,
    facts,
    on,
    on_channel,
    said,
    with_gtids,
)

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
    ("alive-replica", lambda: all_replicas(channels=()), "app1", ERROR, "0 alive replicas", "bring a replica back"),
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
        "fix what keeps",
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
]
