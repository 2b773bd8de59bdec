"""What a dead primary's tail may hold that a client session does otherwise than an applier, or not at all."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pymysql

from tests.lab.cluster import Cluster
from tests.lab.host import Host
from tests.scenarios.contents import raw

BIG = 40 << 20


class Tails:
    """Written by an account of its own, so that what is meant for it cannot hit the manager's."""

    def __init__(self, cluster: Cluster) -> None:
        self._primary, self._kind, self._gtid = cluster[1], cluster.kind, cluster.gtid

    def prepare(self) -> None:
        """Before the tail: accounts, tables, and a session with a temporary table that only its statements tell of."""
        sql = self._primary.sql
        sql("CREATE USER boss@'%' IDENTIFIED BY 'boss-pw'")
        sql("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
        sql("CREATE TABLE app.a (id INT PRIMARY KEY) ENGINE=InnoDB")
        sql("CREATE TABLE app.kept (id INT AUTO_INCREMENT PRIMARY KEY, t LONGTEXT, b LONGBLOB) ENGINE=InnoDB")
        sql("CREATE EVENT app.ev ON SCHEDULE EVERY 9 YEAR DO SELECT 1")
        sql("CREATE DATABASE gone")
        self._lasting = self._session()
        self._run(self._lasting, "SET SESSION binlog_format=MIXED")
        self._run(self._lasting, "CREATE TEMPORARY TABLE app.temporary (id INT, t TEXT)")
        self._run(self._lasting, "INSERT INTO app.temporary VALUES (1000, 'from a temporary table')")
        if self._kind.mariadb:
            sql("CREATE TABLE app.versioned (id INT) WITH SYSTEM VERSIONING")

    def write(self) -> None:
        """The tail."""
        boss = self._session()
        for statement in (
            *self._with_errors(),
            "INSERT INTO app.kept (t) VALUES (UUID())",
            "ALTER EVENT app.ev COMMENT 'altered by boss'",
            "GRANT SELECT ON app.* TO CURRENT_USER()",
            "CREATE DEFINER=CURRENT_USER PROCEDURE app.p() COMMENT 'boss' BEGIN SELECT 1; END",
            b"INSERT INTO app.kept (t) VALUES ('ends in a backslash \\\\\nand goes on')",
            b"CREATE PROCEDURE app.literal() SELECT " + raw(b"a\\\nb"),
        ):
            self._run(boss, statement)
        with self._gone_database() as elsewhere:
            self._run(elsewhere, "CREATE TABLE app.from_gone (id INT PRIMARY KEY)")
        self._run(boss, "FLUSH BINARY LOGS")
        self._run(self._lasting, "INSERT INTO app.kept (t) SELECT t FROM app.temporary")
        if self._kind.modern or self._kind.mariadb:
            self._modern(boss)
        if self._kind.mariadb:
            self._run(boss, "SET SESSION system_versioning_alter_history=KEEP")
            self._run(boss, "ALTER TABLE app.versioned ADD COLUMN late INT")
        if self._kind.modern:
            self._run(boss, "SET SESSION restrict_fk_on_non_standard_key=OFF")
            self._run(boss, "CREATE TABLE app.parent (id INT, KEY (id))")
            self._run(boss, "CREATE TABLE app.child (id INT, FOREIGN KEY (id) REFERENCES app.parent (id))")
        if self._kind.mariadb:
            self._run(boss, "SET PASSWORD = PASSWORD('boss-new')")
        else:
            new = "PASSWORD('boss-new')" if not self._kind.modern else "'boss-new'"
            self._run(boss, f"SET PASSWORD = {new}")
        self._run(boss, "INSERT INTO app.kept (t) VALUES ('the last row')")

    def _with_errors(self) -> list[str]:
        """Statements that are logged with the error they ended with."""
        sql = ["DROP TABLE app.a, app.notthere", "DROP USER nobody_1, boss_2"]
        return sql[: 1 if self._kind.modern else 2]

    def _modern(self, boss: pymysql.Connection[Any]) -> None:
        self._run(boss, "CREATE TABLE app.copied AS SELECT id, t FROM app.kept")
        if self._kind.mariadb:
            self._run(boss, "CREATE OR REPLACE TABLE app.copied AS SELECT id, t FROM app.kept")
        for _ in range(2):
            self._run(boss, f"INSERT INTO app.kept (b) VALUES (REPEAT('x', {BIG}))")
        session = self._session()
        for each in ("XA START 'left'", "INSERT INTO app.kept (t) VALUES ('xa')", "XA END 'left'", "XA PREPARE 'left'"):
            self._run(session, each)

    @contextlib.contextmanager
    def _gone_database(self) -> Any:
        session = self._session()
        self._run(session, "USE gone")
        self._primary.sql("DROP DATABASE gone")
        yield session
        session.close()

    def _session(self) -> pymysql.Connection[Any]:
        return self._primary.connect(user="boss", password="boss-pw")

    def _run(self, session: pymysql.Connection[Any], statement: bytes | str) -> None:
        try:
            session.query(statement)  # type: ignore[arg-type]  # it takes bytes, too
        except pymysql.MySQLError as error:
            if error.args[0] not in (1051, 1396):
                raise AssertionError(f"{statement[:200]!r}: {error}") from error


def wait_prepared(server: Host, name: str, seconds: float = 10.0) -> None:
    """An XA transaction of that name is prepared there."""
    ends = time.monotonic() + seconds
    while not any(row["data"] in (name, name.encode()) for row in server.sql("XA RECOVER")):
        assert time.monotonic() < ends, f"{name} is not prepared on {server.name}"
        time.sleep(0.05)
