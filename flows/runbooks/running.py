"""What each part of a failover needs of the whole: its job, what is noted of it, and how a step is done."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from prefect import Task

from ...replication.reporting.job import FailoverJob

R = TypeVar("R")


class RunningFailover(Protocol):
    """A failover under way. ``notes`` are for its report, ``known`` is what its outcome will hold."""

    job: FailoverJob
    notes: list[str]
    known: dict[str, Any]

    def run(self, task: Task[..., R], *args: Any, about: str = "", **named: Any) -> R:
        """Do one step and record it."""
