"""Everything that the checks of a planned switch look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....config import ClusterConfig, ServerConfig
from ...model.state import ClusterState, ServerState
from ...mysql.dialects import Dialect
from ...planning.selection import Follower
from ...planning.switch_options import SwitchOptions
from ...workload.activity import Activity
from ..trying_logins import TriedLogin


@dataclass(frozen=True)
class SwitchCase:
    """One switch under question. ``activity`` is by ``ip:port``; ``target`` is None when there is none to be had.

    ``logins`` are what was tried of logging in as a replica, empty when nothing was."""

    config: ClusterConfig
    cluster: ClusterState
    activity: Mapping[str, Activity]
    options: SwitchOptions
    old: ServerConfig
    target: ServerConfig | None
    followers: tuple[Follower, ...]
    logins: tuple[TriedLogin, ...] = ()

    @property
    def old_state(self) -> ServerState | None:
        """The current primary, if it answers."""
        return self.cluster.get(self.old.address)

    @property
    def target_state(self) -> ServerState | None:
        """The target, if it answers."""
        return self.cluster.get(self.target.address) if self.target else None

    @property
    def new_replicas(self) -> tuple[ServerState, ...]:
        """Those that are to replicate from the target."""
        of_old = tuple(f.state for f in self.followers if self.target is None or f.key != self.target.address)
        old = self.old_state
        return (*of_old, old) if old is not None and self.options.orig_master_is_new_slave else of_old

    def dialect(self, key: str) -> Dialect | None:
        """How a server is spoken to; None where nobody looked what runs there."""
        seen = self.activity.get(key)
        return seen.dialect if seen is not None else None
