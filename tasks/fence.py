"""Fence: nothing moves on the replicas any more, and the old primary will not serve again."""

from __future__ import annotations

import logging
from functools import partial
from typing import Literal

from ..replication.actions.drain import stop_receiver
from ..replication.actions.hanging_stop import DeadHost
from ..replication.errors import HookError, MhaError, RefusalError, ServerError, UnsafeStatement
from ..replication.fencing.everyone import start_replication
from ..replication.fencing.kill import Fenced, fence, present_on
from ..replication.fencing.last_look import alive, look_once_more
from ..replication.fencing.policy import SCRIPT, SHUTDOWN, SQL, SSH, Tried
from ..replication.fencing.read_only import close_for_writes
from ..replication.local.site_scripts import HookResult, run_hook, shutdown_args
from ..replication.memory.held_servers import HeldServers, Hold, reached_by
from ..replication.memory.last_writable import ASKED_TO_CLOSE, CLOSED, OLD_PRIMARY, WAITED_BY
from ..replication.memory.open_business import note_stopped
from ..replication.model.state import ClusterState, ServerDown, ServerState
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.reporting.job import FailoverJob
from ..replication.rescue.pointing import TURN, channel_named, leave_saved_log, turn_back
from .policy import STEP, once
from .rescue.turned import former_of
from .step import task

log = logging.getLogger("mha")

#: Seconds; each replica's own STOP has a deadline, which is long only where a receiver connects to a dark host.
STOPPED_WITHIN = 600.0
#: Seconds for a look at the old primary's host, for a receiver that cannot be stopped.
PRESENT_WITHIN = 2.0
#: Seconds that the old primary may take to answer once more before it is fenced: on a host that answers, and on a dark
#: one, which was silent for seconds already and is watched on until the end.
LAST_LOOK, LAST_LOOK_AT_A_DARK_ONE = 0.3, 0.1


@task(name="Stop every receiver", **STEP)
def stop_receivers(job: FailoverJob, plan: FailoverPlan) -> ClusterState:
    """STOP … IO_THREAD on every replica at once, so that what each has received no longer changes.

    Nor shall what a binlog server acknowledges, which is waited for before its copies are read. A replica that cannot
    do it is down from here on, with its reason; the others go on.
    """
    channels = {x.key: x.channel for x in plan.levelings}
    note_stopped(job.journal, plan.dead, channels)

    dead = job.sessions.host(job.dead.address)
    old = DeadHost(
        lambda: present_on(dead, job.dead, job.places, timeout=PRESENT_WITHIN), somebody_else=job.somebody_else
    )

    def stop(key: str) -> ServerState:
        return stop_receiver(job.sessions.server(key), channels[key], host=job.sessions.host(key), old=old)

    job.withheld.begin(job.config, job.sessions, job.dead)
    done = job.sessions.each(stop, list(channels), timeout=STOPPED_WITHIN)
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


@task(name="Let every replica receive again", **STEP)
def start_receivers(job: FailoverJob, plan: FailoverPlan) -> None:
    """Take the stop back on every replica that still follows the dead primary."""

    keys = [x.key for x in plan.levelings]
    for key, result in job.sessions.each(lambda key: start_receiver(job, plan, key), keys, timeout=12.0):
        if isinstance(result, MhaError):
            log.warning("%s: replication stays stopped: %s", key, result)


def start_receiver(job: FailoverJob, plan: FailoverPlan, key: str) -> None:
    """Take the stop back on one replica. Raises UnsafeStatement when that would delete what is not executed."""
    server = job.sessions.server(key)
    state = server.observe()
    turned = channel_named(state, plan.channel_of(key))
    if (former := former_of(job, state, turned)) is not None:
        if turned.broken:
            # What stopped it lies on the manager; whoever fails over next is to find a replica that can be promoted.
            leave_saved_log(server, plan.kind, former, turned.name)
        else:
            turn_back(server, plan.kind, former, turned.name, stall=job.config.drain_timeout)
        job.journal.record(TURN, "done", key)
    for channel in server.observe().channels:
        unexecuted = channel.name == plan.channel_of(key) and channel.executed != channel.received
        if unexecuted and channel.start_deletes_relay_logs:
            raise UnsafeStatement(f"{server}: a start would delete relay logs that are not executed")
    start_replication(server, plan.channel_of(key), action="start replication again")


