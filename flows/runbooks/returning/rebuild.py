"""The runbook of a rebuild: new data first, then as any rejoin; it knows nothing of how it was started."""

from __future__ import annotations

import logging
import os

from ....replication.coordination.failover_lock import FailoverLock
from ....replication.errors import AlreadyActing, LogError, MhaError, RefusalError, RemoteFileError
from ....replication.local.interrupts import Interrupted, finish_from_here
from ....replication.memory.journal import REJOIN
from ....replication.rejoin.diverged.archive import ENCRYPTED
from ....replication.rejoin.outcome import RejoinOutcome
from ....replication.rejoin.rebuild.job import RebuildJob
from ....replication.rejoin.rebuild.place import Place
from ....replication.rejoin.rebuild.steps import OWN_DATA, STAYS
from ....replication.rejoin.remembered.rewound import EQUAL, REWIND
from ....tasks import diverged, rebuild, rejoin
from .rejoin import RejoinRunbook

log = logging.getLogger("mha")


def rebuild_server(job: RebuildJob, by: str) -> RejoinOutcome:
    """New data, then a replica. A failure is an outcome.

    The failover lock is held while roles are looked at and set, and not while data is copied and compared: a failover
    must not wait for that. Raises AlreadyActing when one is under way at the beginning: then nothing was done;
    Interrupted when somebody asked it to end while its old data was in its place.
    """
    lock = FailoverLock(job.config.servers)
    lock.take()
    book = RebuildRunbook(job, lock, lambda: False)
    try:
        return book.outcome(by)
    finally:
        book.unlock()


class RebuildRunbook(RejoinRunbook):
    """One rebuild. Whoever goes on after a death enters at the same first step: each looks whether it is done."""

    _job: RebuildJob

    def outcome(self, by: str) -> RejoinOutcome:
        """All steps, in order."""
        job, plan = self._job, self._job.plan
        try:
            self._step(rebuild.look_first)
        except MhaError as error:
            return self._not_done(error)
        notes: list[str] = []
        try:
            job.journal.record(REJOIN, "began", plan.old, pid=os.getpid(), by=by, plan=plan.as_dict())
            self._step(rejoin.close)
            if job.copying.archive:
                notes.append(self._own_data())
            with self._unlocked():
                place = self._new_data()
            self._step(rejoin.see_the_same_primary)
            facts = self._step(rebuild.set_place, place)
            self._step(rejoin.point, facts)
            if job.config.rebuild_verify:
                with self._unlocked():
                    notes.append(f"{self._step(rebuild.compare)}.")
                self._step(rejoin.see_the_same_primary)
            self._step(rejoin.start, facts)
            stands = self._step(rejoin.see_it_level)
            if facts.rewound is not None:
                # What was being taken back is gone with the old data.
                self.note(REWIND, EQUAL, plan.old)
        except Interrupted as asked:
            self._undone(MhaError(str(asked)))
            raise
        except AlreadyActing as error:
            # Others may act by now; its new data, and its old, are as they are, and who goes on looks.
            self._leave()
            return self._not_done(error, "it is as the last step left it, and read-only; say the same again")
        except MhaError as error:
            return self._undone(error)
        undone = self._set_free(by)
        notes.append(self._old_data())
        for line in undone:
            log.error("%s.", line)
        donor, new = job.copying.donor_name, plan.new_name
        summary = f"{plan.old_name} has the data of {donor}, and replicates from {new}, {stands}"
        notes += [f"Left to do: {line}." for line in undone]
        return self._ended(RejoinOutcome(10 if undone else 0, summary, job.plan, notes=tuple(notes)))

    def _own_data(self) -> str:
        """On the manager; where nothing of its log can be read there, its old data stays, which has all of it."""
        job, old = self._job, self._job.plan.old_name
        try:
            return f"Of {old} were kept: {self._step(diverged.keep_own)}."
        except (RefusalError, LogError, RemoteFileError) as error:
            if isinstance(error, RefusalError) and error.refusal.code != ENCRYPTED:
                raise
            job.journal.record(OWN_DATA, STAYS, job.plan.old)
            log.warning("%s: %s Its old data stays there.", old, error)
            return f"What only {old} had is in its old data alone: {error}"

    def _new_data(self) -> Place | None:
        """The server runs on it, closed; its place where the copy does not bring that along."""
        if self._step(rebuild.make_ready) == rebuild.PLACED:
            return None
        self._step(rebuild.hold_at_start)
        if rebuild.loads(self._job):
            finish_from_here()
            self._step(rebuild.put_aside)
            return self._step(rebuild.load)
        self._step(rebuild.copy)
        finish_from_here()
        self._step(rebuild.swap)
        return None

    def _old_data(self) -> str:
        try:
            kept = self._step(rebuild.settle)
        except MhaError as error:
            return f"Its old data lies in {self._job.kept_in}: {error}."
        return f"Its old data is kept in {kept}: remove it when nobody needs it." if kept else "Its old data is gone."

    def _undone(self, error: MhaError) -> RejoinOutcome:
        try:
            stands = self._step(rebuild.take_back)
        except MhaError as trouble:
            stands = f"its old data lies in {self._job.kept_in}, or in its place still: {trouble}"
        return self._ended(self._not_done(error, stands))
