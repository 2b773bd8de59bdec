"""Who is opened lets applications in: seen before, proven by a row after, and the next best is tried where it fails.

One part of the runbook, apart from its phases. A server that was opened is closed again before another one is opened;
where nobody else can be, or it took rows of others, it stays the new primary and people are told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...replication.actions.early_source import early_sources
from ...replication.cluster.row_proof import RowProof
from ...replication.errors import AlreadyActing, CameBack, MhaError, RefusalError
from ...replication.memory.follow_up import note_stands
from ...replication.memory.journal import opened_before
from ...replication.memory.last_writable import LastWritable, SeenWritable
from ...replication.model.state import ServerState
from ...replication.planning.plan import FailoverPlan
from ...replication.reporting.outcome import ReplicaOutcome
from ...tasks import let_in, promote, role
from ...tasks.let_in import Door
from .leveling.new_primary import Level

if TYPE_CHECKING:
    from .failover import Runbook

log = logging.getLogger("mha")


class Opening:
    """Whom applications get into. ``proof`` is the row of who was opened."""

    def __init__(self, book: Runbook) -> None:
        self._book = book
        self._shut: dict[str, str] = {}
        self._lifted: dict[str, tuple[str, ...]] = {}
        self._seen: set[str] = set()
        self._late = False
        self._disk: let_in.DiskAhead | None = None
        self.proof = RowProof()

    def choose(self, excluded: Mapping[str, str]) -> FailoverPlan:
        """The best of those that let applications in; where there is none, of all. Raises RefusalError."""
        if self._shut:
            try:
                return self._book.chosen(excluded, self._shut)
            except RefusalError:
                log.error("Nobody else can be promoted: trying servers that keep applications out, too.")
        return self._book.chosen(excluded)

    def look_ahead(self, plan: FailoverPlan) -> None:
        """Begin to look at the disk of the new primary while its host has nothing else to do."""
        self._disk = let_in.DiskAhead(self._book.job, plan.new_primary)

    def look(self, plan: FailoverPlan) -> Door | None:
        """What keeps applications out of the new primary, seen while it is brought level; or None."""
        if not plan.open_for_writes or plan.new_primary in self._seen:
            return None
        self._seen.add(plan.new_primary)
        book = self._book
        try:
            door: Door = book.run(let_in.see_door, book.job, plan, self._disk, about=plan.new_primary_name)
        except AlreadyActing:
            raise
        except MhaError as error:
            log.warning("%s", error)
            return None
        self._lifted[plan.new_primary] = door.lifted
        if door.closed_by:
            what = " and ".join(door.closed_by)
            book.notes.append(f"{plan.new_primary_name} had {what} on, which keeps applications out: cleared")
        return door

    def better(self, plan: FailoverPlan, door: Door | None) -> FailoverPlan | None:
        """The plan of the next best where nobody would get in by this door and somebody else may be promoted."""
        if door is None or not door.shut:
            return None
        book = self._book
        log.error("%s: %s", plan.new_primary_name, door.shut)
        self._shut[plan.new_primary] = door.shut
        following = self._another(plan)
        if following is None:
            book.undone.append(f"{plan.new_primary_name} is the only one that can be opened, and {door.shut}")
            return None
        book.undone.append(f"{plan.new_primary_name} was passed over: {door.shut}")
        self._give_back(plan.new_primary)
        return following

    def opened(self, plan: FailoverPlan, level: Level) -> FailoverPlan | None:
        """None once it is open and stays so; else the plan of the next best: it died before, or is closed again.

        Raises CameBack, and what goes wrong once it may be open.
        """
        book = self._book
        try:
            before = level.state or book.job.sessions.server(plan.new_primary).observe()
            note_stands(book.job.journal, plan.new_primary, level.end, level.state)
            if book.job.config.semi_sync == "require":
                lacking: tuple[str, ...] = book.run(role.demand, book.job, plan, about=plan.new_primary_name)
                book.undone += lacking
            book.run(promote.promote, book.job, plan, level.proof, level.recovered, about=plan.new_primary_name)
        except AlreadyActing:
            raise
        except (CameBack, RefusalError):
            self.wait_no_longer()
            raise
        except MhaError as error:
            opened = opened_before(tuple(book.job.journal.entries()))
            if opened is not None and opened.key == plan.new_primary:
                raise
            self.wait_no_longer()
            log.error("%s could not be opened: %s", plan.new_primary_name, error)
            return book.ways.next_best(plan, error, self.choose, "it could not be opened").with_others_of(plan)
        return self._proven(plan, level, before)

    def _proven(self, plan: FailoverPlan, level: Level, before: ServerState) -> FailoverPlan | None:
        """None once a row got in, or the opened one has to stay what it is. ``before`` is how it was until then."""
        book = self._book
        if not plan.open_for_writes:
            return None
        self.proof = self._written(plan)
        if not self.proof.error:
            if self.proof.unproven:
                log.warning("No row was written to prove that applications get in: %s", self.proof.unproven)
            return None
        sentence = f"{plan.new_primary_name} is open, and no row of an application got in: {self.proof.error}"
        self._shut[plan.new_primary] = f"it was opened, and no row got in: {self.proof.error}"
        following = self._another(plan)
        if following is None:
            book.undone.append(sentence)
            return None
        if not self._closed(plan, level, before):
            book.undone.append(sentence)
            return None
        book.undone.append(f"{plan.new_primary_name} was opened and closed again: {self.proof.error}")
        self._give_back(plan.new_primary)
        self.wait_no_longer()
        return following

    def _written(self, plan: FailoverPlan, *, followed: bool = False) -> RowProof:
        """A step that fails is no row either: from here on somebody is open, and the failover goes on."""
        book = self._book
        try:
            proof: RowProof = book.run(
                let_in.write_proof, book.job, plan, followed=followed, about=plan.new_primary_name
            )
        except AlreadyActing:
            raise
        except MhaError as error:
            return RowProof(error=str(error))
        return proof

    def stays_open(self, plan: FailoverPlan, level: Level) -> None:
        """Whoever could not be closed again stays the primary: it is opened again should that have come late."""
        if not self._late:
            return
        book = self._book
        try:
            book.run(promote.open_again, book.job, plan, level.proof, level.recovered, about=plan.new_primary_name)
        except AlreadyActing:
            raise
        except MhaError as error:
            book.undone.append(f"{plan.new_primary_name} may still be closed by a command on its way: {error}")

    def complete(self, plan: FailoverPlan, replicas: tuple[ReplicaOutcome, ...]) -> None:
        """What ran on the old primary runs on the new one, now that there are replicas, and they have its row."""
        book, stuck = self._book, True
        try:
            taken = book.run(role.take_role, book.job, plan, replicas, about=plan.new_primary_name)
            book.notes += taken.notes
            book.undone += taken.undone
            stuck = taken.stuck
        except AlreadyActing:
            raise
        except MhaError as error:
            book.undone.append(f"{plan.new_primary_name}: what ran on the old primary was not taken over: {error}")
        if self.proof.waits and (not stuck or any(replica.ok for replica in replicas)):
            self._written_late(plan)
        if self.proof.waits and book.found.out is not None:
            book.found.out = book.found.out.ends(time.time(), lasts=True)
        self._seen_by_others(plan, replicas)

    def _written_late(self, plan: FailoverPlan) -> None:
        """Whose commits waited from the opening on takes writes from here on: so long they were out."""
        book = self._book
        self.proof = self._written(plan, followed=True)
        if self.proof.error:
            book.undone.append(
                f"{plan.new_primary_name} is open, and no row of an application got in: {self.proof.error}"
            )
        if book.found.out is not None:
            book.found.out = book.found.out.ends(time.time(), lasts=bool(self.proof.error))

    def _seen_by_others(self, plan: FailoverPlan, replicas: tuple[ReplicaOutcome, ...]) -> None:
        """The row is read on those that follow."""
        book = self._book
        if not plan.open_for_writes or not any(replica.ok for replica in replicas):
            return
        try:
            if self.proof.unproven:
                book.notes.append(f"No row proves that applications get in: {self.proof.unproven}.")
            if self.proof.id and (lacking := book.run(let_in.read_proof, book.job, plan, self.proof, replicas)):
                book.notes.append(f"{lacking}.")
        except AlreadyActing:
            raise
        except MhaError as error:
            book.notes.append(f"The row was not read on the replicas: {error}.")

    def give_back(self) -> None:
        """Nobody was opened: what was cleared on those that were looked at is as it was."""
        for key in list(self._lifted):
            self._give_back(key)
        self.wait_no_longer()

    def _another(self, plan: FailoverPlan) -> FailoverPlan | None:
        book = self._book
        try:
            following = book.chosen(book.ways.failed, self._shut)
        except RefusalError as error:
            log.error("Nobody else can be promoted: %s", error)
            return None
        return following.with_others_of(plan)

    def _closed(self, plan: FailoverPlan, level: Level, before: ServerState) -> bool:
        """Whether it is closed, with nothing in its log that the next one lacks."""
        book = self._book
        end = level.recovered.end_of_log
        try:
            wrote = book.run(let_in.close_again, book.job, before, end, about=plan.new_primary_name)
        except AlreadyActing:
            raise
        except MhaError as error:
            log.error("%s cannot be closed again, so nobody else is opened: %s", plan.new_primary_name, error)
            # What it was sent may still take effect, as when it stood still and wakes.
            self._late = True
            LastWritable(book.job.config).write(SeenWritable(plan.new_primary, 0, asked=time.time()))
            return False
        if wrote:
            log.error("%s executed something that no other server has: it stays the primary.", plan.new_primary_name)
            book.run(promote.open_again, book.job, plan, level.proof, level.recovered, about=plan.new_primary_name)
            return False
        book.job.journal.record("promote", "not opened", plan.new_primary)
        return True

    def wait_no_longer(self) -> None:
        """Whose commits were made to wait, and who was not opened, or was closed again: they do not any more."""
        book = self._book
        now = tuple(book.job.journal.entries())
        opened = opened_before(now) or book.opened
        if keys := [key for key in early_sources((*book.job.past, *now)) if opened is None or opened.key != key]:
            try:
                kept: tuple[str, ...] = book.run(role.take_demand_back, book.job, keys)
                book.notes += kept
            except MhaError as error:
                book.notes.append(f"{', '.join(keys)} may still wait for acknowledgements: {error}")

    def _give_back(self, key: str) -> None:
        lifted = self._lifted.pop(key, ())
        if lifted:
            try:
                self._book.run(let_in.shut_door, self._book.job, key, lifted)
            except MhaError as error:
                self._book.notes.append(f"{', '.join(lifted)} was cleared and could not be set again: {error}")
