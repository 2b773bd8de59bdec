"""Whether Prefect has an API that answers, and a way out of the process that does not wait for it."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import sys
from typing import NoReturn
from urllib.parse import urlsplit


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
