"""The server's side of a login: greeting, scramble, and the switch to another plugin.

MySQL Internals Manual, "Connection Phase"; WL#9591 for caching_sha2_password. No TLS and no RSA: the password is made
for this rescue alone and never travels, for the *fast* way of caching_sha2_password needs its scramble only.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct

from ...model.one_time_account import unmarked
from ..account import Account
from .packets import OK, ProtocolError, Refused, Wire

NATIVE, SHA2 = "mysql_native_password", "caching_sha2_password"
_LONG_PASSWORD, _LONG_FLAG, _CONNECT_WITH_DB, _PROTOCOL_41 = 0x1, 0x4, 0x8, 0x200
_TRANSACTIONS, _SECURE_CONNECTION, _PLUGIN_AUTH = 0x2000, 0x8000, 0x80000
_PLUGIN_AUTH_LENENC = 0x200000
_CAPABILITIES = (
    _LONG_PASSWORD | _LONG_FLAG | _CONNECT_WITH_DB | _PROTOCOL_41 | _TRANSACTIONS | _SECURE_CONNECTION | _PLUGIN_AUTH
)
_FAST_AUTH_OK = b"\x01\x03"
#: A login is shorter than this.
_LONGEST = 4096


def log_in(wire: Wire, *, version: str, plugin: str, account: Account, number: int, until: float) -> None:
    """Let this account in. Raises Refused (1045) for any other, ProtocolError for what is no login, Gone."""
    # No zeros and no dollar signs: some clients read the nonce as a text.
    nonce = bytes(secrets.choice(_NONCE) for _ in range(20))
    wire.send(greeting(version, plugin, nonce, number))
    user, answer, theirs = parse_login(wire.read(until=until, limit=_LONGEST), plugin)
    if theirs != plugin:
        wire.send(b"\xfe" + plugin.encode() + b"\0" + nonce + b"\0")
        answer = wire.read(until=until, limit=_LONGEST)
    # Without a password of its own the account is its name: what the channel's password is made into tells nothing.
    expected = scramble(plugin, account.password, nonce) if account.password else answer
    # Both are compared whatever the other says, in the same time.
    right = hmac.compare_digest(_name(user), account.user.encode()) & hmac.compare_digest(answer, expected)
    if not right:
        raise Refused(1045, "Access denied: this source serves one rescue and its account alone")
    # A client without a password waits for no fast way.
    if plugin == SHA2 and answer.strip(b"\0"):
        wire.add(_FAST_AUTH_OK)
    wire.send(OK)


def _name(user: bytes) -> bytes:
    """Whose name it is: replicas add a mark to it that is none of ours to judge."""
    return unmarked(user.decode("latin-1")).encode("latin-1")


_NONCE = bytes(b for b in range(33, 127) if b != ord("$"))


def greeting(version: str, plugin: str, nonce: bytes, number: int) -> bytes:
    """The first packet: protocol 10, with the version of the server that is stood in for."""
    low, high = _CAPABILITIES & 0xFFFF, _CAPABILITIES >> 16
    return (
        b"\x0a"
        + version.encode("latin-1", "replace")
        + b"\0"
        + struct.pack("<I", number & 0xFFFFFFFF)
        + nonce[:8]
        + b"\0"
        + struct.pack("<HBHHB", low, 33, 2, high, len(nonce) + 1)
        + bytes(10)
        + nonce[8:]
        + b"\0"
        + plugin.encode()
        + b"\0"
    )


def parse_login(payload: bytes, plugin: str) -> tuple[bytes, bytes, str]:
    """User, scramble and plugin of a client's answer to the greeting. Raises ProtocolError."""
    try:
        (theirs,) = struct.unpack_from("<I", payload)
        if not theirs & _PROTOCOL_41 or len(payload) < 33:
            raise ProtocolError("it does not speak the protocol of MySQL 4.1 and newer, or asks for TLS")
        end = payload.index(b"\0", 32)
        user, rest = payload[32:end], payload[end + 1 :]
        length = rest[0]
        if theirs & _PLUGIN_AUTH_LENENC and length > 250:
            raise ProtocolError("a scramble of more than 250 bytes")
        answer, rest = rest[1 : 1 + length], rest[1 + length :]
        if len(answer) < length:
            raise ProtocolError("its login is cut off")
        if theirs & _CONNECT_WITH_DB and b"\0" in rest:
            rest = rest.split(b"\0", 1)[1]
        named = rest.split(b"\0", 1)[0].decode("ascii") if theirs & _PLUGIN_AUTH and rest else plugin
    except (struct.error, ValueError, IndexError) as error:
        raise ProtocolError(f"what it sent is no login: {error}") from None
    return user, answer, named


def scramble(plugin: str, password: str, nonce: bytes) -> bytes:
    """What a client that knows the password answers."""
    secret = password.encode()
    if plugin == SHA2:
        once = hashlib.sha256(secret).digest()
        mask = hashlib.sha256(hashlib.sha256(once).digest() + nonce).digest()
    else:
        # What mysql_native_password is made of; the secret is of one connection.
        once = hashlib.sha1(secret).digest()  # noqa: S324
        mask = hashlib.sha1(nonce + hashlib.sha1(once).digest()).digest()  # noqa: S324
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))
