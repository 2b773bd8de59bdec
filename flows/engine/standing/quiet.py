"""A moment of quiet while writes are out: what Prefect is to be told is made now, and sent a moment later.

A step's own thread makes its states, with their times. To send them takes Prefect's thread as much again of the same
processor (Python runs one of a process's threads at a time), and the server more where it is on this host. So its
thread stands still until writes are back, or for `AT_MOST` seconds: who waits for a slow step sees it.

That thread is found where Prefect has it for itself, as there is no public way (looked for in 3.9.1): no setting keeps
events back, a task emits them only to senders of Prefect's own (`prefect.events.utilities.emit_event` names them), and
nothing public runs a call in their loop. On a Prefect without it events are sent as they come, and `tests/unit/flows/
test_quiet.py` fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import ClassVar

from ....replication.threads import Thread

log = logging.getLogger("mha.engine")

#: Seconds that it lasts. And those in which Prefect's thread does nothing at all, however many ask for quiet: a sender
#: that lost its connection is replaced there, and the next step of anybody waits for that.
AT_MOST, A_LOOK = 2.0, 0.1
#: Seconds until what was kept is on its way, at the end of what was done.
TOLD_WITHIN = 5.0


class Quiet:
    """It begins when it is made, for whoever makes it and whatever goes on in his context."""

    _all: ClassVar[set[Quiet]] = set()

    def __init__(self) -> None:
        self._all.add(self)
        self._ends = time.monotonic() + AT_MOST
        self._over, self._lock = threading.Event(), threading.Lock()
        self._kept: list[tuple[contextvars.Context, Callable[[], object]]] = []
        self._told = Thread(target=self._tell, name="told afterwards", daemon=True)
        self._told.start()
        loop = _senders_loop()
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: nothing is sent any more
                loop.call_soon_threadsafe(self._stand, loop)
        _now.set(self)

    @classmethod
    def all_now(cls) -> tuple[Quiet, ...]:
        """Those of this process that are not over."""
        return tuple(cls._all)

    def over(self) -> None:
        """Writes are back: what was kept is told, beside whoever calls this."""
        with self._lock:
            self._over.set()
        self._all.discard(self)

    def wait(self) -> None:
        """Until it is over."""
        self._over.wait(AT_MOST)

    def end(self) -> None:
        """It is over, and all that was kept is on its way."""
        self.over()
        self._told.join(TOLD_WITHIN)

    def keep(self, tell: Callable[[], object]) -> bool:
        """Have it called afterwards, in the caller's context; False where it is over, and he is to do it himself."""
        with self._lock:
            if self._over.is_set():
                return False
            self._kept.append((contextvars.copy_context(), tell))
            return True

    def _stand(self, loop: asyncio.AbstractEventLoop) -> None:
        """In Prefect's thread. It has one turn after each look."""
        if not self._over.wait(A_LOOK / max(1, len(self._all))) and time.monotonic() < self._ends:
            loop.call_soon(self._stand, loop)

    def _tell(self) -> None:
        self.wait()
        self.over()
        for context, tell in self._kept:
            try:
                context.run(tell)
            except Exception as error:  # noqa: BLE001 - one that cannot be told keeps none of the others back
                log.debug("Prefect is not told: %s", error)


_now: ContextVar[Quiet | None] = ContextVar("mha_quiet", default=None)


def kept(tell: Callable[[], object]) -> bool:
    """Whether it is called afterwards, because it is quiet now for whoever asks."""
    quiet = _now.get()
    return quiet is not None and quiet.keep(tell)


def wait_while_quiet() -> None:
    """Until it is quiet for nobody in this process: what can wait takes no processor from whoever acts."""
    for quiet in Quiet.all_now():
        quiet.wait()


def _senders_loop() -> asyncio.AbstractEventLoop | None:
    """In which Prefect sends events and log lines; None where it has none such: then they are sent as they come."""
    try:
        from prefect._internal.concurrency.threads import get_global_loop
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        # A sender that is not there yet is started in it, and the first who has something to send waits for that.
        for sender in (EventsWorker, APILogWorker):
            sender.instance()
        return get_global_loop().loop
    except Exception as error:  # noqa: BLE001 - whatever another Prefect does, the steps are run
        log.debug("What Prefect is told cannot wait: %s", error)
        return None
