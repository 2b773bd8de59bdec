"""Tables that fit 80 columns, colour only where somebody looks, and JSON that says what it is."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from prefect_mha.commands.shared.options import run
from prefect_mha.commands.views.checks import ordered, table
from prefect_mha.commands.views.terminal import SHAPES, Column, console, document, fitted, rows_table
from prefect_mha.replication.model.check import Check, Severity
from prefect_mha.replication.model.words import plain

DOCS = Path(__file__).parents[4] / "docs" / "json.md"


def drawn(what: object, width: int = 80, **how: object) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, **how).print(what)  # type: ignore[arg-type]
    return "\n".join(each.rstrip() for each in out.getvalue().splitlines())


def test_what_has_no_room_is_left_out_and_named_and_the_server_never() -> None:
    columns = (Column("server"), Column("role", 1), Column("version", 3), Column("where", 2), Column("behind", 4))
    rows = [("db-with-a-long-name.example.org:3306", "replica", "10.11.18-MariaDB-log", "db1.example.org:3306", 3)]
    made = drawn(fitted(columns, rows, width=80))
    assert made.splitlines()[1].split() == ["server", "role", "where"]
    assert "db-with-a-long-name.example.org:3306" in made
    assert made.splitlines()[-1] == "no room for: version, behind"
    assert "no room" not in drawn(fitted(columns, rows, width=200), 200)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [
        {"server": "db1.example.org:3306", "note": "word " * 60, "n": 4},
        {"server": "b", "note": "x" * 300, "n": 5},
    ]
    assert max(map(len, drawn(rows_table(rows, width=width), width).splitlines())) <= width


def test_markup_in_words_of_others_is_shown_as_it_is() -> None:
    assert "[red]x[/red]" in drawn(rows_table([{"a": "[red]x[/red]"}]))
    assert "\\x1b" in drawn(rows_table([{"a": "\x1b[2J"}]))


def test_colour_is_for_a_terminal_and_not_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = table("app1", [Check("lag", "db2", False, "late", hint="wait")], width=80)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" not in drawn(bad)
    assert "\x1b[31m" in drawn(bad, force_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", drawn(bad, force_terminal=True))
    assert console().color_system is None


def test_checks_have_what_is_not_well_first_and_the_rest_in_one_line() -> None:
    checks = [
        Check("ssh", "db1", True, "in"),
        Check("note", "db2", False, "off", Severity.INFO, "set it"),
        Check("lag", "db2(10.0.0.2:3306)", False, "40 s behind", hint="see what its applier does"),
        Check("size", "db3", False, "small", Severity.WARNING, "more"),
    ]
    assert [c.name for c in ordered(checks, verbose=False)[0]] == ["lag", "size", "note"]
    assert [c.name for c in ordered(checks, verbose=True)[0]] == ["lag", "size", "note", "ssh"]
    assert drawn(table("app1", checks[1:3], width=80)).splitlines() == [
        "app1: 0 checks ok",
        "",
        "          subject, check               what was found, and what to do",
        " ──────────────────────────────────────────────────────────────────────────────",
        " FAILED   db2(10.0.0.2:3306)           40 s behind",
        "          lag                          → see what its applier does",
        " note     db2                          off",
        "          note                         → set it",
    ]


def test_every_document_says_what_it_is_and_the_page_tells_of_all() -> None:
    assert json.loads(document("topology", {"cluster": "app1"})) == {"format": "mha-topology/1", "cluster": "app1"}
    told = dict(re.findall(r"^\| `mha-([a-z-]+)/(\d+)` \|", DOCS.read_text(), re.MULTILINE))
    assert {name: int(version) for name, version in told.items()} == SHAPES


def test_a_table_without_rows_is_none_the_less_one() -> None:
    assert isinstance(rows_table([]), Table)


@pytest.mark.parametrize("title", ["[/x] of app1", "primary [server1]", "a\x1b[2Jb"])
def test_a_title_is_words_and_no_markup(title: str) -> None:
    out = io.StringIO()
    shown = Console(file=out, width=80, highlight=False)
    shown.print(fitted([Column("a wide column of words")], [["b"]], title=title))
    shown.print(table(title, [Check("lag", "db1", False, "late")]))
    words = plain(title)
    assert out.getvalue().count(words) == 2
    assert "\x1b" not in out.getvalue()


def test_a_document_is_ascii_and_other_words_fail_on_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document("stop", {"conf": "/etc/mhä.cnf → \udc80"}).isascii()
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)

    def command() -> int:
        print("db1 → db2")
        return 10

    assert run(command) == 10
    assert raw.getvalue() == b"db1 \\u2192 db2\n"
