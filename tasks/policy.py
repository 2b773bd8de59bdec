"""How Prefect treats a step: nothing cached, nothing persisted (the journal is the memory), retried only when safe.

No tags: a tag on a task asks the API for a concurrency slot, and the API may be away.
"""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from ..replication.errors import HostUnreachable, ServerGone, ServerUnreachable

_STEP: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


def broken_session(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Retry only what failed because a session broke: a refusal stays one, and who is gone was asked twice."""
    try:
        state.result()
    except ServerGone:
        return False
    except (ServerUnreachable, HostUnreachable):
        return True
    except Exception:  # noqa: BLE001 - only the kind of the failure is asked here
        return False
    return False


#: A step that looks, decides, or acts after it has checked whether it is done: it may be entered again.
STEP: dict[str, Any] = {**_STEP, "retries": 2, "retry_delay_seconds": [0.2, 1.0], "retry_condition_fn": broken_session}


def once(why: str) -> dict[str, Any]:
    """A step that is not entered again by itself, and why; in Prefect that is what is said of it."""
    return {**_STEP, "description": f"Not retried: {why}."}
