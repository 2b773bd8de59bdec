"""Signals that ask this process to end, around a moment after which it must not."""

from __future__ import annotations

import signal
import threading

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end while everything can still be taken back."""


def raise_on_interrupt() -> None:
    """Whoever asks this process to end gets everything taken back first."""

    def ask(number: int, _frame: object) -> None:
        ignore_interrupts()
        raise Interrupted(signal.Signals(number).name)

    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            signal.signal(number, ask)


def ignore_interrupts() -> None:
    """From here on this process goes to its end; kill -9 is what the journal is for."""
    if threading.current_thread() is threading.main_thread():
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
