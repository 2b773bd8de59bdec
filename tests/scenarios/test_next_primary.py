"""Accounts and channels as the next primary will see them: what a failover found out is told before.

Whoever is promoted has to let the others in, with the account, the password and the options that their channels have.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.certificates import authority, furnish, restart
from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.lab.kinds import ADMIN, REPL, REPL_PASSWORD
from tests.scenarios.test_rescue_contents import level

#: One kind for every change, the others with make test-all.
KINDS = [
    pytest.param("mariadb", id="mariadb-gtid"),
    pytest.param("mysql97", id="9.7-gtid", marks=pytest.mark.slow),
    pytest.param("mysql56", id="5.6-gtid", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=KINDS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that every test of this module fixes again."""
    with Cluster(request.param, gtid=True) as shared:
        level(shared)
        yield shared


def told(cluster: Cluster, *names: str, conf: Any = None, code: int | None = None) -> list[str]:
    """What masterha_check_repl finds wrong: subject's address, text and hint of these checks."""
    done = cluster.command("masterha_check_repl", f"--conf={conf or cluster.write_cnf()}", "--output=json")
    assert REPL_PASSWORD not in done.output
    checks = json.loads(done.output[done.output.index("{\n") : done.output.rindex("}") + 1])["checks"]
    assert code is None or done.code == code, [c for c in checks if not c["ok"]]
    found = [c for c in checks if not c["ok"] and c["name"] in names and c["severity"] != "info"]
    return [f"{c['subject'].split('(')[0]} {c['text']} ({c['hint']})" for c in found]


def one(found: list[str], *parts: str) -> None:
    """Exactly one of them has all of these parts."""
    assert len([line for line in found if all(part in line for part in parts)]) == 1, (parts, found)


def aside(host: Host, *statements: str) -> None:
    """Statements that are written to no log."""
    session = host.connect()
    with session.cursor() as cursor:
        for each in ("SET sql_log_bin=0", *statements):
            cursor.execute(each)
    session.close()


def set_password(cluster: Cluster, password: str, user: str = REPL) -> str:
    """The statement, as each kind has it."""
    old = cluster.kind.name == "mysql56"
    return (
        f"SET PASSWORD FOR '{user}'@'%' = PASSWORD('{password}')"
        if old
        else f"ALTER USER '{user}'@'%' IDENTIFIED BY '{password}'"
    )


def change(cluster: Cluster, host: Host, options: str) -> None:
    """Another option of a replica's channel; `P` in it is MASTER or SOURCE."""
    word, p = cluster.kind.word("REPLICA", "SLAVE"), cluster.kind.word("SOURCE", "MASTER")
    host.sql(f"STOP {word}")
    host.sql(f"CHANGE {cluster.kind.word('REPLICATION SOURCE', 'MASTER')} TO {options.replace('P_', f'{p}_')}")
    host.sql(f"START {word}")


def receives(host: Host) -> None:
    """Its receiver is connected."""
    ends = time.monotonic() + 20
    while (status := host.replica_status())["Replica_IO_Running"] != "Yes":
        assert time.monotonic() < ends, status["Last_IO_Error"]
        time.sleep(0.05)


def assert_well(cluster: Cluster) -> None:
    assert told(cluster, "replication-login", "repl-password", "account-lasts", code=0) == []


# accounts ------------------------------------------------------------------------------------------------------------


def test_a_replica_knows_another_password_of_the_replication_account(cluster: Cluster) -> None:
    assert_well(cluster)
    aside(cluster[2], set_password(cluster, "another one"))
    found = told(cluster, "replication-login", "repl-password", code=1)
    one(
        found, f"{cluster[3].ip} could not follow {cluster[2].ip}", "of its channel", f"on {cluster[2].ip} as elsewhere"
    )
    # A planned switch to it would leave the old primary outside as well.
    one(found, f"{cluster[1].ip} could not follow {cluster[2].ip}", "of repl_password")
    aside(cluster[2], set_password(cluster, REPL_PASSWORD))
    assert_well(cluster)


def test_the_replication_account_is_expired_or_locked_on_a_replica(cluster: Cluster) -> None:
    old, account = cluster.kind.name == "mysql56", f"'{REPL}'@'%'"
    # MariaDB asks for an expired account's password only where it was told to.
    aside(cluster[2], f"ALTER USER {account} PASSWORD EXPIRE")
    if cluster.kind.mariadb:
        cluster[2].sql("SET GLOBAL disconnect_on_expired_password=1")
    found = told(cluster, "replication-login", "account-lasts", code=1)
    one(found, f"{cluster[2].ip} the account {account} has a password that has expired")
    one(found, f"{cluster[3].ip} could not follow {cluster[2].ip}", "PASSWORD EXPIRE NEVER")
    aside(cluster[2], set_password(cluster, REPL_PASSWORD))
    if cluster.kind.mariadb:
        cluster[2].sql("SET GLOBAL disconnect_on_expired_password=0")
    if not old:
        aside(cluster[3], f"ALTER USER {account} ACCOUNT LOCK")
        found = told(cluster, "replication-login", "account-lasts", code=1)
        one(found, f"{cluster[3].ip} the account {account} is locked", "ACCOUNT UNLOCK")
        one(found, f"{cluster[2].ip} could not follow {cluster[3].ip}", "ACCOUNT UNLOCK")
        aside(cluster[3], f"ALTER USER {account} ACCOUNT UNLOCK")
    assert_well(cluster)


