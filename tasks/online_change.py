"""The site's own script at a planned switch: applications leave the old primary, and come to the new one."""

from __future__ import annotations

import logging

from prefect import task

from config import ServerConfig
from replication.errors import HookError
from replication.hooks import OnlineChangeCommand, online_change_args, password_environment, run_hook
from replication.switch_job import SwitchJob
from tasks.policy import STEP

log = logging.getLogger("mha")


@task(name="Applications leave the old primary", **STEP)
def leave_old(job: SwitchJob) -> bool:
    """`master_ip_online_change_script --command=stop`. Exit 0 and 10 go on; anything else raises HookError."""
    return _call(job, "stop", job.old, job.new)


@task(name="Applications come to the new primary", **STEP)
def come_to_new(job: SwitchJob) -> bool:
    """`master_ip_online_change_script --command=start`. Exit 0 and 10 go on; anything else raises HookError."""
    return _call(job, "start", job.old, job.new)


@task(name="Applications come back to the old primary", **STEP)
def come_back(job: SwitchJob) -> bool:
    """The switch is taken back: ``start`` with the old primary as the new one, so that the address is where it was."""
    return _call(job, "start", job.new, job.old)


def _call(job: SwitchJob, command: OnlineChangeCommand, old: ServerConfig, new: ServerConfig) -> bool:
    script, show = job.config.master_ip_online_change_script, job.config.hook_passwords
    if not script:
        log.warning("master_ip_online_change_script is not set. Skipping --command=%s.", command)
        return False
    log.info("Executing master ip online change script (%s):", command)
    done = run_hook(
        script,
        online_change_args(command, old, new, old_is_new_replica=job.plan.orig_is_new_replica, pass_password=show),
        command=command,
        timeout=job.config.hook_timeout,
        secrets=(old.password.get_secret_value(), new.password.get_secret_value()),
        env=None if show else password_environment(new, old),
    )
    if not (done.ok or done.go_on):
        raise HookError(script, f"--command={command}", f"exit code {done.exit_code}", done.exit_code)
    log.info("Master ip online change script: exit code %d.", done.exit_code)
    return done.ok
