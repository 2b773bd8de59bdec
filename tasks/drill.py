"""Drill: rows are written as by an application, the primary is hurt, the manager is waited for, all is compared."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..config import ClusterConfig, ServerConfig
from ..replication.actions.promote import open_for_writes
from ..replication.checks.facts import Facts
from ..replication.cluster.pool import ConnectionPool
from ..replication.coordination.failover_lock import FailoverLock
from ..replication.deadline import Deadline
from ..replication.drill import canary, fault
from ..replication.drill.gates import gates_of, no_manager, note_start
from ..replication.drill.job import DrillJob
from ..replication.drill.kinds import WITHOUT_SSH, DrillKind
from ..replication.drill.plan import Gates
from ..replication.errors import AlreadyActing, DeadlineExceeded, HostError, ServerError
from ..replication.memory.failover_flags import FailoverFlags
from ..replication.memory.held_servers import HeldServers
from ..replication.memory.journal import FAILOVER, SWITCH, VERDICT, journals, read_journal
from ..replication.model.check import Check
from ..replication.model.state import ClusterState
from ..replication.planning.readiness import Readiness
from ..replication.probes.host import ServerPaths
from ..replication.reporting.history.incident import Ended, Incident
from ..replication.reporting.history.reading import incident_of
from ..replication.ssh.host import SshHost
from ..replication.watch.settle import let_try_again
from .policy import STEP, once
from .step import task

log = logging.getLogger("mha")

#: Seconds between two looks at the journals or the servers.
LOOK = 0.1
#: Seconds in which a failover has to begin, beside ten of the manager's pings; and for which the old primary has to
#: take rows again until nobody waits for one any more.
BEGINS, SETTLED = 60.0, 10.0
#: Seconds in which everybody has to have every row, and in which SSH has to be lost and let in again.
LEVEL, SSH = 30.0, 15.0


@task(name="See whether a drill may be held", **STEP)
def see_gates(
    config: ClusterConfig,
    kind: DrillKind,
    facts: Facts,
    checks: tuple[Check, ...],
    ready: Readiness,
) -> Gates:
    """Everything that is asked before one."""
    return gates_of(config, kind, facts, checks, ready)


@task(name="Note how the primary's mysqld runs", **STEP)
def note_how_it_runs(
    config: ClusterConfig, primary: ServerConfig, places: ServerPaths, sessions: ConnectionPool
) -> None:
    """Raises RefusalError where nobody would know how to start it again."""
    note_start(config, primary, places, sessions)


@task(name="Start the canary", **once("its table and its ledger are made once"))
def start_canary(job: DrillJob) -> str:
    """Its first rows are acknowledged, and every replica has them."""
    job.canary.start(job.sessions.server(job.plan.primary))
    wanted = frozenset(ack.id for ack in job.canary.acks)
    ends = Deadline(LEVEL)
    for server in job.config.servers:
        while not wanted <= (_rows(job, server.address) or frozenset()):
            if ends.over:
                raise DeadlineExceeded(f"{server.name} has the canary's rows", LEVEL)
            time.sleep(LOOK)
    return f"{len(wanted)} rows are on every server"


@task(name="Hurt the primary", **once("a drill does it once"))
def inject_fault(job: DrillJob) -> str:
    """Only who is the instance's for certain."""
    host = job.sessions.host(job.plan.primary)
    return fault.inject(job.config, job.plan.kind, job.primary, host, job.places)


@dataclass(frozen=True)
class Replaced:
    """The failover that followed, and when it was decided (seconds since the epoch), None where nobody tells."""

    told: Incident
    verdict: float | None

    def __str__(self) -> str:
        return f"{self.told.id}: {self.told.ended}"


@task(name="Wait for the manager", **once("it only waits"))
def wait_for_manager(job: DrillJob, since: float, fault_at: float) -> Replaced | None:
    """Until its failover ended; None where the primary takes rows again by itself. Raises DeadlineExceeded.

    ``since`` and ``fault_at`` are when the fault was sent and when it was done (seconds since the epoch).
    """
    begins = Deadline(BEGINS + 10 * job.config.ping_interval)
    while not job.deadline.over:
        found = failover_since(job, since)
        if found is not None and found.told.ended is not Ended.OPEN:
            return found
        if found is None and _back_by_itself(job, fault_at):
            return None
        if found is None and begins.over:
            raise DeadlineExceeded("the manager begins a failover", begins.seconds)
        time.sleep(LOOK)
    raise DeadlineExceeded("the manager ends its failover", job.deadline.seconds)


