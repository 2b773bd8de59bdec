"""What an application may write that is hard to carry over: written on a primary, and compared on the survivors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql

from tests.lab.host import Host

#: Values that read like the words of a log, of mysqlbinlog's output, or of the mysql client.
TEXTS = (
    "ROLLBACK",
    "COMMIT",
    "BEGIN",
    "/*!*/;",
    "\n/*!*/;\nROLLBACK\n/*!*/;\n",
    "DELIMITER ;;",
    "\nDELIMITER //\nDROP DATABASE app//\n",
    "\n\\. /etc/passwd\n\\q\n\\! false\n",
    "quit\n",
    "'; -- \"` # /* x",
    "\\",
    "\\'",
    "\r\n\x1a\t\0",
    "\n# at 4\n#700101  0:00:00 server id 1  end_log_pos 5 CRC32 0x00000000 \tXid = 1\n",
    "\n# immediate_commit_timestamp=1\n/*!80014 SET @@session.original_server_version=0*//*!*/;\n",
    "\nBINLOG '\nAAAA\n'/*!*/;\n",
    "Ünï 漢字 😀 \u202e",
)
EVERY_BYTE = bytes(range(256)) * 3
DATABASES = ("app", "dätä")


def raw(value: bytes) -> bytes:
    """A literal in which only what must be is escaped: line ends, NUL and all stay as they are."""
    return b"'" + value.replace(b"\\", b"\\\\").replace(b"'", b"''") + b"'"


class Contents:
    """One session on the primary that writes everything; ``part`` keeps the names of two writings apart."""

    def __init__(self, primary: Host, *, gtid: bool, part: int) -> None:
        self._primary, self._gtid, self._part = primary, gtid, part
        self._kind = primary.kind
        self._connection = primary.connect(local_infile=True)
        if self._kind.modern:
            self._run("SET SESSION binlog_transaction_compression=OFF")

    def write(self) -> None:
        """Every kind of content in each of the three formats, with the log rotated between."""
        self._run("CREATE DATABASE IF NOT EXISTS `dätä` CHARACTER SET utf8")
        for mode in ("ROW", "STATEMENT", "MIXED"):
            self._run(f"SET SESSION binlog_format={mode}")
            self._mode = mode
            for statement in (*self._rows(), *self._session_state(), *self._schema(), *self._own()):
                self._run(statement)
            self._run("FLUSH BINARY LOGS")
        self._xa()

    def leave_prepared(self, name: str) -> None:
        """An XA transaction that is prepared and neither committed nor rolled back."""
        self._run("CREATE TABLE app.prepared (id INT PRIMARY KEY) ENGINE=InnoDB")
        self._prepare(name, "INSERT INTO app.prepared VALUES (1)")

    @property
    def _twice(self) -> bool:
        """MariaDB's sessions log some transactions as two under one GTID, which a strict replica refuses: see there."""
        return self._gtid and self._kind.mariadb

    def _name(self, what: str) -> str:
        return f"{what}_{self._part}_{self._mode.lower()}"

    # what is written -------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[bytes | str]:
        """Texts, blobs and names that are not ASCII."""
        table = f"app.{self._name('texts')}".encode()
        yield (
            b"CREATE TABLE "
            + table
            + (b" (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT CHARACTER SET utf8mb4, b LONGBLOB) ENGINE=InnoDB")
        )
        for text in TEXTS:
            yield b"INSERT INTO " + table + b" (t) VALUES (" + raw(text.encode()) + b")"
        yield b"INSERT INTO " + table + b" (t, b) VALUES ('every byte', _binary" + raw(EVERY_BYTE) + b")"
        yield b"UPDATE " + table + b" SET b = _binary" + raw(EVERY_BYTE[::-1]) + b" WHERE t = 'COMMIT'"
        yield b"INSERT INTO " + table + b" (t, b) SELECT 'big', REPEAT(_binary" + raw(EVERY_BYTE) + b", 1000)"
        yield b"DELETE FROM " + table + b" WHERE t = 'BEGIN'"
        named = f"`dätä`.`{self._name('täble')}`"
        yield f"CREATE TABLE {named} (`spälte` VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY) ENGINE=InnoDB"
        yield "USE `dätä`"
        yield f"INSERT INTO {named.split('.')[1]} VALUES ('😀'), ('ä')"
        yield "USE app"
        yield f"INSERT INTO {named} VALUES ('ß')"

    def _session_state(self) -> Iterator[bytes | str]:
        """Statements whose effect depends on what the session set before."""
        table = f"app.{self._name('state')}"
        columns = "id INT AUTO_INCREMENT PRIMARY KEY, x DOUBLE, s VARCHAR(90) CHARACTER SET utf8mb4, at DATETIME(6)"
        yield f"CREATE TABLE {table} ({columns})"
        yield "SET SESSION time_zone='+05:30'"
        yield f"INSERT INTO {table} (x, s, at) VALUES (RAND(), 'now', NOW(6))"
        yield "SET @text = _utf8mb4'ROLLBACK 😀', @bytes = _binary'\\0\\xff', @number = 1e300"
        yield f"INSERT INTO {table} (x, s) VALUES (@number, @text), (LENGTH(@bytes), HEX(@bytes))"
        yield "SET SESSION sql_mode='NO_BACKSLASH_ESCAPES'"
        yield f"INSERT INTO {table} (s) VALUES ('ends in a backslash \\')"
        yield "SET SESSION sql_mode='ANSI_QUOTES,NO_AUTO_VALUE_ON_ZERO'"
        yield f'INSERT INTO {table} ("id", s) VALUES (0, \'zero; "\')'
        yield "SET SESSION sql_mode=DEFAULT, time_zone=DEFAULT"
        yield f"INSERT INTO {table} (s) SELECT CONCAT(s, LAST_INSERT_ID()) FROM {table} WHERE id = 1"
        yield "SET NAMES latin1"
        yield f"INSERT INTO {table} (s) VALUES ('".encode() + b"\xe4 in latin1')"
        yield "SET NAMES utf8mb4"
        yield "BEGIN"
        yield f"INSERT INTO {table} (s) VALUES ('kept')"
        yield "SAVEPOINT `ROLLBACK`"
        yield f"INSERT INTO {table} (s) VALUES ('undone')"
        yield "ROLLBACK TO `ROLLBACK`"
        yield "COMMIT"
        yield f"CREATE TEMPORARY TABLE {table}_temporary (id INT)"
        yield f"INSERT INTO {table}_temporary VALUES (7)"
        yield f"INSERT INTO {table} (x) SELECT id FROM {table}_temporary"
        yield f"DROP TEMPORARY TABLE {table}_temporary"
        if not self._gtid or self._kind.mariadb:
            yield f"CREATE TABLE {table}_myisam (id INT AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM"
            yield "BEGIN"
            yield f"INSERT INTO {table}_myisam VALUES (), ()"
            yield f"INSERT INTO {table} (s) VALUES ('rolled back, unlike the rows before')"
            yield "ROLLBACK"

    def _schema(self) -> Iterator[bytes | str]:
        """DDL, code that the server keeps, and a file that a statement loads."""
        table, name = f"app.{self._name('shape')}", self._name("code")
        yield f"CREATE TABLE {table} (id INT PRIMARY KEY, a INT) ENGINE=InnoDB COMMENT 'a /*!*/; in a comment'"
        yield f"CREATE TRIGGER app.tr_{name} BEFORE INSERT ON {table} FOR EACH ROW BEGIN SET NEW.a = NEW.a + 1; END"
        yield f"CREATE PROCEDURE app.{name}(n INT) BEGIN\n  -- DELIMITER ;;\n  INSERT INTO {table} VALUES (n, n);\nEND"
        yield f"CALL app.{name}(5)"
        yield f"CREATE EVENT app.ev_{name} ON SCHEDULE EVERY 9 YEAR DISABLE DO BEGIN SELECT 'ROLLBACK'; END"
        yield f"CREATE VIEW app.v_{name} AS SELECT '/*!*/;' AS `ROLLBACK` FROM {table}"
        yield f"ALTER TABLE {table} ADD COLUMN c VARCHAR(9) NOT NULL DEFAULT '''\\n'"
        yield f"CREATE TABLE {table}_gone LIKE {table}"
        yield f"RENAME TABLE {table}_gone TO {table}_renamed"
        yield f"INSERT INTO {table}_renamed VALUES (1, 2, ';')"
        yield f"TRUNCATE TABLE {table}_renamed"
        yield f"CREATE USER '{name}'@'%' IDENTIFIED BY 'pa''ss;word'"
        yield f"GRANT SELECT ON {table} TO '{name}'@'%'"
        self._primary.run("printf '1\\tROLLBACK\\n2\\t/*!*/;\\n' >/tmp/load.txt; chmod 644 /tmp/load.txt")
        yield f"CREATE TABLE {table}_loaded (id INT PRIMARY KEY, t VARCHAR(20)) ENGINE=InnoDB"
        yield f"LOAD DATA INFILE '/tmp/load.txt' INTO TABLE {table}_loaded"
        if not self._twice and (not self._gtid or self._kind.modern or self._kind.mariadb):
            yield f"CREATE TABLE {table}_copied ENGINE=InnoDB AS SELECT * FROM {table}"

    def _own(self) -> Iterator[bytes | str]:
        """What one kind of server has and others have not."""
        table = f"app.{self._name('own')}"
        if self._kind.modern or self._kind.mariadb:
            generated = "b INT AS (a * 2) STORED, c INT AS (a + 1), KEY (c)"
            yield f"CREATE TABLE {table} (id INT PRIMARY KEY, a INT, {generated})"
            yield f"INSERT INTO {table} (id, a) VALUES (1, 10), (2, 20), (3, 30)"
            yield f"UPDATE {table} SET a = a + 1 WHERE c = 21"
            yield f"DELETE FROM {table} WHERE b = 60"
        if self._kind.modern:
            yield f"CREATE TABLE {table}_json (id INT PRIMARY KEY, j JSON)"
            yield f"INSERT INTO {table}_json VALUES (1, JSON_OBJECT('k', REPEAT('x', 200), 'n', 1))"
            yield "SET SESSION binlog_row_value_options=PARTIAL_JSON, binlog_row_image=MINIMAL"
            yield f"UPDATE {table}_json SET j = JSON_SET(j, '$.n', 2)"
            yield "SET SESSION binlog_row_value_options='', binlog_row_image=FULL"
            yield "SET SESSION binlog_transaction_compression=ON"
            yield "BEGIN"
            for number in range(4, 40):
                yield f"INSERT INTO {table} (id, a) VALUES ({number}, {number})"
            yield "COMMIT"
            yield "SET SESSION binlog_transaction_compression=OFF"
            if self._gtid:
                yield "SET SESSION gtid_next='AUTOMATIC:tag_a'"
                yield f"INSERT INTO {table} (id, a) VALUES (100, 1)"
                yield f"INSERT INTO {table} (id, a) VALUES (101, 1)"
                yield "SET SESSION gtid_next='AUTOMATIC'"
        if self._kind.mariadb:
            yield "SET SESSION gtid_domain_id=7"
            yield f"CREATE TABLE {table}_domain (id INT PRIMARY KEY)"
            yield f"INSERT INTO {table}_domain VALUES (1)"
            yield "SET SESSION gtid_domain_id=0"
            yield "SET GLOBAL log_bin_compress=1, log_bin_compress_min_len=10"
            yield f"INSERT INTO {table} (id, a) VALUES (100, {'1 + ' * 200} 1)"
            yield "SET GLOBAL log_bin_compress=0"
            yield f"CREATE SEQUENCE {table}_sequence"
            if self._mode != "STATEMENT" and not self._twice:  # the server refuses it there
                yield f"INSERT INTO {table} (id, a) VALUES (1000 + NEXTVAL({table}_sequence), 1)"
            yield f"CREATE TABLE {table}_versions (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING"
            yield f"INSERT INTO {table}_versions VALUES (1, 1)"
            yield f"UPDATE {table}_versions SET a = 2"
            yield f"DELETE FROM {table}_versions"
            yield "SET SESSION binlog_alter_two_phase=1"
            yield f"ALTER TABLE {table} ADD COLUMN late INT"
            yield "SET SESSION binlog_alter_two_phase=0"

    def _xa(self) -> None:
        """Prepared, with other transactions between, then ended by another session; and in one phase."""
        table = f"app.xa_{self._part}"
        self._run(f"CREATE TABLE {table} (id INT PRIMARY KEY) ENGINE=InnoDB")
        if self._kind.modern or self._kind.mariadb:
            for number, end in ((1, "COMMIT"), (2, "ROLLBACK")):
                self._prepare(f"x{number}", f"INSERT INTO {table} VALUES ({number})")
                self._run(f"INSERT INTO {table} VALUES ({10 + number})")
                self._run(f"XA {end} 'x{number}'")
        for statement in (
            "XA START 'one'",
            f"INSERT INTO {table} VALUES (3)",
            "XA END 'one'",
            "XA COMMIT 'one' ONE PHASE",
        ):
            self._run(statement)

    def _prepare(self, name: str, statement: str) -> None:
        """In a session of its own, whose end leaves the transaction to others."""
        session = self._primary.connect()
        with session.cursor() as cursor:
            for each in (f"XA START '{name}'", statement, f"XA END '{name}'", f"XA PREPARE '{name}'"):
                cursor.execute(each)
        session.close()
        ends = time.monotonic() + 10
        while not prepared(self._primary, name):
            assert time.monotonic() < ends
        # The server lets others end it once it noticed that the session is gone.
        while any(row["Command"] == "Sleep" and row["Id"] == session.thread_id() for row in self._processes()):
            assert time.monotonic() < ends

    def _processes(self) -> Sequence[dict[str, Any]]:
        return self._primary.sql("SHOW PROCESSLIST")

    def _run(self, statement: bytes | str) -> None:
        try:
            self._connection.query(statement)  # type: ignore[arg-type]  # it takes bytes, too
        except pymysql.MySQLError as error:
            raise AssertionError(f"{statement[:200]!r}: {error}") from error


