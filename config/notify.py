"""Who is told of which event: one or more URLs of services, as apprise spells them. URLs are secrets."""

from __future__ import annotations

import re

#: Every event that somebody may be told of, in the order of docs/hooks.md.
EVENTS = (
    "suspect",
    "recovered",
    "dead",
    "started",
    "fenced",
    "promoted",
    "completed",
    "refused",
    "failed",
    "switched",
    "returned",
    "released",
    "rejoined",
    "not_rejoined",
    "check_failed",
    "check_passed",
    "took_over",
    "read_only",
    "reopened",
)
#: Those that `notify` is for when `notify_events` says nothing: not each step of a failover that is under way.
USUAL = tuple(event for event in EVENTS if event not in ("fenced", "released"))
#: The parameters that hold URLs.
URL_KEYS = frozenset({"notify", *(f"notify_{event}" for event in EVENTS)})

_HOST = re.compile(r"localhost(:\d+)?/?|[\w-]+(\.[\w-]+)+(:\d+)?/?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def urls_in(text: str) -> tuple[str, ...]:
    """The URLs of a value or a file: between spaces or line ends; lines that begin with ``#`` are comments.

    The word ``none`` stands for no URL at all.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    words = tuple(word for line in lines for word in line.split())
    return () if words == ("none",) else words


def url_problem(text: str) -> str:
    """What is wrong with the URLs of a value; empty when nothing is. None of it is shown."""
    for number, word in enumerate(urls_in(text), 1):
        if not _URL.fullmatch(word):
            return f"holds what is no URL in place {number}: write mailto://…, slack://…, json://…, or none"
    return ""


def parts_of(url: str) -> tuple[str, ...]:
    """A URL and whatever in it may be a secret by itself, for those who keep secrets out of texts."""
    _, _, rest = url.partition("://")
    before, _, query = rest.partition("?")
    login, at, place = before.rpartition("@")
    found = [url, rest, before, login.partition(":")[2] if at else "", place.partition("/")[2], place, query]
    found += [word.partition("=")[2] for word in query.split("&")]
    # Short ones are words that a text may hold by chance, and a host alone is no secret: a log names hosts.
    return tuple(dict.fromkeys(part for part in found if len(part) >= 8 and not _HOST.fullmatch(part)))
