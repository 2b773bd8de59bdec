"""Let in: whether applications get into the new primary, before it is opened and after."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..replication.cluster.own_writes import may_have_written
from ..replication.cluster.row_proof import RowProof, has_row, let_in, write_row
from ..replication.detection.observation import Finding, Observer
from ..replication.errors import MhaError, ServerError
from ..replication.fencing.everyone import open_to_everybody
from ..replication.fencing.read_only import close_for_writes
from ..replication.model.position import BinlogPosition
from ..replication.model.state import ServerState
from ..replication.mysql.server import Server
from ..replication.planning.plan import FailoverPlan
from ..replication.probes.host import ServerPaths, look_at
from ..replication.reporting.job import FailoverJob
from ..replication.reporting.outcome import ReplicaOutcome
from ..replication.threads import Thread
from .policy import STEP
from .step import task

log = logging.getLogger("mha")

#: Seconds for a look at its host's disk, where an SSH session is kept, and for that to show that it still is.
LOOK, KEPT = 1.0, 0.3
#: Seconds that a replica has to show the row.
READ = 2.0
#: Seconds that a look at its disk counts.
FRESH = 2.0


@dataclass(frozen=True)
class Door:
    """What was seen of a server that is to be opened. ``shut`` is why nobody's row would get in, empty for well.

    ``closed_by`` are its variables, read_only apart, that kept applications out; ``lifted`` those of them that were
    cleared for the look, which may be given back.
    """

    shut: str = ""
    closed_by: tuple[str, ...] = ()
    lifted: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.shut or "applications are let in"


@task(name="See whether it lets applications in", small=True, **STEP)
def see_door(job: FailoverJob, plan: FailoverPlan, ahead: DiskAhead | None = None) -> Door:
    """An application's account gets a session, and the disk takes something; what cannot be seen is no reason.

    offline_mode is cleared for it: the server stays read-only. ``ahead`` is a look at its disk that was begun before.
    """
    server = job.sessions.server(plan.new_primary)
    state = server.observe()
    closed_by = tuple(server.dialect.variable(name) for name in state.closed_by if name != "read_only")
    lifted: tuple[str, ...] = ()
    if state.offline_mode:
        server.query("SET GLOBAL offline_mode=OFF", action="clear offline_mode")
        lifted = ("offline_mode",)
    shut = ahead.seen(state.key) if ahead is not None else None
    if shut is None:
        shut = _disk(job, state)
    if not shut and server.config.probe_user is not None and (refused := let_in(server.config)):
        shut = f"applications are not let in: {refused}"
    return Door(shut, closed_by, lifted)


class DiskAhead:
    """A look at the disk of the server at ``ip:port``, begun at once in a thread, while the old primary is fenced."""

    def __init__(self, job: FailoverJob, key: str) -> None:
        self._job, self._key = job, key
        self._at = time.monotonic()
        #: None until it was looked at: what could not be seen is no disk that is well.
        self._seen: str | None = None
        self._thread = Thread(target=self._look, name="disk ahead", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        try:
            self._seen = _disk(self._job, self._job.sessions.server(self._key).observe())
        except MhaError as error:
            log.debug("The disk of %s was not looked at: %s", self._key, error)

    def seen(self, key: str) -> str | None:
        """Why it takes no writes, empty for well; None where this is another server's, or too old to go by."""
        if key != self._key:
            return None
        self._thread.join(max(0.0, self._at + FRESH - time.monotonic()))
        return self._seen if time.monotonic() - self._at < FRESH else None


def _disk(job: FailoverJob, state: ServerState) -> str:
    host = job.sessions.host(state.key)
    if not host.alive(KEPT):
        return ""
    config = job.config_of(state.key)
    seen = look_at(host, config, ServerPaths.of(config, state), timeout=LOOK).seen
    bad = (o for o in seen if o.source is Observer.DISK and o.finding in (Finding.FULL, Finding.READ_ONLY))
    return next((f"its disk takes no writes: {each}" for each in bad), "")


@task(name="Give back what kept applications out", **STEP)
def shut_door(job: FailoverJob, key: str, lifted: tuple[str, ...]) -> None:
    """It is not opened after all, so it is as it was."""
    for variable in lifted:
        job.sessions.server(key).query(f"SET GLOBAL {variable}=ON", action=f"set {variable} again")


@task(name="Write a row", **STEP)
def write_proof(job: FailoverJob, plan: FailoverPlan, *, followed: bool = False) -> RowProof:
    """The end of a promotion: a row of an application's session is acknowledged. ``followed``: replicas do by now."""
    server = job.sessions.server(plan.new_primary)
    if not followed and server.observe().semi_sync.source_enabled:
        why = "its semi-synchronous replication waits for replicas, which follow it later"
        return RowProof(unproven=why, waits=True)
    proof = write_row(server)
    if proof.error:
        log.error("%s was opened, but no row could be written: %s", server, proof.error)
    else:
        log.info("%s: %s.", server, proof)
    return proof


@task(name="Read the row on the others", **STEP)
def read_proof(job: FailoverJob, plan: FailoverPlan, proof: RowProof, replicas: Sequence[ReplicaOutcome]) -> str:
    """Who of those that follow does not show the row, in a sentence; empty when all do.

    One that is late on purpose, or leaves something out, is not asked.
    """
    late = {x.key for x in plan.levelings if x.delay}

    def lacks(replica: ReplicaOutcome) -> bool:
        server = job.sessions.server(replica.key)
        state = server.observe()
        asked = replica.key not in late and not any(channel.filters for channel in state.channels)
        return asked and not has_row(server, proof.id, seconds=READ)

    done = job.sessions.each(lacks, [r for r in replicas if r.ok], timeout=READ + 3.0)
    lacking = [replica.name for replica, result in done if result is not False]
    if not lacking:
        log.info("The row is on all %d replicas that follow.", len(done))
        return ""
    return f"the row of {plan.new_primary_name} was not seen within {READ:g} s on {', '.join(lacking)}"


@task(name="Close it again", **STEP)
def close_again(job: FailoverJob, state: ServerState, end: BinlogPosition | None) -> bool:
    """It was opened and takes no rows: read-only as before, and its sessions ended. Whether its log grew meanwhile.

    ``state`` is how it was before it was opened, ``end`` where its log ended. Raises ServerError.
    """
    server = job.sessions.server(state.key)
    log.warning("%s: %s", server, close_for_writes(server))
    _as_before(server, state)
    return may_have_written(server, end)


def _as_before(server: Server, state: ServerState) -> None:
    """What closes a server that comes back is more than a replica needs, which is to follow the next one."""
    try:
        if not state.tx_read_only:
            open_to_everybody(server)
        if state.super_read_only is False:
            server.query("SET GLOBAL super_read_only=0", action="clear super_read_only")
    except ServerError as error:
        log.warning("%s", error)
