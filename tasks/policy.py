"""How a step is retried: only when that is safe, and only on what a second attempt may fix."""

from __future__ import annotations

from typing import Any

from ..replication.errors import HostUnreachable, ServerGone, ServerUnreachable


def broken_session(error: Exception) -> bool:
    """Retry only what failed because a session broke: a refusal stays one, and who is gone was asked twice."""
    return isinstance(error, ServerUnreachable | HostUnreachable) and not isinstance(error, ServerGone)


#: A step that looks, decides, or acts after it has checked whether it is done: it may be entered again.
STEP: dict[str, Any] = {"retries": 2, "retry_delay_seconds": (0.2, 1.0), "retry_on": broken_session}


def once(why: str) -> dict[str, Any]:
    """A step that is not entered again by itself, and why; in Prefect that is what is said of it."""
    return {"description": f"Not retried: {why}."}
