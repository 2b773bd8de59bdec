"""What the table of deaths (`rules`) makes of all rounds of a suspicion: whether to act, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .classic_rules import (
    NO_WAY,
    MissCounter,
    SecondaryCheck,
    Verdict,
    decide,
)
from .observation import Finding, Observer, Round
from .rules import HOST_LIVES, REACHED, TABLE, Confidence, Row, dark, missed, spoke
from .suspicion import SLOW_LINK, Suspicion


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
    quiet, heard = newest.began - _last_sign_of_life(case), [r.ended for r in case.rounds if spoke(r)]
    if row.holds is dark and heard and newest.began - heard[-1] < row.delay(case) + SLOW_LINK:
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
    links = sum(link.finding in REACHED for link in now.of(Observer.LINK))
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
    ends = [r.ended for r in case.rounds if spoke(r)]
    if not ends or case.now.ended - ends[-1] >= case.terms.silence + SLOW_LINK:
        return None
    late = any(o.finding is Finding.SLOW for r in case.rounds for o in r.seen)
    found = [{o.finding for r in case.rounds for o in r.seen if (o.source, o.who) == port} for port in _ports(case)]
    loses = any(Finding.UNANSWERED in each and each & set(HOST_LIVES) for each in found)
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
    agree = f"; {', '.join(silent)} cannot reach it either" if silent and missed(case) else ""
    answers = case.now.found(Observer.OBSERVER, Finding.ANSWERED)
    others = f" (it answers {', '.join(answers)})" if answers and missed(case) else ""
    trouble = [o.detail for o in case.now.of(Observer.DISK) if o.finding is not Finding.GOOD and o.detail]
    disks = f" ({'; '.join(trouble)})" if trouble else ""
    return f"{row.name}: {row.means}{disks}{others}{agree}"
