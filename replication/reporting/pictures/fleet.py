"""All clusters of a process on one page that makes itself anew; the only one with a script, which its policy names."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache, partial
from typing import Any

from markupsafe import Markup

from .days import readied
from .drawn import HOUSE, environment

#: After so many pieces of the page others of this process have their turn: a ping does not wait for it.
PIECES = 20


@cache
def script() -> str:
    """What finds by typing, and makes the page anew without a flicker."""
    return (HOUSE / "pictures" / "templates" / "fleet.js").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Its Content-Security-Policy: that one script, and nothing from or into any other place."""
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def fleet_page(cards: Sequence[Any], at: float) -> str:
    """Of `health.board.Card`, the worst first; ``at`` is when, in seconds since the epoch. It is made without haste."""
    when = datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")
    template = environment(300).get_template("fleet.html")
    pieces = []
    days_of = partial(readied, today=date.fromtimestamp(at))
    values = {
        "cards": cards,
        "when": when,
        "days_of": days_of,
        "script": Markup(script()),  # noqa: S704 - ours
    }
    for number, piece in enumerate(template.generate(values)):
        pieces.append(piece)
        if number % PIECES == 0:
            time.sleep(0.001)
    return "".join(pieces)