@pytest.mark.slow
def test_the_configuration_has_a_wrong_password_for_replicas(cluster: Cluster) -> None:
    conf = cluster.write_cnf("wrong", default="repl_password=not it")
    found = told(cluster, "replication-login", "repl-password", conf=conf, code=1)
    assert not [line for line in found if "of its channel" in line]
    one(found, f"{cluster[1].ip} could not follow {cluster[2].ip}", "write the password of repl into repl_password")
    switch = cluster.command(
        "masterha_master_switch",
        f"--conf={conf}",
        "--master_state=alive",
        f"--new_master_host={cluster[2].ip}",
        "--orig_master_is_new_slave",
        "--interactive=0",
    )
    assert switch.code == 1, switch
    assert "write the password of repl into repl_password" in switch.output
    assert cluster[1].sql("SELECT @@GLOBAL.read_only AS r")[0]["r"] == 0


def test_a_password_that_is_in_the_channel_alone_is_tried_and_never_shown(cluster: Cluster) -> None:
    conf = cluster.write_cnf("silent")
    conf.write_text("".join(x for x in conf.read_text().splitlines(True) if not x.startswith("repl_")))
    aside(cluster[2], set_password(cluster, "another one"))
    found = told(cluster, "replication-login", conf=conf, code=1)
    one(found, f"{cluster[3].ip} could not follow {cluster[2].ip}", "of its channel")
    aside(cluster[2], set_password(cluster, REPL_PASSWORD))
    assert told(cluster, "replication-login", conf=conf, code=0) == []


# channels ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_host_knows_another_address_for_who_may_be_promoted(cluster: Cluster) -> None:
    conf = cluster.write_cnf("named")
    text = conf.read_text()
    for host in cluster.hosts:
        text = text.replace(f"hostname={host.ip}\n", f"hostname={host.name}\nip={host.ip}\nssh_host={host.ip}\n")
    conf.write_text(text)
    change(cluster, cluster[3], "P_HOST='db1'")
    receives(cluster[3])
    assert told(cluster, "replication-login", conf=conf, code=0) == []
    before = cluster[3].run("cat /etc/hosts")
    cluster[3].run("cat >/etc/hosts", data=before.replace(f"{cluster[2].ip} db2", f"{cluster[1].ip} db2"))
    one(told(cluster, "replication-login", conf=conf, code=1), "db3 what it calls db2 is not db2", "server_id 101")
    cluster[3].run("cat >/etc/hosts", data=before.replace(f"{cluster[2].ip} db2\n", ""))
    found = told(cluster, "replication-login", conf=conf, code=1)
    one(found, "db3 could not follow db2", "add db2 to DNS or /etc/hosts of db3")
    cluster[3].run("cat >/etc/hosts", data=before)
    assert told(cluster, "replication-login", conf=conf, code=0) == []
    change(cluster, cluster[3], f"P_HOST='{cluster[1].ip}'")
    receives(cluster[3])
    assert_well(cluster)


def test_an_account_that_must_show_a_certificate(cluster: Cluster) -> None:
    require = "GRANT USAGE ON *.* TO" if cluster.kind.name == "mysql56" else "ALTER USER"
    aside(cluster[2], f"{require} '{REPL}'@'%' REQUIRE X509")
    found = told(cluster, "replication-login", code=1)
    one(
        found,
        f"{cluster[3].ip} could not follow {cluster[2].ip}",
        "must show a certificate there",
        "SSL_CERT and SSL_KEY",
    )
    aside(cluster[2], f"{require} '{REPL}'@'%' REQUIRE NONE")
    aside(cluster[2], f"{require} '{ADMIN}'@'%' REQUIRE X509")
    found = told(cluster, "server-answers", code=1)
    one(found, cluster[2].ip, "1045", "ssl_cert and ssl_key")
    session = cluster[2].run(
        f"{cluster.kind.word('mysql', 'mysql')} -u root -e "
        f"\"SET sql_log_bin=0; {require} '{ADMIN}'@'%' REQUIRE NONE\" 2>&1 || true"
    )
    assert "ERROR" not in session, session
    assert_well(cluster)


