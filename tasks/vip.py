"""VIP: the address that applications use goes to the new primary, by the site's own script."""

from __future__ import annotations

import logging

from prefect import task

from replication.errors import HookError
from replication.hooks import failover_args, password_environment, run_hook
from replication.job import FailoverJob
from replication.plan import FailoverPlan
from tasks.policy import STEP

log = logging.getLogger("mha")


@task(name="Move the address", **STEP)
def activate_address(job: FailoverJob, plan: FailoverPlan) -> bool:
    """`master_ip_failover_script --command=start`. Exit 0 and 10 go on; anything else raises HookError."""
    script = job.config.master_ip_failover_script
    if not script:
        log.warning("master_ip_failover_script is not set. Skipping taking over new master IP address.")
        return False
    new, show = job.config_of(plan.new_primary), job.config.hook_passwords
    log.info("Executing master IP activation script:")
    done = run_hook(
        script,
        failover_args("start", job.dead, new, pass_password=show),
        command="start",
        timeout=job.config.hook_timeout,
        secrets=(new.password.get_secret_value(),),
        env=None if show else password_environment(new),
    )
    if not (done.ok or done.go_on):
        raise HookError(script, "--command=start", f"exit code {done.exit_code}", done.exit_code)
    log.info("Master IP activation script: exit code %d.", done.exit_code)
    return done.ok
