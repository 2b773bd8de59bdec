"""Threads that know whose they are: where one process watches several clusters, each works for one of them.

Python's threads inherit nothing before 3.14. Whatever ours starts belongs to the cluster that the starting one works
for, so all of them are started with these classes (a test looks); what such a thread logs is in that cluster's log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_ATTRIBUTE = "mha_cluster"


def owner() -> str:
    """The name of the cluster that this thread works for; empty for those of the process itself."""
    return getattr(threading.current_thread(), _ATTRIBUTE, "")


def own(thread: threading.Thread, cluster: str) -> None:
    """Say whose a thread is; what it starts is so as well. One that serves all clusters is nobody's (empty)."""
    setattr(thread, _ATTRIBUTE, cluster)


class Thread(threading.Thread):
    """A thread that belongs to whom the one belongs that makes it."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        own(self, owner())


class Timer(threading.Timer):
    """The same for a timer."""

    def __init__(self, interval: float, function: Callable[..., object], *args: Any) -> None:
        super().__init__(interval, function, args)
        own(self, owner())


class ThreadPool(ThreadPoolExecutor):
    """The same for a pool's threads, whoever gives them work."""

    def __init__(self, max_workers: int | None = None, thread_name_prefix: str = "") -> None:
        cluster = owner()
        super().__init__(max_workers, thread_name_prefix, lambda: own(threading.current_thread(), cluster))