def failover_since(job: DrillJob, since: float) -> Replaced | None:
    """The newest failover of this cluster that began since then."""
    return _since(job, since, FAILOVER)


def switch_since(job: DrillJob, since: float) -> Incident | None:
    """The newest planned switch of it."""
    found = _since(job, since, SWITCH)
    return found.told if found is not None else None


@task(name="See whether somebody replaced it", **once("it only waits"))
def see_whether_replaced(job: DrillJob, since: float) -> Replaced | None:
    """After the drill was cut off: a failover that is under way is waited for."""
    ends = Deadline(BEGINS)
    while True:
        found = failover_since(job, since)
        if found is None or found.told.ended is not Ended.OPEN or ends.over:
            return found
        time.sleep(LOOK)


def _since(job: DrillJob, since: float, kind: str) -> Replaced | None:
    name = job.config.name
    for path in journals(job.config.manager_workdir, name, kind)[:1]:
        entries = tuple(read_journal(path))
        told = incident_of(name, path.name.removesuffix(".journal"), entries)
        if told is not None and told.began >= since:
            return Replaced(told, next((e.at for e in entries if e.step == VERDICT), None))
    return None


def _back_by_itself(job: DrillJob, fault_at: float) -> bool:
    acks = job.canary.acks
    later = [ack for ack in acks if ack.at > fault_at + 1.0 and ack.server_id == acks[0].server_id]
    return bool(later) and later[-1].at - later[0].at > SETTLED


@task(name="Count the rows", **STEP)
def count_lost(job: DrillJob, key: str) -> int | None:
    """How many acknowledged rows the server at ``ip:port`` lacks; None where it cannot be read."""
    wanted, found = frozenset(ack.id for ack in job.canary.acks), _rows(job, key)
    return len(wanted - found) if found is not None else None


@task(name="Switch its host on", **once("the site's command decides"))
def switch_on(job: DrillJob) -> None:
    """By its power command."""
    fault.power(job.config, job.primary, on=True)


@task(name="See SSH lost and let in again", **once("it only looks"))
def see_ssh(job: DrillJob) -> str:
    """Nobody may be failed over meanwhile. Raises DeadlineExceeded where it is not lost, or not let in again."""
    lost, ends = Deadline(SSH), Deadline(WITHOUT_SSH + 2 * SSH)
    while _ssh_works(job):
        if lost.over:
            raise DeadlineExceeded(f"{job.primary.hostname} takes no SSH", SSH)
        time.sleep(LOOK)
    began = time.monotonic()
    while not _ssh_works(job):
        if ends.over:
            raise DeadlineExceeded(f"{job.primary.hostname} takes SSH again", ends.seconds)
        time.sleep(LOOK)
    return f"SSH was lost for {time.monotonic() - began:.0f} s"


def _ssh_works(job: DrillJob) -> bool:
    host = SshHost(job.primary)
    try:
        host.run("true", action="see whether SSH works", timeout=2.0)
    except (HostError, DeadlineExceeded):
        return False
    finally:
        host.close()
    return True


