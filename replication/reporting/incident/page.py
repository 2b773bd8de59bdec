"""The page itself: one HTML file in which all that a journal holds is text, and nothing is fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import MappingProxyType

from ...model.words import in_markdown as md
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
    seconds,
    subject,
    when,
)
from ..pictures.days import readied
from ..pictures.drawn import environment, in_markdown, timeline_image, trees_image
from .remains import remains
from .timeline import timeline
from .topology import trees
from .trends import PHASES, table, trends

#: Bytes that a page stays below, whatever a journal holds; and the pictures in Prefect. Its API took 100 MB (3.9.1),
#: but every list of artifacts that a browser asks for carries their data.
MOST, MOST_IN_PREFECT = 200_000, 100_000

#: Nobody has looked.
NEVER: Mapping[str, tuple[int, int]] = MappingProxyType({})


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


def head(incident: Incident, conf: str = "") -> str:
    """For Prefect, whose pages show Markdown: the sentence, then the time line and the topologies as pictures.

    A picture that would be too large is made of fewer steps, then left out.
    """
    said = sentence(incident, len(remains(incident, conf or f"{incident.cluster}.cnf")))
    parts = [f"**{md(redact(said))}**"]
    for room in ROOMS:
        pictures = list(_pictures(incident, room))
        if sum(map(len, pictures)) < MOST_IN_PREFECT:
            parts += pictures
            break
    return "\n\n".join(parts) + "\n\n"


def _pictures(incident: Incident, room: Room) -> Iterator[str]:
    steps = tuple(_short(step, room.step_word) for step in incident.steps[: room.steps])
    if (line := timeline(replace(incident, steps=steps))) is not None:
        yield in_markdown("The time line", timeline_image(line, out_words(incident)))
    if drawn := trees(incident):
        yield in_markdown("Who followed whom before, and who follows whom now", trees_image(drawn))


def _page(incident: Incident, conf: str, room: Room) -> str:
    todo, told, ledger = remains(incident, conf), tuple(facts(incident)), incident.ledger
    steps = tuple(_short(step, room.step_word) for step in incident.steps[: room.steps])
    return (
        environment(room.word)
        .get_template("page.html")
        .render(
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


def history_page(
    cluster: str, told: Sequence[Incident], target: float | None = None, days: Mapping[str, tuple[int, int]] = NEVER
) -> str:
    """How long writes were out in each of them, as one HTML file; ``target`` is the seconds that are allowed.

    ``days`` are, by date, the health checks in which a failover would have gone on, and all of them.
    """
    return (
        environment(ROOMS[0].step_word)
        .get_template("history.html")
        .render(
            cluster=cluster,
            picture=trends(told, target),
            rows=table(told),
            phases=PHASES,
            days=readied(days, date.today()),
            wanted="" if target is None else seconds(target),
        )
    )
