"""What systemd is told of a manager: that it is ready, what it does, and that its watches go on (sd_notify(3)).

Each round of a watch beats, so that a watch that stands still is seen although its process lives; a thread passes on
that all of them go on. While anything acts it says so whatever the watches do: nobody is shot in mid-failover. Without
NOTIFY_SOCKET nothing is sent.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping

from .threads import Thread

log = logging.getLogger("mha")

#: Of the watchdog's time: after so much a watch that has not beaten stands still; between two messages.
STILL, EVERY = 0.5, 0.2


class Pulse:
    """One watch, as its supervisor feels it. At rest, as between two watches, nothing is expected of it."""

    def __init__(self, name: str, supervisor: Supervisor) -> None:
        self.name, self._supervisor = name, supervisor
        self.due, self.acts = math.inf, 0

    def beat(self, more: float = 0.0) -> None:
        """A round of the watch is begun; the next one is within half the watchdog's time and ``more`` seconds."""
        self.due = time.monotonic() + STILL * self._supervisor.seconds + more

    def rest(self) -> None:
        """No watch is on."""
        self.due = math.inf

    @contextlib.contextmanager
    def acting(self) -> Iterator[None]:
        """What is begun here is brought to its end; it is service enough to be called ready."""
        self._supervisor.ready()
        self.acts += 1
        try:
            yield
        finally:
            self.acts -= 1


class Supervisor:
    """The one who started this process, by its environment; ``seconds`` is the watchdog's time, 0 without one."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._socket = environment.get("NOTIFY_SOCKET", "")
        mine = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        given = environment.get("WATCHDOG_USEC", "")
        self.seconds = int(given) / 1e6 if self._socket and mine and given.isdecimal() else 0.0
        self._pulses: dict[str, Pulse] = {}
        self._lock = threading.Lock()
        self._feeding: threading.Thread | None = None
        self._ready, self._still = False, ""

    def pulse(self, name: str) -> Pulse:
        """That of the cluster of this name, which a later watch of it takes over."""
        with self._lock:
            if self.seconds and self._feeding is None:
                self._feeding = Thread(target=self._feed, name="watchdog", daemon=True)
                self._feeding.start()
            return self._pulses.setdefault(name, Pulse(name, self))

    def ready(self) -> None:
        """It does what it is for: once."""
        if not self._ready:
            self._ready = True
            self.tell("READY=1")

    def says(self, words: str) -> None:
        """What it does, in a line."""
        self.tell(f"STATUS={' '.join(words.split())}")

    def tell(self, message: str) -> None:
        """One message; who does not take it is not waited for."""
        if not self._socket:
            return
        address = "\0" + self._socket[1:] if self._socket.startswith("@") else self._socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.setblocking(False)
                to.sendto(message.encode(), address)
        except OSError as error:
            log.debug("systemd was not told %s: %s", message, error)

    def stands_still(self, now: float) -> str:
        """The watches that have not gone on in time; empty while anything acts."""
        with self._lock:
            pulses = list(self._pulses.values())
        if any(pulse.acts for pulse in pulses):
            return ""
        return ", ".join(pulse.name for pulse in pulses if pulse.due < now)

    def _feed(self) -> None:
        while True:
            still = self.stands_still(time.monotonic())
            if still and still != self._still:
                log.error("The watch of %s stands still: systemd's watchdog is not fed any more.", still)
            self._still = still
            if not still:
                self.tell("WATCHDOG=1")
            time.sleep(EVERY * self.seconds)


#: Of this process.
SUPERVISOR = Supervisor(os.environ, os.getpid())
