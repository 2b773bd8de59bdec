"""Hold writes: the old primary takes none, the new one executes the rest, and opens; or everything is taken back."""

from __future__ import annotations

import logging

from ...replication.switchover.handover import hand_over
from ...replication.switchover.job import HandedOver, Preparation, SwitchJob
from ..policy import STEP, once
from ..step import task

log = logging.getLogger("mha")


@task(name="Hand the writes over", **once("it takes itself back when it fails, and writes are not held twice"))
def hand_writes_over(job: SwitchJob, ready: Preparation) -> HandedOver:
    """Stop writes, wait for the new primary, open it. From its end on the switch only goes forward."""
    handed = hand_over(job, ready)
    lock = (
        "set read_only=1" if job.options.skip_lock_all_tables else "Executed FLUSH TABLES WITH READ LOCK, read_only=1"
    )
    log.info("%s on %s, its log ends at %s.", lock, job.plan.old_name, handed.end)
    log.info("Ended %d sessions on %s.", handed.ended, job.plan.old_name)
    log.info("%s executed all of it, and was set read_only=0.", job.plan.new_primary_name)
    for part, seconds in handed.parts:
        log.info("  %s: %.1f ms", part, seconds * 1000)
    log.info("Writes were held for %.0f ms on the servers.", handed.seconds * 1000)
    return handed


@task(name="Give writes back to the old primary", **STEP)
def give_writes_back(job: SwitchJob) -> None:
    """Lock, read_only, event scheduler as they were; verified. Raises ServerError when that cannot be done."""
    job.stop.give_back()
    log.info("%s takes writes again.", job.plan.old_name)
