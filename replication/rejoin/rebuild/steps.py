"""A server gets new data, step by step: each looks what is done, and may be entered again after a death."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from ...actions.repoint import follows
from ...errors import MhaError, StatementFailed
from ...fencing.kill import keep_read_only
from ...fencing.read_only import close_for_writes
from ...memory.held_servers import HeldServers
from ...memory.journal import REJOIN, Entry, every_entry
from ...model.position import BinlogPosition
from ...model.ways_back import Method
from ...mysql.server import Server
from ..remembered.interrupted import START
from .job import RebuildJob
from .left import PLACED, WHOLE, GoOn, decide, tells_itself
from .on_host import LONG
from .place import Place, place_of, set_place
from .verify import Verified, verify
from .ways import backup, clone
from .ways.dump import load

log = logging.getLogger("mha")

#: The steps in which its channel executes.
RUN = ("Compare its data", START)
#: What the journal calls that place.
PLACE = "place"
#: What only the old server has could not be copied to the manager: its old data stays, whatever is wished.
OWN_DATA, STAYS = "own data", "stays"


def made_ready(job: RebuildJob) -> str:
    """What a former rebuild left is gone on with, or an empty place is made; the state in a word."""
    left, chain = job.there.left(), job.chain
    may_have_run = left.state == PLACED and _may_have_run(job, chain)
    found = decide(left, job.whose, chain, may_have_run=may_have_run)
    if found is GoOn.THERE:
        job.there.claim(job.whose)
        return left.state
    job.there.begin(job.whose, apart=found is GoOn.APART)
    return "copying"


def _may_have_run(job: RebuildJob, chain: tuple[str, ...]) -> bool:
    """Without GTIDs nothing tells how far it came, once it ran and points at it no more."""
    if tells_itself(job.plan.kind):
        return False
    state = job.sessions.server(job.plan.old).observe()
    if follows(state, job.plan.channel, job.new) is not None:
        return False
    return bool(state.channels) or any(e.step in RUN for e in _past(job, chain))


def _past(job: RebuildJob, chain: tuple[str, ...]) -> tuple[Entry, ...]:
    """What the rebuilds recorded that this one goes on with, the oldest first."""
    return tuple(e for e in every_entry(job.config.manager_workdir, job.config.name, REJOIN) if e.journal in chain)


def put_aside(job: RebuildJob) -> str:
    """A copy of the old data, for a dump is loaded over it; the server runs again, closed."""
    job.there.stop()
    job.there.step("aside", action="copy its old data aside", timeout=LONG)
    return _started(job)


def loaded(job: RebuildJob) -> Place:
    """The dump of the donor is in, and where it stands."""
    donor, old = job.copying.donor, job.plan.old
    meter = job.meter("load a dump")
    with _writable(job.sessions.server(old)):
        place = load(
            (job.sessions.host(donor), job.sessions.server(donor)),
            (job.sessions.host(old), job.sessions.server(old)),
            job.new,
            job.plan.kind,
            meter,
        )
    meter.finish()
    return place


@contextlib.contextmanager
def _writable(server: Server) -> Iterator[None]:
    """For accounts with SUPER: read_only stays. Should this process die within, whoever goes on closes it again."""
    if not server.observe().super_read_only:
        yield
        return
    server.query("SET GLOBAL super_read_only = 0", action="lend super_read_only for the load")
    try:
        yield
    finally:
        close_for_writes(server)


def copied(job: RebuildJob) -> str:
    """A whole copy is beside the old data."""
    if job.there.state() in WHOLE:
        return "it was there"
    (clone.fetch if job.copying.method is Method.CLONE else backup.receive)(job)
    return "whole"


def where_it_stands(job: RebuildJob) -> Place:
    """Of a copy that the server runs on: as the copy tells."""
    return clone.stands(job) if job.copying.method is Method.CLONE else backup.stands(job)


def swapped(job: RebuildJob) -> str:
    """The server runs on its new data, closed; the old is beside."""
    if job.there.state() not in ("swapped", PLACED):
        job.there.stop()
        job.there.step("swap", action="move the new data in", timeout=LONG)
    return _started(job)


def _started(job: RebuildJob) -> str:
    """Closed from its first answer on."""
    session = job.sessions.server(job.plan.old)
    job.there.start(session)
    return str(close_for_writes(session))


def hold_at_start(job: RebuildJob) -> tuple[str, ...]:
    """An option file by which it starts read-only and replicates from nobody; what was written."""
    fenced = keep_read_only(job.sessions.host(job.plan.old), job.old)
    hold = HeldServers.of(job.config).get(job.plan.old)
    if fenced.persisted and hold is not None:
        HeldServers.of(job.config).left_trace(hold.key, fenced.persisted)
    job.left_on_host(fenced.persisted)
    return fenced.persisted


def placed(job: RebuildJob, place: Place | None) -> Place:
    """A log of its own, and its place, which ``job.plan`` has from now on; once it points, what it executed counts.

    ``place`` is None where the copy itself tells.
    """
    session = job.sessions.server(job.plan.old)
    if job.there.state() == PLACED:
        state = session.observe()
        channel = follows(state, job.plan.channel, job.new)
        if channel is not None:
            job.goes_on()
            return place_of(session, state, job.new, job.plan.kind)
        place = place_of(session, state, job.new, job.plan.kind) if tells_itself(job.plan.kind) else _set_before(job)
    found = place if place is not None else where_it_stands(job)
    set_place(session, job.plan.kind, found, job.kept_in)
    job.journal.record(PLACE, "set", job.plan.old, gtids=found.gtids, position=str(found.position or ""))
    job.there.step("placed", action="note that its place is set")
    job.stands_at(found)
    return found


def _set_before(job: RebuildJob) -> Place | None:
    """By a rebuild that was cut short, as its journal tells."""
    for entry in reversed(_past(job, job.chain)):
        if (entry.step, entry.event, entry.server) == (PLACE, "set", job.plan.old):
            position = str(entry.facts.get("position", ""))
            gtids = str(entry.facts.get("gtids", ""))
            return Place(gtids, BinlogPosition.parse(position) if position else None)
    return None


def compared(job: RebuildJob) -> Verified:
    """Against the primary; raises StatementFailed where a table differs."""
    new, old = job.sessions.server(job.plan.new), job.sessions.server(job.plan.old)
    same = new.observe().version[:2] == old.observe().version[:2]
    # One that was cut short may run.
    old.query(old.dialect.stop(job.plan.channel), action="stop replication", timeout=65.0)
    found = verify(new, old, job.plan.channel, job.plan.kind, job.config.rebuild_verify, same_version=same)
    if found.differ:
        raise StatementFailed(str(old), "compare its data", str(found))
    return found


def taken_back(job: RebuildJob) -> str:
    """The old data is in its place again, and the server runs on it, closed. Raises MhaError's children."""
    session, left = job.sessions.server(job.plan.old), job.there.left()
    mine = left.of.journal == job.journal.path.name
    if left.of.journal and not mine and (left.state == PLACED or left.of.journal not in job.chain):
        # It may have worked with that data for long.
        with contextlib.suppress(MhaError):
            session.observe()
            return "it was left as it was"
        _started(job)
        return "it was left as it was"
    if not left.moved:
        job.there.step("drop", action="remove what was copied", timeout=LONG)
        with contextlib.suppress(MhaError):
            session.observe()
            return "its old data was not touched"
        # A dump stops it for a copy of that.
        _started(job)
        return "its old data was not touched"
    with contextlib.suppress(MhaError):
        session.close()
    job.there.stop()
    job.there.step("back", action="put its old data back", timeout=LONG)
    _started(job)
    return "its old data is in its place again"


def settled(job: RebuildJob) -> str:
    """The room is gone; where the old data stays, empty where it does not."""
    stays = any((e.step, e.event) == (OWN_DATA, STAYS) for e in _past(job, job.chain))
    told = job.there.step(
        "settle", str(int(job.copying.keep or stays)), action="settle what the rebuild left", timeout=LONG
    )
    return next((line.partition(" ")[2] for line in told if line.startswith("kept ")), "")
