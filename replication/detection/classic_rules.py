"""MHA's patience: a pure state machine over pings, and its rule for what follows from four misses.

Four misses in a row, one each `ping_interval`, are a suspicion. It becomes a verdict only when nobody else can reach
the primary either: the second routes and the replicas' hosts are asked from the first miss on, beside the pings.
An error that the server says, of whatever number, is an answer: the server lives.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from .observation import SOMEBODY_ELSE, Finding, Observation, Observer, as_dict

if TYPE_CHECKING:
    from ..model.state import ReplicaChannel

#: Misses in a row that make a suspicion (MHA counts to four, though its manual says three).
MISSES = 4
#: Misses in a row of which people are told; one alone may be anything.
ALARM_AT = 2
#: So many observations of a verdict are kept in a journal.
LOOKED = 20
#: What another host finds that cannot reach the primary's server.
NO_WAY = (Finding.SILENT, Finding.REFUSED, Finding.UNANSWERED)
#: What a replica finds that has lost it.
DEAF = (Finding.DISCONNECTED, Finding.OVERDUE)


class Ping(Enum):
    """What one ping showed."""

    ANSWERED = auto()
    ALIVE_BUT_REFUSED = auto()
    MISSED = auto()


class NextAction(Enum):
    """What the monitor is to do after a ping."""

    GO_ON = auto()
    RECOVERED = auto()
    ASK_OTHERS = auto()
    DECIDE = auto()


@dataclass(frozen=True)
class MissCounter:
    """How many pings were missed in a row, and since when (seconds on the monotonic clock)."""

    misses: int = 0
    since: float = 0.0
    last_error: str = ""

    def after(self, ping: Ping, now: float, error: str = "") -> tuple[MissCounter, NextAction]:
        """The next state and what to do.

        An answer clears the count. A refusal by a living server neither counts nor clears: it proves that
        somebody answers at the address, not that the server works.
        """
        if ping is Ping.ANSWERED:
            return MissCounter(), NextAction.RECOVERED if self.misses else NextAction.GO_ON
        if ping is Ping.ALIVE_BUT_REFUSED:
            return MissCounter(last_error=error), NextAction.RECOVERED if self.misses else NextAction.GO_ON
        missed = replace(self, misses=self.misses + 1, since=self.since or now, last_error=error)
        if missed.misses >= MISSES:
            return missed, NextAction.DECIDE
        return missed, NextAction.ASK_OTHERS if missed.misses == 1 else NextAction.GO_ON


#: A `secondary_check_script` that cannot be run: what the shell says of a program that it does not find.
NO_WORD = 127


@dataclass(frozen=True)
class SecondaryCheck:
    """The end of `secondary_check_script`: its exit code, None when none is configured or it did not end."""

    configured: bool = False
    exit_code: int | None = None

    @property
    def speaks(self) -> bool:
        """Whether it has a word in it: one that cannot be run has none, and is no veto for ever either."""
        return self.configured and self.exit_code != NO_WORD

    @property
    def objection(self) -> str:
        """Why a death is not confirmed, empty when it is: only exit code 0 confirms (MHA, HealthCheck)."""
        if not self.speaks or self.exit_code == 0:
            return ""
        ended = "did not end in time" if self.exit_code is None else f"ended with {self.exit_code}"
        return f"the secondary check {ended}; only 0 confirms a dead primary"


@dataclass(frozen=True)
class Verdict:
    """Whether the primary is dead, why, and who agrees. ``row`` names the row of the table that says so.

    ``heard`` are the replicas' channels from it as the watch saw them last, by ``ip:port``. ``since`` is when the first
    sign of trouble was seen (seconds since the epoch), 0 where nobody watched; ``unseen`` is since when nobody was seen
    to reach it, which is earlier where that was no death yet by what was known.
    """

    dead: bool
    why: str
    ssh_reachable: bool | None = None
    observations: tuple[Observation, ...] = field(default=())
    row: str = ""
    heard: Mapping[str, ReplicaChannel] = field(default_factory=dict, compare=False, repr=False)
    since: float = 0.0
    unseen: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """What a journal keeps of it."""
        return {"why": self.why, "row": self.row, "seen": [as_dict(each) for each in self.observations[:LOOKED]]}


def decide(
    patience: MissCounter,
    observations: Sequence[Observation],
    secondary: SecondaryCheck,
    ssh_reachable: bool | None,
    replicas_reachable: int,
    *,
    own: Collection[str] = (),
    by_hand: bool = False,
) -> Verdict:
    """Turn a suspicion into a verdict. ``observations`` are what everybody saw at about this moment.

    Dead needs: no observer gets an answer from the primary's port; a configured secondary check that agrees (exit 0);
    and at least one replica that the manager itself reaches, or it is the manager that is cut off (design rule 3).
    Observers that cannot be reached do not veto; an exit code of the script other than 0 does (MHA, HealthCheck).

    A replica that receives with progress forbids it, and one that is connected does unless a host says that there is no
    way: a receiver loses a refused port at once, and a dark host after a heartbeat. One whose session the network
    forgot learns nothing of either, and is not believed where nothing is left that it could be connected to.
    Silence kills only if somebody notices it who lives neither on the manager's host (``own``: names of servers) nor on
    the suspect's: another host, a replica that lost it, the secondary check; or if a person asks for the failover
    (``by_hand``).
    Silence never counts against a mysqld that runs and listens on its host (design rule 12).
    """
    seen = tuple(observations)
    who: dict[Observer, dict[Finding, list[str]]] = {}
    for each in seen:
        who.setdefault(each.source, {}).setdefault(each.finding, []).append(each.who)

    def found(source: Observer, *findings: Finding) -> list[str]:
        return [name for finding in findings for name in who.get(source, {}).get(finding, [])]

    def verdict(dead: bool, why: str, row: str = "patience") -> Verdict:
        return Verdict(dead, why, ssh_reachable, seen, row)

    else_ = somebody_else(seen)
    if not else_ and found(Observer.PING, Finding.ANSWERED, Finding.SLOW, Finding.LIVES):
        return verdict(False, "the primary greets the manager: it lives")
    answered = found(Observer.OBSERVER, Finding.ANSWERED)
    if answered and not else_:
        return verdict(False, f"the primary answers {', '.join(answered)}; only the manager cannot reach it")
    if lives := _lives_on_its_host(seen):
        return verdict(False, f"{lives}; silence is no proof against it")
    if not replicas_reachable:
        return verdict(False, "the manager reaches no replica either: it is the manager that may be cut off")
    if else_:
        return verdict(True, f"{else_}; what answers there is no server of ours", SOMEBODY_ELSE)
    if moves := found(Observer.REPLICA, Finding.MOVES):
        return verdict(False, f"{', '.join(moves)} receives from the primary, with progress: it lives")
    if secondary.objection:
        return verdict(False, secondary.objection)
    silent = [o.who for o in seen if o.source is Observer.OBSERVER and o.finding in NO_WAY]
    refused = bool(found(Observer.PING, Finding.REFUSED))
    connected = found(Observer.REPLICA, Finding.RECEIVES)
    if connected and (refused or not (silent or by_hand)) and not _nothing_left(seen):
        return verdict(False, f"{', '.join(connected)} is still connected to the primary, its heartbeat not overdue")
    deaf = [name for name in found(Observer.REPLICA, *DEAF) if name not in own]
    if not (refused or silent or deaf or secondary.speaks or by_hand):
        why = "only the manager says so, and what runs on its own host confirms nothing; name a secondary_check_script"
        return verdict(False, why)
    agree = f"; {', '.join(silent)} cannot reach it either" if silent else ""
    return verdict(True, f"{patience.misses} pings missed, last: {patience.last_error}{agree}")


def somebody_else(seen: Sequence[Observation]) -> str:
    """Why what answers on the port is not the server, in words; empty where its host does not say so.

    Whatever a server says is a sign of life (design rule 12), and what an imitator says on its port is none.
    """
    gone = any(o.source is Observer.PROCESS and o.finding is Finding.GONE for o in seen)
    stranger = any(o.source is Observer.PORT and o.finding is Finding.STRANGER for o in seen)
    words = "its host has no mysqld of it, and who listens on its port is a user who does not own its data"
    return words if gone and stranger else ""


def _nothing_left(seen: Sequence[Observation]) -> bool:
    """Its host has no process of it and no listener, and its port refuses the manager and every other host."""
    found = {(o.source, o.finding) for o in seen}
    on_its_host = {(Observer.PROCESS, Finding.GONE), (Observer.PORT, Finding.CLOSED)}
    others = {finding for source, finding in found if source is Observer.OBSERVER} - {Finding.NO_VIEW, Finding.NO_VOICE}
    return on_its_host | {(Observer.PING, Finding.REFUSED)} <= found and others == {Finding.REFUSED}


def _lives_on_its_host(seen: Sequence[Observation]) -> str:
    """A process that is not held, or whoever listens there, in words; empty when nothing of it is seen."""
    process = {o.finding: o for o in seen if o.source is Observer.PROCESS}
    if runs := process.get(Finding.RUNNING):
        return f"its mysqld runs and listens on its host (process {runs.detail})"
    listens = any(o.source is Observer.PORT and o.finding is Finding.LISTENING for o in seen)
    return "somebody listens on its port" if listens and Finding.STOPPED not in process else ""


#: What `masterha_secondary_check` ends with (MHA's numbers).
NOBODY_REACHES_IT, TOO_FEW_ASKED, SOMEBODY_REACHES_IT = 0, 2, 3


def by_routes(views: Sequence[Observation]) -> int:
    """What the hosts of a secondary check say together.

    One that reaches the primary is enough to leave it alone. Otherwise most of them must have looked: MHA lets a
    single host that is down forbid every failover (its issues 22 and 88). The manager's own host and the suspect's are
    not counted: they go dark together with what they are to tell of.
    """
    views = [view for view in views if view.finding is not Finding.NO_VOICE]
    if any(view.finding is Finding.ANSWERED for view in views):
        return SOMEBODY_REACHES_IT
    silent = sum(view.finding in NO_WAY for view in views)
    return NOBODY_REACHES_IT if silent * 2 > len(views) else TOO_FEW_ASKED
