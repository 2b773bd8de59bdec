"""When is a primary dead? A table, read from the top: the first row whose condition holds says what it means.

Pure: rounds of observations in, a judgement out. A *conclusive* row is acted on when it holds in every round of at
least `confirm_interval` seconds, everything observed afresh; a *patient* one only after MHA's four misses
and by its rule (`classic_rules.decide`); a row that *never* means death keeps everybody's hands off, and people are
told.
Design rule 3: no row lets the manager's word alone be enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .classic_rules import (
    somebody_else,
)
from .observation import SOMEBODY_ELSE, Finding, Observer, Round
from .suspicion import MISSED, WRITE_WAITS, Suspicion

HOST_LIVES = (Finding.ANSWERED, Finding.REFUSED, Finding.SILENT, Finding.SLOW)
_CONNECTED = (Finding.RECEIVES, Finding.MOVES)
_BAD_DISK = (Finding.FULL, Finding.READ_ONLY)
REACHED = (Finding.ANSWERED, Finding.LIVES)


class Confidence(StrEnum):
    """How sure a row is of death."""

    CONCLUSIVE = "conclusive"
    PATIENT = "patient"
    NEVER = "never"


@dataclass(frozen=True)
class Row:
    """One row of the table. ``delay`` (seconds since the suspicion) is how long a conclusive row is doubted.

    ``settles``: there is nothing to suspect any more; the usual watch goes on.
    """

    name: str
    holds: Callable[[Suspicion], bool]
    sure: Confidence
    means: str
    tell: str = ""
    delay: Callable[[Suspicion], float] = lambda _case: 0.0
    settles: bool = False
    #: Its evidence is the process's own end, which who looks at the port alone cannot object to.
    proven: bool = False


def missed(c: Suspicion) -> bool:
    return c.now.is_(Observer.PING, *MISSED)


def _gone(c: Suspicion) -> bool:
    """No process, no listener, nobody connected: seen on the host, from here, and from every replica that can tell."""
    nobody = not c.now.is_(Observer.REPLICA, *_CONNECTED) and not c.now.is_(Observer.PORT, Finding.LISTENING)
    refused = c.now.is_(Observer.PING, Finding.REFUSED, Finding.BROKEN)
    return c.known and refused and nobody and c.now.is_(Observer.PROCESS, Finding.GONE)


def _stopping(c: Suspicion) -> bool:
    """It does not listen, and was not gone before: it ends in order, and is not started after a crash."""
    ends = missed(c) and c.now.is_(Observer.PROCESS, Finding.STARTING)
    return ends and not any(r.is_(Observer.PROCESS, Finding.GONE) for r in c.rounds)


def _bad_disk(c: Suspicion) -> bool:
    return c.now.is_(Observer.DISK, *_BAD_DISK, Finding.STALLED)


def _writes_fail(c: Suspicion) -> bool:
    return c.now.is_(Observer.WRITE, Finding.UNANSWERED, Finding.REFUSED)


def spoke(round_: Round) -> bool:
    """Whether anything came from the primary's host in that round, to whomever, however late."""
    return (
        round_.is_(Observer.PING, Finding.ANSWERED, Finding.LIVES, *HOST_LIVES)
        or round_.is_(Observer.SSH, *HOST_LIVES)
        or round_.is_(Observer.OBSERVER, *HOST_LIVES)
        or round_.is_(Observer.REPLICA, Finding.MOVES)
    )


def _manager_alone(c: Suspicion) -> bool:
    """It reaches no other host of the cluster, nor anybody, a witness say, who confirms what it sees."""
    links = c.now.of(Observer.LINK)
    reached = {link.who for link in links if link.finding in REACHED}
    if not links or reached - set(c.terms.own):
        return False
    # Whose silence counts was reached by the manager, and reached somebody itself.
    told = c.now.is_(Observer.OBSERVER, Finding.UNANSWERED) or c.now.is_(Observer.SECONDARY, Finding.CONFIRMED)
    return not reached or not (spoke(c.now) or told)


