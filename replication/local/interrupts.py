"""Signals that ask this process to end while it changes a cluster: Ctrl-C, SIGTERM, a flow run that is cancelled.

Before the first effect they end it, and what can still be taken back is taken back; after it they are put off until the
end, for a cluster that is left in the middle serves nobody; a run that somebody can go on with is left between two
steps instead, where it may be (`may_be_left`). A manager puts them off by itself and needs none of this.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator

log = logging.getLogger("mha")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end while everything can still be taken back; its text is the signal's name."""

    def __str__(self) -> str:
        return f"it was asked to end ({self.args[0]})"


class _Request:
    """What became of such a request; there is one process, and so there is one of these."""

    finishing = False
    put_off = ""
    between_steps = False


@contextlib.contextmanager
def ended_in_order(*, between_steps: bool = False) -> Iterator[None]:
    """Within, a request to end is raised once as Interrupted in the main thread, or put off after `finish_from_here`.

    ``between_steps``: what was put off is raised by the next `may_be_left`, in whatever thread asks that.
    Prefect's handler, which would raise in the middle of whatever is done, is back afterwards. Other threads have no
    signals: there nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Request.finishing, _Request.put_off, _Request.between_steps = False, "", between_steps
    former = {number: signal.signal(number, _asked) for number in _ENDING}
    try:
        yield
    finally:
        _Request.between_steps = False
        for number, handler in former.items():
            # None stands for one that was not made by Python, which cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _asked(number: int, _frame: object) -> None:
    name = signal.Signals(number).name
    if _Request.finishing:
        _Request.put_off = name
        until = "until a step after which it can be gone on with" if _Request.between_steps else "until the end"
        log.warning("%s: put off %s, because servers have been changed. Only kill -9 ends it now.", name, until)
        return
    _Request.finishing = True
    raise Interrupted(name)


def finish_from_here() -> None:
    """From here on this process goes to its end; kill -9 is what the journal is for."""
    _Request.finishing = True


def may_be_left() -> None:
    """Between two steps, where another run can go on with the rest. Raises Interrupted for what was put off, once."""
    if _Request.between_steps and _Request.put_off:
        name, _Request.put_off = _Request.put_off, ""
        raise Interrupted(name)


def put_off() -> str:
    """A sentence about a request that was put off, or empty."""
    return f"{_Request.put_off} came in the middle and was put off until the end." if _Request.put_off else ""
