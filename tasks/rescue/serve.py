"""A replica's own threads receive and execute what was saved, from a source made of files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

from ...replication.actions.drain import Patience, drain
from ...replication.actions.drained import Drained
from ...replication.errors import WayClosed
from ...replication.mysql.dialects.changing import ChannelOptions
from ...replication.mysql.server import Server
from ...replication.reporting.job import FailoverJob
from ...replication.rescue.pointing import Where, execute_served
from ...replication.rescue.salvage import logs_from
from ...replication.rescue.serving import asks_from, identity_of, rebuilt_of, served
from ...replication.rescue.tails import MissingTail
from ...replication.source import Catalogue, Prover
from .turned import noted

log = logging.getLogger("mha")

#: Seconds without progress whatever is executed, and the slowest rate of one statement that is waited for (bytes/s).
STALL_BASE, STALL_RATE = 60.0, 50_000.0


class ServedTail(NamedTuple):
    """How it went: the replica's proof now, and the means in words, or ``why`` no way led there."""

    proof: Drained
    means: str = ""
    why: str = ""


def serve(
    job: FailoverJob, server: Server, proof: Drained, case: MissingTail, patience: Patience | None = None
) -> ServedTail:
    """Try every way in. Raises CannotLevel with the replica's own words when its applier stops, DeadlineExceeded.

    What ``patience`` raises goes on: what it received then is in its relay logs.
    """
    copy, lacks = case.rescue.copy, case.lacks
    assert copy is not None
    logs, place = logs_from(copy, lacks.start), None if case.rescue.by_gtid else proof.executed
    catalogue = Catalogue(identity_of(case.state, case.channel, lacks, logs, case.rescue.of))
    before = asks_from(server, case.state, case.channel, case.kind)

    def publish(catalogue: Catalogue) -> None:
        if case.rescue.of_relay_logs:
            rebuilt_of(catalogue, copy.logs(), copy.directory / "rebuilt", place, case.kind, before)
            return
        # At a log's head the log itself tells what was executed before it.
        told = None if case.rescue.begin and not case.rescue.continues else before
        Prover(catalogue, lacks.start, told).extend(logs)

    stall = max(job.config.drain_timeout, STALL_BASE + lacks.bytes / STALL_RATE)
    reasons: list[str] = []
    former: ChannelOptions | None = None
    with served(server, job.sessions.host(server.key), catalogue, publish, job.config.rescue_ports) as ways:
        while (where := next_of(ways, reasons)) is not None:
            try:
                former = former or noted(job, server, proof.channel, case.kind)
                new = execute_served(server, proof, lacks, case.kind, where, former, stall=stall, patience=patience)
                return ServedTail(new, f"received from the manager, {where.way}")
            except WayClosed as error:
                log.warning("%s", error)
                reasons.append(str(error).removeprefix(f"{server}: "))
                # What the change of its source left of its places is what later statements go by.
                proof = drain(server, proof.channel, stall=job.config.drain_timeout)
    return ServedTail(proof, why="; ".join(reasons))


def next_of(ways: Iterator[Where], reasons: list[str]) -> Where | None:
    """The next way that can be opened; why others cannot is added to ``reasons``."""
    try:
        return next(ways, None)
    except WayClosed as error:
        log.warning("%s", error)
        reasons.append(str(error).partition(": ")[2])
        return None
