"""A witness as it is written: a host, or a host and the port of its sshd."""

from __future__ import annotations

import re

_PLACE = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]+)\](?::(?P<a>\d{1,5}))?|(?P<host>[^\s:\[\]]+)(?::(?P<b>\d{1,5}))?")


def place(text: str) -> tuple[str, str]:
    """Host and port, the port empty where none is written; an IPv6 address with a port stands in brackets.

    Raises ValueError.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        if re.fullmatch(r"[0-9A-Fa-f:.]+", text) and text.count(":") > 1:
            return text, ""
        raise ValueError(f"{text!r} is no host, host:port or [binlogN] block")
    return found["six"] or found["host"], found["a"] or found["b"] or ""


def problem(text: str) -> str:
    """Why this is no witness; empty where it is one."""
    try:
        place(text)
    except ValueError as error:
        return str(error)
    return ""
