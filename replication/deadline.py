"""Deadlines: one that several waits share, and one for work that knows none itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import DeadlineExceeded
from .threads import Thread

_T = TypeVar("_T")


class Deadline:
    """A point in time that several waits share: ``seconds`` were given, ``left`` remain (never below 0)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        return self.left <= 0


def within(work: Callable[[], _T], deadline: Deadline, what: str) -> _T:
    """The result of ``work``, which knows no deadline itself and so runs in a thread that may be left behind.

    Raises DeadlineExceeded, and what ``work`` raises.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    thread = Thread(target=body, name=what, daemon=True)
    thread.start()
    thread.join(deadline.left)
    if results:
        return results[0]
    for error in errors:
        raise error
    raise DeadlineExceeded(what, deadline.seconds)