@task(name="Fence the old primary", **once("it tries each means in turn, each with its own deadline"))
def fence_old_primary(job: FailoverJob, ssh_reachable: bool, too_late: bool = False) -> tuple[Tried, ...]:
    """The means `ssh` and `sql` of the policy, in its order: what each did. No means that fails raises.

    Raises RefusalError when it answers, in whatever words: it is not dead, and nothing is done to it. Not when a new
    primary is open already (``too_late``), nor where it was found dead although it answers, by its disk.
    Once no mysqld runs there, there is nothing left to close over SQL.
    """
    ask, silent = not too_late and (job.somebody_else or not job.answers_though_dead), ""
    over_ssh = ssh_reachable and SSH in job.config.fence
    if ask and not job.somebody_else:
        # A host that answers over SSH answers or refuses at once; where SQL alone may close it, it is given that long.
        dark = LAST_LOOK_AT_A_DARK_ONE if not ssh_reachable else _to_connect(job)
        answer, silent = look_once_more(job.dead, timeout=LAST_LOOK if over_ssh else dark)
        if answer:
            raise RefusalError(alive(job.dead.name, answer))
    tried: list[Tried] = []
    for means in job.config.fence:
        if means == SSH:
            tried.append(_over_ssh(job, ssh_reachable, ask))
        elif means == SQL and any(t.proof for t in tried):
            tried.append(Tried(SQL, True, False, "not needed, its mysqld does not run"))
        elif means == SQL and silent and not over_ssh:
            tried.append(Tried(SQL, False, False, silent))
        elif means == SQL:
            tried.append(_over_sql(job))
    for each in tried:
        (log.info if each.done else log.warning)("Fencing %s: %s.", job.dead.name, each)
    return tuple(tried)


def _to_connect(job: FailoverJob) -> float:
    return min(1.0, job.config.fence_timeout)


def _over_ssh(job: FailoverJob, ssh_reachable: bool, ask: bool) -> Tried:
    """Kill what is left of mysqld and keep its supervisor from starting it again."""
    if not ssh_reachable:
        return Tried(SSH, False, False, f"SSH to {job.dead.hostname} is not reachable")
    fenced = fence_over_ssh(job, ask=ask)
    if fenced.greets:
        raise RefusalError(alive(job.dead.name, "its mysqld greets who connects to it on its own host"))
    detail = fenced.cannot if not fenced.sure else str(fenced)
    return Tried(SSH, fenced.sure, fenced.sure, detail, alive=fenced.still_there, lived=bool(fenced.killed))


def fence_over_ssh(job: FailoverJob, *, ask: bool = False) -> Fenced:
    """Stop what runs on its host and what would start it; what that leaves there is remembered, for its release.

    With ``ask`` one that still greets is left alone.
    """
    host, persist = job.sessions.host(job.dead.address), job.config.fence_persist
    fenced = fence(host, job.dead, job.places, timeout=job.config.fence_timeout, persist=persist, ask=ask)
    traces = (*fenced.masked, *fenced.persisted)
    # What is left on that host is known even to a run that goes on where this one ends.
    job.journal.record("fence", "done", job.dead.address, traces=traces)
    holds = HeldServers.of(job.config)
    hold = holds.get(job.dead.address)
    if hold is not None and (more := tuple(t for t in traces if t not in hold.traces)):
        holds.left_trace(hold.key, more)
    return fenced


