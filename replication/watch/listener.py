"""What a watcher tells while it watches, and to whom."""

from __future__ import annotations

import logging

log = logging.getLogger("mha")


class Listener:
    """What a watcher is told while it watches; every method may be overridden, none may block."""

    def greeted(self, words: str) -> None:
        """The first ping of a watch was answered: said in MHA's ``words``."""
        log.info("%s", words)

    def answered(self) -> None:
        """A ping was answered."""

    def suspect(self, misses: int, error: str) -> None:
        """A ping was missed for the ``misses``-th time in a row, or something else is wrong (0)."""

    def open(self, *, fresh: bool) -> None:
        """The primary answers and may be written; ``fresh``: in a new session, so it may have been restarted."""

    def closed(self) -> str:
        """The primary answers and takes no writes: why the watch is to begin anew, empty to go on."""
        return ""

    def displaced(self) -> str:
        """This manager no longer has the right to act: in words; empty to go on."""
        return ""

    def alarm(self, why: str) -> None:
        """It looks dead, or is silent for longer than a moment: people may be told. Once for each suspicion."""

    def recovered(self, why: str) -> None:
        """It was nothing, or it is over."""
