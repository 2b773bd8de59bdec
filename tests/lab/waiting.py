"""Waiting for what is to become true: one function, with a deadline and words for whoever reads the failure."""

from __future__ import annotations

import time
from collections.abc import Callable

import pymysql

PAUSE = 0.05


def until(
    question: Callable[[], object],
    what: str | Callable[[], object] = "it did not become true",
    seconds: float = 30.0,
    *,
    error: type[Exception] = AssertionError,
) -> None:
    """Ask until it is so. A server that does not answer is not yet so. ``what`` may be asked for when it was in vain.

    Raises:
        error: It was not so within ``seconds``; with ``what`` and the last word of a server.
    """
    ends = time.monotonic() + seconds
    said = ""
    while True:
        try:
            if question():
                return
        except pymysql.MySQLError as failure:
            said = f" ({failure})"
        if time.monotonic() > ends:
            raise error(f"waited {seconds:g} s: {what if isinstance(what, str) else what()}{said}")
        time.sleep(PAUSE)
