"""Where a server stands that a failover replaced: down, held, rejoining; then it is a replica like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ....config import ClusterConfig
from ...memory.held_servers import HeldServers
from .interrupted import last_of_each


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


def former_primaries(config: ClusterConfig, answers: Callable[[str], bool]) -> tuple[FormerPrimary, ...]:
    """Everybody who is held; ``answers`` tells of an ``ip:port`` whether a server is there. Raises OSError."""
    holds = HeldServers.of(config).current()
    begun = last_of_each(config.manager_workdir, config.name) if holds else {}
    found = []
    for hold in holds:
        last = begun.get(hold.key)
        if last is not None and last.alive:
            found.append(FormerPrimary(hold.key, hold.name, FormerState.REJOINING, last.step, last.percent))
            continue
        state = FormerState.HELD if answers(hold.key) else FormerState.DOWN
        found.append(FormerPrimary(hold.key, hold.name, state))
    return tuple(found)