def reached_by_others(row: Row) -> bool:
    """Whether this row says that the primary lives; of a manager that is cut off nobody knows."""
    return row.sure is Confidence.NEVER and row.holds is not _manager_alone


def _somebody_else(c: Suspicion) -> bool:
    """Seen on the host where its process was seen before: it is gone, and the port is a user's who owns no data."""
    # Who starts it again in vain, for the port is taken, makes a new process now and then.
    starts = c.now.is_(Observer.PORT, Finding.STRANGER) and c.now.is_(Observer.PROCESS, Finding.STARTING)
    again = starts and any(r.is_(Observer.PROCESS, Finding.GONE) for r in c.rounds)
    return c.known and (again or bool(somebody_else(c.now.seen)))


def dark(c: Suspicion) -> bool:
    """Nothing at all comes back from the host, and another host, or the secondary check, says so by its own means."""
    return (
        c.now.is_(Observer.PING, Finding.UNANSWERED)
        and not spoke(c.now)
        and (c.now.is_(Observer.OBSERVER, Finding.UNANSWERED) or c.now.is_(Observer.SECONDARY, Finding.CONFIRMED))
    )


def _zone(c: Suspicion) -> bool:
    links = [link for link in c.now.of(Observer.LINK) if link.who not in c.terms.own]
    return sum(link.finding in REACHED for link in links) * 2 < len(links)


def _moves(c: Suspicion) -> bool:
    return c.now.is_(Observer.REPLICA, Finding.MOVES)


