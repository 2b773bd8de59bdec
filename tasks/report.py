"""Report: in the log, to `report_script`, and as an artifact in Prefect. Nothing here may fail a failover."""

from __future__ import annotations

import json
import logging

from ..replication.errors import HookError
from ..replication.local.own_files import written
from ..replication.local.site_scripts import report_args, run_hook
from ..replication.planning.plan import ALREADY_ACTING
from ..replication.reporting import report as wording
from ..replication.reporting.incident.beside import Looks, write_page
from ..replication.reporting.job import FailoverJob
from ..replication.reporting.ledger import as_json
from ..replication.reporting.outcome import Outcome
from .policy import once
from .step import task

log = logging.getLogger("mha")


@task(name="Report", **once("people are told once"))
def report(job: FailoverJob, outcome: Outcome) -> tuple[str, Looks]:
    """Write the report to the log and hand it to `report_script`; returns it as Markdown, and what to look at."""
    where = str(job.config.manager_log or "")
    body = wording.text(outcome, job.config.name, job.dead.name, where)
    log.info("\n%s", body)
    _write_ledger(job, outcome)
    looks = write_page(job.journal, job.config.name, job.config.path)
    waits = outcome.refusal is not None and outcome.refusal.code == ALREADY_ACTING
    if job.config.report_script and (outcome.began_phase_2 or outcome.refusal or outcome.stopped) and not waits:
        _hand_over(job, outcome, body)
    return wording.markdown(outcome, job.config.name, job.dead.name), looks


def _write_ledger(job: FailoverJob, outcome: Outcome) -> None:
    path = job.journal.path.with_suffix(".ledger.json")
    try:
        with written(path, 0o640) as file:
            file.write(json.dumps(as_json(outcome.ledger), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        log.error("The ledger cannot be written to %s: %s; the journal has it", path, error)


def _hand_over(job: FailoverJob, outcome: Outcome, body: str) -> None:
    new = job.config_of(outcome.promoted.key) if outcome.promoted else None
    slaves = [job.config_of(r.key).hostname for r in outcome.replicas if r.ok]
    arguments = report_args(
        job.dead, new, slaves, job.config.path, wording.subject(outcome, job.config.name, job.dead.name), body
    )
    script = job.config.report_script or ""
    try:
        done = run_hook(script, arguments, command="report", timeout=job.config.hook_timeout)
    except HookError as error:
        log.error("%s", error)
        return
    if not done.ok:
        log.error("%s ended with exit code %d.", script, done.exit_code)
