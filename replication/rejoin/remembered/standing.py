"""Where a server stands that a failover replaced: down, held, rejoining; then it is a replica like any other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ....config import ClusterConfig
from ...checks.facts import Facts
from ...memory.held_servers import HeldServers
from ...model.ways_back import FormerPrimary, FormerState
from .interrupted import last_of_each

log = logging.getLogger("mha")


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


def with_former_primaries(facts: Facts) -> Facts:
    """The same, with who is held as this host remembers it; what cannot be read is told in the log alone."""
    try:
        return replace(facts, former=former_primaries(facts.config, lambda key: facts.cluster.get(key) is not None))
    except OSError as error:
        log.warning("The list of servers that are held read-only cannot be read: %s", error)
        return facts
