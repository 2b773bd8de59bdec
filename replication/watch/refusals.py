"""Pings that a living primary refuses: told to people at the second in a row, and when they are over."""

from __future__ import annotations

import logging
import time

from ..detection.classic_rules import ALARM_AT
from .listener import Listener

log = logging.getLogger("mha")

#: Seconds after which the same words are logged again.
SAY_AGAIN = 60.0


class Refusals:
    """Counts them for one watch. A refusal is a sign of life, and a watch that cannot see is somebody's business."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._count, self._said, self._said_at = 0, "", 0.0
        self._owed = False

    def refused(self, error: str, *, suspected: bool = False) -> None:
        """One more; ``error`` says what the server said and what is to be done.

        With ``suspected`` it ends a suspicion: that the primary is well again remains to be told.
        """
        self._count += 1
        self._owed = self._owed or suspected or self._count >= ALARM_AT
        words = f"The primary lives but refuses our ping, which never counts as death: {error}"
        if words != self._said or time.monotonic() - self._said_at >= SAY_AGAIN:
            self._said, self._said_at = words, time.monotonic()
            log.warning("%s", words)
        if self._count == ALARM_AT:
            self._listener.suspect(0, error)
            self._listener.alarm(f"it lives and refuses our pings, so it is not watched until that is fixed: {error}")

    def over(self) -> None:
        """It takes our pings again."""
        owed, self._owed, self._count = self._owed, False, 0
        if owed:
            self._listener.recovered("the primary takes our pings again")
