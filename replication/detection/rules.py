"""When is a primary dead? A table, read from the top: the first row whose condition holds says what it means.

Pure: rounds of observations in, a judgement out. A *conclusive* row is acted on when it holds in every round of at
least `confirm_interval` seconds, everything observed afresh; a *patient* one only after MHA's four misses
and by its rule (`classic_rules.decide`); a row that *never* means death keeps everybody's hands off, and people are
told.
Design rule 3: no row lets the manager's word alone be enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from .classic_rules import (
    NO_WAY,
    MissCounter,
    SecondaryCheck,
    Verdict,
    decide,
    somebody_else,
)
from .observation import SOMEBODY_ELSE, Finding, Observer, Round
from .suspicion import MISSED, SLOW_LINK, WRITE_WAITS, Suspicion

_HOST_LIVES = (Finding.ANSWERED, Finding.REFUSED, Finding.SILENT, Finding.SLOW)
_CONNECTED = (Finding.RECEIVES, Finding.MOVES)
_BAD_DISK = (Finding.FULL, Finding.READ_ONLY)
_REACHED = (Finding.ANSWERED, Finding.LIVES)


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


def _missed(c: Suspicion) -> bool:
    return c.now.is_(Observer.PING, *MISSED)


def _gone(c: Suspicion) -> bool:
    """No process, no listener, nobody connected: seen on the host, from here, and from every replica that can tell."""
    nobody = not c.now.is_(Observer.REPLICA, *_CONNECTED) and not c.now.is_(Observer.PORT, Finding.LISTENING)
    refused = c.now.is_(Observer.PING, Finding.REFUSED, Finding.BROKEN)
    return c.known and refused and nobody and c.now.is_(Observer.PROCESS, Finding.GONE)


def _stopping(c: Suspicion) -> bool:
    """It does not listen, and was not gone before: it ends in order, and is not started after a crash."""
    ends = _missed(c) and c.now.is_(Observer.PROCESS, Finding.STARTING)
    return ends and not any(r.is_(Observer.PROCESS, Finding.GONE) for r in c.rounds)


def _bad_disk(c: Suspicion) -> bool:
    return c.now.is_(Observer.DISK, *_BAD_DISK, Finding.STALLED)


def _writes_fail(c: Suspicion) -> bool:
    return c.now.is_(Observer.WRITE, Finding.UNANSWERED, Finding.REFUSED)


def _spoke(round_: Round) -> bool:
    """Whether anything came from the primary's host in that round, to whomever, however late."""
    return (
        round_.is_(Observer.PING, Finding.ANSWERED, Finding.LIVES, *_HOST_LIVES)
        or round_.is_(Observer.SSH, *_HOST_LIVES)
        or round_.is_(Observer.OBSERVER, *_HOST_LIVES)
        or round_.is_(Observer.REPLICA, Finding.MOVES)
    )


def _manager_alone(c: Suspicion) -> bool:
    """It reaches no other host of the cluster, nor anybody who confirms what it sees."""
    links = c.now.of(Observer.LINK)
    reached = {link.who for link in links if link.finding in _REACHED}
    if not links or reached - set(c.terms.own):
        return False
    return not reached or not (_spoke(c.now) or c.now.is_(Observer.SECONDARY, Finding.CONFIRMED))


def _somebody_else(c: Suspicion) -> bool:
    """Seen on the host where its process was seen before: it is gone, and the port is a user's who owns no data."""
    # Who starts it again in vain, for the port is taken, makes a new process now and then.
    starts = c.now.is_(Observer.PORT, Finding.STRANGER) and c.now.is_(Observer.PROCESS, Finding.STARTING)
    again = starts and any(r.is_(Observer.PROCESS, Finding.GONE) for r in c.rounds)
    return c.known and (again or bool(somebody_else(c.now.seen)))


