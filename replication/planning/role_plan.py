"""What the plans of a failover and of a planned switch have alike: the servers, and the steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ..model.position import BinlogPosition
from ..model.state import GtidKind
from .selection import (
    Candidate,
)


@dataclass(frozen=True)
class ReplicaRecovery:
    """How one replica is brought to the new primary's state and pointed at it.

    ``delay`` (seconds) is lifted while it executes what it received, and set again when it follows the new primary.
    """

    key: str
    name: str
    channel: str
    how: GtidKind
    executed: BinlogPosition | None
    received: BinlogPosition | None
    broken: str = ""
    delay: int = 0


def short_name(name: str) -> str:
    """A server's name without the address behind it."""
    return name.split("(")[0]


@dataclass(frozen=True, kw_only=True)
class RolePlan:
    """How the primary's role goes to another server. Servers are named by ``ip:port``.

    ``levelings`` are all replicas of the old primary, the new one among them; ``left_out`` pairs of name and reason.
    """

    DEED: ClassVar[str]

    cluster: str
    new_primary: str
    new_primary_name: str
    kind: GtidKind
    levelings: tuple[ReplicaRecovery, ...]
    left_out: tuple[tuple[str, str], ...]
    candidates: tuple[Candidate, ...]
    steps: tuple[str, ...] = ()

    @property
    def former_name(self) -> str:
        """The name of the old primary."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """``failover app1: db1 → db2``"""
        return f"{self.DEED} {self.cluster}: {short_name(self.former_name)} → {short_name(self.new_primary_name)}"

    @property
    def target(self) -> ReplicaRecovery:
        """The replica that becomes the primary."""
        return next(x for x in self.levelings if x.key == self.new_primary)

    @property
    def others(self) -> tuple[ReplicaRecovery, ...]:
        """The replicas that will follow it, the old primary apart."""
        return tuple(x for x in self.levelings if x.key != self.new_primary)

    def channel_of(self, key: str) -> str:
        """The name of the channel through which that replica follows the old primary."""
        return next(x.channel for x in self.levelings if x.key == key)

    def from_and_to(self, *beside: str) -> tuple[str, ...]:
        """MHA's two trees, as it is and as it will be; ``beside`` are further lines below the new primary."""
        others = [f" +--{x.name}" for x in self.others]
        before = (f"{self.former_name} (current master)", f" +--{self.new_primary_name}", *others)
        return ("From:", *before, "", "To:", f"{self.new_primary_name} (new master)", *others, *beside)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the journal and for JSON."""
        return asdict(self)
