"""Everything that the checks of a planned switch look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....config import ClusterConfig, ServerConfig
from ...checks.trying_logins import TriedLogin
from ...model.check import Check, Severity
from ...model.state import ClusterState, ServerState
from ...planning.selection import Follower
from ...workload.activity import Activity
from .options import SwitchOptions


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


def judged(name: str, subject: str, wrong: str, fine: str, hint: str, severity: Severity = Severity.ERROR) -> Check:
    """A check: ``wrong`` is why not, empty when all is well; then ``fine`` is said."""
    return Check(name, subject, not wrong, wrong or fine, severity, hint)
