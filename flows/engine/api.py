"""Whether Prefect has an API that answers, and a way out of the process that does not wait for it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

log = logging.getLogger("mha.engine")

API_URL = "PREFECT_API_URL"
#: Files of the working directory in which Prefect looks for its settings, and what is in one that may name a URL.
_NAMED_IN = ((".env", "prefect_"), ("prefect.toml", ""), ("pyproject.toml", "tool.prefect"))


def api_configured() -> bool:
    """Whether an API URL is set, by environment or profile. When not, nothing is ever to be asked of Prefect.

    Prefect, whose settings take a second to import, is asked where it is imported already, or only it can tell.
    """
    if "prefect.settings" in sys.modules or (not os.environ.get(API_URL) and _may_be_configured()):
        return usable() and bool(_url())
    return bool(os.environ.get(API_URL))


@functools.cache
def usable() -> bool:
    """Whether Prefect can be imported as it is set; told once where it cannot. It may take a second or two."""
    try:
        _url()
    except Exception as error:  # noqa: BLE001 - a setting that it does not understand, a package that lacks another
        what = " ".join(str(error).split())[:300]
        log.error("Prefect is told of nothing, because it cannot be used as it is set: %s", what)
        return False
    return True


def _url() -> str:
    from prefect.settings import get_current_settings

    return str(get_current_settings().api.url or "")


def _may_be_configured() -> bool:
    """Whether any place beside the environment has a word of it: a profile, or a file of the working directory.

    Source: Prefect's documentation, "Settings and profiles", precedence.
    """
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    return any(_has(Path(name), word) for name, word in (*_NAMED_IN, (profiles, API_URL.lower())))


def _has(file: Path, word: str) -> bool:
    """A file that is there and cannot be read may have it."""
    try:
        return word in file.read_text(encoding="utf-8", errors="replace").lower()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def api_answers(timeout: float) -> bool:
    """Whether the configured API says anything within ``timeout`` seconds; far cheaper than to ask with its client."""
    if not usable():
        return False
    url = urlsplit(_url())
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
