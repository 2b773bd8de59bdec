"""A cluster before a planned switch, and each thing that makes a check of it fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import SecretStr

from prefect_mha.config import ClusterConfig
from prefect_mha.replication.checks.switch import switch_checks
from prefect_mha.replication.coordination.failover_lock import FAILOVER_LOCK, MONITOR_LOCK
from prefect_mha.replication.model.check import Check
from prefect_mha.replication.model.gtid import GtidSet, MariadbGtid
from prefect_mha.replication.model.state import Filters, ServerState, Vendor
from prefect_mha.replication.mysql.grants import Grants
from prefect_mha.replication.planning.switch_options import SwitchOptions
from prefect_mha.replication.workload.activity import Activity, AdvisoryLock, OpenTransaction, Process, TableLock
from tests.unit.replication.build import UUID, activity, channel, cluster, configured, process, server

#: What the primary wrote, and one transaction of db2's own.
WRITTEN, STRAY = f"{UUID}:1-100", UUID.replace("1", "2") + ":1"


@dataclass
class Scene:
    """db1 is the primary, db2 the target, db3 another replica, all well; a test breaks one thing."""

    config: ClusterConfig = field(default_factory=lambda: configured({}, {}))
    states: list[ServerState] = field(
        default_factory=lambda: [server(1, read_only=False), server(2, channel()), server(3, channel())]
    )
    activities: dict[str, Activity] = field(
        default_factory=lambda: {f"10.0.0.{n}:3306": activity(n) for n in (1, 2, 3)}
    )
    options: SwitchOptions = field(default_factory=SwitchOptions)
    target: str | None = "10.0.0.2:3306"
    down: tuple[int, ...] = ()

    def state(self, number: int, **changes: Any) -> None:
        self.states[number - 1] = replace(self.states[number - 1], **changes)

    def channel(self, number: int, **changes: Any) -> None:
        self.state(number, channels=(replace(self.states[number - 1].channels[0], **changes),))

    def runs(self, number: int, *processes: Process, **changes: Any) -> None:
        key = f"10.0.0.{number}:3306"
        self.activities[key] = replace(self.activities[key], processes=processes, **changes)

    def block(self, number: int, **changes: Any) -> None:
        servers = list(self.config.servers)
        servers[number - 1] = servers[number - 1].model_copy(update=changes)
        self.config = self.config.model_copy(update={"servers": tuple(servers)})

    def gtid(self, **executed: str) -> None:
        for number in (1, 2, 3):
            gtids = GtidSet.parse(executed.get(f"db{number}", WRITTEN))
            self.state(number, gtid_mode="ON", gtid_executed=gtids)

    def checks(self) -> tuple[Check, ...]:
        up = [s for n, s in enumerate(self.states, 1) if n not in self.down]
        target = self.config.server(self.target) if self.target else None
        return switch_checks(self.config, cluster(*up, down=self.down), self.activities, self.options, target)


ERRORS: list[Any] = []


def error(name: str, subject: str, says: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """The breakage makes exactly this check fail, of this server, in these words."""

    def keep(breakage: Callable[[Scene], None]) -> Callable[[Scene], None]:
        ERRORS.append(pytest.param(breakage, name, subject, says, id=breakage.__name__))
        return breakage

    return keep


@error("server-answers", "db3", "connection refused")
def a_replica_is_down(scene: Scene) -> None:
    scene.down = (3,)


@error("target-is-another", "db1", "it is the current primary")
def the_target_is_the_primary(scene: Scene) -> None:
    scene.target = "10.0.0.1:3306"


@error("target-known", "db77", "it is not a server of app1")
def the_target_is_unknown(scene: Scene) -> None:
    scene.options, scene.target = SwitchOptions(new_master_host="db77"), None


@error("open-to-applications", "db2", "offline_mode is on, so no application would get in")
def the_target_is_offline(scene: Scene) -> None:
    scene.state(2, offline_mode=True)


@error("open-to-applications", "db2", "transaction_read_only is on")
def the_target_takes_only_reading_transactions(scene: Scene) -> None:
    scene.state(2, tx_read_only=True)


@error("super-writers", "db1", "nothing keeps out sessions of accounts with SUPER: session 8 (boss@10.0.0.9:50000)")
def accounts_with_super_cannot_be_kept_out(scene: Scene) -> None:
    scene.state(1, super_read_only=None, tx_read_only=None)
    scene.runs(1, process(id=8, user="boss"), process(id=9), supers=frozenset({"boss", "mha"}))


@error("target-may-be-primary", "db2", "no_master is set")
def no_master(scene: Scene) -> None:
    scene.block(2, no_master=True)


@error("target-follows", "db2", "it does not replicate from db1")
def the_target_is_a_replica_of_a_replica(scene: Scene) -> None:
    scene.config = scene.config.model_copy(update={"multi_tier_slave": True})
    scene.channel(2, source_host="10.0.0.3")


@error("binary-log", "db2", "log_bin is off")
def no_log(scene: Scene) -> None:
    scene.state(2, log_bin=False)


@error("log-replica-updates", "db2", "log_replica_updates is off")
def no_log_of_updates(scene: Scene) -> None:
    scene.gtid()
    scene.state(2, log_replica_updates=False)


@error("target-not-delayed", "db2", "delayed by 5 s on purpose")
def a_delayed_target(scene: Scene) -> None:
    scene.channel(2, delay=5)


@error("receiver-runs", "db3", "the IO thread does not reach 10.0.0.1:3306: error 2003: refused")
def a_receiver_that_cannot_connect(scene: Scene) -> None:
    scene.channel(3, receiver="Connecting", receiver_errno=2003, receiver_error="refused")


@error("applier-runs", "db3", "the SQL thread is stopped")
def a_stopped_applier(scene: Scene) -> None:
    scene.channel(3, applier_running=False)


@error("applier-runs", "db2", "error 1062: Duplicate")
def a_broken_applier(scene: Scene) -> None:
    scene.channel(2, applier_errno=1062, applier_error="Duplicate")


@error("lag", "db3", "31 s behind, more than 30 s")
def lag(scene: Scene) -> None:
    scene.channel(3, seconds_behind=31)


@error("lag", "db2", "how late it is is not known")
def unknown_lag(scene: Scene) -> None:
    scene.channel(2, seconds_behind=None)


@error("lag", "db2", "2 s behind, more than 1 s")
def no_lag_allowed_means_one_second(scene: Scene) -> None:
    scene.options = SwitchOptions(seconds_behind_master=0)
    scene.channel(2, seconds_behind=2)


@error("version", "db3", "version 8.0 is older than 8.4 of db2")
def a_replica_of_an_older_series(scene: Scene) -> None:
    scene.state(3, version=(8, 0, 36))


@error("version", "db1", "version 8.0 is older than 8.4 of db2")
def an_older_primary_that_would_follow(scene: Scene) -> None:
    scene.options = SwitchOptions(orig_master_is_new_slave=True)
    scene.block(1, repl_password=SecretStr("x"))
    scene.state(1, version=(8, 0, 36))


@error("version", "db3", "it is mariadb")
def another_vendor(scene: Scene) -> None:
    scene.state(3, vendor=Vendor.MARIADB, version=(10, 11, 0))


@error("replication-filters", "db3", "replicate_do_db=app, but db2(10.0.0.2:3306): no replication filters")
def a_filter(scene: Scene) -> None:
    scene.channel(3, filters=Filters(do_db="app"))


@error("binlog-filters", "db1", "binlog_ignore_db=tmp, but db2(10.0.0.2:3306): everything is logged")
def a_filter_of_the_log(scene: Scene) -> None:
    scene.state(1, binlog_ignore_db="tmp")


@error("errant-transactions", "db2", f"transactions that db1(10.0.0.1:3306) does not have: {STRAY}")
def errant_transactions(scene: Scene) -> None:
    scene.gtid(db2=f"{WRITTEN},{STRAY}")


@error("errant-transactions", "db2", "0-2-9")
def errant_transactions_of_mariadb(scene: Scene) -> None:
    for number in (1, 2, 3):
        log = (MariadbGtid(0, 1, 8),) + ((MariadbGtid(0, 2, 9),) if number == 2 else ())
        scene.state(
            number, vendor=Vendor.MARIADB, gtid_executed=None, gtid_mode=None, gtid_binlog_state=log, version=(10, 11)
        )


@error(
    "gtid-purged", "db3", f"it lacks transactions that db2(10.0.0.2:3306) has purged from its binary logs: {UUID}:41-60"
)
def purged_logs(scene: Scene) -> None:
    scene.gtid(db3=f"{UUID}:1-40")
    scene.state(2, gtid_purged=GtidSet.parse(f"{UUID}:1-60"))


@error("activity-seen", "db3", "it did not answer in time")
def what_runs_is_unknown(scene: Scene) -> None:
    del scene.activities["10.0.0.3:3306"]


@error("nobody-acts", "db3", "session 9 (mha@10.0.0.8) holds the failover lock")
def another_command_acts(scene: Scene) -> None:
    scene.runs(3, advisory=(AdvisoryLock(FAILOVER_LOCK, 9, "mha", "10.0.0.8", True),))


@error("no-other-manager", "db1", "no manager of this system")
def another_manager_watches(scene: Scene) -> None:
    scene.runs(1, advisory=(AdvisoryLock(MONITOR_LOCK, 9, "mha", "10.0.0.8", False),))


@error("running-updates", "db1", "session 7 (app@10.0.0.9:50000) for 2 s: UPDATE t SET a = ?")
def a_long_update(scene: Scene) -> None:
    scene.runs(1, process("UPDATE t SET a = 5", 2))


@error("running-updates", "db1", "SELECT a FROM t FOR UPDATE")
def a_locking_read(scene: Scene) -> None:
    scene.runs(1, process("/* x */ SELECT a FROM t FOR UPDATE", 2))


@error("running-updates", "db1", "CALL p()")
def a_call(scene: Scene) -> None:
    scene.runs(1, process("CALL p()", 2))


@error("open-transactions", "db1", "3 rows changed")
def a_transaction_that_wrote_and_sleeps(scene: Scene) -> None:
    scene.runs(1, process("", 2, transaction=OpenTransaction(9, 3)))


@error("long-queries", "db1", "for 10 s: SELECT SLEEP(?)")
def a_long_read_on_the_primary(scene: Scene) -> None:
    scene.runs(1, process("SELECT SLEEP(100)", 10))


@error("long-queries", "db2", "for 10 s: WITH x AS")
def a_long_read_on_the_target(scene: Scene) -> None:
    scene.runs(2, process("WITH x AS (SELECT 1) SELECT * FROM x", 10))


@error("ddl", "db1", "ALTER TABLE t ENGINE=InnoDB")
def an_alter(scene: Scene) -> None:
    scene.runs(1, process("ALTER TABLE t ENGINE=InnoDB", 0))


@error("ddl", "db2", "ALTER TABLE t ENGINE=InnoDB")
def an_alter_that_the_target_replicates(scene: Scene) -> None:
    scene.runs(2, process("ALTER TABLE t ENGINE=InnoDB", 4, user="system user", command="Connect"))


@error("table-locks", "db1", "app.t is locked by session 7 (app@10.0.0.9:50000)")
def lock_tables(scene: Scene) -> None:
    scene.runs(1, process(), locks=(TableLock("app.t", 7),))


@error("table-locks", "db2", "the whole server is locked by a session that this server does not name")
def a_read_lock_on_the_target(scene: Scene) -> None:
    scene.runs(2, locks=(TableLock("the whole server", None),))


@error("lock-waits", "db1", "Waiting for table metadata lock")
def a_wait_for_a_metadata_lock(scene: Scene) -> None:
    scene.runs(1, process("SELECT a FROM t", 1, state="Waiting for table metadata lock"))


@error("replication-credentials", "db1", "repl_password is not set")
def no_password_for_the_old_one(scene: Scene) -> None:
    scene.options = SwitchOptions(orig_master_is_new_slave=True)


@error("replication-account", "db2", "db3(10.0.0.3:3306) may not replicate from it as repl")
def no_account_to_replicate_with(scene: Scene) -> None:
    scene.runs(
        2, replication_accounts=frozenset({("repl", "10.0.0.1"), ("other", "%"), ("repl", "10.9.0.0/255.255.0.0")})
    )


@error("privilege-flush", "db1", "the account 'mha'@'%' may not hold the global read lock")
def no_reload(scene: Scene) -> None:
    granted = "PROCESS REPLICATION_SLAVE_ADMIN CONNECTION_ADMIN SYSTEM_VARIABLES_ADMIN SUPER".split()
    # RESET REPLICA needs the same privilege, so the one on the target is left as it is and this is the old one's only.
    scene.runs(1, grants=Grants(frozenset(granted) | {"REPLICATION CLIENT"}))
