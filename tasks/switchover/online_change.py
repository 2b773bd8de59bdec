"""The address at a planned switch: applications leave the old primary, and come to the new one."""

from __future__ import annotations

import logging

from ...config import ServerConfig
from ...replication.address import AddressMove
from ...replication.errors import AddressError
from ...replication.model.check import Check
from ...replication.switchover.job import SwitchJob
from ..policy import STEP
from ..step import task

log = logging.getLogger("mha")


@task(name="Applications leave the old primary", **STEP)
def leave_old(job: SwitchJob) -> AddressMove:
    """Take the address from the old primary (`master_ip_online_change_script --command=stop`).

    A switch is never urgent, so what cannot be taken away ends it. Raises HookError and AddressError.
    """
    return _whole(job.address.release(job.old, reachable=True), job.old)


@task(name="Applications come to the new primary", **STEP)
def come_to_new(job: SwitchJob) -> tuple[Check, ...]:
    """Give the address to the new primary (``start``), and look where it is. Raises HookError and AddressError."""
    _whole(job.address.acquire(job.new), job.new)
    checks = job.address.verify(job.new)
    for check in checks:
        (log.info if check.ok else log.error)("Address: %s", check)
    return checks


@task(name="Applications come back to the old primary", **STEP)
def come_back(job: SwitchJob) -> AddressMove:
    """The switch is taken back: the address goes to where it was. Raises HookError and AddressError."""
    return _whole(job.address.acquire(job.old), job.old)


def _whole(moved: AddressMove, server: ServerConfig) -> AddressMove:
    for half in moved.failed:
        raise AddressError(half.provider, server.name, half.text)
    return moved