def prepared(server: Host, name: str) -> bool:
    """Whether an XA transaction of that name is prepared there."""
    return any(row["data"] in (name, name.encode()) for row in server.sql("XA RECOVER"))


def picture(server: Host) -> dict[str, Any]:
    """All data and definitions of a server, such that two pictures can be compared."""
    found: dict[str, Any] = {}
    for database in DATABASES:
        for row in server.sql(f"SHOW FULL TABLES FROM `{database}`"):
            name, kind = list(row.values())[:2]
            if kind not in ("VIEW", "SYSTEM VIEW"):
                found[name] = server.sql(f"CHECKSUM TABLE `{database}`.`{name}` EXTENDED")[0]["Checksum"]
    for what, columns in (
        ("COLUMNS", "TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_TYPE, COLUMN_DEFAULT, EXTRA"),
        ("ROUTINES", "ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE"),
        ("TRIGGERS", "TRIGGER_NAME, ACTION_STATEMENT, SQL_MODE"),
        ("EVENTS", "EVENT_NAME, EVENT_DEFINITION"),
        ("VIEWS", "TABLE_NAME, VIEW_DEFINITION"),
    ):
        schema = {"ROUTINES": "ROUTINE", "TRIGGERS": "TRIGGER", "EVENTS": "EVENT"}.get(what, "TABLE") + "_SCHEMA"
        rows = server.sql(f"SELECT {columns} FROM information_schema.{what} WHERE {schema} IN ('app', 'dätä')")
        found[what] = sorted(str(list(row.values())) for row in rows)
    found["users"] = sorted(row["u"] for row in server.sql("SELECT CONCAT(user, '@', host) AS u FROM mysql.user"))
    return found
