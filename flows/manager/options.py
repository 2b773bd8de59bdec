"""What is asked of a manager."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...replication.planning.plan import FailoverOptions


@dataclass(frozen=True)
class ManagerOptions:
    """What the command line asks of a manager beyond the failover itself. ``wait_*`` are seconds."""

    failover: FailoverOptions = field(default_factory=FailoverOptions)
    go_on: bool = False
    ignore_fail_on_start: bool = False
    skip_check_ssh: bool = False
    wait_on_monitor_error: float = 0.0
    wait_on_failover_error: float = 0.0