def _dark(c: Suspicion) -> bool:
    """Nothing at all comes back from the host, and another host, or the secondary check, says so by its own means."""
    return (
        c.now.is_(Observer.PING, Finding.UNANSWERED)
        and not _spoke(c.now)
        and (c.now.is_(Observer.OBSERVER, Finding.UNANSWERED) or c.now.is_(Observer.SECONDARY, Finding.CONFIRMED))
    )


def _zone(c: Suspicion) -> bool:
    links = [link for link in c.now.of(Observer.LINK) if link.who not in c.terms.own]
    return sum(link.finding in _REACHED for link in links) * 2 < len(links)


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
        lambda c: _bad_disk(c) and not _missed(c) and not c.now.is_(Observer.WRITE, Finding.ANSWERED),
        Confidence.NEVER,
        "the disk is full, read-only or slow, and whether the primary still takes writes cannot be seen",
        "Look at that disk; let the manager's account create and write infra.chk_masterha_disk.",
        settles=True,
    ),
    Row(
        "disk trouble, writes go on",
        lambda c: _bad_disk(c) and not _missed(c),
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
        "Mend what its error names: this is no reason for a failover.",
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
        lambda c: _missed(c) and c.now.is_(Observer.PROCESS, Finding.STOPPED) and not _answers(c) and not _moves(c),
        Confidence.CONCLUSIVE,
        "mysqld is stopped on its host (SIGSTOP, a debugger) and answers nobody",
        delay=lambda c: c.terms.still,
    ),
    Row(
        "only the manager cannot reach it",
        lambda c: _missed(c) and _answers(c),
        Confidence.NEVER,
        "the primary answers others; only the manager cannot reach it",
        "Look at the network between the manager and the primary.",
    ),
    Row(
        "a replica receives",
        lambda c: _missed(c) and _moves(c),
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
        lambda c: _missed(c) and c.now.is_(Observer.PROCESS, Finding.STARTING),
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
        lambda c: _dark(c) and _zone(c),
        Confidence.PATIENT,
        "most replicas are as silent as the primary: a zone, or the way to it",
    ),
    Row(
        "host gone",
        _dark,
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
    Row("does not answer", _missed, Confidence.PATIENT, "pings are not answered, and nothing else is certain"),
    Row("answers", lambda _case: True, Confidence.NEVER, "the primary answers", settles=True),
)


def _answers(c: Suspicion) -> bool:
    return c.now.is_(Observer.OBSERVER, Finding.ANSWERED)


@dataclass(frozen=True)
class Judgement:
    """What the table makes of a case. ``dead``: act now; ``why`` names row and evidence.

    ``refused``: patience ran out, and the answer is no.
    """

    row: Row
    dead: bool
    why: str
    refused: bool = False


def row_of(case: Suspicion) -> Row:
    """The first row that holds."""
    return next(row for row in TABLE if row.holds(case))


def judge(case: Suspicion) -> Judgement:
    """What the newest round means, together with those before it."""
    row = row_of(case)
    if row.sure is Confidence.CONCLUSIVE:
        objection = "" if row.proven else _secondary(case).objection
        if confirmed(case, row) and not objection:
            return Judgement(row, True, _in_words(case, row))
        return Judgement(row, False, objection or row.means, bool(objection) and case.misses >= case.terms.misses)
    if row.sure is Confidence.PATIENT and case.misses_since(_last_sign_of_life(case)) >= case.terms.misses:
        verdict = _by_patience(case)
        return Judgement(row, verdict.dead, f"{row.means}; {verdict.why}", not verdict.dead)
    over = row.sure is Confidence.NEVER and case.misses >= case.terms.misses
    return Judgement(row, False, _in_words(case, row), over)


def confirmed(case: Suspicion, row: Row) -> bool:
    """The row holds without a break for `confirm_interval`, in two rounds or more, the last begun after its delay."""
    unbroken: list[Round] = []
    for count in range(len(case.rounds), 0, -1):
        earlier = replace(case, rounds=case.rounds[:count])
        if row_of(earlier) is not row:
            break
        unbroken.append(earlier.now)
    if len(unbroken) < 2:
        return False
    newest, first = unbroken[0], unbroken[-1]
    if newest.began - first.began < case.terms.confirm_interval:
        return False
    quiet, heard = newest.began - _last_sign_of_life(case), [r.ended for r in case.rounds if _spoke(r)]
    if row.holds is _dark and heard and newest.began - heard[-1] < row.delay(case) + SLOW_LINK:
        return False
    return quiet >= row.delay(case)


