"""What a planned switch is asked to do, and everything that its checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config import ClusterConfig, ServerConfig
from replication.activity import Activity
from replication.check import Check, Severity
from replication.selection import Follower
from replication.snapshots import ClusterState, ServerState


@dataclass(frozen=True)
class SwitchOptions:
    """What a command line or a deployment asks of one switch; names are the predecessor's options.

    All limits are seconds, and so is ``deadline``: how long writes may be held before everything is taken back.
    """

    new_master_host: str | None = None
    new_master_port: int = 3306
    orig_master_is_new_slave: bool = False
    running_updates_limit: int = 1
    running_seconds_limit: int = 10
    seconds_behind_master: int = 30
    flush_tables: bool = True
    skip_lock_all_tables: bool = False
    check_only: bool = False
    remove_orig_master_conf: bool = False
    deadline: float = 10.0


@dataclass(frozen=True)
class SwitchCase:
    """One switch under question. ``activity`` is by ``ip:port``; ``target`` is None when there is none to be had."""

    config: ClusterConfig
    cluster: ClusterState
    activity: Mapping[str, Activity]
    options: SwitchOptions
    old: ServerConfig
    target: ServerConfig | None
    followers: tuple[Follower, ...]

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
