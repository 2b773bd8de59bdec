"""A process whose memory holds passwords leaves no core file when it dies."""

from __future__ import annotations

import contextlib
import resource


def leave_none() -> None:
    """For this process and those that it starts, hooks among them (core(5), RLIMIT_CORE); idempotent."""
    # Some sandboxes let nobody set limits; a process goes on without.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
