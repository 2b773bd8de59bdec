"""Prefect held at arm's length: its settings for a process that must never wait for it, and a bounded way out.

Prefect's defaults suit a process whose purpose is a flow: requests of 60 s, five retries, a temporary server when
none is configured, queues that are flushed at exit for as long as it takes. A manager of a failover can afford none
of that, so :func:`protect_from_prefect` is called before Prefect is first imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

PROTECTION = {
    "PREFECT_API_REQUEST_TIMEOUT": "1",
    "PREFECT_CLIENT_MAX_RETRIES": "0",
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # else a flow without an API URL starts a server of its own
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",  # the client's own analytics know this name only
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the manager has its own log; the API gets every line
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a service that loses its server says so on stderr otherwise
}
"""Environment variables and the values they get where nobody has set them."""

OF_REQUESTS = {"PREFECT_API_REQUEST_TIMEOUT", "PREFECT_CLIENT_MAX_RETRIES"}
"""Those of them that a process which only registers deployments can do without: it waits for a busy API."""

HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
"""No value of this variable means "none" in Prefect 3.8, so the armed flow switches heartbeats off by itself."""

_leaving: list[Callable[[float], bool]] = []


def protect_from_prefect() -> None:
    """Set :data:`PROTECTION` in the environment, where nothing else is set, before Prefect reads it.

    When Prefect is loaded already (a worker or ``prefect deploy`` imports it first), its settings are read again,
    so that clients made from now on obey; its logging stays as it was set up, for there somebody else reads it.
    """
    kept = OF_REQUESTS if "prefect.cli.deploy" in sys.modules else set()
    missing = {name: value for name, value in PROTECTION.items() if name not in os.environ and name not in kept}
    os.environ.update(missing)
    context = sys.modules.get("prefect.context")
    refresh = getattr(context, "refresh_global_settings_context", None)
    if missing and refresh is not None:
        refresh()


def api_configured() -> bool:
    """Whether an API URL is set, by environment or profile. When not, nothing is ever to be asked of Prefect."""
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)


@contextlib.contextmanager
def protected_settings(**updates: Any) -> Iterator[None]:
    """Settings for one armed flow or one delivery: no heartbeat thread, and ``updates``, in this context only.

    A heartbeat thread is joined for a full second at the end of a flow; what it feeds, the detection of zombies,
    is for deployments, whose own ``PREFECT_FLOWS_HEARTBEAT_FREQUENCY`` is respected here.
    """
    from prefect.settings import temporary_settings

    changes: dict[Any, Any] = {} if HEARTBEAT in os.environ else {"flows.heartbeat_frequency": None}
    changes.update({name.replace("__", "."): value for name, value in updates.items()})
    with temporary_settings(updates=changes):
        yield


def before_leaving(settle: Callable[[float], bool]) -> None:
    """Register something for :func:`leave` to wait for: called with the seconds left, answers whether it is done."""
    _leaving.append(settle)


def leave(code: int, deadline: float = 2.0) -> NoReturn:
    """End the process with ``code``: Prefect's queues get at most ``deadline`` seconds, then nothing holds it.

    It ends by ``os._exit`` once logs and streams are flushed: the interpreter's own way out would run Prefect's exit
    functions, which flush for minutes when its server has died, and aborts with SIGABRT instead of the exit code when
    a daemon thread is writing at that moment.
    """
    ends = time.monotonic() + deadline

    def settle() -> None:
        for wait in (*_leaving, _drain_prefect):
            wait(ends - time.monotonic())

    waiter = threading.Thread(target=settle, name="mha-leave", daemon=True)
    waiter.start()
    waiter.join(deadline)
    for handler in logging.getLogger("mha").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _drain_prefect(seconds: float) -> bool:
    """Stop Prefect's background queues (events and logs share one registry); True when all were empty in time."""
    worker = sys.modules.get("prefect.events.worker")
    if worker is None:
        return True
    outcome = worker.EventsWorker.drain_all(timeout=max(0.0, seconds))
    return isinstance(outcome, tuple) and not outcome[1]
