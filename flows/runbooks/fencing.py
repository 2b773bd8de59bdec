"""Fencing within a failover: which means is tried when, and what follows from what they did."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...replication.errors import RefusalError
from ...replication.fencing.policy import (
    ADDRESS,
    ANY,
    SHUTDOWN,
    SQL,
    SSH,
    FenceVerdict,
    Tried,
    WayOut,
    judge,
    power_now,
)
from ...replication.model.position import BinlogPosition
from ...replication.rescue.saved import SavedBinlog
from ...tasks import fence

if TYPE_CHECKING:
    from .leveling.one_replica import Leveler

log = logging.getLogger("mha")


class Fencing:
    """The old primary is put out of the way: over SSH and SQL at once, by scripts when its binary log is saved.

    ``ssh`` is whether its host can still be read, which ends when a script powers it off. With ``too_late`` a new
    primary is open already: then nothing is refused any more, only told.
    """

    def __init__(self, failover: Leveler, ssh: bool, *, too_late: bool = False) -> None:
        self._failover, self._too_late = failover, too_late
        self._tried: list[Tried] = []
        self._scripts_are_due = True
        self._copies: list[SavedBinlog] = []
        self.ssh = ssh

    @property
    def will_power_off(self) -> bool:
        """A script is still to come that may take the host, and all that is not saved by then, away."""
        config = self._failover.job.config
        return self._scripts_are_due and bool(fence.scripts_of(self._failover.job) or config.shutdown_script)

    def at_once(self) -> None:
        """Kill and close what can be reached; what came of it is judged later. Raises RefusalError."""
        job = self._failover.job
        # One that comes back after it was fenced has lost its role: it is not asked again.
        tried: tuple[Tried, ...] = self._failover.run(
            fence.fence_old_primary, job, self.ssh, self._too_late or bool(self._tried), about=job.dead.name
        )
        self._tried += tried
        self._failover.found.fenced = judge((), self._tried)
        # What no later means can fix is refused before the address is taken away.
        later = self.will_power_off
        settled = [r for r in job.config.fence_required if r in (SSH, SQL) or (r == ANY and not later)]
        verdict = judge(settled, [replace(t, alive=t.alive and not later) for t in self._tried])
        if verdict.answer is WayOut.REFUSE and not self._too_late:
            raise RefusalError(verdict.refusal(job.dead.name))

    def address(self, released: bool) -> None:
        """What became of the old primary's address, when the policy counts it as a means. It is never a proof."""
        if ADDRESS in self._failover.job.config.fence:
            told = "the address was released" if released else "the address was not released"
            self._tried.append(Tried(ADDRESS, released, False, told))

    def before_saving(self) -> None:
        """Run the scripts now if they are not to wait for the binary log. Raises RefusalError."""
        if power_now(self._failover.job.config.power_first, self.ssh) or not self.will_power_off:
            self._power_off()
            self._conclude()

    def after_saving(self) -> None:
        """Run the scripts that waited for the binary log. Raises RefusalError."""
        if self._scripts_are_due:
            self._power_off()
            self._conclude()

    def keep(self, rescue: SavedBinlog) -> None:
        """Remember what was saved while the host could be read."""
        if rescue.copy is not None:
            self._copies.append(rescue)

    def kept_from(self, start: BinlogPosition | None) -> SavedBinlog | None:
        """What was saved before the host was powered off, if a replica that stands at ``start`` can be given it."""
        if self.ssh or start is None:
            return None
        return next((r for r in self._copies if r.copy is not None and r.copy.start <= start), None)

    def _power_off(self) -> None:
        due, self._scripts_are_due = self.will_power_off, False
        if not due:
            log.warning("shutdown_script is not set. Skipping explicit shutting down of the dead master.")
            return
        job = self._failover.job
        tried: tuple[Tried, ...] = self._failover.run(fence.shut_down, job, self.ssh, about=job.dead.name)
        self._tried += tried
        self.ssh = self.ssh and not any(t.powered_off for t in self._tried)

    def _conclude(self) -> None:
        job = self._failover.job
        # That script's failure has always ended a failover; the means of the policy end it when they are required.
        required = (*job.config.fence_required, *([SHUTDOWN] if job.config.shutdown_script else []))
        verdict: FenceVerdict = judge(required, self._tried)
        self._failover.found.fenced = verdict
        if verdict.answer is WayOut.REFUSE and not self._too_late:
            raise RefusalError(verdict.refusal(job.dead.name))
        if not verdict.sure:
            self._failover.notes.append(f"{job.dead.name} could not be fenced: {verdict.why}. Keep it off the network.")
            log.warning("%s", self._failover.notes[-1])
        if not self._too_late:
            job.events.tell("fenced", old=job.dead, text=str(verdict), sure=verdict.sure, means=_plain(verdict))


def _plain(verdict: FenceVerdict) -> list[dict[str, Any]]:
    return [vars(t) for t in verdict.tried]
