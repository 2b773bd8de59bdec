"""What a statement in a process list does: told from any text that an application may send."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_mha.replication.workload.statements import SHOWN, StatementKind, kind_of, names_table, shorten

READ, UPDATE, DDL, LOCK = StatementKind.READ, StatementKind.UPDATE, StatementKind.DDL, StatementKind.LOCK


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("", StatementKind.NONE),
        ("/* only a comment */", StatementKind.NONE),
        ("SELECT 1", READ),
        ("  select * from t", READ),
        ("/* from the shop */ SELECT 1", READ),
        ("-- who\nSELECT 1", READ),
        ("# who\nSELECT 1", READ),
        ("(SELECT 1) UNION (SELECT 2)", READ),
        ("((SELECT a FROM t))", READ),
        ("WITH x AS (SELECT 1) SELECT * FROM x", READ),
        ("WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT n FROM x", READ),
        ("SHOW TABLES", READ),
        ("EXPLAIN UPDATE t SET a = 1", READ),
        ("SELECT 'FOR UPDATE'", READ),
        ("SELECT `for`, `update` FROM t", READ),
        ("SELECT 1 /* FOR UPDATE */", READ),
        ("SELECT a FROM t WHERE b = 'it''s' -- FOR UPDATE", READ),
        ("SET STATEMENT max_statement_time=5 FOR SELECT 1", READ),
        ("ANALYZE SELECT 1", READ),
        ("SELECT * FROM t FOR UPDATE", UPDATE),
        ("SELECT * FROM t FOR SHARE", UPDATE),
        ("SELECT * FROM t LOCK IN SHARE MODE", UPDATE),
        ("select * from t for /* really */ update nowait", UPDATE),
        ("(SELECT * FROM t FOR UPDATE)", UPDATE),
        ("WITH x AS (SELECT 1 AS a) UPDATE t JOIN x USING (a) SET b = 1", UPDATE),
        ("WITH x AS (SELECT 1) DELETE FROM t WHERE a IN (SELECT * FROM x)", UPDATE),
        ("SET STATEMENT max_statement_time=5 FOR DELETE FROM t", UPDATE),
        ("INSERT INTO t SELECT * FROM u", UPDATE),
        ("/* SELECT */ INSERT INTO t VALUES (1)", UPDATE),
        ("/*!40000 INSERT */ INTO t VALUES (1)", UPDATE),
        ("CALL p()", UPDATE),
        ("EXECUTE s USING @a", UPDATE),
        ("COMMIT", UPDATE),
        ("LOAD DATA INFILE 'x' INTO TABLE t", UPDATE),
        ("BINLOG 'abc'", UPDATE),
        ("ANALYZE DELETE FROM t", UPDATE),
        ("ALTER TABLE t ENGINE=InnoDB", DDL),
        ("/*!50100 ALTER TABLE t */ ADD a INT", DDL),
        ("TRUNCATE t", DDL),
        ("CREATE INDEX i ON t (a)", DDL),
        ("ANALYZE TABLE t", DDL),
        ("OPTIMIZE TABLE t", DDL),
        ("LOCK TABLES t READ", LOCK),
        ("FLUSH TABLES WITH READ LOCK", LOCK),
        ("BACKUP STAGE BLOCK_COMMIT", LOCK),
    ],
)
def test_kind(sql: str, kind: StatementKind) -> None:
    assert kind_of(sql) is kind


def test_a_very_long_text_is_not_read_through() -> None:
    values = ", ".join(["(1, 'x')"] * 300_000)
    began = time.monotonic()
    assert kind_of(f"INSERT INTO t VALUES {values}") is UPDATE
    assert kind_of(f"SELECT a FROM t WHERE (a, b) IN ({values}) FOR  UPDATE") is UPDATE
    assert kind_of(f"SELECT a FROM t WHERE (a, b) IN ({values})") is READ
    assert len(shorten(f"INSERT INTO t VALUES {values}")) <= SHOWN
    assert time.monotonic() - began < 2


def test_shown_without_literals_and_comments() -> None:
    sql = "UPDATE /* a secret */ card SET number='4111 1111', pin=\"12'34\" , x=0xFF WHERE id = 42 AND t1.a=-1.5e3"
    assert shorten(sql) == "UPDATE card SET number=?, pin=? , x=? WHERE id = ? AND t1.a=-?"


def test_a_literal_that_is_cut_shows_nothing() -> None:
    shown = shorten("INSERT INTO t VALUES ('" + "secret" * 1000)
    assert shown == "INSERT INTO t VALUES (?…" or shown == "INSERT INTO t VALUES (?"
    assert "secret" not in shorten("SELECT 1" + " " * 940 + "'secret" * 50)


@given(st.text(alphabet="ab'\"`\\ /*-#!1(),.;\nSELECT", max_size=300))
def test_any_text_is_told_and_shown_short(sql: str) -> None:
    assert kind_of(sql) in StatementKind
    shown = shorten(sql)
    assert len(shown) <= SHOWN
    assert "\n" not in shown


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_no_literal_is_shown(secret: str) -> None:
    quoted = secret.replace("\\", "\\\\").replace("'", "''")
    assert shorten(f"UPDATE t SET a = '{quoted}' WHERE b = 2") == "UPDATE t SET a = ? WHERE b = ?"


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT * FROM rows", True),
        ("SELECT * FROM `rows`", True),
        ("SELECT * FROM app.rows", True),
        ("SELECT * FROM rows2", False),
        ("SELECT * FROM my_rows", False),
    ],
)
def test_a_table_is_named_whole(sql: str, named: bool) -> None:
    assert names_table(sql, "rows") is named
