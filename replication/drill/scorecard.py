"""The scorecard of a drill: what was measured, against its targets and the last one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ..model.words import in_markdown as md
from ..planning.role_plan import short_name


@dataclass(frozen=True)
class Target:
    """One of them: what was wanted and what was found, in words, and whether that is met."""

    name: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True)
class Scorecard:
    """What one drill showed. Times are seconds since the epoch, all else seconds or rows; None is what was not seen.

    ``out`` is how long no row of the canary was acknowledged, ``back`` the same in the switch back. ``parts`` are what
    the failover or the switch went to. ``lost`` are acknowledged rows that the new primary lacked, ``overlapping`` rows
    that two servers took in turns. ``left`` is what is not as it was before, in sentences. ``before`` is the last drill
    of this kind, in words.
    """

    cluster: str
    kind: str
    began: float
    primary: str
    target: float
    new_primary: str | None = None
    failed_over: bool = False
    wants_failover: bool = True
    out: float | None = None
    back: float | None = None
    parts: tuple[tuple[str, float], ...] = ()
    acknowledged: int = 0
    lost: int | None = None
    overlapping: int = 0
    total: float | None = None
    trouble: str = ""
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    before: str = ""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target."""
        return tuple(self._targets())

    def _targets(self) -> Iterator[Target]:
        out = "nobody took writes again" if self.out is None else f"{self.out:.3f} s"
        yield Target("writes out", f"at most {self.target:g} s", out, self.out is not None and self.out <= self.target)
        lost = "not counted" if self.lost is None else f"{self.lost} of {self.acknowledged}"
        yield Target("rows lost", "0", lost, self.lost == 0)
        yield Target("overlapping rows", "0", str(self.overlapping), self.overlapping == 0)
        who = f"to {short_name(self.new_primary)}" if self.new_primary else "nobody"
        found = f"yes, {who}" if self.failed_over else "no"
        yield Target(
            "role moved", "yes" if self.wants_failover else "no", found, self.failed_over == self.wants_failover
        )
        ended = "; ".join((*((self.trouble,) if self.trouble else ()), *self.left)) or "yes"
        yield Target("ended as it began", "yes", ended, not self.left and not self.trouble)

    @property
    def passed(self) -> bool:
        """Every target is met."""
        return all(target.met for target in self.targets)

    @property
    def summary(self) -> str:
        """One sentence without its end."""
        what = f"drill {self.kind} of {self.cluster}"
        out = "" if self.out is None else f", writes were out for {self.out:.2f} s"
        if self.passed:
            return f"{what} passed{out}"
        missed = [f"{target.name}: {target.found}" for target in self.targets if not target.met]
        return f"{what} FAILED{out}; {'; '.join(missed)}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as in docs/json.md."""
        told = {name: value for name, value in asdict(self).items() if name != "wants_failover"}
        told |= {"passed": self.passed, "parts": dict(self.parts), "targets": [asdict(each) for each in self.targets]}
        return told


def lines(card: Scorecard) -> Iterator[str]:
    """As text."""
    at = datetime.fromtimestamp(card.began).strftime("%Y-%m-%d %H:%M:%S")
    judged = "PASSED" if card.passed else "FAILED"
    yield f"Drill of {card.cluster} at {at}: {card.kind}, primary {card.primary}: {judged}"
    yield ""
    for target in card.targets:
        yield f"  {target.name:18}{target.found}{'' if target.met else '   MISSED'}   (target: {target.wanted})"
    for name, seconds in card.parts:
        yield f"  {name:18}{seconds:.3f} s"
    if card.back is not None:
        yield f"  {'out, switch back':18}{card.back:.3f} s"
    if card.total is not None:
        yield f"  {'whole drill':18}{card.total:.1f} s"
    yield f"  {'last one':18}{card.before or 'none of this kind'}"
    for note in card.notes:
        yield f"  {note}"


def text(card: Scorecard) -> str:
    """The whole of it."""
    return "\n".join(lines(card))


def markdown(card: Scorecard) -> str:
    """The page in Prefect's UI."""
    title = f"{card.cluster}: drill {card.kind}, {'passed' if card.passed else 'FAILED'}"
    parts = [f"# {md(title)}", "", "| target | wanted | found | |", "|---|---|---|---|"]
    parts += [
        f"| {md(each.name)} | {md(each.wanted)} | {md(each.found)} | {'met' if each.met else '**missed**'} |"
        for each in card.targets
    ]
    parts += ["", "| part | seconds |", "|---|---:|", *(f"| {md(name)} | {took:.3f} |" for name, took in card.parts)]
    if card.back is not None:
        parts.append(f"| out, switch back | {card.back:.3f} |")
    parts += ["", f"Primary: {md(card.primary)}. Last one: {md(card.before or 'none of this kind')}.", ""]
    parts += [f"- {md(note)}" for note in card.notes]
    return "\n".join(parts) + "\n"
