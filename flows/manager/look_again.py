"""Look again: is a primary still dead that was found dead a while ago?"""

from __future__ import annotations

import logging
import threading
import time

from ...config import ClusterConfig, ServerConfig
from ...replication.cluster.pool import ConnectionPool
from ...replication.detection.classic_rules import Verdict
from ...replication.errors import ServerError
from ...replication.fencing.last_look import PRIMARY_ALIVE
from ...replication.model.state import ServerState
from ...replication.mysql.server import Server
from ...replication.planning.plan import ALREADY_ACTING
from ...replication.reporting.outcome import Outcome
from ...tasks.detect import Listener, watch
from .listening import moved_to

log = logging.getLogger("mha")

#: Answers to pings, an interval apart and without any other trouble, after which it is back.
ANSWERS = 3
#: Seconds beyond the patience of detection, four missed pings, in which there is to be a verdict.
SLACK = 6.0


def still_dead(
    config: ClusterConfig,
    primary: ServerConfig,
    sessions: ConnectionPool,
    stop: threading.Event,
    state: ServerState | None,
) -> Verdict | None:
    """A fresh verdict by the rules of detection, or None when there is none: it is back, or nobody can tell.

    Takes as long as detection does, and for one that answers again `ANSWERS` pings: a disk in trouble, which is no
    reason not to answer, is found within them.
    """
    end = _End(stop, time.monotonic() + 4.0 * config.ping_interval + SLACK)
    found = watch(config, primary, sessions, end, _Counting(end), state)
    return found if isinstance(found, Verdict) and found.dead else None


def not_ours(config: ClusterConfig, outcome: Outcome, sessions: ConnectionPool, dead: ServerConfig) -> bool:
    """Somebody moves, or has moved, the primary's role, or the primary was never dead: look again, do not end."""
    if outcome.called_off or outcome.lost_its_lock:
        return True
    if outcome.refusal is None or outcome.began_phase_2:
        return False
    if outcome.refusal.code in (ALREADY_ACTING, PRIMARY_ALIVE):
        return True
    return bool(moved_to(config, dead, sessions))


def nobody_answers(config: ServerConfig) -> bool:
    """Whether a server does not answer now, not even with an error."""
    server = Server(config)
    try:
        server.connect(1.0)
    except ServerError as error:
        return not error.answered
    finally:
        server.close()
    return False


class _End(threading.Event):
    """Set by itself at a time (monotonic clock), and when ``stop`` is."""

    def __init__(self, stop: threading.Event, at: float) -> None:
        super().__init__()
        self._stop, self._at = stop, at

    def is_set(self) -> bool:
        return super().is_set() or self._stop.is_set() or time.monotonic() >= self._at


class _Counting(Listener):
    """Ends the look when the primary answers again and again."""

    def __init__(self, end: threading.Event) -> None:
        self._end, self._answers = end, 0

    def answered(self) -> None:
        self._answers += 1
        if self._answers >= ANSWERS:
            self._end.set()

    def suspect(self, misses: int, error: str) -> None:
        self._answers = 0