def _over_sql(job: FailoverJob) -> Tried:
    """While it still answers: read-only, and its clients' sessions ended. No proof where SUPER may still write."""
    server = Server(job.dead)
    try:
        server.connect(_to_connect(job))
        # It may obey after we are gone: killed, or tired of waiting.
        job.journal.record(OLD_PRIMARY, ASKED_TO_CLOSE, job.dead.address)
        closed = close_for_writes(server, timeout=job.config.fence_timeout, note=partial(_note_waiting, job))
        job.journal.record(OLD_PRIMARY, CLOSED, job.dead.address, how=str(closed), was_open=closed.was_open)
    except ServerError as error:
        return Tried(SQL, False, False, str(error))
    finally:
        server.close()
    return Tried(SQL, True, closed.everyone, str(closed), lived=closed.was_open)


def _note_waiting(job: FailoverJob, variable: str) -> None:
    job.journal.record(OLD_PRIMARY, ASKED_TO_CLOSE, job.dead.address, **{WAITED_BY: variable})


@task(name="Shut the old primary down", **once("a script that cuts power is run once"))
def shut_down(job: FailoverJob, ssh_reachable: bool) -> tuple[Tried, ...]:
    """Every `script:` of the policy in its order, then `shutdown_script`; nothing that fails raises.

    Exit 0: the host is powered off, nothing can be read there any more; 10: mysqld was killed, SSH stays usable.
    """
    tried: list[Tried] = []
    scripts = [(means, means.removeprefix(SCRIPT)) for means in scripts_of(job)]
    if job.config.shutdown_script:
        scripts.append((SHUTDOWN, job.config.shutdown_script))
    for means, script in scripts:
        ssh = ssh_reachable and not any(t.powered_off for t in tried)
        tried.append(_by_script(job, means, script, ssh))
    return tuple(tried)


def scripts_of(job: FailoverJob) -> tuple[str, ...]:
    """The means of the policy that are scripts."""
    return tuple(means for means in job.config.fence if means.startswith(SCRIPT))


def _by_script(job: FailoverJob, means: str, script: str, ssh_reachable: bool) -> Tried:
    command: Literal["stop", "stopssh"] = "stopssh" if ssh_reachable else "stop"
    try:
        done = run_hook(script, shutdown_args(command, job.dead), command=command, timeout=job.config.hook_timeout)
    except HookError as error:
        tried = Tried(means, False, False, str(error))
    else:
        tried = _as_tried(job, means, done)
    if not tried.done:
        log.error("Fencing %s: %s.", job.dead.name, tried)
    return tried


def _as_tried(job: FailoverJob, means: str, done: HookResult) -> Tried:
    if done.ok:
        log.info("Power of %s was successfully turned off.", job.dead.hostname)
        return Tried(means, True, True, f"{job.dead.hostname} is powered off", powered_off=True)
    if done.go_on:
        log.info("mysqld on %s was killed; SSH stays usable.", job.dead.hostname)
        return Tried(means, True, True, "mysqld was killed")
    return Tried(means, False, False, f"--command={done.command} ended with exit code {done.exit_code}")


def traces_of(job: FailoverJob) -> tuple[str, ...]:
    """What fencing left on the old primary's host, in this run and in those that it goes on with."""
    left = [e for e in (*job.past, *job.journal.entries()) if (e.step, e.server) == ("fence", job.dead.address)]
    return tuple(dict.fromkeys(trace for entry in left for trace in entry.facts.get("traces", ())))


@task(name="Hold the old primary", small=True, **STEP)
def hold_old_primary(job: FailoverJob, plan: FailoverPlan, uuid: str) -> Hold | None:
    """Write down, before the new one opens, that the old one is to be held read-only should it come back.

    ``uuid`` is its server_uuid, empty where nobody told it.
    """
    holds = HeldServers.of(job.config)
    holds.replaced(job.dead.address, job.dead.name, plan.new_primary, traces_of(job), reached_by(job.dead), uuid)
    return holds.get(job.dead.address)
