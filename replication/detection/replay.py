"""Judge a recorded incident again: what today's table and configuration would have made of it, and when.

Pure: the recorded rounds in, judgements out. What would have been seen had it gone on longer is not known; for a real
death the last round is taken to go on, and the result says that it is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from .judging import Judgement, judge
from .observation import Incident, Round
from .suspicion import Suspicion, Thresholds

#: Seconds between two rounds that are taken to follow, and how long at most.
STEP, LONGEST = 0.3, 60.0


@dataclass(frozen=True)
class Moment:
    """One round judged again; ``seconds`` since the first sign of trouble."""

    seconds: float
    judgement: Judgement


@dataclass(frozen=True)
class Replayed:
    """What would have been done. ``estimated``: only had the last round gone on as it was."""

    moments: tuple[Moment, ...]
    estimated: bool = False

    @property
    def verdict(self) -> Moment | None:
        """The moment of death, None when nothing would have been done."""
        return next((moment for moment in self.moments if moment.judgement.dead), None)


@dataclass(frozen=True)
class Trial:
    """One set of thresholds against several recordings. Seconds are of the deaths that were seen."""

    terms: Thresholds
    false_alarms: tuple[str, ...]
    missed: tuple[str, ...]
    seconds: tuple[float, ...]


def terms_in(incident: Incident) -> Thresholds:
    """The thresholds that held when it was recorded."""
    recorded: Mapping[str, Any] = incident.head.get("terms", {})
    known = {f.name for f in fields(Thresholds)}
    return Thresholds(**{name: value for name, value in recorded.items() if name in known})


def was_death(incident: Incident) -> bool:
    """Whether the recording ends with a verdict."""
    return incident.end.get("line") == "verdict"


def replay(incident: Incident, terms: Thresholds) -> Replayed:
    """Judge its rounds in order until a death, or to their end."""
    moments: list[Moment] = []
    rounds: list[Round] = []
    case: Suspicion | None = None
    first = 0.0
    for round_, facts in zip(incident.rounds, incident.judged, strict=True):
        since = float(facts.get("since", incident.head.get("since", round_.began)))
        if case is None:
            first = since
        elif case.since != since:
            rounds = []
        rounds.append(round_)
        case = Suspicion(tuple(rounds), since, bool(facts.get("known")), bool(facts.get("held")), terms)
        moments.append(Moment(round_.ended - first, judge(case)))
        if moments[-1].judgement.dead:
            return Replayed(tuple(moments))
    if case is None or not was_death(incident):
        return Replayed(tuple(moments))
    return Replayed((*moments, *_had_it_gone_on(case, first)), estimated=True)


def _had_it_gone_on(case: Suspicion, first: float) -> Iterable[Moment]:
    last = case.now
    for number in range(1, int(LONGEST / STEP)):
        later = _shifted(last, number * STEP)
        case = replace(case, rounds=(*case.rounds[-40:], later))
        moment = Moment(later.ended - first, judge(case))
        if moment.judgement.dead:
            yield moment
            return


def _shifted(round_: Round, seconds: float) -> Round:
    return replace(round_, began=round_.began + seconds, ended=round_.ended + seconds)


def simulate(
    incidents: Mapping[str, Incident],
    confirm_intervals: Sequence[float],
    misses: Sequence[int],
    stills: Sequence[float],
) -> list[Trial]:
    """Try every combination of thresholds against every recording."""
    trials = []
    for confirm, count, still in product(confirm_intervals, misses, stills):
        tried: Thresholds | None = None
        alarms, missed, seconds = [], [], []
        for name, incident in incidents.items():
            tried = replace(terms_in(incident), confirm_interval=confirm, misses=count, still=still, silence=still)
            verdict = replay(incident, tried).verdict
            if was_death(incident):
                (seconds.append(verdict.seconds) if verdict is not None else missed.append(name))
            elif verdict is not None:
                alarms.append(name)
        if tried is not None:
            trials.append(Trial(tried, tuple(alarms), tuple(missed), tuple(seconds)))
    return trials
