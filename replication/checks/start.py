"""Which failed checks forbid a manager's start, as MHA's did: it would refuse the failover anyway. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ...config import ClusterConfig
from ..model.check import Check, failed
from ..model.refusal import Refusal
from .cluster.openness import PRIMARY_OPEN
from .cluster.replicas import LAG

#: What forbids nothing.
PASSING = (LAG.name, PRIMARY_OPEN.name)
#: The code of the refusal.
START_CHECKS = "start-checks"


def forbidding(config: ClusterConfig, checks: Iterable[Check], *, ignore_fail: bool) -> tuple[Check, ...]:
    """The failed checks but for lag, which passes by itself, and a read-only primary, which the watch is to open.

    ``ignore_fail`` is --ignore_fail_on_start: those of servers with ignore_fail=1 forbid nothing then.
    """
    waived = {server.name for server in config.servers if ignore_fail and server.ignore_fail}
    return tuple(check for check in failed(checks) if check.name not in PASSING and check.subject not in waived)


def refusal(config: ClusterConfig, forbidden: tuple[Check, ...], asked: int) -> Refusal:
    """Why the watch is not begun; ``asked`` is how many checks there were."""
    one = len(forbidden) == 1
    return Refusal(
        START_CHECKS,
        f"{config.name} is not watched: {len(forbidden)} of {asked} checks {'says' if one else 'say'} that it is not "
        "fit for a failover.",
        "Fix what they name (masterha_check_repl shows all); to watch it as it is, set start_checks=warn.",
        tuple(f"{check.name}: {check}" for check in forbidden),
    )