# certificates and keys, in clusters of their own ---------------------------------------------------------------------


#: What the channels of this cluster have beside host, account and place; each shows in their status.
OPTIONS = (
    "P_SSL=1, P_SSL_CA='/etc/tls/ca.pem', P_SSL_CERT='/etc/tls/client.pem', P_SSL_KEY='/etc/tls/key.pem', "
    "P_SSL_VERIFY_SERVER_CERT=1, P_CONNECT_RETRY=2, P_HEARTBEAT_PERIOD=3"
)


def shown(host: Host) -> dict[str, Any]:
    """A channel's options, without what differs between two servers."""
    status = host.replica_status()
    names = (
        "SSL",
        "User",
        "Retry",
        "TLS",
        "Get_",
        "key_path",
        "Bind",
        "Ignore_Server",
        "heartbeat_period",
        "SQL_Delay",
    )
    found = {k: v for k, v in status.items() if any(name in k for name in names) and k != "Last_SQL_Error"}
    if host.kind.modern:
        query = (
            "SELECT HEARTBEAT_INTERVAL, COMPRESSION_ALGORITHM, ZSTD_COMPRESSION_LEVEL, TLS_CIPHERSUITES, TLS_VERSION "
            "FROM performance_schema.replication_connection_configuration"
        )
        found |= host.sql(query)[0]
    return found


@pytest.mark.parametrize("kind", ["mariadb", pytest.param("mysql97", marks=pytest.mark.slow)])
def test_a_certificate_that_has_ended_and_the_old_primary_s_new_channel(kind: str) -> None:
    """The channels verify, the account asks for a certificate: whoever is promoted must have a good one, and the old
    primary must show one."""
    with Cluster(kind, gtid=True) as cluster:
        ca = authority()
        for host in cluster.hosts:
            furnish(host, ca, days=-30 if host.number == 2 else 365)
            restart(cluster, host)
        more = ", P_COMPRESSION_ALGORITHMS='zstd', P_ZSTD_COMPRESSION_LEVEL=5, P_TLS_VERSION='TLSv1.3'"
        more += ", P_TLS_CIPHERSUITES='TLS_AES_256_GCM_SHA384', P_RETRY_COUNT=77"
        for number in (2, 3):
            change(cluster, cluster[number], OPTIONS + (more if kind == "mysql97" else ""))
        cluster[1].sql(f"ALTER USER '{REPL}'@'%' REQUIRE X509")
        level(cluster)
        found = told(cluster, "replication-login", "repl-password", code=1)
        one(found, f"{cluster[3].ip} could not follow {cluster[2].ip}", "the certificate of")
        furnish(cluster[2], ca)
        restart(cluster, cluster[2])
        receives(cluster[2])
        assert_well(cluster)
        before = shown(cluster[3])
        done = cluster.command(
            "masterha_master_switch",
            f"--conf={cluster.write_cnf()}",
            "--master_state=alive",
            f"--new_master_host={cluster[2].ip}",
            "--orig_master_is_new_slave",
            "--interactive=0",
        )
        assert done.code == 0, done
        for number in (1, 3):
            status = cluster[number].replica_status()
            assert (status["Source_Host"], status["Replica_IO_Running"]) == (cluster[2].ip, "Yes"), status
            assert shown(cluster[number]) == before


@pytest.mark.parametrize("gtid", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_password_that_only_the_dead_primary_remembered(gtid: bool) -> None:
    """The channels ask for neither TLS nor a key: a new primary refuses them until somebody logs in otherwise."""
    with Cluster("mysql97", gtid=gtid) as cluster:
        for number in (2, 3):
            change(cluster, cluster[number], "P_SSL=0, GET_P_PUBLIC_KEY=0, P_HEARTBEAT_PERIOD=3")
            receives(cluster[number])
        conf = cluster.write_cnf(candidate=2)
        found = told(cluster, "replication-key", "replication-login", conf=conf, code=0)
        one(found, f"{cluster[3].ip} asks for neither TLS nor a public key", "GET_SOURCE_PUBLIC_KEY=1")
        one(found, f"{cluster[2].ip} asks for neither TLS nor a public key")
        manager = cluster.start_manager(conf)
        # What was tried has told them the password.
        for number in (2, 3):
            aside(cluster[number], "FLUSH PRIVILEGES")
        cluster[1].signal_mysqld(signal.SIGKILL)
        assert manager.wait(60) == 0, manager.log()
        status = cluster[3].replica_status()
        assert (status["Source_Host"], status["Replica_IO_Running"]) == (cluster[2].ip, "Yes"), manager.log()
        assert (status["Get_Source_public_key"], shown(cluster[3])["HEARTBEAT_INTERVAL"]) == (1, 3), status
        assert "asks its source for its public key from now on" in manager.log()
