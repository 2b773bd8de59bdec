"""What a seed does to a cluster, one step after the other: the same seed gives the same steps, on any machine.

Endless: how many of them there is time for is the runner's business, and a slower machine does fewer of the same. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class TroubleStep:
    """Something that is no death: it lasts ``seconds`` and begins after ``quiet`` seconds; ``replica`` is 0 or 1."""

    number: int
    name: str
    seconds: float
    quiet: float
    replica: int


@dataclass(frozen=True)
class FaultStep:
    """A primary dies, after ``quiet`` seconds of writing.

    ``behind`` says which replicas (0, 1) receive nothing in the last ``behind_for`` of these seconds. ``rejoin``: the
    old primary is made a replica again as it is; otherwise it is installed anew.
    """

    number: int
    name: str
    quiet: float
    behind: tuple[int, ...]
    behind_for: float
    rejoin: bool

    def __str__(self) -> str:
        late = {(): "", (0,): ", one replica behind", (1,): ", the other replica behind"}
        return self.name + late.get(self.behind, ", both replicas behind")


@dataclass(frozen=True)
class PairStep:
    """A primary dies, and when its failover has come to a place of its journal, ``target`` meets something too.

    ``event``: of the ``step``, began or done. ``donor``: which replica (2, 3) received more than the other.
    """

    number: int
    first: str
    step: str
    event: str
    target: str
    how: str
    donor: int

    def __str__(self) -> str:
        return f"{self.first}; {self.target} {self.how} when {self.step!r} {self.event}, db{self.donor} received more"


def pairs(
    seed: int, firsts: Sequence[str], steps: Sequence[str], seconds: Sequence[tuple[str, str]]
) -> Iterator[PairStep]:
    """Each second fault, (target, how), once before any comes again; the seed decides all the rest."""
    names = [f"{target} {how}" for target, how in seconds]
    by_name = dict(zip(names, seconds, strict=True))
    for number, name in enumerate(_rounds(seed, names), start=1):
        dice = Random(f"pair {seed} {number}")
        target, how = by_name[name]
        event = dice.choice(("began", "done"))
        yield PairStep(number, dice.choice(firsts), dice.choice(steps), event, target, how, dice.choice((2, 3)))


def troubles(seed: int, names: Sequence[str]) -> Iterator[TroubleStep]:
    """Each name once before any comes again, in an order and with lengths that the seed decides."""
    for number, name in enumerate(_rounds(seed, names), start=1):
        dice = Random(f"trouble {seed} {number}")
        yield TroubleStep(
            number, name, round(dice.uniform(2.0, 12.0), 1), round(dice.uniform(1.0, 4.0), 1), dice.randrange(2)
        )


def faults(seed: int, names: Sequence[str], dark: Collection[str] = ()) -> Iterator[FaultStep]:
    """The same of faults.

    After a ``dark`` one nobody can read the dead host's disk: then one replica at least has received everything, and
    the host is installed anew, for its disk may hold what nobody was told of.
    """
    for number, name in enumerate(_rounds(seed, names), start=1):
        dice = Random(f"fault {seed} {number}")
        unread = name in dark
        behind = dice.choice(((), (), (0,), (1,)) if unread else ((), (0,), (1,), (0, 1)))
        quiet, behind_for = round(dice.uniform(1.5, 4.0), 1), round(dice.uniform(0.2, 1.2), 1)
        yield FaultStep(number, name, quiet, behind, behind_for, dice.random() < 0.5 and not unread)


def _rounds(seed: int, names: Sequence[str]) -> Iterator[str]:
    dice = Random(f"order {seed}")
    while names:
        yield from dice.sample(sorted(names), len(names))
