"""The question in a terminal: yes, no, another candidate, silence."""

from __future__ import annotations

import io
import sys

import pytest

from prefect_mha.commands.shared.asking import ask
from prefect_mha.replication.reporting.approval import Choice, Question

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
