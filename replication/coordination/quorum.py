"""The right to act on a cluster that several managers may watch: a majority of locks on the cluster's own servers.

Every manager asks each configured server for MHA's monitor lock (GET_LOCK, in a session of its own). MHA's name stays:
MHA's manager, which takes it on the primary alone, is kept out and keeps us out. Pure; `leadership` asks.

- More than half of the servers *gain* the right, and only while no lock at all is in another's hands: of two that got a
  part each, both give theirs back and try again a random moment later, and a MHA's manager is never outvoted.
- Half of them *keep* it: the holder of two servers of which one just died goes on. Half and more than half cannot be
  had at the same time, so there is one holder at most. A server on the manager's own host makes no half of two: whoever
  is cut off together with it still has its lock.
- A server on whose port nothing listens, as its host says, holds no lock for anybody: it is no voter until it is back.
  A server that is silent is one, for others may reach it: who is cut off has silence, no refusals, and loses the right.
- A lock counts for `lease` seconds since the server last answered in that session. It ends the session itself not
  before that (wait_timeout), so whoever was cut off or stood still has stopped counting before another can count.
- A manager that is *alone* acts with fewer: nothing that it knows of could act beside it. It is alone until it sees a
  lock of another, or one that stands by (which holds a lock of its own for that), or `managers` says that there are
  several; and again when a majority has shown nobody else for a minute. What only a minority says makes nobody alone.
- Where the servers are even in number, a witness votes as well (`witness_vote`): a half of two and the witness are more
  than half. MHA's manager asks for no lease there, and one outlasts its manager by seconds; so in another's hands
  it is a vote that we lack, and no more: whoever has that half and no server's lock besides does not keep the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

#: The lock of a manager that stands by; one of several has it.
STANDBY_LOCK = "MHA_Master_High_Availability_Standby"
#: Seconds without a sign of another manager, seen by a majority, after which there is none.
FORGOTTEN = 60.0


class Vote(StrEnum):
    """Who has a server's monitor lock."""

    OURS = "ours"
    ANOTHERS = "another's"
    FREE = "free"
    NOBODYS = "nobody's"  # no server listens there
    UNKNOWN = "unknown"


class Want(Enum):
    """What a manager wants of every server."""

    NOTHING = "nothing"
    WATCH = "watch"
    STAND_BY = "stand by"


class Ruling(Protocol):
    """Whom a voter asks what is wanted, and tells that something was said. Seconds as in `leadership`."""

    @property
    def lease(self) -> float: ...
    @property
    def pace(self) -> float: ...
    @property
    def patience(self) -> float: ...
    def wanted(self) -> Want: ...
    def noted(self) -> None: ...


@dataclass(frozen=True)
class LockView:
    """What one server last said: who has its monitor lock, and who stands by (``HOST`` or ``HOST, pid N``).

    ``until`` is when that is no longer true enough (monotonic clock). ``own``: it lives on this manager's host.
    ``witness``: it is none, but a witness that votes.
    """

    server: str
    vote: Vote = Vote.UNKNOWN
    holder: str = ""
    standby: str = ""
    until: float = 0.0
    own: bool = False
    witness: bool = False

    def at(self, now: float) -> Vote:
        """The vote as it counts at that moment."""
        return self.vote if now < self.until else Vote.UNKNOWN


def lease_of(ping_interval: float) -> float:
    """Seconds that a lock counts without an answer: four pings, as long as MHA is patient."""
    return float(max(4, math.ceil(4 * ping_interval)))


def may_try(ballots: Sequence[LockView], now: float, *, alone: bool) -> bool:
    """Whether asking for the locks can give the right; who stands by takes none otherwise.

    A lock that its holder lost for a moment is not snatched from it.
    """
    votes = [ballot.at(now) for ballot in ballots]
    obtainable = votes.count(Vote.FREE) + votes.count(Vote.OURS)
    return not _taken(ballots, now) and (alone or 2 * obtainable > _voters(votes))


def gains(ballots: Sequence[LockView], now: float, *, alone: bool) -> bool:
    """Whether these locks give the right to one that does not have it."""
    votes = [ballot.at(now) for ballot in ballots]
    return not _taken(ballots, now) and (alone or 2 * votes.count(Vote.OURS) > _voters(votes))


def keeps(ballots: Sequence[LockView], now: float, *, alone: bool) -> bool:
    """Whether these locks are enough for the one that has the right."""
    votes = [ballot.at(now) for ballot in ballots]
    ours, voters = votes.count(Vote.OURS), _voters(votes)
    beyond = any(ballot.at(now) is Vote.OURS and not ballot.own for ballot in ballots)
    return alone or 2 * ours > voters or (beyond and 2 * ours == voters)


def others(ballots: Sequence[LockView], now: float) -> bool:
    """Whether another manager shows, active or standing by."""
    return any(b.at(now) is Vote.ANOTHERS or (b.standby and b.at(now) is not Vote.UNKNOWN) for b in ballots)


def still_alone(
    ballots: Sequence[LockView], now: float, *, alone: bool, last_seen: float | None, managers: int = 1
) -> bool:
    """Whether no other manager is known of. ``last_seen`` is when one showed last, None for never."""
    if managers > 1 or others(ballots, now):
        return False
    if alone or last_seen is None:
        return True
    majority = 2 * sum(b.at(now) in (Vote.OURS, Vote.FREE) for b in ballots) > len(ballots)
    return majority and now - last_seen > FORGOTTEN


def holder_of(ballots: Sequence[LockView], now: float) -> str:
    """Who has the right, as far as is seen: the holder of the most locks that are not ours; empty for nobody."""
    seen = [b.holder for b in ballots if b.at(now) is Vote.ANOTHERS and b.holder]
    return max(sorted(set(seen)), key=seen.count, default="")


def who(ballots: Sequence[LockView], now: float) -> str:
    """The other managers that show, in words."""
    standby = next((b.standby for b in ballots if b.standby and b.at(now) is not Vote.UNKNOWN), "")
    seen = [f"{holder_of(ballots, now)} watches"] if holder_of(ballots, now) else []
    seen += [f"{standby} stands by"] if standby else []
    return ", ".join(seen) or "nobody watches"


def in_words(ballots: Sequence[LockView], now: float) -> str:
    """Every server's vote, for the log."""
    return ", ".join(f"{b.server}: {b.at(now)}" for b in ballots)


def _taken(ballots: Sequence[LockView], now: float) -> bool:
    """Whether a server's lock is another's."""
    return any(ballot.at(now) is Vote.ANOTHERS and not ballot.witness for ballot in ballots)


def _voters(votes: Sequence[Vote]) -> int:
    return len(votes) - votes.count(Vote.NOBODYS)
