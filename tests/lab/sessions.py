"""Sessions of the tests with a server: PyMySQL's, which share what they need to have TLS where it is offered.

PyMySQL reads the system's certificate authorities anew for each session, and for each try that is refused, for a check
that it then does not make: 30 ms of processor time, which a writer that looks for the new primary spent on each server.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

import pymysql

if TYPE_CHECKING:
    Connection = pymysql.Connection[Any]
else:
    Connection = pymysql.Connection


class ServerSession(Connection):
    """A session; takes what `pymysql.connect` takes."""

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        made: ssl.SSLContext = super()._create_ssl_ctx(sslp) if sslp else _unchecked()  # type: ignore[misc]
        return made


@cache
def _unchecked() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
