"""When is a primary dead? A pure state machine over pings, with the predecessor's patience.

Four misses in a row, one each `ping_interval`, are a suspicion. It becomes a verdict only when nobody else can reach
the primary either: the second routes and the replicas' hosts are asked from the first miss on, beside the pings.
An answer such as "too many connections" or "access denied" is an answer: the server lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

#: Misses in a row that make a suspicion (MHA counts to four, though its manual says three).
MISSES = 4
#: The miss at which a failover is made ready, seconds before it may be needed.
ARM_AT = 2


class Ping(Enum):
    """What one ping showed."""

    ANSWERED = auto()
    ALIVE_BUT_REFUSED = auto()
    MISSED = auto()


class Act(Enum):
    """What the monitor is to do after a ping."""

    GO_ON = auto()
    RECOVERED = auto()
    ASK_OTHERS = auto()
    MAKE_READY = auto()
    DECIDE = auto()


@dataclass(frozen=True)
class Patience:
    """How many pings were missed in a row, and since when (seconds on the monotonic clock)."""

    misses: int = 0
    since: float = 0.0
    last_error: str = ""

    def after(self, ping: Ping, now: float, error: str = "") -> tuple[Patience, Act]:
        """The next state and what to do.

        An answer clears the count. A refusal by a living server neither counts nor clears: it proves that
        somebody answers at the address, not that the server works.
        """
        if ping is Ping.ANSWERED:
            return Patience(), Act.RECOVERED if self.misses else Act.GO_ON
        if ping is Ping.ALIVE_BUT_REFUSED:
            return Patience(last_error=error), Act.RECOVERED if self.misses else Act.GO_ON
        missed = replace(self, misses=self.misses + 1, since=self.since or now, last_error=error)
        acts = {1: Act.ASK_OTHERS, ARM_AT: Act.MAKE_READY}
        return missed, Act.DECIDE if missed.misses >= MISSES else acts.get(missed.misses, Act.GO_ON)


class View(Enum):
    """What one observer says of the primary's port."""

    ANSWERS = auto()
    SILENT = auto()
    NO_OBSERVER = auto()


@dataclass(frozen=True)
class Observation:
    """One observer's view, with the words to show an operator."""

    observer: str
    view: View
    detail: str = ""


@dataclass(frozen=True)
class SecondaryCheck:
    """The end of `secondary_check_script`: its exit code, None when none is configured or it did not end."""

    configured: bool = False
    exit_code: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the primary is dead, why, and who agrees."""

    dead: bool
    why: str
    ssh_reachable: bool | None = None
    observations: tuple[Observation, ...] = field(default=())


def decide(
    patience: Patience,
    observations: Sequence[Observation],
    secondary: SecondaryCheck,
    ssh_reachable: bool | None,
    replicas_reachable: int,
) -> Verdict:
    """Turn a suspicion into a verdict.

    Dead needs: no observer gets an answer from the primary's port; a configured secondary check that agrees (exit 0);
    and at least one replica that the manager itself reaches, or it is the manager that is cut off (design rule 3).
    Observers that cannot be reached do not veto; an exit code of the script other than 0 does (MHA, HealthCheck).
    """
    seen = tuple(observations)

    def verdict(dead: bool, why: str) -> Verdict:
        return Verdict(dead, why, ssh_reachable, seen)

    answered = [o.observer for o in seen if o.view is View.ANSWERS]
    if answered:
        return verdict(False, f"the primary answers {', '.join(answered)}; only the manager cannot reach it")
    if not replicas_reachable:
        return verdict(False, "the manager reaches no replica either: it is the manager that may be cut off")
    if secondary.configured and secondary.exit_code != 0:
        ended = "did not end in time" if secondary.exit_code is None else f"ended with {secondary.exit_code}"
        return verdict(False, f"the secondary check {ended}; only 0 confirms a dead primary")
    silent = [o.observer for o in seen if o.view is View.SILENT]
    agree = f"; {', '.join(silent)} cannot reach it either" if silent else ""
    return verdict(True, f"{patience.misses} pings missed, last: {patience.last_error}{agree}")


#: What `masterha_secondary_check` ends with (MHA's numbers).
NOBODY_REACHES_IT, TOO_FEW_ASKED, SOMEBODY_REACHES_IT = 0, 2, 3


def by_routes(views: Sequence[Observation]) -> int:
    """What the hosts of a secondary check say together.

    One that reaches the primary is enough to leave it alone. Otherwise most of them must have looked: MHA lets a
    single host that is down forbid every failover (its issues 22 and 88).
    """
    if any(view.view is View.ANSWERS for view in views):
        return SOMEBODY_REACHES_IT
    silent = sum(view.view is View.SILENT for view in views)
    return NOBODY_REACHES_IT if silent * 2 > len(views) else TOO_FEW_ASKED
