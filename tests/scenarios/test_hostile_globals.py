"""Sessions of ours do not inherit what a server likes: its globals may say anything, and init_connect too."""

from __future__ import annotations

import signal
import time

import pytest

from prefect_mha.config import ClusterConfig, load_cluster
from prefect_mha.replication.detection.classic_rules import Ping
from prefect_mha.replication.errors import ServerError
from prefect_mha.replication.mysql.server import Server
from prefect_mha.replication.probes.ping import Pinger
from tests.lab.cluster import Cluster
from tests.lab.hostile_globals import MODES, hostile
from tests.lab.writer import Writer
from tests.scenarios.failing_over import assert_survivors_agree, finish, kinds, promoted

KINDS = kinds("mariadb-gtid", slow=("5.6-position", "9.7-gtid"))


def reach(cluster: Cluster, **cnf: str) -> ClusterConfig:
    return load_cluster(str(cluster.write_cnf(**cnf)), None)


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_no_global_of_a_server_reaches_our_sessions_and_a_written_row_is_there(kind: str, gtid: bool) -> None:
    with Cluster(kind, gtid=gtid) as cluster, cluster.in_manager_net():
        config = reach(cluster, default="ping_type=INSERT")
        for host in cluster.hosts:
            values = hostile(host)
        for server in config.servers:
            session = Server(server)
            for name, value in values.items():
                seen = session.scalar(f"SELECT @@SESSION.{name}", action="look")
                assert str(seen) not in (str(value), "READ-COMMITTED"), f"{server.name}: {name} is {seen}"
            assert session.scalar("SELECT 'a' || 'b' AS c", action="look") == 0
            session.close()
        pinger = Pinger(config, config.servers[0])
        assert [pinger.ping()[0] for _ in range(2)] == [Ping.ANSWERED] * 2, pinger.ping()
        other = Server(config.servers[0])
        assert other.scalar("SELECT val FROM infra.chk_masterha", action="see what the ping wrote") > 0
        open_ones = other.scalar("SELECT COUNT(*) FROM information_schema.innodb_trx", action="see open transactions")
        assert open_ones == 0
        for each in (other, pinger):
            each.close()
        done = cluster.command("masterha_check_repl", f"--conf={cluster.write_cnf()}")
        failed = [line for line in done.output.splitlines() if "FAILED" in line]
        # Applications do inherit that one.
        assert len(failed) == 1, done.output
        assert "primary-takes-writes" in failed[0]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "gtid"), [pytest.param(*param.values, id=param.id) for param in KINDS])
def test_a_failover_among_hostile_servers_loses_nothing(kind: str, gtid: bool) -> None:
    """What the application itself can bear; each waits for locks and statements for a second at most."""
    borne = {"sql_mode": MODES.removeprefix("ANSI_QUOTES,"), "time_zone": "+12:45", "lock_wait_timeout": 1}
    borne |= {"max_statement_time": 1, "max_execution_time": 1000, "sql_safe_updates": 1, "wait_timeout": 2}
    with Cluster(kind, gtid=gtid) as cluster:
        for host in cluster.hosts:
            hostile(host, borne)
        manager = cluster.start_manager(cluster.write_cnf(default="ping_type=INSERT"))
        writer = Writer(cluster)
        time.sleep(2.0)
        for number in (2, 3):
            cluster.stop_receiver(cluster[number])
        time.sleep(1.0)
        cluster[1].signal_mysqld(signal.SIGKILL)
        code, acks = finish(manager, writer)
        assert code == 0, manager.log()
        new = promoted(cluster)
        assert_survivors_agree(cluster, acks, new, (5 - new,))


@pytest.mark.parametrize(("kind", "gtid"), KINDS)
def test_a_server_that_lacks_a_variable_still_takes_our_sessions(
    kind: str, gtid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect_mha.replication.mysql.dialects import session as settings

    unknown = settings.STATEMENTS[0].replace("sql_big_selects", "sql_no_such_thing")
    monkeypatch.setattr(settings, "STATEMENTS", (unknown, *settings.STATEMENTS[1:]))
    with Cluster(kind, gtid=gtid, n=1) as cluster, cluster.in_manager_net():
        hostile(cluster[1])
        session = Server(reach(cluster).servers[0])
        try:
            assert session.scalar("SELECT @@SESSION.autocommit", action="look") == 1
        except ServerError as error:
            raise AssertionError(str(error)) from None
        finally:
            session.close()