def _last_sign_of_life(case: Suspicion) -> float:
    """Patience begins anew whenever a round says that it is no death: one look that fails later proves nothing."""
    ended = [case.since]
    for count, round_ in enumerate(case.rounds[:-1], 1):
        if row_of(replace(case, rounds=case.rounds[:count])).sure is Confidence.NEVER:
            ended.append(round_.ended)
    return max(ended)


def _by_patience(case: Suspicion) -> Verdict:
    now = case.now
    links = sum(link.finding in _REACHED for link in now.of(Observer.LINK))
    error = next((o.detail for o in now.of(Observer.PING)), "")
    patience = MissCounter(case.misses, case.since, error)
    verdict = decide(patience, now.seen, _secondary(case), None, links, own=case.terms.own)
    if (
        verdict.dead
        and not now.is_(Observer.PING, Finding.REFUSED)
        and (heard := _heard_over_a_bad_link(case)) is not None
    ):
        why = f"the way to its host is slow or loses packets, and something came over it {heard:.1f} s ago"
        return replace(verdict, dead=False, why=why)
    if verdict.dead and now.is_(Observer.MANAGER, Finding.LATE) and not now.is_(Observer.OBSERVER, *NO_WAY):
        return replace(verdict, dead=False, why="nobody else confirms it")
    return verdict


def _heard_over_a_bad_link(case: Suspicion) -> float | None:
    """Seconds since anything came of the host, where that is no long silence and the way to it is seen to be bad.

    It is when an answer is late, or when knocks at one port are answered in one round and not in another: then what
    does not come says little of the server. None otherwise.
    """
    ends = [r.ended for r in case.rounds if _spoke(r)]
    if not ends or case.now.ended - ends[-1] >= case.terms.silence + SLOW_LINK:
        return None
    late = any(o.finding is Finding.SLOW for r in case.rounds for o in r.seen)
    found = [{o.finding for r in case.rounds for o in r.seen if (o.source, o.who) == port} for port in _ports(case)]
    loses = any(Finding.UNANSWERED in each and each & set(_HOST_LIVES) for each in found)
    return case.now.ended - ends[-1] if late or loses else None


def _ports(case: Suspicion) -> set[tuple[Observer, str]]:
    """Whoever knocked, and where."""
    looks = (Observer.PING, Observer.SSH, Observer.OBSERVER)
    return {(o.source, o.who) for r in case.rounds for o in r.seen if o.source in looks}


def _secondary(case: Suspicion) -> SecondaryCheck:
    if not case.terms.secondary:
        return SecondaryCheck()
    seen = case.now.of(Observer.SECONDARY)
    confirmed_by_script = any(o.finding is Finding.CONFIRMED for o in seen)
    code = 0 if confirmed_by_script else next((int(o.detail or "-1") for o in seen), None)
    return SecondaryCheck(True, code)


def _in_words(case: Suspicion, row: Row) -> str:
    """The row's meaning and who agrees."""
    silent = case.now.found(Observer.OBSERVER, *NO_WAY)
    agree = f"; {', '.join(silent)} cannot reach it either" if silent and _missed(case) else ""
    answers = case.now.found(Observer.OBSERVER, Finding.ANSWERED)
    others = f" (it answers {', '.join(answers)})" if answers and _missed(case) else ""
    trouble = [o.detail for o in case.now.of(Observer.DISK) if o.finding is not Finding.GOOD and o.detail]
    disks = f" ({'; '.join(trouble)})" if trouble else ""
    return f"{row.name}: {row.means}{disks}{others}{agree}"
