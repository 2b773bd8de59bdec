"""The question before a failover or a planned switch, in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...replication.reporting.approval import Answer, Question


def ask(question: Question) -> Answer:
    """Show the plan and wait for a yes, a no, or the name of another candidate; an end of input is a no."""
    from ...replication.local.person import this_person
    from ...replication.reporting.approval import Answer

    for change in question.changed:
        print(f"The plan changed: {change}.")
    print(question.plan)
    others = ", ".join(choice.name for choice in question.choices[1:])
    instead = f", or promote instead: {others}" if others else ""
    print(f"\n{question.sentence} (yes/NO{instead}): ", end="")
    word = _line()
    chosen = _named(question, word)
    go_on = word.lower() == "yes" or chosen is not None
    if not go_on:
        print("Stopped; nothing was changed.")
    return Answer(
        go_on,
        chosen or question.chosen.key,
        by=this_person(),
        where="in a terminal",
        at=time.time(),
        accept_loss=_accept_loss(question) if go_on else None,
    )


def _accept_loss(question: Question) -> bool | None:
    """None, the configured policy, when there is no such question or no word about it: but a bare Enter is no yes."""
    if question.accept_loss is None:
        return None
    if question.at_stake:
        print(f"At stake: {question.at_stake}.")
    usual = "YES/no" if question.accept_loss else "yes/NO"
    print(f"Go on if it turns out that transactions are or may be lost? ({usual}): ", end="")
    sys.stdout.flush()
    line = sys.stdin.readline()
    unsaid = None if question.accept_loss or not line else False
    return {"yes": True, "no": False}.get(line.strip().lower(), unsaid)


def _named(question: Question, word: str) -> str | None:
    """The key of the candidate that is meant by its whole name, its host or ``host:port``."""
    for choice in question.choices:
        if word and word in (choice.name, choice.key, choice.name.split("(")[0]):
            return choice.key
    return None


def _line() -> str:
    sys.stdout.flush()
    return sys.stdin.readline().strip()
