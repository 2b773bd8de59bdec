"""Who may look at the page of all clusters: this host, or whoever has the token. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress

from ..local.http_port import Asker

HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})


def admitted(asker: Asker, token: str) -> int:
    """200, 401 (the token is missing, or another), or 403 (there is none, and it comes from elsewhere).

    With a token everybody needs it, for a proxy of this host brings whom it likes. Without one a browser of this host
    may look that names it so: a page of somebody else's, whose name leads here, is not it.
    """
    if token:
        return 200 if hmac.compare_digest(_given(asker.authorization).encode(), token.encode()) else 401
    name, colon, port = asker.host.rpartition(":")
    host = name if colon and port.isdigit() else asker.host
    try:
        here = ipaddress.ip_address(asker.address).is_loopback
    except ValueError:
        here = False
    return 200 if here and host.lower() in HERE else 403


def _given(authorization: str) -> str:
    """The token of ``Bearer TOKEN``, or the password of ``Basic``, as a browser asks for it."""
    kind, _, words = authorization.strip().partition(" ")
    if kind.lower() == "bearer":
        return words.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(words.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
