"""What is asked before a planned switch moves the primary's role: pure, and each a row of docs/checks.md.

Where a failover or a health check asks the same, it is the same `Rule`, of `checks/cluster/`. An error refuses the
switch, a warning is told. MHA's list (its wiki, "masterha_master_switch"), and what it never asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from ....config import ClusterConfig, ServerConfig
from ...model.check import Check
from ...model.refusal import Refusal
from ...model.state import ClusterState
from ...model.topology import find_primary
from ...planning.selection import followers_of
from ...planning.switch_options import SwitchOptions
from ...workload.activity import Activity
from ..cluster.topology import of_primary, of_servers
from ..trying_logins import TriedLogin
from . import accounts, activities, data, moving, roles, sessions
from .subject import SwitchCase

RULES = (*roles.RULES, *data.RULES, *accounts.RULES, *activities.RULES, *sessions.RULES, *moving.RULES)


def switch_checks(
    config: ClusterConfig,
    cluster: ClusterState,
    activity: Mapping[str, Activity],
    options: SwitchOptions,
    target: ServerConfig | None,
    *,
    acting: bool = False,
    logins: tuple[TriedLogin, ...] = (),
) -> tuple[Check, ...]:
    """Every check, in the order asked. ``target`` is None when the named one is unknown or nobody may be promoted.

    ``acting`` says that we hold the failover lock ourselves, everywhere. ``logins`` are what was tried of logging in as
    a replica.
    """
    whole = (*of_servers(config, cluster), of_primary(config, cluster))
    primary = find_primary(config, cluster)
    if isinstance(primary, Refusal):
        return whole
    followers = followers_of(primary, config, cluster)
    case = SwitchCase(config, cluster, activity, options, primary, target, followers, logins)
    return (
        *whole,
        *roles.checks(case),
        *data.checks(case),
        *accounts.checks(case),
        *activities.checks(case, acting),
        *sessions.checks(case),
        *moving.checks(case),
    )