@task(name="Undo what was done to the primary", **once("each part of it looks whether it is to be done"))
def undo(job: DrillJob, since: float) -> str:
    """What nobody replaced is as before: woken, switched on, started. What was done, in words; empty for nothing."""
    job.canary.stop()
    kind, host = job.plan.kind, job.sessions.host(job.plan.primary)
    if kind in (DrillKind.SWITCH, DrillKind.SSH_LOSS):
        return ""
    lock = FailoverLock(server for server in job.config.servers if server.address != job.plan.primary)
    try:
        lock.take()
        # Asked under the lock: nobody begins one now.
        found = failover_since(job, since)
        if found is not None and (found.told.opened or found.told.ended is Ended.OPEN):
            return f"nothing was undone: {found.told.id} may have replaced it"
        # A manager of another host has its journals there.
        cluster = job.sessions.observe()
        if other := [each.name for each in cluster.up if each.writable and each.key != job.plan.primary]:
            return f"nothing was undone: {', '.join(other)} takes writes"
        if kind is DrillKind.POWER:
            fault.power(job.config, job.primary, on=True)
            return f"{job.primary.name}: its host was switched on again"
        if kind is DrillKind.FREEZE and (woken := fault.wake(job.primary, host, job.places)):
            return f"{job.primary.name}: {woken}"
        session = job.sessions.server(job.plan.primary)
        if not fault.start_again(host, job.primary, job.places, session):
            return ""
        # What starts it may have it read-only; it has the role when everybody else is there, and closed.
        cluster = job.sessions.observe()
        if all(cluster.get(each.address) for each in job.config.servers) and not any(e.writable for e in cluster.up):
            open_for_writes(session)
        return f"{job.primary.name} was started again"
    except AlreadyActing as error:
        return f"nothing was undone: {error}"
    finally:
        lock.release()


@task(name="Let replicas try again", **STEP)
def let_replicas_try(job: DrillJob) -> None:
    """Those that gave up on a primary that nobody replaced (MySQL 9.7 after ten attempts), once it answers again."""
    ends = Deadline(LEVEL)
    while (cluster := job.sessions.observe()).get(job.plan.primary) is None and not ends.over:
        time.sleep(5 * LOOK)
    let_try_again(job.sessions, cluster, job.primary)


@task(name="Compare every server", **STEP)
def see_all(job: DrillJob, *, moved: bool = False) -> tuple[str, ...]:
    """What is not as it was before, in sentences, after a while in which everybody may catch up.

    ``moved``: a manager failed over, and one is to watch again.
    """
    wanted, ends = frozenset(ack.id for ack in job.canary.acks), Deadline(LEVEL)
    while True:
        left = tuple(_left(job, job.sessions.observe(), wanted))
        if moved and (lacks := no_manager(job.config)):
            left = (*left, f"{lacks}: masterha_manager ends after a failover, so start it again")
        if not left or ends.over:
            return left
        time.sleep(5 * LOOK)


def _left(job: DrillJob, cluster: ClusterState, wanted: frozenset[int]) -> Iterator[str]:
    for hold in HeldServers.of(job.config).current():
        remedy = f"mha rejoin --conf={job.config.path} --host={hold.name.partition('(')[0]}"
        yield f"{hold.name} is held read-only ({remedy})"
    primary = job.primary
    for server in job.config.servers:
        state = cluster.get(server.address)
        if state is None:
            yield f"{server.name} does not answer"
            continue
        channel = state.channel_from(primary.hostname, primary.ip, primary.port)
        if server.address == primary.address:
            if not state.writable:
                yield f"{server.name} takes no writes"
        elif state.writable:
            yield f"{server.name} takes writes"
        elif channel is None or channel.receiver != "Yes" or not channel.applier_running:
            yield f"{server.name} does not replicate from {primary.name}"
        found = _rows(job, server.address) if wanted else wanted
        if found is None:
            yield f"whether {server.name} has every acknowledged row is unknown: they cannot be read there"
        elif lacks := len(wanted - found):
            yield f"{server.name} lacks {lacks} of {len(wanted)} acknowledged rows"


def _rows(job: DrillJob, key: str) -> frozenset[int] | None:
    """None where it cannot be read."""
    try:
        return canary.rows_on(job.sessions.server(key))
    except ServerError as error:
        log.warning("%s", error)
        return None


@task(name="Clear up", **STEP)
def clear_up(job: DrillJob, *, moved: bool) -> None:
    """All is as it was: the table goes, and a failover of the drill (``moved``) does not forbid the next, real one."""
    server = job.sessions.server(job.plan.primary)
    canary.drop_table(server)
    if moved:
        FailoverFlags(job.config.manager_workdir, job.config.name).put_back(job.former_failover)
    if job.plan.kind.fails_over:
        fault.forget_start(job.sessions.host(job.plan.primary), job.primary, job.places)
