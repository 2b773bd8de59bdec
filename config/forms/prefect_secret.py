"""A secret that Prefect keeps, as a Secret block. Prefect is imported when the first one is asked for, and not before.

It is read once, when a configuration is loaded: a failover does not wait for Prefect.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from .raw import is_utf8

QUIET = {
    "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",  # the client's own analytics, and their banner on a terminal, know this name only
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the manager has its own log; the API gets every line
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # a service that loses its server says so on stderr otherwise
}
"""What Prefect reads when it is imported: environment variables, and their values where nobody has set them."""

#: Seconds for one request, of which a block takes one.
REQUEST_WITHIN = 5.0

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,254}")


def secret_block(name: str) -> str:
    """The text of the Secret block of that name.

    Raises LookupError, whose text goes on after "names the Secret block NAME": ", which …" or ", but …".
    """
    if not _NAME.fullmatch(name):
        raise LookupError(", which is no name of a block: those have lower case letters, digits and dashes")
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    try:
        import httpx
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
        from prefect.settings import (
            PREFECT_API_REQUEST_TIMEOUT,
            PREFECT_API_URL,
            PREFECT_CLIENT_MAX_RETRIES,
            temporary_settings,
        )
    except ImportError:
        raise LookupError(", but the package prefect is not installed here") from None
    if not PREFECT_API_URL.value():
        raise LookupError(", but no PREFECT_API_URL is set, by environment or profile")
    place = _place(str(PREFECT_API_URL.value()))
    patience = {PREFECT_API_REQUEST_TIMEOUT: REQUEST_WITHIN, PREFECT_CLIENT_MAX_RETRIES: 0}
    try:
        with temporary_settings(patience), get_client(sync_client=True) as client:
            found = client.read_block_document_by_name(name, "secret", include_secrets=True)
    except ObjectNotFound:
        raise LookupError(f", which Prefect at {place} does not have: make it, or correct the name") from None
    except PrefectHTTPStatusError as error:
        raise LookupError(f", but Prefect at {place} answers {error.response.status_code}") from None
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, OSError) as error:
        raise LookupError(f", but Prefect at {place} does not answer: {str(error) or type(error).__name__}") from None
    text = found.data.get("value")
    if not isinstance(text, str) or not is_utf8(text):
        raise LookupError(", which holds no text")
    return text


def _place(url: str) -> str:
    """Host and port, without what a URL may hold before them."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or url
