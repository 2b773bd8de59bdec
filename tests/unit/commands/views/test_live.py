"""The live view: what is drawn of what was seen, at 80 columns; and the runbook's part that a key opens."""

from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from prefect_mha.commands.views.live.glance import Glance, ServerLine
from prefect_mha.commands.views.live.keys import ROOT, _switch, section
from prefect_mha.commands.views.live.screen import KEYS, screen

AT = 1796051121.0
WELL = Glance(
    "app1",
    Path("/etc/mha/app1.cnf"),
    AT,
    "db1(10.0.0.1:3306)",
    (
        ServerLine("db1:3306", "primary", read_only="no"),
        ServerLine("db2:3306", "replica", "0 s", "Yes/Yes", "db1:3306", "yes"),
        ServerLine("db3:3306", "replica", "7 s", "Yes/Yes", "db1:3306", "yes"),
    ),
    True,
    "If db1(10.0.0.1:3306) died now, db2(10.0.0.2:3306) would be promoted. Lost: nothing.",
    "on this host: PING_OK, pid 7",
    "10.0.0.9 watches",
    last="2026-11-30 15:05:21 failover db2 → db1: done; out 1.9 s, lost nothing",
    runbook="What a failover does",
)
HELD = replace(WELL, held=("db9 is held read-only",), cluster="app2", runbook="The old primary comes back")
DOWN = replace(WELL, cluster="app3", primary="", servers=(ServerLine("db1:3306", "down", ill=True),), ready=False)


def drawn(*glances: Glance, chosen: int = 0, width: int = 80, now: float = AT + 1) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(screen(glances, chosen, width, 40, now))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_one_cluster_at_80_columns() -> None:
    lines = drawn(WELL)
    assert lines[0].endswith(KEYS)
    assert lines[1:] == [
        "  + app1  well  primary db1(10.0.0.1:3306)  lag 7 s",
        "",
        " server    role     behind  threads  replicates from  read_only",
        " ──────────────────────────────────────────────────────────────",
        " db1:3306  primary                                    no",
        " db2:3306  replica     0 s  Yes/Yes  db1:3306         yes",
        " db3:3306  replica     7 s  Yes/Yes  db1:3306         yes",
        "",
        "readiness  If db1(10.0.0.1:3306) died now, db2(10.0.0.2:3306) would be promoted.",
        "           Lost: nothing.",
        "manager    on this host: PING_OK, pid 7",
        "managers   10.0.0.9 watches",
        "last       2026-11-30 15:05:21 failover db2 → db1: done; out 1.9 s, lost nothing",
    ]


def test_several_have_a_line_each_and_the_chosen_one_is_whole() -> None:
    lines = drawn(DOWN, HELD, WELL, chosen=1)
    assert [line[:12] for line in lines[1:4]] == ["  ! app3  IL", "> - app2  lo", "  + app1  we"]
    assert "held       db9 is held read-only" in lines
    assert not [line for line in lines if line.startswith("  ! app3")][1:]


def test_what_is_old_or_was_not_seen_says_so() -> None:
    assert "65 s old" in drawn(WELL, now=AT + 65)[1]
    unseen = drawn(WELL.not_seen("app1.cnf:3: no such file"))
    assert unseen[1].startswith("  ? app1  not seen")
    assert "not seen   app1.cnf:3: no such file" in unseen
    assert drawn(Glance("app1", Path("x")))[1].startswith("  ? app1  not seen")
    assert drawn()[1] == "No cluster is configured."


@pytest.mark.parametrize("width", [40, 80, 132])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    many = [replace(WELL, cluster=f"app{n}") for n in range(50)]
    lines = drawn(*many, chosen=30, width=width)
    assert max(map(len, lines)) <= width
    assert any("app30" in line for line in lines)
    assert any("50 clusters" in line for line in lines)


def test_words_of_others_command_no_terminal() -> None:
    text = "\n".join(drawn(replace(WELL, troubles=("a\x1b[2Jb [red]c[/red]",))))
    assert "\x1b" not in text
    assert "[red]c[/red]" in text


@pytest.mark.parametrize(
    "heading", ["When is a primary dead", "The old primary comes back", "Refusals", "What a failover does"]
)
def test_the_runbook_has_what_a_key_opens(heading: str) -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    part = section(page, heading)
    assert part.startswith(f"## {heading}")
    assert "\n## " not in part
    assert section(page, "no such heading") == page


class Child:
    """A command that two Ctrl-C do not end; it notes who kills it."""

    presses, killed, ended = 2, 0, 0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> int:
        if Child.presses:
            Child.presses -= 1
            raise KeyboardInterrupt
        Child.ended += 1
        return 0

    def communicate(self, *_: object, **__: object) -> tuple[None, None]:
        self.wait()
        return None, None

    def poll(self) -> int:
        return 0

    def kill(self) -> None:
        Child.killed += 1


def test_ctrl_c_kills_no_switch_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", Child)
    monkeypatch.setattr("builtins.input", lambda _: "")
    _switch(WELL, Path("/etc/mha_default.cnf"))
    assert (Child.killed, Child.ended) == (0, 1)