TABLE: tuple[Row, ...] = (
    Row(
        "manager starved",
        lambda c: c.now.is_(Observer.MANAGER, Finding.LATE),
        Confidence.PATIENT,
        "the manager itself did not get to run in time, so its misses prove little",
        "Give the manager's host more processor time.",
    ),
    Row(
        "manager cut off",
        _manager_alone,
        Confidence.NEVER,
        "the manager reaches no replica either: it is the manager that may be cut off",
        "Look at the manager's own network.",
    ),
    Row(
        SOMEBODY_ELSE,
        _somebody_else,
        Confidence.CONCLUSIVE,
        "mysqld is gone, and something else answers on its port: a process of a user who does not own its data",
        "Look who listens on that port of that host, and since when: it has been told names of accounts at least.",
        delay=lambda c: c.grace,
        proven=True,
    ),
    Row(
        "hung storage",
        lambda c: c.now.is_(Observer.DISK, Finding.STALLED) and _writes_fail(c),
        Confidence.CONCLUSIVE,
        "threads of mysqld wait for a disk that does not answer, and a written row is not acknowledged",
        # The row that is written waits by itself.
        delay=lambda c: max(0.0, c.terms.still - WRITE_WAITS),
    ),
    Row(
        "full or read-only disk",
        lambda c: c.now.is_(Observer.DISK, *_BAD_DISK) and _writes_fail(c),
        Confidence.CONCLUSIVE,
        "the disk takes nothing any more, and a written row is not acknowledged",
    ),
    Row(
        "disk trouble, writes not seen",
        lambda c: _bad_disk(c) and not missed(c) and not c.now.is_(Observer.WRITE, Finding.ANSWERED),
        Confidence.NEVER,
        "the disk is full, read-only or slow, and whether the primary still takes writes cannot be seen",
        "Look at that disk; let the manager's account create and write infra.chk_masterha_disk.",
        settles=True,
    ),
    Row(
        "disk trouble, writes go on",
        lambda c: _bad_disk(c) and not missed(c),
        Confidence.NEVER,
        "the disk is full, read-only or slow, and the primary still takes writes",
        "Make room on that disk, or look at it.",
        settles=True,
    ),
    Row(
        "lives, takes no session",
        lambda c: c.now.is_(Observer.PING, Finding.LIVES),
        Confidence.NEVER,
        "the primary answers in its own protocol, and what it says is an error",
        "Fix what its error names: this is no reason for a failover.",
        settles=True,
    ),
    Row(
        "answers, but late",
        lambda c: c.now.is_(Observer.PING, Finding.SLOW),
        Confidence.NEVER,
        "the primary answers late: it is slow, or the way to it is",
        "Look at the network between the manager and the primary, and at the load of its host.",
    ),
    Row(
        "frozen process",
        lambda c: missed(c) and c.now.is_(Observer.PROCESS, Finding.STOPPED) and not _answers(c) and not _moves(c),
        Confidence.CONCLUSIVE,
        "mysqld is stopped on its host (SIGSTOP, a debugger) and answers nobody",
        delay=lambda c: c.terms.still,
    ),
    Row(
        "only the manager cannot reach it",
        lambda c: missed(c) and _answers(c),
        Confidence.NEVER,
        "the primary answers others; only the manager cannot reach it",
        "Look at the network between the manager and the primary.",
    ),
    Row(
        "a replica receives",
        lambda c: missed(c) and _moves(c),
        Confidence.NEVER,
        "a replica receives from the primary, with progress: it lives, whoever else cannot reach it",
        "Look at the network between the manager and the primary, and at its address in the configuration.",
    ),
    Row(
        "a replica is still connected",
        lambda c: c.now.is_(Observer.PROCESS, Finding.GONE) and c.now.is_(Observer.REPLICA, Finding.RECEIVES),
        Confidence.PATIENT,
        "no mysqld is seen on the host, but a replica is still connected to it: the views contradict each other",
    ),
    Row(
        "shutting down, to be waited for",
        lambda c: _stopping(c) and c.terms.on_shutdown == "wait",
        Confidence.NEVER,
        "mysqld is there and does not listen any more, and on_shutdown=wait",
        "Wait for its end, or look at what it waits for.",
    ),
    Row(
        "starting or shutting down",
        lambda c: missed(c) and c.now.is_(Observer.PROCESS, Finding.STARTING),
        Confidence.PATIENT,
        "mysqld is there and does not listen: it starts, recovers or shuts down",
    ),
    Row(
        "clean shutdown, to be waited for",
        lambda c: _gone(c) and c.now.is_(Observer.PID_FILE, Finding.ABSENT) and c.terms.on_shutdown == "wait",
        Confidence.NEVER,
        "mysqld was shut down in order, and on_shutdown=wait",
        "Start it again, or move the primary with a planned switch.",
    ),
    Row(
        "clean shutdown",
        lambda c: _gone(c) and c.now.is_(Observer.PID_FILE, Finding.ABSENT) and not _answers(c),
        Confidence.CONCLUSIVE,
        "mysqld was shut down: no process, no pid file, its port refuses",
        delay=lambda c: c.grace,
    ),
    Row(
        "crashed process",
        lambda c: _gone(c) and not _answers(c),
        Confidence.CONCLUSIVE,
        "mysqld is gone: no process on its host, its port refuses, no replica is connected",
        delay=lambda c: c.grace,
    ),
    Row(
        "whole zone gone",
        lambda c: dark(c) and _zone(c),
        Confidence.PATIENT,
        "most replicas are as silent as the primary: a zone, or the way to it",
    ),
    Row(
        "host gone",
        dark,
        Confidence.CONCLUSIVE,
        "nothing comes back from the primary's host, neither to the manager nor to a replica's host",
        delay=lambda c: c.terms.silence,
    ),
    Row(
        "refused port",
        lambda c: c.now.is_(Observer.PING, Finding.REFUSED),
        Confidence.PATIENT,
        "the port refuses, and nobody can look at the process",
    ),
    Row("does not answer", missed, Confidence.PATIENT, "pings are not answered, and nothing else is certain"),
    Row("answers", lambda _case: True, Confidence.NEVER, "the primary answers", settles=True),
)


def _answers(c: Suspicion) -> bool:
    return c.now.is_(Observer.OBSERVER, Finding.ANSWERED)
