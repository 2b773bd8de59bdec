"""The page itself: one HTML file in which all that a journal holds is text, and nothing is fetched."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ...model.words import plain
from ...notify.manager_log import redact
from ..history.incident import Incident, Kind, Step
from ..history.text import (
    NOT_HELD,
    UNKNOWN,
    clock,
    ended,
    facts,
    lost_words,
    move,
    out_words,
    result_words,
    subject,
    when,
)
from .remains import remains
from .timeline import timeline
from .topology import trees

#: Bytes that a page stays below, whatever a journal holds.
MOST = 200_000


@dataclass(frozen=True)
class Room:
    """How much is shown: steps, lines of anything else, characters of a word and of a step's name, server, error."""

    steps: int = 150
    lines: int = 20
    word: int = 600
    step_word: int = 150


#: The first in which a page stays small enough; an escaped character takes up to six bytes, and a step is shown twice.
ROOMS = (Room(), Room(60, 12, 250, 60), Room(15, 6, 80, 30))


def page(incident: Incident, conf: str = "") -> str:
    """The whole file as text; ``conf`` is the configuration that its commands name.

    Raises nothing that a journal could cause.
    """
    text = ""
    for room in ROOMS:
        text = _page(incident, conf or f"{incident.cluster}.cnf", room)
        if len(text.encode()) < MOST:
            break
    return text


def _page(incident: Incident, conf: str, room: Room) -> str:
    todo, told, ledger = remains(incident, conf), tuple(facts(incident)), incident.ledger
    steps = tuple(_short(step, room.step_word) for step in incident.steps[: room.steps])
    return _template(room.word).render(
        title=subject(incident),
        sentence=sentence(incident, len(todo)),
        began=when(incident.began),
        utc=datetime.fromtimestamp(incident.began, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        zone=time.strftime("%Z", time.localtime(incident.began)),
        picture=timeline(replace(incident, steps=steps)),
        out=out_words(incident),
        trees=[replace(tree, boxes=tree.boxes[: room.lines]) for tree in trees(incident)],
        failover=incident.kind is Kind.FAILOVER,
        ledger=ledger[: room.lines] if ledger is not None else None,
        todo=todo[: room.lines],
        facts=told[: 2 * room.lines],
        steps=[
            {
                "at": clock(step.began),
                "name": step.name,
                "server": step.server,
                "seconds": "" if step.seconds is None else f"{step.seconds:.3f}",
                "how": ended(step),
            }
            for step in steps
        ],
        more={
            "trees": _more(max((len(tree.boxes) for tree in trees(incident)), default=0) - room.lines, "servers"),
            "ledger": _more(len(ledger or ()) - room.lines, "lines"),
            "todo": _more(len(todo) - room.lines, "things"),
            "facts": _more(len(told) - 2 * room.lines, "lines"),
            "steps": _more(len(incident.steps) - len(steps), "steps"),
        },
        journal=f"{incident.cluster}.{incident.id}.journal",
    )


def _more(count: int, what: str) -> str:
    return f"{count} further {what} are in the journal." if count > 0 else ""


def _short(step: Step, longest: int) -> Step:
    name, server, said = (plain(redact(words), longest) for words in (step.name, step.server, step.said))
    return replace(step, name=name, server=server, said=said)


def sentence(incident: Incident, left: int) -> str:
    """What happened, how long writes were out, what was lost, how much is left to do: the figures of the report."""
    what = f"{incident.kind.value} of {incident.cluster}, {move(incident)}: {result_words(incident)}"
    lost = f"lost: {lost_words(incident)}"
    out = out_words(incident)
    if out.startswith(UNKNOWN):
        out = "how long writes were out is unknown"
    elif incident.kind is not Kind.REJOIN and out != NOT_HELD:
        out = f"writes were {'held' if incident.kind is Kind.SWITCH else 'out'} for {out}"
    todo = f"left to do: {left}" if left else "nothing is known to be left"
    return f"{what[0].upper()}{what[1:]}; {out}; {lost}; {todo}."


@cache
def _template(word: int) -> Template:
    # What a journal holds is escaped and cut, wherever it stands; a name that is missing is a fault of ours.
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: plain(redact(value), word) if isinstance(value, str) else value,
    )
    return made.get_template("page.html")
