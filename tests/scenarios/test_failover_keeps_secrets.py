"""Passwords planted in a configuration are found nowhere after a failover that ran in Prefect, in no encoding."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
import shlex
import signal
import sqlite3
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.lab.cluster import Cluster
from tests.lab.postgres import PostgreSQL
from tests.lab.prefect_server import PrefectServer, ask_api
from tests.scenarios.deployments import Deployments
from tests.scenarios.test_checks_keep_secrets import PASSWORD, Watcher

#: The administrator's has every character that is quoted anywhere, the replication user's none.
REPL_PASSWORD = "Plantd-repl-pw-8841"
SECRETS = (PASSWORD, REPL_PASSWORD)
#: What the UI's pages are made of; each is asked for with POST …/filter.
PAGES = (
    *("flow_runs", "task_runs", "artifacts", "logs", "deployments", "flows", "events", "work_pools", "variables"),
    *("block_documents", "block_types", "automations", "v2/concurrency_limits"),
)


def forms(secret: str) -> set[bytes]:
    """A secret as it may have been written, also within other text that was encoded as a whole."""
    escaped = json.dumps(secret)[1:-1]
    texts = {
        secret,
        secret[3:],  # what is left when a shell or an option file ends at the first quotation marks
        escaped,
        json.dumps(escaped)[1:-1],
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        shlex.quote(secret)[1:-1],
        html.escape(secret),
        repr(secret)[1:-1],
        secret.replace("\\", "\\\\").replace("'", "\\'"),
        secret.replace("'", "''"),
        secret.encode().hex(),
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Wherever it begins in what is encoded: the characters that come of its neighbours' bits are left out.
        for before in range(3):
            coded = encode(b"x" * before + secret.encode()).rstrip(b"=").decode()
            texts.add(coded[(0, 2, 3)[before] : -1])
    return {text.encode() for text in texts}


def found(data: bytes) -> list[bytes]:
    """The forms of a secret that are in there."""
    return [form for secret in SECRETS for form in forms(secret) if form in data]


@contextlib.contextmanager
def prefect_on(database: str) -> Iterator[tuple[PrefectServer, PostgreSQL | None]]:
    if database == "sqlite":
        with PrefectServer() as server:
            yield server, None
        return
    with PostgreSQL() as postgres, PrefectServer(environment=postgres.environment) as server:
        yield server, postgres


def pages(server: PrefectServer) -> Iterator[tuple[str, bytes]]:
    """What the API gives a browser, by its address: the lists, and every artifact and run by itself."""

    def ask(path: str, body: dict[str, Any] | None = None) -> Any:
        return ask_api(server.api_url, path, body, method="GET" if body is None else "POST")

    for name in PAGES:
        told = ask(f"/{name}/filter", {"limit": 200} if name != "events" else {})
        yield name, json.dumps(told).encode()
        if name in ("flow_runs", "artifacts", "deployments"):
            for each in told:
                yield f"{name}/{each['id']}", json.dumps(ask(f"/{name}/{each['id']}")).encode()
    yield "admin/settings", json.dumps(ask("/admin/settings")).encode()


def database_bytes(server: PrefectServer, postgres: PostgreSQL | None) -> Iterator[tuple[str, bytes]]:
    """The whole database, as its files have it (the log of SQLite's last writes included), and as text."""
    if postgres is not None:
        yield "pg_dump", postgres.dump()
        return
    for path in server.home.rglob("*.db*"):
        yield str(path), path.read_bytes()
    with contextlib.closing(sqlite3.connect(server.home / "prefect.db")) as connection:
        yield "dump", "\n".join(connection.iterdump()).encode()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_password_is_kept_anywhere(database: str) -> None:
    with Cluster("mariadb", gtid=True) as cluster, cluster.in_manager_net(), prefect_on(database) as (server, postgres):
        for name, password in (("odd", PASSWORD), ("copier", REPL_PASSWORD)):
            # Its hash: the server logs the statement as it is, and the end of its log is saved.
            hashed = "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()
            cluster[1].sql(f"CREATE USER '{name}'@'%%' IDENTIFIED BY PASSWORD %s", (hashed,))
            cluster[1].sql(f"GRANT ALL ON *.* TO '{name}'@'%'")
        for number in (2, 3):
            replica = cluster[number]
            replica.sql("STOP SLAVE")
            replica.sql("CHANGE MASTER TO MASTER_USER='copier', MASTER_PASSWORD=%s", (REPL_PASSWORD,))
            replica.sql("START SLAVE")
        script = cluster.seat / "hook"
        script.write_text('#!/bin/sh\nset -x\necho "$@"\n')
        script.chmod(0o755)
        accounts = f"user=odd\npassword='{PASSWORD}'\nrepl_user=copier\nrepl_password='{REPL_PASSWORD}'"
        conf = cluster.write_cnf(default=f"{accounts}\nmaster_ip_failover_script={script}\non_completed={script}")
        assert {form for form in found(conf.read_bytes()) if form in (PASSWORD.encode(), REPL_PASSWORD.encode())}
        deployments = Deployments(cluster, server, "failover", "health-check")
        with Watcher() as watcher, deployments.worker("one"):
            checked = deployments.start("health-check")
            deployments.wait_for(checked, "COMPLETED", "FAILED")
            # Something that only the dead primary has: its log is read over SSH, cut, sent and applied.
            for number in (2, 3):
                cluster.stop_receiver(cluster[number])
            cluster[1].sql("CREATE TABLE app.rescued (id INT PRIMARY KEY)")
            cluster[1].signal_mysqld(signal.SIGKILL)
            run = deployments.start("failover")
            deployments.wait_for(run, "PAUSED", "FAILED")
            assert deployments.resume(run, decision="start", your_name="Ada")["status"] == "ACCEPT"
            done = deployments.wait_for(run, "COMPLETED", "FAILED")
            assert done["state_type"] == "COMPLETED", deployments.told()
            # With these very passwords: db3 follows db2 with the planted one.
            assert cluster[3].replica_status()["Replica_IO_Running"] == "Yes"
            assert cluster[3].replica_status()["Source_User"] == "copier"
            deployments.steps(run, lambda names: any(name.startswith("Verify every server") for name in names))
            time.sleep(3.0)  # events and lines of the log come later, in batches
        shown = {**dict(pages(server)), **dict(database_bytes(server, postgres))}
        assert any(b"Open the new primary" in data for data in shown.values())
        assert b"## Timeline" in b"".join(data for name, data in shown.items() if name.startswith("artifacts/"))
        files = [path for place in (cluster.seat, server.home) for path in place.rglob("*") if path.is_file()]
        files += [path for path in cluster.directory.glob("*.log") if path.is_file()]
        files += [path for host in cluster.hosts for path in (host.upper / "var" / "tmp").rglob("*") if path.is_file()]
        names = [path.name for path in files]
        assert any(re.search(r"\.failover-.*\.journal$", name) for name in names), names
        shown |= {str(path): path.read_bytes() for path in files if path != conf}
        shown |= {f"process {number}": text.encode() for number, text in enumerate(watcher.seen)}
        assert any(run in text for text in watcher.seen), "the run's own process was watched"
        assert [name for name, data in shown.items() if found(data)] == []
