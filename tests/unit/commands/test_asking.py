"""The question in a terminal: yes, no, another candidate, silence."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest

from prefect_mha.commands.shared.asking import ask, asking
from prefect_mha.commands.views.progress import Bars
from prefect_mha.replication.meter import Progress
from prefect_mha.replication.reporting.approval import Choice, Question
from tests.lab.hostile import NASTY

DB2, DB3 = Choice("10.0.0.2:3306", "db2(10.0.0.2:3306)"), Choice("10.0.0.3:3306", "db3(10.0.0.3:3306)")
QUESTION = Question(
    "failover", "app1", "failover app1", "Start?", "the plan", "# the plan", ("a step",), (DB2, DB3), True
)


@pytest.mark.parametrize(
    ("typed", "go_on", "chosen", "accept"),
    [
        ("yes\n\n", True, DB2, None),
        ("YES\nno\n", True, DB2, False),
        ("yes\nyes\n", True, DB2, True),
        ("yes", True, DB2, None),
        ("no\n", False, DB2, None),
        ("y\n", False, DB2, None),
        ("", False, DB2, None),
        ("db3\n\n", True, DB3, None),
        ("10.0.0.3:3306\nno\n", True, DB3, False),
        ("db4\n", False, DB2, None),
    ],
)
def test_what_is_typed(
    typed: str,
    go_on: bool,
    chosen: Choice,
    accept: bool | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    answer = ask(QUESTION)
    assert (answer.go_on, answer.new_primary, answer.accept_loss) == (go_on, chosen.key, accept)
    said = capsys.readouterr().out
    assert said.startswith("the plan\n\nStart? (yes/NO")
    assert ("nothing was changed" in said) is not go_on


@pytest.mark.parametrize(("typed", "accept"), [("yes\n\n", False), ("yes\nyes\n", True), ("yes\n", None)])
def test_where_something_is_at_stake_enter_does_not_accept_a_loss(
    typed: str, accept: bool | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that types one "yes" is held to the configured policy, as ever."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    asked = replace(QUESTION, accept_loss=False, at_stake="42 bytes that only db1 has")
    assert ask(asked).accept_loss is accept
    assert "At stake: 42 bytes that only db1 has.\nGo on if it turns out that" in capsys.readouterr().out


def test_where_the_result_is_a_document_the_question_is_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("no\n"))
    assert not asking(aside=True)(QUESTION).go_on
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("the plan\n\nStart? (yes/NO")
    assert "nothing was changed" in told.err


def test_no_bar_is_on_the_terminal_while_somebody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(100))
    shown = Bars(lambda: 3.0 * next(moments))
    monkeypatch.setattr("prefect_mha.commands.views.progress._shown", [shown])
    for done in (1, 2):
        shown(Progress("copy", done, 100, 1.0))
    assert shown.steps == ("copy",)
    seen = []

    class Typed(io.StringIO):
        def readline(self, _size: int = -1, /) -> str:
            shown(Progress("copy", 3, 100, 1.0))
            shown(Progress("copy", 4, 100, 1.0))
            seen.append(shown.steps)
            return "no\n"

    monkeypatch.setattr(sys, "stdin", Typed())
    ask(QUESTION)
    assert seen == [()]
    shown(Progress("copy", 5, 100, 1.0))
    assert shown.steps == ("copy",)
    shown.close()


def test_what_a_server_says_in_a_plan_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n\n"))
    odd = f"its applier stopped: {NASTY}\x9b2J"
    ask(replace(QUESTION, plan=odd, changed=(odd,), at_stake=odd, accept_loss=True))
    said = capsys.readouterr().out
    assert "\\x1b[31m" in said
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(said)
