"""VIP: what applications use leaves the old primary and goes to the new one, by the providers of `vip_provider`."""

from __future__ import annotations

import logging

from ..replication.address import AddressMove, FailoverCalls, chain_of
from ..replication.model.check import Check
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from .policy import STEP
from .step import task

log = logging.getLogger("mha")


@task(name="Invalidate the old address", **STEP)
def release_address(job: FailoverJob, ssh_reachable: bool) -> AddressMove:
    """Take the address from the old primary, as far as that can be done; what could not be done is in the result.

    Raises HookError when the user's script says that a failover must not go on.
    """
    return job.address.release(job.dead, reachable=ssh_reachable)


@task(name="Move the address", **STEP)
def acquire_address(job: FailoverJob, plan: FailoverPlan) -> AddressMove:
    """Give the address to the new primary: where that may forbid the failover before it is opened, else once a row got
    in.

    Raises HookError when the user's script ends with another exit code than 0 and 10, AddressError when an address
    cannot be had and `vip_on_failure` is abort.
    """
    return job.address.acquire(job.config_of(plan.new_primary))


@task(name="Take the address from who takes no rows", **STEP)
def take_from_candidate(job: FailoverJob, plan: FailoverPlan) -> AddressMove:
    """It was opened, and closed again: another server gets the address. A script is told who, and takes it itself."""
    own = tuple(name for name in job.config.vip_provider if name != "script")
    new = job.config_of(plan.new_primary)
    chain = chain_of(job.config.model_copy(update={"vip_provider": own}), job.sessions, FailoverCalls(job.config, new))
    try:
        return chain.release(new, reachable=True)
    finally:
        chain.close()


@task(name="Verify the address", **STEP)
def verify_address(job: FailoverJob, plan: FailoverPlan) -> tuple[Check, ...]:
    """Whether the address is at the new primary and nowhere else, as far as the others can be asked."""
    checks = job.address.verify(job.config_of(plan.new_primary))
    for check in checks:
        (log.info if check.ok else log.error)("Address: %s", check)
    return checks
