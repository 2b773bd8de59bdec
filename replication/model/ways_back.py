"""The ways in which a server that a failover replaced may come back, and get the data of another; where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """What a person may ask for. ``auto``: what the facts allow.

    ``empties`` brings nobody back: it ends that a replica has GTIDs which its primary lacks.
    """

    AUTO = "auto"
    FOLLOW = "follow"
    RESCUE = "rescue"
    REWIND = "rewind"
    REBUILD = "rebuild"
    EMPTIES = "empties"


class Method(StrEnum):
    """By which means a server is given the data of another, best first."""

    CLONE = "clone"
    BACKUP = "backup"
    DUMP = "dump"


class FormerState(StrEnum):
    """What is true of it now."""

    DOWN = "down"
    HELD = "held"
    REJOINING = "rejoining"


@dataclass(frozen=True)
class FormerPrimary:
    """A server that is held: its ``ip:port``, its name, where it stands.

    Of one that is rejoining ``step`` is what is done with it, ``percent`` how far its copy is, None where none is made.
    """

    key: str
    name: str
    state: FormerState
    step: str = ""
    percent: float | None = None

    def __str__(self) -> str:
        if self.state is not FormerState.REJOINING or not self.step:
            return self.state.value
        return f"{self.state.value}: {self.step}" + (f", {self.percent:.0f}%" if self.percent is not None else "")
