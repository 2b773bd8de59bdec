"""Prefect held at arm's length: its settings for a process that must never wait for it, and a way out at once.

Prefect's defaults suit a process whose purpose is a flow: a temporary server when none is configured, queues that are
flushed at exit for as long as it takes. A manager of a failover can afford neither, so :func:`protect_from_prefect` is
called before Prefect is first imported. Its patience with a busy API stays: nothing urgent waits for that.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import sys
from typing import NoReturn
from urllib.parse import urlsplit

PROTECTION = {
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",  # else a flow without an API URL starts a server of its own
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",  # the client's own analytics know this name only
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the manager has its own log; the API gets every line
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a service that loses its server says so on stderr otherwise
}
"""Environment variables and the values they get where nobody has set them."""


def protect_from_prefect() -> None:
    """Set :data:`PROTECTION` in the environment, where nothing else is set, before Prefect reads it.

    When Prefect is loaded already (a worker or ``prefect deploy`` imports it first), its settings are read again,
    so that clients made from now on obey; its logging stays as it was set up, for there somebody else reads it.
    """
    missing = {name: value for name, value in PROTECTION.items() if name not in os.environ}
    os.environ.update(missing)
    context = sys.modules.get("prefect.context")
    refresh = getattr(context, "refresh_global_settings_context", None)
    if missing and refresh is not None:
        refresh()


def api_configured() -> bool:
    """Whether an API URL is set, by environment or profile. When not, nothing is ever to be asked of Prefect."""
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)


def api_answers(timeout: float) -> bool:
    """Whether the configured API says anything within ``timeout`` seconds; far cheaper than to ask with its client."""
    from prefect.settings import get_current_settings

    url = urlsplit(str(get_current_settings().api.url or ""))
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(url.hostname or "localhost", url.port, timeout=timeout)
    except ValueError:  # no number for a port
        return False
    try:
        connection.request("GET", f"{url.path.rstrip('/')}/health")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def leave(code: int) -> NoReturn:
    """End the process with ``code`` now, its log and streams flushed.

    The interpreter's own way out would run Prefect's exit functions, which flush for minutes when its server has died,
    and aborts with SIGABRT instead of the exit code when a daemon thread is writing at that moment.
    """
    for handler in logging.getLogger("mha").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.flush()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
