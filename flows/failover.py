"""Failover: the Prefect flow around the runbook, and the ways to start it.

A manager and a command run it beside Prefect, which gets the record once the writes are back; a deployment runs it
on demand, as a flow. All of them end in `run_job`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from config import ClusterConfig, ServerConfig
from flows.beside import Beside
from flows.delivery import ArtifactRecord, FlowRecord
from flows.deployed import load_named
from flows.engine import log_to_prefect, step
from flows.events import with_events
from flows.runbook import recover
from replication.errors import MhaError, RefusalError
from replication.event_hooks import finish as finish_hooks
from replication.job import FailoverJob
from replication.journal import Journal, opened_before, unfinished
from replication.ledger import table
from replication.outcome import Outcome
from replication.plan import FailoverOptions, FailoverPlan, Refusal, make_plan
from replication.report import markdown, plan_text
from replication.sessions import Sessions, took_writes
from replication.topology import find_primary
from tasks import detect
from tasks.report import report

log = logging.getLogger("mha")


def run_job(
    job: FailoverJob,
    *,
    ssh_reachable: bool | None = None,
    log_directories: tuple[str, ...] = (),
) -> Outcome:
    """Recover, then report: what runs under a flow or plainly."""
    outcome = recover(job, ssh_reachable=ssh_reachable, log_directories=log_directories)
    text = step(report, job, outcome)
    _tell_end(job, outcome, text)
    return outcome


def run_beside_prefect(
    job: FailoverJob, *, ssh_reachable: bool | None = None, log_directories: tuple[str, ...] = ()
) -> tuple[Outcome, Beside]:
    """`run_job` without Prefect, and the record of it that Prefect gets once the writes are back."""
    cluster = job.config.name
    beside = Beside(
        FlowRecord(
            key=f"{cluster}/{job.journal.path.name}",
            flow_name=failover.name,
            run_name=f"failover {cluster}",
            tags=(f"cluster:{cluster}",),
            parameters={"cluster": cluster},
            started=datetime.now(UTC),
        )
    )
    job.writes_back = beside.show
    outcome = beside.run(
        partial(run_job, job, ssh_reachable=ssh_reachable, log_directories=log_directories),
        lambda done: (conclude(done), run_name(cluster, done), tuple(_artifacts(cluster, job.dead.name, done))),
    )
    return outcome, beside


def _tell_end(job: FailoverJob, outcome: Outcome, text: str) -> None:
    new = job.config_of(outcome.promoted.key) if outcome.promoted else None
    event = "completed" if outcome.exit_code != 1 else "refused" if outcome.refusal else "failed"
    remedy = outcome.refusal.remedy if outcome.refusal else ""
    facts = {**outcome.as_dict(), "remedy": remedy, "report": text}
    job.events.tell(event, old=job.dead, new=new, text=outcome.summary, **facts)


def conclude(outcome: Outcome) -> State[Any]:
    """How the flow run ends in the UI."""
    if outcome.exit_code == 0:
        return Completed(message=outcome.summary)
    if outcome.exit_code == 10:
        return Completed(name="Partly done", message=f"{outcome.summary}; something is left to do, see the report")
    return Failed(name="Refused" if outcome.refusal else "Failed", message=outcome.summary)


def run_name(cluster: str, outcome: Outcome) -> str:
    """``failover app1: db1 → db2``"""
    if outcome.plan is None:
        return f"failover {cluster}: {'refused' if outcome.refusal else 'failed'}"
    old, new = (name.split("(")[0] for name in (outcome.plan.dead_name, outcome.plan.new_primary_name))
    return f"failover {cluster}: {old} → {new}"


def artifact_key(cluster: str) -> str:
    """Prefect allows lower case letters, digits and dashes."""
    return "failover-" + re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")


def _artifacts(cluster: str, dead: str, outcome: Outcome) -> Iterator[ArtifactRecord]:
    yield ArtifactRecord(key=artifact_key(cluster), type="markdown", data=markdown(outcome, cluster, dead))
    if outcome.ledger:
        rows = json.dumps(table(outcome.ledger), ensure_ascii=False)
        yield ArtifactRecord(key=f"{artifact_key(cluster)}-ledger", type="table", data=rows)


def _show_in_prefect(cluster: str, dead: str, outcome: Outcome) -> None:
    """Within a flow run: its artifacts, and its name."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    for each in _artifacts(cluster, dead, outcome):
        if each.type == "markdown":
            create_markdown_artifact(each.data, key=each.key, description=f"Failover report of {cluster}")
        else:
            create_table_artifact(json.loads(each.data), key=each.key, description=f"Transactions of {cluster}")
    with get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, name=run_name(cluster, outcome))


