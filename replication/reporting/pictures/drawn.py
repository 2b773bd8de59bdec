"""Templates become pages and pictures: all that they are given is text in them, cut, and without secrets."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ...model.words import plain
from ...notify.manager_log import redact
from .bars import Bars
from .boxes import Tree

HOUSE = Path(__file__).parents[1]
#: Characters of a word on a picture, and boxes of a tree there.
WORD, BOXES = 150, 40


@cache
def environment(word: int) -> Environment:
    """Of the templates of this house; what they are given is escaped, and cut to so many characters."""
    made = Environment(
        loader=FileSystemLoader([HOUSE / room for room in ("pictures/templates", "incident")]),
        autoescape=True,
        # A name that is missing is a fault of ours.
        undefined=StrictUndefined,
        finalize=lambda value: _shown(value, word),
    )
    made.filters["short"] = short
    made.globals["tree_height"] = tree_height
    return made


def short(words: str, longest: int) -> str:
    """Words that fit, secrets gone before they are cut; what was taken away shows."""
    whole = plain(redact(words), WORD)
    return whole if len(whole) <= longest else f"{whole[: longest - 1]}…"


def _shown(value: Any, word: int) -> Any:
    """What a macro made is markup already; everything else is somebody's words."""
    return plain(redact(value), word) if isinstance(value, str) and not isinstance(value, Markup) else value


def timeline_image(picture: Any, out: str) -> str:
    """A time line (`incident.timeline.Timeline`) as a whole SVG file; ``out`` is how long nobody took writes."""
    return _image(picture.width + 10, picture.height, line=picture, out=out)


def bars_image(picture: Bars, title: str) -> str:
    """Bars as a whole SVG file; ``title`` says what they are of."""
    return _image(picture.width + 10, picture.height, bars=picture, title=title)


def trees_image(trees: Sequence[Tree]) -> str:
    """Topologies side by side, as a whole SVG file."""
    cut = [Tree(tree.title, tree.boxes[:BOXES]) for tree in trees]
    height = max(tree_height(tree) for tree in cut)
    return _image(440 * len(cut) - 40, height, trees=cut)


def _image(width: float, height: float, **shown: Any) -> str:
    values = {"line": None, "bars": None, "trees": (), **shown}
    return environment(WORD).get_template("picture.svg").render(width=width, height=height, **values)


def tree_height(tree: Tree) -> int:
    """Of its picture, in its units."""
    return 34 + 46 * len(tree.boxes)


def in_markdown(title: str, svg: str) -> str:
    """An image for Markdown that carries itself: Prefect's UIs show such a one, and no SVG that stands in the text."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
