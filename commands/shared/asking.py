"""The question before a failover or a planned switch, in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from ..views.progress import put_away
from ..views.terminal import print_visible

if TYPE_CHECKING:
    from ...replication.reporting.approval import Answer, Ask, Question


def ask(question: Question) -> Answer:
    """Show the plan and wait for a yes, a no, or the name of another candidate; an end of input is a no."""
    with put_away():
        return _ask(question, sys.stdout)


def asking(*, aside: bool) -> Ask:
    """`ask`, or with ``aside`` the same on standard error: where standard output is to be a document."""
    return _ask_aside if aside else ask


def _ask_aside(question: Question) -> Answer:
    with put_away():
        return _ask(question, sys.stderr)


def _ask(question: Question, to: TextIO) -> Answer:
    from ...replication.local.person import this_person
    from ...replication.reporting.approval import Answer

    for change in question.changed:
        print_visible(f"The plan changed: {change}.", to)
    print_visible(question.plan, to)
    others = ", ".join(choice.name for choice in question.choices[1:])
    instead = f", or promote instead: {others}" if others else ""
    word = _line(f"\n{question.sentence} (yes/NO{instead}): ", to).strip()
    chosen = _named(question, word)
    go_on = word.lower() == "yes" or chosen is not None
    if not go_on:
        print("Stopped; nothing was changed.", file=to)
    return Answer(
        go_on,
        chosen or question.chosen.key,
        by=this_person(),
        where="in a terminal",
        at=time.time(),
        accept_loss=_accept_loss(question, to) if go_on else None,
    )


def agreed(question: str) -> bool:
    """Whether somebody says yes to it; without a terminal's answer it is a no."""
    return _line(f"{question} (yes/NO): ", sys.stdout).strip().lower() == "yes"


def _accept_loss(question: Question, to: TextIO) -> bool | None:
    """None, the configured policy, when there is no such question or no word about it: but a bare Enter is no yes."""
    if question.accept_loss is None:
        return None
    if question.at_stake:
        print_visible(f"At stake: {question.at_stake}.", to)
    usual = "YES/no" if question.accept_loss else "yes/NO"
    line = _line(f"Go on if it turns out that transactions are or may be lost? ({usual}): ", to)
    unsaid = None if question.accept_loss or not line else False
    return {"yes": True, "no": False}.get(line.strip().lower(), unsaid)


def _named(question: Question, word: str) -> str | None:
    """The key of the candidate that is meant by its whole name, its host or ``host:port``."""
    for choice in question.choices:
        if word and word in (choice.name, choice.key, choice.name.split("(")[0]):
            return choice.key
    return None


def _line(asked: str, to: TextIO) -> str:
    print(asked, end="", file=to, flush=True)
    return sys.stdin.readline()