@flow(name="failover", flow_run_name="failover {cluster}", persist_result=False)
def failover(
    cluster: str,
    dead_primary: str | None = None,
    new_primary: str | None = None,
    dry_run: bool = False,
) -> State[Any]:
    """Fail a cluster over whose primary is dead.

    Args:
        cluster: Name of a configured cluster, such as "app1".
        dead_primary: Host of the dead primary; left empty, it is found out from the replicas.
        new_primary: Host to promote; left empty, the best replica is chosen by the configured rules.
        dry_run: Only make the plan and show it; nothing is changed.
    """
    log_to_prefect(log)
    config, _ = load_named(cluster)
    options = FailoverOptions(new_master_host=new_primary, ignore_last_failover=True)
    try:
        outcome = fail_over_by_hand(
            config, options, dead_host=dead_primary, dry_run=dry_run, show=_show_plan, in_flow=True
        )
    except MhaError as error:
        return Failed(message=str(error))
    return conclude(outcome)


def _show_plan(plan: FailoverPlan) -> bool:
    create_markdown_artifact(
        markdown=f"```\n{plan_text(plan)}\n```", key=f"{artifact_key(plan.cluster)}-plan", description="Failover plan"
    )
    return True


@with_events
def fail_over_by_hand(
    config: ClusterConfig,
    options: FailoverOptions,
    *,
    dead_host: str | None = None,
    dead_port: int | None = None,
    dry_run: bool = False,
    show: Callable[[FailoverPlan], bool] | None = None,
    in_flow: bool = False,
) -> Outcome:
    """A failover that was not begun by a monitor: find the dead primary, prove it dead, plan, then recover.

    ``show`` gets the plan and says whether to go on. With ``in_flow`` the steps are tasks of the flow run that this is
    called in; otherwise the recovery runs beside Prefect.
    Raises MhaError's children when there is nothing to do or nothing may be done.
    """
    sessions = Sessions(config)
    try:
        cut_short = cut_short_failover(config, sessions)
        if cut_short is not None and not dry_run:
            return _recover(new_job(config, cut_short, options, sessions), None, in_flow=in_flow)
        dead = _dead_primary(config, sessions, dead_host, dead_port)
        verdict = step(detect.confirm_dead, config, dead, sessions)
        if not verdict.dead:
            raise RefusalError(_alive(dead, verdict.why))
        decided = make_plan(config, dead, sessions.observe([s for s in config.servers if s != dead]), options)
        if isinstance(decided, Refusal):
            raise RefusalError(decided)
        if dry_run:
            return Outcome(0, plan_text(decided), plan=decided)
        if show is not None and not show(decided):
            return Outcome(1, "stopped at the question", plan=decided)
        return _recover(new_job(config, dead, options, sessions), verdict.ssh_reachable, in_flow=in_flow)
    finally:
        sessions.close()
        finish_hooks(config.hook_timeout)


def _recover(job: FailoverJob, ssh_reachable: bool | None, *, in_flow: bool) -> Outcome:
    if in_flow:
        outcome = run_job(job, ssh_reachable=ssh_reachable)
        _show_in_prefect(job.config.name, job.dead.name, outcome)
        return outcome
    outcome, beside = run_beside_prefect(job, ssh_reachable=ssh_reachable)
    beside.wait()
    return outcome


def cut_short_failover(config: ClusterConfig, sessions: Sessions) -> ServerConfig | None:
    """The dead primary of a failover that died after it had opened a new one: that is finished before all else."""
    opened = opened_before(unfinished(config.manager_workdir, config.name))
    if opened is None or not took_writes(sessions, opened.key):
        return None
    return next((s for s in config.servers if s.address == opened.dead), None)


def new_job(config: ClusterConfig, dead: ServerConfig, options: FailoverOptions, sessions: Sessions) -> FailoverJob:
    """A job with a journal of its own, and what is known of a failover that was cut short."""
    past = unfinished(config.manager_workdir, config.name, dead.address)
    journal = Journal.new(config.manager_workdir, config.name)
    return FailoverJob(config, dead, options, sessions, journal, past=past)


def _dead_primary(config: ClusterConfig, sessions: Sessions, host: str | None, port: int | None) -> ServerConfig:
    """The server that is said to be dead, or the one that the replicas follow. Raises RefusalError."""
    if host is None:
        found = find_primary(config, sessions.observe())
        if isinstance(found, Refusal):
            raise RefusalError(found)
        return found
    named = config.server(f"{host}:{port}" if port else host)
    if named is None:
        servers = ", ".join(s.name for s in config.servers)
        raise RefusalError(
            Refusal("unknown-server", f"{host} is not a server of {config.name}.", f"Its servers are: {servers}.")
        )
    return named


def _alive(dead: ServerConfig, why: str) -> Refusal:
    return Refusal(
        "primary-alive",
        f"The primary {dead.name} may be alive, so nothing was touched: {why}. Stop failover.",
        "To move a living primary, make a planned switch.",
    )
