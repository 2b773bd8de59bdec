"""Whose a thread is: where one process watches several clusters, each thread works for the one it was started for.

Python's threads inherit nothing before 3.14. Pools, timers, transports and watchers start threads of their own, here
and in libraries; whatever any of them logs belongs to the cluster that it works for.
"""

from __future__ import annotations

import threading

_ATTRIBUTE = "mha_cluster"
_start = threading.Thread.start


def owner() -> str:
    """The name of the cluster that this thread works for; empty for those of the process itself."""
    return getattr(threading.current_thread(), _ATTRIBUTE, "")


def own(thread: threading.Thread, cluster: str) -> None:
    """Say whose a thread is that is not started yet; what it starts is so as well."""
    setattr(thread, _ATTRIBUTE, cluster)


def threads_inherit() -> None:
    """From now on a thread belongs to whom the one belongs that starts it. For a process that watches several clusters.

    A thread that serves all of them, such as the one that tells people, is to be started by one that is nobody's.
    """

    def start(self: threading.Thread) -> None:
        if not hasattr(self, _ATTRIBUTE):
            own(self, owner())
        _start(self)

    threading.Thread.start = start  # type: ignore[method-assign]
