"""Whether the old primary is out of the way for certain, and what to do when it is not. Pure.

Each means that is tried against it leaves a `Tried`; `judge` reads them by the policy of the configuration. Design rule
2: never two writable primaries; without a way to fence and without proof, the policy decides, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..model.refusal import Refusal

#: `fence_required=any`: one of the means has to be proof, whichever.
ANY = "any"
SSH, SQL, ADDRESS, SCRIPT = "ssh", "sql", "ip", "script:"
#: MHA's parameter, always a means and always required.
SHUTDOWN = "shutdown_script"


@dataclass(frozen=True)
class Tried:
    """One means that was tried. ``done``: it did what it is for. ``detail`` is half a sentence for the report.

    ``proof``: after it no application can write there. ``alive``: a mysqld was seen that does not go away.
    ``powered_off``: the host is off, so nothing of it can be read any more. ``lived``: a mysqld ran there until then,
    and may have taken writes.
    """

    means: str
    done: bool
    proof: bool
    detail: str
    alive: bool = False
    powered_off: bool = False
    lived: bool = False

    def __str__(self) -> str:
        weight = "proof" if self.proof else ("done, no proof" if self.done else "failed")
        return f"{self.means} ({weight}): {self.detail}"


class WayOut(StrEnum):
    """What `judge` says."""

    SURE = "sure"
    REFUSE = "refuse"
    GO_ON = "go on"


@dataclass(frozen=True)
class FenceVerdict:
    """What was tried against the old primary, and what follows. ``why`` is a sentence; empty when it is sure."""

    answer: WayOut
    tried: tuple[Tried, ...]
    why: str = ""

    @property
    def sure(self) -> bool:
        """No application can write to the old primary."""
        return self.answer is WayOut.SURE

    def __str__(self) -> str:
        told = "; ".join(map(str, self.tried)) or "no means is configured"
        return f"fenced: {told}" if self.sure else f"not fenced: {told}"

    def refusal(self, name: str) -> Refusal:
        """The refusal of a failover that the policy does not allow to go on."""
        return Refusal(
            "not-fenced",
            f"{name} may still take writes: {self.why}.",
            "Power the host off or end its mysqld, then start the failover again.",
            tuple(map(str, self.tried)),
        )


def judge(required: Sequence[str], tried: Sequence[Tried]) -> FenceVerdict:
    """Refuse when a required means failed, or when a mysqld lives on and nothing proves that it cannot write.

    Otherwise sure when anything is proof (a host that is off outweighs a mysqld that was seen there before), and go on
    when nothing is: the old primary does not answer, but nobody knows that it will not.
    """
    tried = tuple(tried)
    proven = any(t.proof for t in tried)
    by_means = {t.means: t for t in tried}
    for means in required:
        if means == ANY and not proven:
            return FenceVerdict(WayOut.REFUSE, tried, f"proof is required, and there is none: {_told(tried)}")
        if means != ANY and not (means in by_means and by_means[means].done):
            detail = by_means[means].detail if means in by_means else "it was not tried"
            return FenceVerdict(WayOut.REFUSE, tried, f"{means} is required, and it failed: {detail}")
    off = any(t.powered_off for t in tried)
    alive = next((t for t in tried if t.alive), None)
    if alive is not None and not off:
        return FenceVerdict(WayOut.REFUSE, tried, f"its mysqld could not be stopped: {alive.detail}")
    if proven:
        return FenceVerdict(WayOut.SURE, tried)
    return FenceVerdict(WayOut.GO_ON, tried, _told(tried))


def power_now(power_first: bool, ssh_reachable: bool) -> bool:
    """Whether scripts that may power the host off run before its binary log is saved.

    Without SSH nothing can be saved, so there is nothing to wait for.
    """
    return power_first or not ssh_reachable


def _told(tried: Sequence[Tried]) -> str:
    return "; ".join(f"{t.means}: {t.detail}" for t in tried) or "no means is configured (fence=none)"
