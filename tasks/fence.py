"""Fence: nothing moves on the replicas any more, and the old primary will not serve again."""

from __future__ import annotations

import logging
from typing import Literal

from prefect import task

from replication.drain import stop_receiver
from replication.errors import HookError, MhaError, RefusalError, UnsafeStatement
from replication.fence import Fenced, fence
from replication.hooks import run_hook, shutdown_args
from replication.job import FailoverJob
from replication.plan import FailoverPlan, Refusal
from replication.snapshots import ClusterState, ServerDown, ServerState
from tasks.policy import ACTING, STEP

log = logging.getLogger("mha")


@task(name="Stop every receiver", **ACTING)
def stop_receivers(job: FailoverJob, plan: FailoverPlan) -> ClusterState:
    """STOP … IO_THREAD on every replica at once, so that what each has received no longer changes.

    A replica that cannot do it is down from here on, with its reason; the others go on.
    """
    channels = {x.key: x.channel for x in plan.levelings}
    done = job.sessions.each(
        lambda key: stop_receiver(job.sessions.server(key), channels[key]), list(channels), timeout=12.0
    )
    up: list[ServerState] = []
    down: list[ServerDown] = []
    for key, result in done:
        server = job.config_of(key)
        if isinstance(result, ServerState):
            up.append(result)
            continue
        reason = str(result) if isinstance(result, MhaError) else f"{server.name}: its receiver did not stop in time"
        log.warning("%s", reason)
        down.append(ServerDown(key, server.name, server.hostname, reason, False))
    return ClusterState(tuple(up), tuple(down))


@task(name="Let every replica receive again", **ACTING)
def start_receivers(job: FailoverJob, plan: FailoverPlan) -> None:
    """Take the stop back on every replica that still follows the dead primary."""

    def start(key: str) -> None:
        server = job.sessions.server(key)
        for channel in server.observe().channels:
            unexecuted = channel.name == plan.channel_of(key) and channel.executed != channel.received
            if unexecuted and channel.start_deletes_relay_logs:
                raise UnsafeStatement(f"{server}: a start would delete relay logs that are not executed")
        server.query(server.dialect.start(plan.channel_of(key)), action="start replication again")

    for key, result in job.sessions.each(start, [x.key for x in plan.levelings], timeout=12.0):
        if isinstance(result, MhaError):
            log.warning("%s: replication stays stopped: %s", key, result)


@task(name="Fence the old primary", **STEP)
def fence_old_primary(job: FailoverJob, ssh_reachable: bool) -> Fenced:
    """Over SSH: kill what is left of mysqld and keep its supervisor from starting it again."""
    if not ssh_reachable:
        why = f"SSH to {job.dead.hostname} is not reachable"
        log.warning("Could not fence %s: %s.", job.dead.name, why)
        return Fenced(False, cannot=why)
    fenced = fence(job.sessions.host(job.dead.address), job.dead)
    (log.info if fenced.sure else log.warning)("Fencing %s: %s.", job.dead.name, fenced)
    return fenced


@task(name="Shut the old primary down", **STEP)
def shut_down(job: FailoverJob, ssh_reachable: bool) -> bool:
    """`shutdown_script`: returns whether SSH may still be used (0: powered off; 10: only mysqld was killed)."""
    script = job.config.shutdown_script
    if not script:
        log.warning("shutdown_script is not set. Skipping explicit shutting down of the dead master.")
        return ssh_reachable
    command: Literal["stop", "stopssh"] = "stopssh" if ssh_reachable else "stop"
    done = run_hook(script, shutdown_args(command, job.dead), command=command, timeout=job.config.hook_timeout)
    if done.ok:
        log.info("Power of %s was successfully turned off.", job.dead.hostname)
        return False
    if done.go_on:
        log.info("mysqld on %s was killed; SSH stays usable.", job.dead.hostname)
        return ssh_reachable
    raise HookError(script, f"--command={command}", f"exit code {done.exit_code}", done.exit_code)


def unfenced_refusal(job: FailoverJob, fenced: Fenced) -> RefusalError:
    """When a mysqld survives kill -9 on a reachable host, two primaries could take writes."""
    return RefusalError(
        Refusal(
            "not-fenced",
            f"mysqld on {job.dead.name} could not be stopped ({fenced.cannot}).",
            "Power the host off, then start the failover again.",
            (str(fenced),),
        )
    )
