"""What only an old server has is taken back there; then it may follow, and is compared before it is let go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ....replication.local.interrupts import finish_from_here
from ....replication.rejoin.job import RejoinJob
from ....replication.rejoin.observe import look
from ....tasks import diverged, rejoin

#: One step of the runbook that this is part of, on its job.
Step = Callable[..., Any]


def rewind(
    job: RejoinJob, step: Step, may_go_on: Callable[[], None], unlocked: Callable[[], AbstractContextManager[None]]
) -> None:
    """Each step looks whether it is done, by what this host and the server remember. Raises MhaError's children.

    What takes long is done ``unlocked``; before its logs are deleted it is seen that the new primary is still that.
    """
    rewound = look(job.who, job.sessions).rewound
    if rewound is not None and rewound.open:
        finish_from_here()
        step(diverged.forget, None)
        return
    with unlocked():
        own = step(diverged.keep_own)
        step(diverged.see_it_can_be_undone, own)
        may_go_on()
        finish_from_here()
        step(diverged.undo, own)
    step(rejoin.see_the_same_primary)
    step(diverged.forget, own)
