"""A planned switch whose process died: finish it, or give the old primary its writes back. Two writable never."""

from __future__ import annotations

import logging

from ...config import ClusterConfig
from ...replication.actions.promote import open_for_writes
from ...replication.cluster.own_writes import may_have_written, wrote_beyond, wrote_since
from ...replication.cluster.pool import ConnectionPool
from ...replication.coordination.failover_lock import FailoverLock
from ...replication.errors import MhaError, RefusalError, ServerError
from ...replication.local.interrupts import finish_from_here
from ...replication.memory.journal import END, SWITCH, Journal
from ...replication.model.refusal import Refusal
from ...replication.planning.switch_options import SwitchOptions
from ...replication.switchover.job import HandedOver, Preparation, SwitchJob
from ...replication.switchover.outcome import SwitchOutcome
from ...replication.switchover.resume import InterruptedSwitch, interrupted_switch, may_give_back
from ...replication.switchover.write_lock import close_for_writes, give_back
from ...tasks.switchover import get_ready, online_change
from .switchover import SwitchRunbook

log = logging.getLogger("mha")


def finish_switch(config: ClusterConfig, sessions: ConnectionPool) -> SwitchOutcome | None:
    """What a switch that was interrupted on this host needs is done now; None when there is none, or nothing is left.

    The new primary was opened, whether or not it still is: everything after that is done, and the outcome told. It was
    not: the old one gets its writes back, and whoever calls goes on with what it was about to do. Raises RefusalError
    when neither is safe.
    """
    cut = interrupted_switch(config.manager_workdir, config.name)
    if cut is None:
        return None
    lock = FailoverLock(config.servers)
    finish_from_here()
    lock.take()
    try:
        journal = Journal.new(config.manager_workdir, config.name, SWITCH)
        options = SwitchOptions(orig_master_is_new_slave=cut.plan.orig_is_new_replica)
        job = SwitchJob(config, cut.plan, options, sessions, journal)
        job.past = cut.entries
        if cut.handed is not None and cut.ready is not None and _opened(sessions, cut.plan.new_primary, cut.handed):
            return _go_forward(job, cut.ready, cut.handed)
        _take_back(job, cut)
        return None
    finally:
        lock.release()


def _opened(sessions: ConnectionPool, key: str, handed: HandedOver) -> bool:
    """The new primary takes writes, or took some before it was started again; what cannot be told counts as that.

    One that does not answer is nothing to go forward with: `may_give_back` says what that means.
    """
    server = sessions.server(key)
    try:
        state = server.observe()
    except ServerError:
        return False
    if state.writable:
        return True
    wrote = wrote_since(state, handed.end.gtids)
    return may_have_written(server, handed.target_end) if wrote is None else wrote


def _go_forward(job: SwitchJob, ready: Preparation, handed: HandedOver) -> SwitchOutcome:
    log.warning(
        "Going on with a planned switch that was interrupted: %s had been opened for writes.", job.plan.new_primary_name
    )
    try:
        close_for_writes(job.sessions.server(job.plan.old))
    except MhaError as error:
        log.error("%s", error)
    _open_again(job, handed)
    return SwitchRunbook(job).go_forward(ready, handed)


def _open_again(job: SwitchJob, handed: HandedOver) -> None:
    """The new primary is read-only since it was started again. Raises RefusalError where somebody else took writes."""
    new = job.sessions.server(job.plan.new_primary)
    cluster = job.sessions.observe()
    state = cluster.get(job.plan.new_primary)
    if state is not None and state.writable:
        return
    rivals = [s.name for s in cluster.up if s.writable and s.key != job.plan.new_primary]
    if cluster.get(job.plan.old) is not None and wrote_beyond(job.sessions.server(job.plan.old), handed.end.position):
        rivals.append(job.plan.old_name)
    if rivals:
        raise RefusalError(_two_histories(job, rivals))
    job.journal.record("open", "again", job.plan.new_primary)
    log.warning("%s took writes and is read-only again: it is opened again.", job.plan.new_primary_name)
    open_for_writes(new)


def _take_back(job: SwitchJob, cut: InterruptedSwitch) -> None:
    book = SwitchRunbook(job)
    if cut.ready is not None:
        why_not = may_give_back(cut, job.sessions.observe())
        if why_not:
            raise RefusalError(_undecidable(job, why_not))
        log.warning("A planned switch was interrupted before its new primary was opened: taking it back.")
        give_back(job.sessions.server(job.plan.old), cut.ready.former)
        log.info("%s takes writes again.", job.plan.old_name)
        book.tolerate(lambda: book.run(online_change.come_back, job), "Applications were not called back")
    book.tolerate(lambda: book.run(get_ready.give_back_lent, job), "A lent setting was not given back")
    job.journal.record(END, "ended", job.plan.old, summary="taken back after it was interrupted")


def _two_histories(job: SwitchJob, rivals: list[str]) -> Refusal:
    both = f"{job.plan.new_primary_name} and {', '.join(dict.fromkeys(rivals))}"
    return Refusal(
        "two-histories",
        f"A planned switch of {job.config.name} was interrupted, and by now {both} took writes, or may take them.",
        "Compare both, open the one to keep (SET GLOBAL read_only=0), make the other a replica of it or rebuild it, "
        "and remove the journals named below.",
        _journals(job),
    )


def _undecidable(job: SwitchJob, why_not: str) -> Refusal:
    return Refusal(
        "unfinished-switch",
        f"A planned switch of {job.config.name} from {job.plan.old_name} to {job.plan.new_primary_name} was "
        f"interrupted, and {job.plan.old_name} cannot safely be made writable again: {why_not}.",
        "Look at both servers. When the cluster is as it should be, remove the journals named below.",
        _journals(job),
    )


def _journals(job: SwitchJob) -> tuple[str, ...]:
    return tuple(str(path) for path in sorted(job.config.manager_workdir.glob(f"{job.config.name}.switch-*.journal")))
